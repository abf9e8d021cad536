"""The detector that scores by itself, in figures: ROC, rates at fixed false alarms, calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as _sklearn

from safelight.evaluation import figures, statistics
from safelight.evaluation.evaluating import Ran
from safelight.evaluation.figures import Figure, Part
from safelight.evaluation.looking import Sample
from safelight.evaluation.manifest import Item

# scikit-learn has no types of its own; what passes this file has ours.
metrics: Any = _sklearn

Floats = NDArray[np.float64]
Statistic = Callable[[NDArray[np.bool_], Floats], float]
FIXED_FPR: Final = (0.01, 0.001)
LIMITS: Final = (0.2, 0.5, 0.8)
BINS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores of pictures in [0, 1], whether each is positive, and its cluster."""

    scores: Floats
    positive: NDArray[np.bool_]
    clusters: tuple[str, ...]

    @property
    def has_both(self) -> bool:
        """Whether there are positives and negatives."""
        return bool(self.positive.any() and not self.positive.all())


class Curve(Part):
    """Points of a plot; what each axis is stands with the plot."""

    x: tuple[float, ...]
    y: tuple[float, ...]


def pairs(ran: Ran) -> list[tuple[Item, tuple[Sample, ...]]]:
    """Return the items that were looked at, with their samples."""
    return [
        (ran.corpus.items[result.item], result.samples)
        for result in ran.results
        if result.samples is not None
    ]


def scored(ran: Ran) -> Scored:
    """Return every sample with a known truth.

    Evidence that was refused counts as the wrong answer, whichever that is: a detector must
    not look better by saying nothing where it is hard.
    """
    rows = [
        (_counted(sample), sample.positive, item.cluster)
        for item, samples in pairs(ran)
        if item.is_positive or item.is_benign
        for sample in samples
    ]
    return Scored(
        np.array([row[0] for row in rows], dtype=np.float64),
        np.array([row[1] for row in rows], dtype=np.bool_),
        tuple(row[2] for row in rows),
    )


def _counted(sample: Sample) -> float:
    if sample.score is not None:
        return sample.score
    return 0.0 if sample.positive else 1.0


def sexual(ran: Ran) -> tuple[Figure, ...]:
    """Return the figures of the detector that scores, on single pictures."""
    data = scored(ran)
    seed = ran.protocol.seed
    negatives = ~data.positive
    # Only clusters that hold such pictures can say how sure their share is.
    of_negatives = [c for c, out in zip(data.clusters, negatives, strict=True) if out]
    found = [_absent(ran)]
    for limit in LIMITS:
        over = (data.scores[negatives] >= limit).astype(np.float64)
        found.append(
            figures.clustered(
                f"fpr_at_{limit}",
                f"share of benign pictures with a score of {limit} or more",
                float(over.mean()) if len(over) else math.nan,
                len(over),
                "pictures",
                clusters=len(set(of_negatives)),
                found=statistics.of_ratio(
                    of_negatives, over.tolist(), [1.0] * len(over), seed=seed
                ),
                between=(0.0, 1.0),
            )
        )
    if negatives.any():
        found.append(
            figures.plain(
                "highest_benign_score",
                "highest score of a benign picture",
                float(data.scores[negatives].max()),
                int(negatives.sum()),
                "pictures",
            )
        )
    return (*found, *_two_sided(data, seed))


def _absent(ran: Ran) -> Figure:
    samples = [sample for _, found in pairs(ran) for sample in found]
    refused = sum(sample.score is None for sample in samples)
    return figures.plain(
        "absent_evidence",
        "pictures whose evidence was refused (a guard covers them)",
        refused,
        len(samples),
        "pictures",
        note="Below they count as wrong answers." if refused else "",
    )


def _two_sided(data: Scored, seed: int) -> list[Figure]:
    note = "Positives are what the corpus says they are: canaries say nothing about recall."
    if not data.has_both:
        return [figures.unmeasured("auc", "area under the ROC curve", "no positives, or no others")]
    inside, n = int(data.positive.sum()), len(data.scores)
    # As many as the rarer kind has: a hundred clusters of one kind do not make two of the
    # other enough.
    kinds = (data.positive, ~data.positive)
    many = min(len({c for c, is_in in zip(data.clusters, k, strict=True) if is_in}) for k in kinds)

    def of(id_: str, what: str, statistic: Statistic, count: int = n, note: str = note) -> Figure:
        def chosen(indices: NDArray[np.intp]) -> float:
            y = data.positive[indices]
            return math.nan if y.all() or not y.any() else statistic(y, data.scores[indices])

        enough = many >= statistics.MIN_CLUSTERS
        found = statistics.over_clusters(data.clusters, chosen, seed=seed) if enough else None
        value = statistic(data.positive, data.scores)
        return figures.clustered(
            id_, what, value, count, "pictures", clusters=many, found=found, note=note
        )

    found = [
        of("auc", "area under the ROC curve", lambda y, p: float(metrics.roc_auc_score(y, p))),
        of(
            "brier",
            "Brier score, the score taken as a probability",
            lambda y, p: float(metrics.brier_score_loss(y, p)),
            note="",
        ),
        of(
            "calibration_error",
            "expected calibration error, the score taken as a probability",
            calibration_error,
            note="",
        ),
    ]
    for fpr in FIXED_FPR:
        if (n - inside) * fpr < 1:
            said = f"{n - inside} negatives; it needs {math.ceil(1 / fpr)}"
            found.append(figures.unmeasured(f"tpr_at_fpr_{fpr}", f"TPR at FPR {fpr}", said))
            continue

        def at(y: NDArray[np.bool_], p: Floats, fpr: float = fpr) -> float:
            return tpr_at(y, p, fpr)

        found.append(of(f"tpr_at_fpr_{fpr}", f"TPR at FPR {fpr}", at, inside))
    return found


def tpr_at(positive: NDArray[np.bool_], scores: Floats, fpr: float) -> float:
    """Return the largest true positive rate whose false positive rate is at most ``fpr``."""
    false, true, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    return float(true[false <= fpr].max())


def calibration_error(positive: NDArray[np.bool_], p: Floats, bins: int = BINS) -> float:
    """Return the mean gap between said and seen over ``bins`` equal bins, weighted by count."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    total = 0.0
    for index in range(bins):
        mine = which == index
        if mine.any():
            total += float(mine.sum()) * abs(float(p[mine].mean() - positive[mine].mean()))
    return total / len(p)


def roc(data: Scored) -> Curve | None:
    """Return (false positive rate, true positive rate); None without both kinds."""
    if not data.has_both:
        return None
    false, true, _ = metrics.roc_curve(data.positive, data.scores)
    return Curve(x=_points(false), y=_points(true))


def reliability(positive: NDArray[np.bool_], p: Floats, bins: int = BINS) -> Curve | None:
    """Return (mean said, share seen) of each bin that holds anything."""
    if not (positive.any() and not positive.all()):
        return None
    which = np.minimum((p * bins).astype(int), bins - 1)
    held = [which == index for index in range(bins) if (which == index).any()]
    return Curve(
        x=_points([float(p[m].mean()) for m in held]),
        y=_points([float(positive[m].mean()) for m in held]),
    )


def _points(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
