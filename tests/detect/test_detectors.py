"""Promise 2: no value that is not a number in [0, 1] becomes a score; no wrong judge starts."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.bundle import signing

from safelight.bundle import trust
from safelight.detect import views as pictures
from safelight.detect.detectors import Detectors
from safelight.detect.runtime import InferenceError
from safelight.errors import JudgeError
from safelight.types import Absent, AbsentReason, Picture, Scores, VerifiedBundle

Rows = NDArray[np.float32]
GREY = pictures.from_rgb(np.full((240, 320, 3), 128, np.uint8))


class Scripted:
    """Stands for a scoring detector: says what the test says, once a view."""

    def __init__(self, *sensitive: float) -> None:
        self.sensitive = sensitive

    def rows(self, views: Sequence[object]) -> Rows:
        return np.array([(1 - s, s) for s in self.sensitive[: len(views)]], np.float32)


class ScriptedAge:
    def __init__(self, rows: Rows | None) -> None:
        self.answer = rows
        self.asked = 0

    def rows(self, pixels: NDArray[np.uint8]) -> Rows | None:
        self.asked += 1
        assert max(pixels.shape) <= 640
        return self.answer


def bins(*ages: int) -> Rows:
    rows = np.zeros((len(ages), 81), np.float32)
    rows[np.arange(len(ages)), ages] = 1
    return rows


@pytest.fixture(scope="module")
def made(face_bundle: VerifiedBundle) -> Detectors:
    return Detectors(face_bundle)


@pytest.fixture
def scripted(made: Detectors, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Detectors]:
    def make(scoring: object, age: object = None) -> Detectors:
        monkeypatch.setattr(made, "_scoring", scoring)
        monkeypatch.setattr(made, "_age", age)
        return made

    return make


def test_the_largest_view_counts(scripted: Callable[..., Detectors]) -> None:
    evidence = scripted(Scripted(0.0625, 0.09375)).infer(GREY, ("frame", "left_square"))
    assert evidence == Scores(0.09375, None, ("frame", "left_square"), 0.0625)


def test_what_the_views_of_every_frame_said_is_told_apart(
    scripted: Callable[..., Detectors],
) -> None:
    made = scripted(Scripted(0.09375, 0.0625))
    said = made.infer(GREY, ("left_square", "frame"))
    assert said == Scores(0.09375, None, ("left_square", "frame"), 0.0625)
    assert scripted(Scripted(0.0625)).infer(GREY, ("frame",)) == Scores(
        0.0625, None, ("frame",), 0.0625
    )


def test_where_one_of_them_was_not_run_none_speaks_for_them(
    scripted: Callable[..., Detectors],
) -> None:
    assert scripted(Scripted(0.0625)).infer(GREY, ("left_square",)) == Scores(
        0.0625, None, ("left_square",)
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (float("nan"), AbsentReason.NOT_A_NUMBER),
        (float("inf"), AbsentReason.NOT_A_NUMBER),
        (-float("inf"), AbsentReason.NOT_A_NUMBER),
        (1.5, AbsentReason.OUT_OF_RANGE),
        (-0.5, AbsentReason.OUT_OF_RANGE),
    ],
)
def test_one_bad_value_among_good_ones_is_absence(
    scripted: Callable[..., Detectors], bad: float, reason: AbsentReason
) -> None:
    for values in ((bad, 0.01), (0.01, bad)):
        evidence = scripted(Scripted(*values)).infer(GREY, ("frame", "left_square"))
        assert evidence == Absent(reason)


def test_a_row_too_few_is_absence(scripted: Callable[..., Detectors]) -> None:
    evidence = scripted(Scripted(0.01)).infer(GREY, ("frame", "left_square"))
    assert evidence == Absent(AbsentReason.MISSING_VIEW)


def test_all_zeros_is_absence(scripted: Callable[..., Detectors]) -> None:
    class Dead:
        def rows(self, views: Sequence[object]) -> Rows:
            return np.zeros((len(views), 2), np.float32)

    assert scripted(Dead()).infer(GREY, ("frame",)) == Absent(AbsentReason.OUT_OF_RANGE)


def test_no_views_is_absence_and_an_unknown_one_is_an_error(
    scripted: Callable[..., Detectors],
) -> None:
    made = scripted(Scripted(0.0, 0.0))
    assert made.infer(GREY, ()) == Absent(AbsentReason.MISSING_VIEW)
    with pytest.raises(ValueError, match="elsewhere"):
        made.infer(GREY, ("frame", "elsewhere"))


@pytest.mark.parametrize(("score", "asked"), [(0.09, 0), (0.11, 1), (1.0, 1)])
def test_age_is_asked_only_when_sexual_evidence_is_not_negligible(
    scripted: Callable[..., Detectors], score: float, asked: int
) -> None:
    age = ScriptedAge(bins(30))
    evidence = scripted(Scripted(score), age).infer(GREY, ("frame",))
    assert age.asked == asked
    assert isinstance(evidence, Scores)
    assert evidence.minor == (0.0 if asked else None)


def test_the_youngest_face_counts_and_a_missing_one_is_missing(
    scripted: Callable[..., Detectors],
) -> None:
    for rows, expected in (
        (bins(30, 17, 60), 1.0),
        (bins(18), 0.0),
        (bins(0), 1.0),
        (None, None),
    ):
        evidence = scripted(Scripted(0.9), ScriptedAge(rows)).infer(GREY, ("frame",))
        assert isinstance(evidence, Scores)
        assert evidence.minor == expected


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 2.0, -1.0])
def test_a_bad_age_is_absence_of_all(scripted: Callable[..., Detectors], bad: float) -> None:
    rows = bins(30, 40)
    rows[1, 5] = bad
    evidence = scripted(Scripted(0.9), ScriptedAge(rows)).infer(GREY, ("frame",))
    assert isinstance(evidence, Absent)


def edited_face(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(trust.stand_in_folder("face"), folder)
    manifest = json.loads((folder / trust.MANIFEST).read_text())
    edit(manifest)
    raw = json.dumps(manifest).encode()
    return signing.sign(folder, raw)


def test_the_stand_in_passes_its_self_test_and_stays_itself(
    made: Detectors, face_bundle: VerifiedBundle
) -> None:
    made.self_test()
    face = pictures.from_rgb(_pixels(face_bundle.files["face.png"]))
    before = made.infer(face, ("frame",))
    assert before == Scores(1.0, None, ("frame",), 1.0)
    assert made.infer(GREY, ("frame",)) == Scores(0.0, None, ("frame",), 0.0)
    assert made.infer(face, ("frame",)) == before


@pytest.mark.parametrize("answer", [0.0, 0.5, 1.0, float("nan")])
def test_a_judge_that_always_says_the_same_fails_its_self_test(
    scripted: Callable[..., Detectors], answer: float
) -> None:
    with pytest.raises(JudgeError, match="self-test"):
        scripted(Scripted(answer, answer, answer)).self_test()


def test_a_judge_that_breaks_fails_its_self_test(scripted: Callable[..., Detectors]) -> None:
    class Broken:
        def rows(self, views: Sequence[object]) -> Rows:
            raise InferenceError("no")

    with pytest.raises(JudgeError, match="self-test"):
        scripted(Broken()).self_test()


@pytest.mark.parametrize("content", [b"not a picture", b"GIF89a"])
def test_a_self_test_that_is_no_picture_fails(
    tmp_path: Path, verify_test: Callable[[Path], VerifiedBundle], content: bytes
) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        import hashlib

        pin = manifest["files"]["face.png"]
        pin["sha256"], pin["bytes"] = hashlib.sha256(content).hexdigest(), len(content)

    folder = edited_face(tmp_path / "b", swap)
    (folder / "face.png").write_bytes(content)
    signing.sign(folder)
    with pytest.raises(JudgeError, match="self-test"):
        Detectors(verify_test(folder)).self_test()


def test_swapped_expectations_fail_the_self_test(
    tmp_path: Path, verify_test: Callable[[Path], VerifiedBundle]
) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        face, none = manifest["self_tests"]
        face["file"], none["file"] = none["file"], face["file"]

    with pytest.raises(JudgeError, match="wrong answer"):
        Detectors(verify_test(edited_face(tmp_path / "b", swap))).self_test()


def test_self_tests_of_one_kind_only_are_refused(
    made: Detectors, face_bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "_self_tests", face_bundle.self_tests[1:])
    with pytest.raises(JudgeError, match="both kinds"):
        made.self_test()


def _pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.uint8)


@pytest.mark.slow
def test_the_default_bundle_passes_its_self_test(default_bundle: VerifiedBundle) -> None:
    Detectors(default_bundle).self_test()


@pytest.mark.slow
def test_a_dead_network_in_the_default_bundle_does_not_start(
    default_bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Detectors(default_bundle)

    class Benign(Scripted):
        def rows(self, views: Sequence[object]) -> Rows:
            return np.array([(1, 0)] * len(views), np.float32)

    monkeypatch.setattr(made, "_scoring", Benign())
    with pytest.raises(JudgeError, match="canary"):
        made.self_test()


@pytest.mark.slow
def test_the_stand_in_finds_faces_in_ordinary_video(
    made: Detectors, sampled: list[tuple[Picture, NDArray[np.uint8]]]
) -> None:
    # Else it would exercise nothing: at 400 pixels wide it finds none of them.
    found = [made.infer(picture, ("frame",)) for picture, _ in sampled]
    assert sum(isinstance(e, Scores) and e.sexual == 1.0 for e in found) >= len(found) // 2


@pytest.mark.slow
def test_ordinary_people_are_not_sexual_content(
    default_bundle: VerifiedBundle, sampled: list[tuple[Picture, NDArray[np.uint8]]]
) -> None:
    made = Detectors(default_bundle)
    names = ("reference", "whole")
    for picture, _ in sampled[::3]:
        evidence = made.infer(picture, names)
        assert isinstance(evidence, Scores)
        assert evidence.sexual < 0.5
