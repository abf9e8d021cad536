"""All detectors of one bundle together: a picture goes in, evidence comes out.

Stateless: nothing of a picture is remembered for the next. One thread at a time.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final, Protocol

import cv2
import numpy as np
from PIL import Image

from safelight.detect import views as pictures
from safelight.detect.age import MAX_SIDE, Age, under_age
from safelight.detect.face_in_view import FaceInView
from safelight.detect.runtime import Floats, InferenceError, are_probabilities
from safelight.detect.sexual_content import SexualContent
from safelight.errors import JudgeError
from safelight.types import (
    Absent,
    AbsentReason,
    Evidence,
    Picture,
    Plane,
    Scores,
    SelfTest,
    VerifiedBundle,
)

_HINT: Final = "nothing was released; use another bundle, or reinstall safelight"
_MAX_SELF_TEST_SIDE: Final = 4096


class _Scoring(Protocol):
    def rows(self, views: Sequence[Plane]) -> Floats:
        """Return float32 ``(n, 2)``: (not sensitive, sensitive) for each uint8 RGB view."""
        ...


class Detectors:
    """What a verified bundle says of pictures."""

    def __init__(self, bundle: VerifiedBundle, *, first_look_below: float = 0.0) -> None:
        """Load every detector of the bundle from its checked bytes.

        ``first_look_below``: up to which score a quicker form of a network may answer
        (detect/first_look.py); 0: none. Whether it does, the whole self-test decides.

        Raises:
            JudgeError: one does not load, or the bundle names what this version lacks.
        """
        # One thread a judge; OpenCV's own pool would take the cores of the encoder.
        cv2.setNumThreads(1)
        # Not the bundle itself: the networks' bytes, loaded by now, would stay in memory twice.
        self._id, self._age_from = bundle.id, bundle.age_from
        self._self_tests = bundle.self_tests
        named = {test.file for test in bundle.self_tests}
        self._pictures = {name: bundle.files[name] for name in named if name in bundle.files}
        self._kinds = {view.name: view.kind for view in (*bundle.every, *bundle.in_turn)}
        self._every = frozenset(view.name for view in bundle.every)
        self._scoring: _Scoring | None = None
        self._sexual: SexualContent | None = None
        self.looks_first = False
        self._age: Age | None = None
        for detector in bundle.detectors:
            files = {role: bundle.files[name] for role, name in detector.files}
            if detector.kind == "sexual_content":
                self._sexual = SexualContent(files["model"], first_look_below=first_look_below)
                self._scoring = self._sexual
            elif detector.kind == "face_in_view" and bundle.is_test:
                self._scoring = FaceInView()
            elif detector.kind == "age":
                self._age = Age(files["model"], files["landmarks"])
            else:
                raise JudgeError(f"bundle {bundle.id} has a detector {detector.kind!r}", _HINT)
        if self._scoring is None:
            raise JudgeError(f"bundle {bundle.id} has no detector that scores", _HINT)

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:
        """Look at an upright picture through the named views.

        The age detector runs only from the bundle's ``age_from`` on. A value that is not
        finite or out of range makes all of it ``Absent``, and so do no views at all.

        Raises:
            ValueError: the bundle has no view of that name.
            InferenceError: a network failed.
        """
        names = tuple(dict.fromkeys(views))
        if unknown := set(names).difference(self._kinds):
            raise ValueError(f"the bundle has no view named {sorted(unknown)[0]!r}")
        if not names or self._scoring is None:
            return Absent(AbsentReason.MISSING_VIEW)
        pixels = pictures.shown(picture)
        rows = self._scoring.rows([pictures.render(pixels, self._kinds[name]) for name in names])
        if refused := _refused(rows, len(names)):
            return refused
        scores = [min(1.0, float(score)) for score in rows[:, 1]]
        sexual = max(scores)
        # Told only where all of them were run: else nobody may take it for what they said.
        usual = [score for name, score in zip(names, scores, strict=True) if name in self._every]
        every = max(usual) if len(usual) == len(self._every) else None
        minor: float | None = None
        # Written so that anything but a plain "below" runs the age detector.
        if self._age is not None and not sexual < self._age_from:
            bins = self._age.rows(pictures.fit(pixels, MAX_SIDE))
            if bins is not None:
                if refused := _refused(bins, len(bins)):
                    return refused
                minor = under_age(bins)
        return Scores(sexual=sexual, minor=minor, views=names, every=every)

    def self_test(self, *, quick: bool = False) -> None:
        """Show the bundle's own pictures to its detectors and compare the answers.

        ``quick``: only the first of either kind, for one that was tested whole before.

        Raises:
            JudgeError: an answer is wrong or missing, or the tests could not tell a judge
                that always says the same from one that looks.
        """
        low = next((test for test in self._self_tests if test.sexual_max <= 0.5), None)
        high = next((test for test in self._self_tests if test.sexual_min >= 0.5), None)
        if low is None or high is None:
            raise JudgeError(f"bundle {self._id} has no self-test of both kinds", _HINT)
        for test in (low, high) if quick else self._self_tests:
            self._run_self_test(test)
        if not quick and self._sexual is not None and self._sexual.has_choice:
            # After f32 alone has answered for itself.
            self.looks_first = self._sexual.choose(self._between(low, high))

    def _between(self, low: SelfTest, high: SelfTest) -> list[Plane]:
        """Return views of a clear picture and another one, of four between them, and of a
        camera that is covered."""
        ends = [
            pictures.render(
                pictures.shown(_decode(self._pictures[test.file])), self._kinds[test.views[0]]
            )
            for test in (low, high)
        ]
        between = [
            cv2.addWeighted(ends[0], 1 - step / 5, ends[1], step / 5, 0.0).astype(np.uint8)
            for step in range(6)
        ]
        return [*between, np.zeros_like(ends[0])]

    def _run_self_test(self, test: SelfTest) -> None:
        try:
            evidence = self.infer(_decode(self._pictures[test.file]), test.views)
        except (InferenceError, ValueError, KeyError, OSError) as error:
            raise JudgeError(
                f"self-test {test.file} could not be run ({type(error).__name__})", _HINT
            ) from error
        if not (
            isinstance(evidence, Scores) and test.sexual_min <= evidence.sexual <= test.sexual_max
        ):
            # The pictures are the bundle's own, so naming them tells nothing of a user's.
            raise JudgeError(f"self-test {test.file} got a wrong answer", _HINT)


def _refused(rows: Floats, expected: int) -> Absent | None:
    """Say why rows of probabilities cannot be evidence; None when they can."""
    if rows.ndim != 2 or rows.shape[0] != expected:
        return Absent(AbsentReason.MISSING_VIEW)
    if not np.isfinite(rows).all():
        return Absent(AbsentReason.NOT_A_NUMBER)
    if not are_probabilities(rows):
        return Absent(AbsentReason.OUT_OF_RANGE)
    return None


def _decode(png: bytes) -> Picture:
    """Decode a self-test picture: a PNG with even sides of at most 4096.

    Raises:
        ValueError, OSError: it is something else.
    """
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        if max(image.size) > _MAX_SELF_TEST_SIDE:
            raise ValueError("a self-test picture is too large")
        return pictures.from_rgb(np.asarray(image.convert("RGB"), dtype=np.uint8))
