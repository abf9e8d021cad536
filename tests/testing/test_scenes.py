"""Drawn material: deterministic, smooth, and the right planes."""

from __future__ import annotations

import itertools

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from safelight.testing import scenes
from safelight.testing.drawings import DRAWINGS, Rgb
from safelight.types import Picture

PICTURES = [*DRAWINGS, "scene"]


def drawn(name: str, size: tuple[int, int]) -> Rgb:
    return scenes.scene(5.0, size) if name == "scene" else DRAWINGS[name](size)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("size", [(64, 48), (320, 240), (360, 640)])
def test_drawings_are_the_same_every_time(name: str, size: tuple[int, int]) -> None:
    first = drawn(name, size)
    for cached in DRAWINGS.values():
        cached.cache_clear()  # type: ignore[attr-defined]
    again = drawn(name, size)
    assert first.shape == (size[1], size[0], 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_the_scene_moves_smoothly_through_all_its_loops() -> None:
    """Nothing may flash: a gate would take that for a newcomer."""
    for start in (0.0, 7.9, 15.9, 29.9, 59.9):
        frames = [scenes.scene(start + k / 30, (320, 180)).astype(np.int16) for k in range(7)]
        for a, b in itertools.pairwise(frames):
            change = np.abs(a - b).mean(axis=2)
            assert change.any(), "it stands still"
            assert (change > 25).mean() < 0.01
            assert change.mean() < 1.0


def test_half_a_pixel_is_half_a_pixel() -> None:
    frame = np.zeros((6, 6, 3), np.float32)
    scenes.blend(frame, np.full((2, 2, 4), [100, 100, 100, 1], np.float32), 1.5, 2)
    assert frame[2, :, 0].tolist() == [0, 50, 100, 50, 0, 0]
    assert frame[:, 2, 0].tolist() == [0, 0, 100, 100, 0, 0]


def by_ffmpeg(rgb: Rgb, full_range: bool) -> tuple[Rgb, Rgb, Rgb]:
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
    )
    planes = np.asarray(frame.to_ndarray(), np.uint8)
    height, width = rgb.shape[:2]
    u, v = planes[height:].reshape(2, height // 2, width // 2)
    return planes[:height], u, v


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("name", ["cup", "scene"])
def test_planes_agree_with_another_converter(name: str, full_range: bool) -> None:
    rgb = drawn(name, (320, 240))
    picture = scenes.picture_from_rgb(rgb, full_range=full_range)
    assert picture.format.full_range is full_range
    assert picture.format.matrix == 6
    y, u, v = by_ffmpeg(rgb, full_range)
    assert np.abs(picture.y.astype(int) - y).mean() < 0.8
    assert abs(float(picture.y.mean()) - float(y.mean())) < 0.6
    for ours, theirs in ((picture.u, u), (picture.v, v)):
        assert np.abs(ours.astype(int) - theirs).mean() < 1.0


@pytest.mark.parametrize("full_range", [False, True])
def test_rgb_survives_the_way_there_and_back(full_range: bool) -> None:
    flat = np.repeat(
        np.repeat(
            np.random.default_rng(1).integers(40, 216, (60, 80, 3), dtype=np.uint8), 2, axis=0
        ),
        2,
        axis=1,
    )
    picture = scenes.picture_from_rgb(flat, full_range=full_range)
    back = scenes.rgb_from_picture(picture).astype(int)
    assert np.abs(back - flat).max() <= 3


def test_a_picture_of_odd_sides_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        scenes.picture_from_rgb(np.zeros((33, 32, 3), np.uint8))
    assert isinstance(scenes.picture_from_rgb(np.zeros((32, 32, 3), np.uint8)), Picture)
