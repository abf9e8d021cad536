"""The one door through which scores of single pictures are seen: for the evaluation alone.

A guard tells states and nothing finer (promise 8). An evaluation has to look at detectors by
themselves, on pictures that whoever runs it holds anyway. So this is no part of the public
API: only ``safelight.evaluation`` may import it (tests/import_rules.py, docs/adr/0015).
It makes pictures exactly as a guard does, and shows them to the same detectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from safelight.core.policy import decide
from safelight.core.sequential import Sequential, ratio
from safelight.detect import views as pictures
from safelight.detect.age import MAX_SIDE, Age, under_age
from safelight.detect.detectors import Detectors
from safelight.errors import EndOfStream
from safelight.media import address
from safelight.media.av_source import AvSource
from safelight.opening import verify_policy
from safelight.types import NS_PER_S, Action, Calibration, Picture, Scores, VerifiedBundle

SAMPLE_EVERY_NS: Final = NS_PER_S // 2  # as core/limits.py


@dataclass(frozen=True, slots=True)
class FaceAge:
    """One face: the P(<18) estimate in [0, 1], and the mean of its 81 bins in years."""

    p_under_18: float
    years: float


@dataclass(frozen=True, slots=True)
class Looked:
    """What the detectors of a bundle say of one picture.

    ``sexual``: the score in [0, 1] through the views that every judged picture gets; of a
    stand-in bundle, that of its stand-in class. None: the evidence was refused (NaN, out of
    range). ``faces``: None where ages were not asked for, or the bundle has no age detector.
    """

    sexual: float | None
    faces: tuple[FaceAge, ...] | None


class Looking(Protocol):
    """What a detector is to an evaluation."""

    def look(self, picture: Picture, *, ages: bool = False) -> Looked:
        """Look at one upright picture."""
        ...


class Looker:
    """The detectors of one verified bundle, in this process. One thread at a time."""

    def __init__(self, bundle: VerifiedBundle) -> None:
        """Load them and show them the bundle's own pictures.

        Raises:
            JudgeError: one does not load or gives a wrong answer.
        """
        self._detectors = Detectors(bundle)
        self._detectors.self_test()
        self._every = tuple(view.name for view in bundle.every)
        self._age: Age | None = None
        for detector in bundle.detectors:
            if detector.kind == "age":
                files = {role: bundle.files[name] for role, name in detector.files}
                self._age = Age(files["model"], files["landmarks"])

    @property
    def has_age(self) -> bool:
        """Whether the bundle estimates ages."""
        return self._age is not None

    def look(self, picture: Picture, *, ages: bool = False) -> Looked:
        """Look at one upright picture; ``ages``: at every face, whatever the score.

        Raises:
            InferenceError: a network failed.
        """
        evidence = self._detectors.infer(picture, self._every)
        sexual = evidence.sexual if isinstance(evidence, Scores) else None
        if self._age is None or not ages:
            return Looked(sexual, None)
        bins = self._age.rows(pictures.fit(pictures.shown(picture), MAX_SIDE))
        if bins is None:
            return Looked(sexual, ())
        years = bins @ np.arange(bins.shape[1], dtype=np.float64)
        return Looked(
            sexual,
            tuple(
                FaceAge(under_age(row[np.newaxis]), float(mean))
                for row, mean in zip(bins, years, strict=True)
            ),
        )


@dataclass(frozen=True, slots=True)
class Restricted:
    """When evidence over time first covered and first interrupted, in seconds; None: never."""

    cover_s: float | None
    interrupt_s: float | None


def over_time(
    calibration: Calibration,
    trace: tuple[tuple[float, float], ...],
    *,
    cover_nats: float,
    interrupt_nats: float,
) -> Restricted:
    """Run the guard's own evidence over time over a trace of (seconds, score)."""
    running = Sequential(
        calibration, round(cover_nats * 1000), round(interrupt_nats * 1000), SAMPLE_EVERY_NS
    )
    cover: float | None = None
    for at_s, score in trace:
        running.sample(round(at_s * NS_PER_S), Scores(score, None, ("all",)))
        said = running.restriction
        if said is not None and cover is None:
            cover = at_s
        if said is Action.INTERRUPT:
            return Restricted(cover, at_s)
    return Restricted(cover, None)


def nats(calibration: Calibration, score: float) -> float:
    """Return what a bundle's calibration makes of a score, in nats."""
    return ratio(calibration, score) / 1000


def covers(policy: str, sexual: float, p_under_18: float | None = None) -> bool:
    """Return whether a policy covers a picture for these scores alone."""
    evidence = Scores(sexual, p_under_18, ("all",))
    return decide(verify_policy(policy), evidence)[0] is not Action.RELEASE


def pictures_of(path: Path) -> Iterator[tuple[float, Picture]]:
    """Yield (seconds, picture) of a file, read exactly as a guard reads it.

    Raises:
        SourceError, SourceLostError: it cannot be opened, or breaks off.
    """
    source = AvSource(address.parse_source(str(path)))
    source.open()
    try:
        while True:
            try:
                frame = source.read()
            except EndOfStream:
                return
            if isinstance(frame.content, Picture):
                yield frame.pts_ns / NS_PER_S, frame.content
    finally:
        source.close()
