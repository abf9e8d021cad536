"""The age detector by itself, in figures, as NIST's age evaluation (IR 8525) reports them."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safelight.evaluation import figures, statistics
from safelight.evaluation.detector_figures import pairs
from safelight.evaluation.evaluating import Ran
from safelight.evaluation.figures import Figure

P_UNDER_18_LIMITS: Final = (0.3, 0.5)
_MINORS: Final = {"0-12", "13-15", "16-17"}
_ADULTS: Final = {"18-24", "25-39", "40-59", "60+", "adult"}


def ages(ran: Ran) -> tuple[Figure, ...]:
    """Return the errors of the P(<18) estimate by age band, and the mean absolute error.

    The mean absolute error is averaged over cells of sex and age band (NIST IR 8525), so that
    a corpus with many of one kind does not decide it.
    """
    faces: dict[str, list[tuple[str, float]]] = defaultdict(list)
    errors: list[tuple[str, tuple[str, str], float]] = []
    for item, samples in pairs(ran):
        for sample in samples:
            for face in sample.faces or ():
                faces[item.age_band].append((item.cluster, face.p_under_18))
                if item.age_years is not None:
                    cell = (item.groups.get("sex", "unknown"), item.age_band)
                    errors.append((item.cluster, cell, abs(face.years - item.age_years)))
    found = [f for band in sorted(faces) for f in _band(band, faces[band], ran.protocol.seed)]
    if not faces:
        found.append(
            figures.unmeasured("p_under_18", "P(<18) estimate", "no face was found, or no detector")
        )
    what = "mean absolute age error, averaged over cells of sex and age band"
    if errors:
        mine = [cluster for cluster, _, _ in errors]

        def averaged(chosen: NDArray[np.intp]) -> float:
            cells: dict[tuple[str, str], list[float]] = defaultdict(list)
            for index in chosen:
                cells[errors[index][1]].append(errors[index][2])
            return float(np.mean([float(np.mean(cell)) for cell in cells.values()]))

        found.append(
            figures.clustered(
                "age_mae",
                what,
                averaged(np.arange(len(errors))),
                len(errors),
                "faces",
                clusters=len(set(mine)),
                found=statistics.over_clusters(mine, averaged, seed=ran.protocol.seed),
                unit="years",
            )
        )
    else:
        said = "no item of this corpus states an age in years"
        found.append(figures.unmeasured("age_mae", what, said, unit="years"))
    return tuple(found)


def _band(band: str, faces: list[tuple[str, float]], seed: int) -> list[Figure]:
    clusters = [cluster for cluster, _ in faces]
    p = np.array([value for _, value in faces])
    many = len(set(clusters))
    found = []
    for limit in P_UNDER_18_LIMITS:
        if band in _MINORS:
            what, wrong = f"P(<18) estimate below {limit}: wrong", p < limit
        else:
            wrong = p >= limit
            end = ": wrong" if band in _ADULTS else ""
            what = f"P(<18) estimate of {limit} or more{end}"

        found.append(
            figures.clustered(
                f"p_under_18_at_{limit}.{band.replace('+', '-plus')}",
                f"age band {band}: {what}",
                float(wrong.mean()),
                len(p),
                "faces",
                clusters=many,
                found=statistics.of_ratio(
                    clusters, wrong.astype(np.float64).tolist(), [1.0] * len(p), seed=seed
                ),
                between=(0.0, 1.0),
            )
        )
    return found
