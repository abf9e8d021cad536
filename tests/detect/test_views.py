"""What a detector sees is what a person sees: no pixel is skipped, no colour is guessed wrong."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from safelight.detect import views
from safelight.types import Picture, PictureFormat

Pixels = NDArray[np.uint8]
SQUARES = ["reference", "whole", "left_square", "right_square"]
SIZES = [(640, 480), (1280, 720), (720, 1280), (16, 16), (2000, 100), (100, 2000), (226, 224)]


def grey(luma: Pixels, *, full_range: bool = True) -> Picture:
    height, width = luma.shape
    chroma = [np.full((height // 2, width // 2), 128, np.uint8) for _ in range(2)]
    return Picture(PictureFormat(width, height, full_range=full_range, matrix=6), luma, *chroma)


def noise(width: int, height: int, seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def see(picture: Picture, kind: str) -> Pixels:
    return views.render(views.shown(picture), kind)


def fit(picture: Picture, max_side: int) -> Pixels:
    return views.fit(views.shown(picture), max_side)


@pytest.mark.parametrize("kind", SQUARES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_views_of_any_size_are_224_rgb(kind: str, width: int, height: int) -> None:
    view = see(grey(noise(width, height)), kind)
    assert view.shape == (224, 224, 3)
    assert view.dtype == np.uint8
    assert view.flags["C_CONTIGUOUS"]


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="nearest"):
        see(grey(noise(64, 64)), "nearest")


def area_by_hand(plane: NDArray[Any], width: int, height: int) -> NDArray[np.float64]:
    def weights(source: int, target: int) -> NDArray[np.float64]:
        edges = np.linspace(0, source, target + 1)
        cells = np.arange(source)
        lower = np.maximum(edges[:-1, None], cells)
        upper = np.minimum(edges[1:, None], cells + 1)
        shares: NDArray[np.float64] = np.clip(upper - lower, 0, None) / (source / target)
        return shares

    rows, columns = plane.shape
    averaged: NDArray[np.float64] = weights(rows, height) @ plane @ weights(columns, width).T
    return averaged


@pytest.mark.parametrize(
    ("source", "target"),
    [((640, 480), (256, 256)), ((1280, 720), (224, 224)), ((448, 448), (224, 224))],
)
def test_shrinking_is_exact_area_averaging(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    plane = noise(*source)
    assert np.abs(views.resize(plane, *target) - area_by_hand(plane, *target)).max() <= 0.51


def test_an_axis_that_shrinks_is_averaged_even_when_the_other_grows() -> None:
    # OpenCV's area mode falls back to bilinear sampling on both axes here.
    stripes = np.zeros((100, 2000), np.uint8)
    stripes[:, ::2] = 255
    seen = views.resize(stripes, 224, 224)
    assert seen.shape == (224, 224)
    assert np.abs(seen.astype(int) - 127.5).max() <= 16
    assert np.abs(views.resize(stripes.T.copy(), 224, 224).astype(int) - 127.5).max() <= 16


@pytest.mark.parametrize("kind", SQUARES)
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 480), (720, 1280), (1600, 100)])
def test_a_picture_hidden_from_strided_sampling_is_seen(kind: str, width: int, height: int) -> None:
    # The image-scaling attack: white at exactly the pixels that a strided resize would
    # read, black everywhere else. A person sees black, and so must the network.
    luma = np.zeros((height, width), np.uint8)
    for side in (224, 256):
        rows = (np.arange(side) * height / side).astype(int)
        columns = (np.arange(side) * width / side).astype(int)
        if height > 3 * side:
            luma[np.ix_(rows, columns)] = 255
    if width > 2 * 224 and (height > 224 or "square" not in kind):
        luma[:, :: width // 224] = 255
    share = luma.mean()
    seen = see(grey(luma), kind)
    assert abs(float(seen.mean()) - share) <= 20
    assert seen.max() < 200


@pytest.mark.parametrize("kind", ["whole", "reference"])
def test_every_pixel_of_the_frame_weighs_about_the_same(kind: str) -> None:
    # Small blocks of light, wherever they are, change the view by the same total; the
    # reference view is blind in its outer 6 % and says so.
    width, height = 640, 480
    dark = see(grey(np.zeros((height, width), np.uint8)), kind).astype(int)
    sums = []
    for top, left in ((0, 0), (0, 620), (460, 0), (200, 300), (203, 311), (461, 621), (50, 50)):
        luma = np.zeros((height, width), np.uint8)
        luma[top : top + 19, left : left + 19] = 255
        sums.append(int((see(grey(luma), kind) - dark).sum()))
    inner = [sums[3], sums[4], sums[6]]
    assert max(inner) < 1.1 * min(inner)
    if kind == "whole":
        assert max(sums) < 1.1 * min(sums)
    else:
        assert sums[0] == sums[1] == sums[2] == sums[5] == 0


def test_the_squares_reach_both_ends_and_are_not_squashed() -> None:
    for width, height in ((640, 480), (480, 640)):
        luma = np.zeros((height, width), np.uint8)
        luma[-40:, -40:] = 255
        first, last = (see(grey(luma), k) for k in ("left_square", "right_square"))
        assert first.max() == 0
        bright = np.argwhere(last[..., 0] > 127)
        extent = bright.max(axis=0) - bright.min(axis=0) + 1
        assert tuple(bright.max(axis=0)) == (223, 223)
        assert extent[0] == extent[1] == round(40 * 224 / 480)


@pytest.mark.parametrize(
    ("matrix", "size", "expected"),
    [
        (1, (640, 480), (255, 0, 0)),
        (6, (640, 480), (255, 0, 0)),
        (5, (640, 480), (255, 0, 0)),
        (9, (640, 480), (255, 0, 0)),
        (2, (640, 480), (255, 0, 0)),
        (2, (1280, 720), (255, 0, 0)),
    ],
)
@pytest.mark.parametrize("full_range", [True, False])
def test_colours_come_back_by_matrix_and_range(
    matrix: int, size: tuple[int, int], expected: tuple[int, int, int], full_range: bool
) -> None:
    by_size = 1 if size[0] >= 1280 else 6
    used = by_size if matrix == 2 else matrix
    red, blue = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(used, (0.299, 0.114))
    r, g, b = (value / 255 for value in expected)
    luma = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))
    scale_y, offset, scale_c = (255, 0, 255) if full_range else (219, 16, 224)
    width, height = size
    layout = PictureFormat(width, height, full_range=full_range, matrix=matrix)
    picture = Picture(
        layout,
        np.full((height, width), round(luma * scale_y + offset), np.uint8),
        np.full((height // 2, width // 2), min(255, round(u * scale_c + 128)), np.uint8),
        np.full((height // 2, width // 2), min(255, round(v * scale_c + 128)), np.uint8),
    )
    for kind in views.KINDS:
        seen = see(picture, kind)
        assert np.abs(seen.astype(int) - np.array(expected)).max() <= 3, kind


def converted_by_hand(picture: Picture) -> NDArray[np.float64]:
    """Every pixel by itself, limited-range BT.709, clipped, in plain numpy."""
    luma = (picture.y.astype(float) - 16) / 219
    u, v = (
        (plane.astype(float).repeat(2, axis=0).repeat(2, axis=1) - 128) / 224
        for plane in (picture.u, picture.v)
    )
    red, green, blue = luma + 1.5748 * v, luma - 0.1873 * u - 0.4681 * v, luma + 1.8556 * u
    return np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)


def hidden(name: str, width: int, height: int) -> Picture:
    """A disc made only by what clipping does to values that average to black or to grey."""
    rows, columns = np.mgrid[0 : height // 2, 0 : width // 2]
    away = (rows - height / 4) ** 2 + (columns - width / 4) ** 2
    disc = np.where(away < (height / 8) ** 2, 127, 0)
    one, two = ((rows + columns) % 2 * 2 - 1, columns % 2 * 2 - 1)
    y = np.full((height, width), 16)
    fine = np.indices(y.shape).sum(axis=0) % 2
    large = disc.repeat(2, axis=0).repeat(2, axis=1)
    if name == "chroma checkerboard":
        u, v = one * disc, one * disc
    elif name == "chroma stripes":
        u, v = two * disc, -two * disc
    else:  # luma alternates within a chroma sample, and chroma is strong and even
        y = np.where(fine == 1, 126 + large * 109 // 127, 126 - large * 109 // 127)
        u, v = np.full_like(disc, 100), np.full_like(disc, -100)
    layout = PictureFormat(width, height, full_range=False, matrix=1)
    planes = [np.clip(plane, 0, 255).astype(np.uint8) for plane in (y, 128 + u, 128 + v)]
    return Picture(layout, *planes)


@pytest.mark.parametrize("name", ["chroma checkerboard", "chroma stripes", "luma checkerboard"])
@pytest.mark.parametrize("size", [(448, 448), (1280, 720), (200, 120), (1920, 1080)])
def test_a_picture_hidden_in_what_players_clip_is_seen(name: str, size: tuple[int, int]) -> None:
    # Averaged before clipping these are flat; each player clips each pixel and shows a disc.
    picture = hidden(name, *size)
    by_hand = converted_by_hand(picture)
    seen = see(picture, "whole").astype(float)
    blocks = seen.reshape(14, 16, 14, 16, 3).mean(axis=(1, 3))
    expected = np.stack([area_by_hand(by_hand[..., c], 14, 14) for c in range(3)], axis=-1)
    assert np.ptp(expected[..., 0]) > 15 or np.ptp(expected[..., 2]) > 15  # a person sees it
    assert np.abs(blocks - expected).max() <= 5
    faces = fit(picture, 640)
    large = np.abs(faces.mean(axis=(0, 1)) - by_hand.mean(axis=(0, 1)))
    assert large.max() <= 1.5


def test_all_pixels_are_converted_as_by_hand() -> None:
    rng = np.random.default_rng(3)
    sides = ((360, 640), (180, 320), (180, 320))
    planes = [rng.integers(0, 256, side, dtype=np.uint8) for side in sides]
    picture = Picture(PictureFormat(640, 360, full_range=False, matrix=1), *planes)
    off = views.shown(picture) - converted_by_hand(picture)
    assert np.abs(off).max() <= 1.5
    assert abs(off.mean()) <= 0.2


def test_rgb_there_and_back_keeps_smooth_colours() -> None:
    rows, columns = np.mgrid[0:120, 0:160]
    pixels = np.stack([rows + 60, columns + 40, 200 - rows], axis=-1).astype(np.uint8)
    back = fit(views.from_rgb(pixels), 640)
    assert back.shape == pixels.shape
    assert np.abs(back.astype(int) - pixels).max() <= 4


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((1280, 720), 640, (360, 640, 3)),
        ((720, 1280), 640, (640, 360, 3)),
        ((320, 240), 640, (240, 320, 3)),
        ((4000, 16), 320, (1, 320, 3)),
    ],
)
def test_faces_are_looked_for_with_the_aspect_kept(
    size: tuple[int, int], side: int, expected: tuple[int, int, int]
) -> None:
    assert fit(grey(noise(*size)), side).shape == expected


def test_a_view_changes_no_byte_of_the_picture() -> None:
    luma = noise(640, 480)
    before = luma.copy()
    picture = grey(luma)
    for kind in views.KINDS:
        see(picture, kind)
    assert np.array_equal(picture.y, before)


@pytest.mark.parametrize("size", [(16, 16), (18, 34), (640, 360), (854, 482), (514, 1026)])
def test_what_is_shown_is_to_the_byte_what_plain_resizing_of_chroma_gives(
    size: tuple[int, int],
) -> None:
    """Scores rest on it: a quicker way to the same pixels must give the same pixels."""
    width, height = size
    rng = np.random.default_rng(width)
    y, u, v = (
        rng.integers(0, 256, shape, dtype=np.uint8)
        for shape in ((height, width), *[(height // 2, width // 2)] * 2)
    )
    picture = Picture(PictureFormat(width, height), y, u, v)
    planes = [y, *(cv2.resize(c, size, interpolation=cv2.INTER_NEAREST) for c in (u, v))]
    plainly = cv2.transform(cv2.merge(planes), views._matrix(picture.format))
    if min(size) >= 512:
        plainly = cv2.resize(plainly, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    assert np.array_equal(views.shown(picture), plainly)


def test_a_view_is_rounded_to_the_nearest_even_number_and_clipped() -> None:
    """As ``np.rint`` does, which is what scores were measured with."""
    eighths = np.tile(np.arange(2048 + 64, dtype=np.float32) / 8, (3, 1))
    plainly = np.clip(np.rint(eighths), 0, 255).astype(np.uint8)
    assert np.array_equal(views._rounded(eighths), plainly)
