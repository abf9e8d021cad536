"""The stand-in's drawn pictures, and a landmark finder that must be the right one."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from safelight.bundle import trust
from safelight.detect.age import under_age
from safelight.detect.face_in_view import FaceInView
from safelight.detect.faces import FaceAligner, FaceFinder
from safelight.errors import JudgeError
from safelight.types import VerifiedBundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def drawings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_bundles", ROOT / "tools/make_bundles.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_committed_pictures_are_the_drawn_ones(drawings: ModuleType) -> None:
    assert len(drawings.PICTURES) == 3
    for path, draw in drawings.PICTURES.items():
        committed = np.asarray(Image.open(path).convert("RGB"), dtype=np.int16)
        # Another OpenCV may round an edge otherwise.
        assert np.abs(committed - draw()).max() <= 4, path.name


def test_a_drawn_face_is_found_and_an_empty_oval_is_not(face_bundle: VerifiedBundle) -> None:
    shown = [
        np.asarray(Image.open(io.BytesIO(face_bundle.files[name])).convert("RGB"), np.uint8)
        for name in ("no-face.png", "face.png", "no-face.png")
    ]
    assert FaceInView().rows(shown).tolist() == [[1, 0], [0, 1], [1, 0]]
    (box,) = FaceFinder().find(shown[1])
    assert 60 < box[0] < box[2] < 260


@pytest.mark.parametrize("content", [b"", b"not a landmark model"])
def test_another_landmark_finder_does_not_load(content: bytes) -> None:
    with pytest.raises(JudgeError, match="landmark"):
        FaceAligner(content)


def test_a_landmark_finder_leaves_no_open_file() -> None:
    bundle = trust.describe(trust.default_folder())
    assert "landmarks.dat" in bundle.files
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(JudgeError):
            FaceAligner(b"x")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_under_age_sums_the_bins_below_18_of_the_youngest() -> None:
    rows: NDArray[np.float32] = np.zeros((2, 81), np.float32)
    rows[0, 17], rows[0, 18] = 0.25, 0.75
    rows[1, 0], rows[1, 10], rows[1, 80] = 0.25, 0.25, 0.5
    assert under_age(rows) == pytest.approx(0.5)
    assert under_age(rows[:1]) == pytest.approx(0.25)
