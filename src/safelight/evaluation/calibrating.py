"""Score -> log-likelihood ratio, fitted, and checked on clusters that the fit did not see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import isotonic, linear_model, metrics, model_selection

from safelight.errors import UsageError
from safelight.evaluation import figures, statistics
from safelight.evaluation.detector_figures import Curve, Scored, calibration_error, reliability
from safelight.evaluation.figures import Figure

Method = Literal["isotonic", "logistic"]
Floats = NDArray[np.float64]
_FOLDS: Final = 5
_STEP: Final = 50  # thousandths of a score between two points
_MOST: Final = 20_000  # thousandths of a nat, as the bundle format allows
_LEAST_TOP: Final = 1000  # at the highest score: less would never add up to a cover
_EDGE: Final = 1e-4  # a score of 0 or 1 has no logit
# scikit-learn has no types of its own; what passes this file has ours.
_isotonic: Any = isotonic
_linear: Any = linear_model
_metrics: Any = metrics
_folds: Any = model_selection


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration as a bundle carries it, and how well it did on unseen clusters.

    ``points``: (score in thousandths, ratio in thousandths of a nat).
    """

    method: Method
    points: tuple[tuple[int, int], ...]
    before: Curve | None
    after: Curve | None
    figures: tuple[Figure, ...]
    positives: int
    negatives: int
    clusters: int


def fit(data: Scored, method: Method, *, prior: Floats | None = None, seed: int = 1) -> Calibrated:
    """Fit a calibration.

    Args:
        data: scores, truths and clusters.
        method: a monotone step function, or a straight line in the logit.
        prior: what the calibration in use makes of each score, in nats, to compare with.
        seed: of the bootstrap.

    Raises:
        UsageError: there are not both kinds, too few clusters, or the scores do not tell them
            apart: a calibration that can never cover must not be made.
    """
    clusters = np.unique(np.asarray(data.clusters), return_inverse=True)[1]
    many = int(clusters.max()) + 1 if len(clusters) else 0
    if not data.has_both or many < 2 * _FOLDS:
        raise UsageError(
            f"{int(data.positive.sum())} positive and {int((~data.positive).sum())} negative"
            f" pictures in {many} clusters do not make a calibration",
            f"both kinds are needed, in {2 * _FOLDS} clusters or more",
        )
    base = _logit(np.array([data.positive.mean()]))[0]
    # Neighbouring pictures are alike: no more certainty than so many clusters can give.
    edge = 1 / (many + 2)
    unseen = _unseen(data, clusters, method, edge)
    grid = np.arange(0, 1000 + _STEP, _STEP)
    ratios = _logit(_fitted(data.scores, data.positive, method, edge)(grid / 1000)) - base
    points = np.clip(np.rint(ratios * 1000), -_MOST, _MOST).astype(int)
    points = np.maximum.accumulate(points)
    if points[-1] < _LEAST_TOP:
        raise UsageError(
            f"a score of 1 would count {points[-1] / 1000:.2f} nats: too little ever to cover",
            "the scores do not tell the two kinds apart",
        )
    said = _probability(prior, base) if prior is not None else data.scores
    return Calibrated(
        method=method,
        points=tuple((int(x), int(y)) for x, y in zip(grid, points, strict=True)),
        before=reliability(data.positive, said),
        after=reliability(data.positive, unseen),
        figures=_figures(data, said, unseen, clusters, seed),
        positives=int(data.positive.sum()),
        negatives=int((~data.positive).sum()),
        clusters=many,
    )


def _unseen(data: Scored, clusters: NDArray[np.intp], method: Method, edge: float) -> Floats:
    """Return each picture's probability by a fit that never saw its cluster."""
    found = np.full(len(data.scores), np.nan)
    splits = _folds.StratifiedGroupKFold(_FOLDS).split(data.scores, data.positive, clusters)
    for learned, held in splits:
        if len(np.unique(data.positive[learned])) < 2:
            raise UsageError("too few clusters hold positives, or negatives", "add clusters")
        found[held] = _fitted(data.scores[learned], data.positive[learned], method, edge)(
            data.scores[held]
        )
    return found


def _fitted(scores: Floats, positive: NDArray[np.bool_], method: Method, edge: float) -> Any:
    """Return a function from scores to probabilities between ``edge`` and one less it."""
    if method == "isotonic":
        steps = _isotonic.IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip")
        steps.fit(scores, positive.astype(float))
        return lambda x: np.asarray(steps.predict(np.asarray(x)), np.float64)
    line = _linear.LogisticRegression(C=1e6)
    line.fit(_logit(scores)[:, None], positive)
    if line.coef_[0, 0] <= 0:
        raise UsageError("a higher score does not mean more", "see the labels of the corpus")
    return lambda x: np.clip(
        np.asarray(line.predict_proba(_logit(np.asarray(x))[:, None])[:, 1], np.float64),
        edge,
        1 - edge,
    )


def _figures(
    data: Scored, said: Floats, unseen: Floats, clusters: NDArray[np.intp], seed: int
) -> tuple[Figure, ...]:
    found = []
    for name, what, p in (("before", "before", said), ("after", "on unseen clusters", unseen)):

        def brier(chosen: NDArray[np.intp], p: Floats = p) -> float:
            return float(np.mean((p[chosen] - data.positive[chosen]) ** 2))

        found.append(
            figures.clustered(
                f"brier.{name}",
                f"Brier score, {what}",
                float(_metrics.brier_score_loss(data.positive, p)),
                len(p),
                "scores",
                clusters=len(set(data.clusters)),
                found=statistics.over_clusters(clusters.tolist(), brier, seed=seed),
            )
        )

        def error(chosen: NDArray[np.intp], p: Floats = p) -> float:
            return calibration_error(data.positive[chosen], p[chosen])

        found.append(
            figures.clustered(
                f"calibration_error.{name}",
                f"expected calibration error, {what}",
                calibration_error(data.positive, p),
                len(p),
                "scores",
                clusters=len(set(data.clusters)),
                found=statistics.over_clusters(clusters.tolist(), error, seed=seed),
            )
        )
    return tuple(found)


def made_up(seed: int = 7) -> Scored:
    """Return score traces of chance, with no picture at all: to show that fitting works."""
    chance = np.random.default_rng(seed)
    scores, positive, clusters = [], [], []
    for number in range(48):
        is_positive = number % 3 == 0
        shape = (4.0, 2.2) if is_positive else (1.1, 7.0)
        drawn = np.clip(chance.beta(*shape, 40) + chance.normal(0, 0.05), 0, 1)
        scores.append(drawn)
        positive.append(np.full(40, is_positive))
        clusters += [f"trace-{number}"] * 40
    return Scored(np.concatenate(scores), np.concatenate(positive), tuple(clusters))


def _logit(p: Floats) -> Floats:
    kept = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(kept / (1 - kept)), np.float64)


def _probability(nats: Floats, base: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(nats + base))), np.float64)
