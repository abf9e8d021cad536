"""A picture of another size or range is fitted in: its shape kept, nothing of it lost."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from tests.media.helpers import picture

from safelight.media.fit import fit
from safelight.types import Picture, PictureFormat


def white(form: PictureFormat) -> Picture:
    half = np.full((form.height // 2, form.width // 2), 128, dtype=np.uint8)
    top = 255 if form.full_range else 235
    return Picture(form, np.full((form.height, form.width), top, np.uint8), half, half.copy())


def test_the_same_format_is_the_same_planes() -> None:
    """Promise 4: released means untouched."""
    drawn = picture(1)
    y, u, v = fit(drawn, drawn.format)
    assert y is drawn.y
    assert u is drawn.u
    assert v is drawn.v


@pytest.mark.parametrize(
    ("source", "target", "inner"),
    [
        ((64, 48), (128, 96), (0, 0, 96, 128)),
        ((64, 64), (128, 64), (0, 32, 64, 64)),
        ((128, 64), (64, 64), (16, 0, 32, 64)),
        ((48, 64), (64, 48), (0, 14, 48, 36)),
        ((1024, 16), (64, 64), (30, 0, 2, 64)),
    ],
)
def test_the_shape_is_kept_between_black_bars(
    source: tuple[int, int], target: tuple[int, int], inner: tuple[int, int, int, int]
) -> None:
    y, u, v = fit(white(PictureFormat(*source)), PictureFormat(*target))
    top, left, height, width = inner
    assert y.shape == (target[1], target[0])
    assert (y[top : top + height, left : left + width] == 235).all()
    assert int((y == 235).sum()) == height * width
    assert int((y == 16).sum()) == y.size - height * width
    assert (u == 128).all()
    assert v.shape == (target[1] // 2, target[0] // 2)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        # One axis shrinks while the other grows, or stays, or both shrink.
        (PictureFormat(640, 32, sample_aspect=Fraction(1, 20)), PictureFormat(64, 64)),
        (PictureFormat(32, 640, sample_aspect=Fraction(20)), PictureFormat(64, 64)),
        (PictureFormat(640, 64, sample_aspect=Fraction(1, 10)), PictureFormat(64, 64)),
        (PictureFormat(640, 640), PictureFormat(64, 64)),
    ],
)
def test_every_pixel_that_was_judged_counts_in_what_leaves(
    source: PictureFormat, target: PictureFormat
) -> None:
    """Pixels that sampling skips could show another picture than the one that was judged."""
    random = np.random.default_rng(1)
    half = np.full((source.height // 2, source.width // 2), 128, dtype=np.uint8)
    lines, columns = np.indices((source.height, source.width))
    for axis, stripes in ((source.width, columns), (source.height, lines)):
        if axis < 64:
            continue
        for phase in range(10):
            y = np.where(stripes % 10 == phase, 235, 35).astype(np.uint8)
            made, _, _ = fit(Picture(source, y, half, half.copy()), target)
            averages = axis == 640
            assert not averages or np.ptp(made) <= 2, "stripes do not average out"
            assert not averages or abs(int(made[30, 30]) - 55) <= 1
    noise = random.integers(0, 256, (source.height, source.width), dtype=np.uint8)
    made, _, _ = fit(Picture(source, noise, half, half.copy()), target)
    assert abs(float(made.mean()) - float(noise.mean())) < 2


def test_aspect_counts_as_shape() -> None:
    wide = PictureFormat(64, 64, sample_aspect=Fraction(2))
    y, _, _ = fit(white(wide), PictureFormat(64, 64))
    assert int((y == 235).sum()) == 64 * 32


@pytest.mark.parametrize("full", [False, True])
def test_range_is_converted(full: bool) -> None:
    drawn = white(PictureFormat(64, 48, full_range=not full))
    y, u, _ = fit(drawn, PictureFormat(64, 48, full_range=full))
    assert (y == (255 if full else 235)).all()
    assert (u == 128).all()


def test_bars_are_black_in_full_range_too() -> None:
    y, _, _ = fit(white(PictureFormat(64, 64)), PictureFormat(128, 64, full_range=True))
    assert set(np.unique(y)) == {0, 255}
