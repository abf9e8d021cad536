"""What ``safelight calibrate`` does: looks at a corpus, fits, writes what a bundle can carry."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import safelight
from safelight.errors import SafelightError, UsageError
from safelight.evaluation import calibrating, checking, looking, manifest, plots
from safelight.evaluation.calibrating import Calibrated, Method
from safelight.evaluation.command import made, write
from safelight.evaluation.detector_figures import Scored
from safelight.evaluation.evaluating import Tell
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Corpus
from safelight.evaluation_door import Looker, nats
from safelight.types import VerifiedBundle

FILE: Final = "calibration.json"
PLOT: Final = "reliability.svg"


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the command. ``evaluated_on``: corpora that must share no cluster with it."""

    corpus: Path
    out: Path
    files: Path | None
    evaluated_on: tuple[Path, ...]
    method: Method
    setup: Setup


def calibrate(request: Request, tell: Tell) -> list[str]:
    """Fit, write ``calibration.json`` and a plot, and return the lines to print.

    Raises:
        SafelightError: the corpus cannot be used, or shares a cluster with an evaluation's.
    """
    corpus = manifest.read(request.corpus)
    for other in request.evaluated_on:
        checking.refuse_shared(corpus.clusters, manifest.read(other).clusters)
    folder = request.files or (request.corpus if request.corpus.is_dir() else request.corpus.parent)
    bundle = safelight.verify_bundle(request.setup.bundle, test_bundle=request.setup.test_bundle)
    checking.refuse_absent(corpus, folder)
    data = scores(corpus, folder, request.setup, bundle, tell)
    prior = np.array([nats(bundle.calibration, float(s)) for s in data.scores], np.float64)
    fitted = calibrating.fit(data, request.method, prior=prior)
    out = made(request.out)
    write(out / FILE, json.dumps(as_carried(fitted, corpus, bundle), indent=2) + "\n")
    curves = (("the calibration in use", fitted.before), ("fitted", fitted.after))
    write(out / PLOT, plots.reliability(curves))
    lines = [
        f"{fitted.positives} positive, {fitted.negatives} negative, {fitted.clusters} clusters"
    ]
    lines += [f"  {figure.what}: {figure.as_text()}" for figure in fitted.figures]
    return [*lines, str(out / FILE), str(out / PLOT)]


def scores(
    corpus: Corpus, folder: Path, setup: Setup, bundle: VerifiedBundle, tell: Tell
) -> Scored:
    """Look at every item. A faulty one is refused: here nothing may be left out silently.

    Raises:
        UsageError: an item is faulty.
        SafelightError: an item cannot be read.
    """
    faults = checking.check(corpus, folder)
    if faults:
        raise UsageError(
            f"{faults[0].kind}: item {faults[0].item}: {faults[0].what}", "mend the corpus"
        )
    looker = Looker(bundle)
    rows: list[tuple[float, bool, str]] = []
    for index, item in enumerate(corpus.items):
        tell(index, len(corpus.items))
        if not (item.is_positive or item.is_benign):
            continue
        try:
            samples = looking.look(item, folder, setup, looker)
        except SafelightError as error:
            raise UsageError(
                f"item {index} cannot be read ({type(error).__name__})", "mend the corpus"
            ) from None
        for sample in samples:
            if sample.score is None:
                raise UsageError(
                    f"evidence of a picture of item {index} was refused",
                    "fit to what a detector says, not to where it says nothing",
                )
            rows.append((sample.score, sample.positive, item.cluster))
    tell(len(corpus.items), len(corpus.items))
    return Scored(
        np.array([row[0] for row in rows], np.float64),
        np.array([row[1] for row in rows], np.bool_),
        tuple(row[2] for row in rows),
    )


def as_carried(fitted: Calibrated, corpus: Corpus, bundle: VerifiedBundle) -> dict[str, Any]:
    """Return the file: ``calibration`` goes into a bundle's manifest as it stands."""
    kind = "" if corpus.purpose == "calibration" else f" Its purpose is {corpus.purpose!r}."
    return {
        "schema": "safelight.calibration/1",
        "bundle": f"{bundle.id} {bundle.version}",
        "bundle_sha256": bundle.sha256,
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "calibration": {
            "status": "measured",
            "source": f"Fitted ({fitted.method}) by safelight calibrate to {fitted.positives}"
            f" positive and {fitted.negatives} negative pictures in {fitted.clusters} clusters of"
            f" the corpus {corpus.id!r}.{kind}",
            "points": [list(point) for point in fitted.points],
        },
        "figures": [figure.model_dump(mode="json") for figure in fitted.figures],
    }
