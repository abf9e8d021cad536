"""The pictures that a detector sees, made straight from a picture's planes.

Every pixel is turned into RGB and clipped first, as a player does it, and only then averaged.
The order matters: clipping is not linear, so averages of the planes can be flat black where
every player shows a picture (dark luma, chroma alternating around its middle). Shrinking is
area averaging, in which every source pixel weighs the same, because strided or default
resizing is a bypass: it can show the network another picture than a person sees (Quiring et
al. 2020). Pixels are taken as square.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from safelight.types import Picture, PictureFormat, Plane

SIDE: Final = 224
_REFERENCE_SIDE: Final = 256
_BORDER: Final = (_REFERENCE_SIDE - SIDE) // 2

# The network was made with a triangle filter, which is softer than area averaging: on the axes
# that shrink, these three taps add the variance in between (1/6 - 1/12 of a pixel squared),
# and still give every source pixel the same weight. Without them scores came out lower.
_SOFTEN: Final = np.array([1, 22, 1], dtype=np.float32) / 24
_KEEP: Final = np.ones(1, dtype=np.float32)

# A picture this large in both sides is halved (2 x 2 means of what is already clipped) before
# anything else, for speed: it is still at least as large as any square view, and every pixel
# still weighs the same. At 720p it halves the cost of a view.
_HALVED_FROM: Final = 2 * _REFERENCE_SIDE

# Luma weights (red, blue) by H.273 matrix code point.
_BT709: Final = (0.2126, 0.0722)
_BT601: Final = (0.299, 0.114)
_WEIGHTS: Final[dict[int, tuple[float, float]]] = {
    1: _BT709,
    4: (0.30, 0.11),
    5: _BT601,
    6: _BT601,
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


def shown(picture: Picture) -> Plane:
    """Return what a player shows of ``picture``: uint8 RGB ``(height, width, 3)``.

    Each chroma sample covers its 2 x 2 pixels; each pixel is converted by colour range and
    matrix and clipped to 0 to 255. A picture whose sides are both 512 or more
    is returned at half its size. All views of one picture are made from one such array.
    """
    width, height = picture.format.width, picture.format.height
    # Players either repeat chroma samples (FFmpeg's and libyuv's plain conversions) or blend
    # neighbours (most that draw with the GPU). Blending is averaging before clipping: it dims
    # what chroma that alternates from sample to sample hides, down to a quarter. Repeating
    # shows it at full strength.
    planes = [picture.y, _doubled(picture.u), _doubled(picture.v)]
    # On uint8 this rounds and saturates, which is the clipping; it is exact to one level.
    pixels = cv2.transform(cv2.merge(planes), _matrix(picture.format))
    if min(width, height) >= _HALVED_FROM:
        pixels = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return pixels.astype(np.uint8, copy=False)


def render(pixels: Plane, kind: str) -> Plane:
    """Make the view that ``kind`` names of what ``shown`` returned.

    The view is uint8 RGB ``(height, width, 3)``; all kinds but ``fit_560`` are 224 x 224.

    Raises:
        ValueError: there is no such kind.
    """
    recipe = KINDS.get(kind)
    if recipe is None:
        raise ValueError(f"there is no view of kind {kind!r}")
    return recipe(pixels)


def fit(pixels: Plane, max_side: int) -> Plane:
    """Return uint8 RGB ``(height, width, 3)``, its longer side at most ``max_side`` pixels.

    The aspect is kept (to a pixel); a smaller picture is not enlarged.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, max_side / max(width, height))
    return resize(pixels, max(1, round(width * scale)), max(1, round(height * scale)))


def resize(plane: Plane, width: int, height: int) -> Plane:
    """Bring uint8 ``(h, w)`` or ``(h, w, 3)`` to ``height`` and ``width``: area down, linear up.

    OpenCV's area mode quietly becomes plain bilinear sampling on *both* axes as soon as one
    axis grows, which skips pixels of the other: so an axis that shrinks is shrunk by itself.
    """
    rows, columns = plane.shape[:2]
    narrow, low = min(width, columns), min(height, rows)
    if (low, narrow) != (rows, columns):
        plane = cv2.resize(plane, (narrow, low), interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    if (low, narrow) != (height, width):
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR).astype(
            np.uint8, copy=False
        )
    return plane


def from_rgb(pixels: Plane) -> Picture:
    """Make a picture (full range, BT.601) of uint8 RGB ``(height, width, 3)``, even sides.

    Chroma is the mean of each 2 x 2 block. For self-tests, whose pictures are PNG.

    Raises:
        ValueError: the sides are odd or below 16.
    """
    height, width = pixels.shape[:2]
    layout = PictureFormat(width=width, height=height, full_range=True, matrix=6)
    red, blue = _BT601
    colours = pixels.astype(np.float32)
    luma = red * colours[..., 0] + (1 - red - blue) * colours[..., 1] + blue * colours[..., 2]
    planes = [luma]
    for channel, weight in ((2, blue), (0, red)):
        chroma = (colours[..., channel] - luma) / (2 * (1 - weight)) + 128
        planes.append(chroma.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)))
    y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes)
    return Picture(layout, y, u, v)


def _reference(pixels: Plane) -> Plane:
    """The network's own preprocessing: squash to 256 x 256, keep the inner 224 x 224."""
    squashed = _for_network(pixels, _REFERENCE_SIDE)
    inner = slice(_BORDER, _BORDER + SIDE)
    return np.ascontiguousarray(squashed[inner, inner])


def _whole(pixels: Plane) -> Plane:
    """The whole frame, squashed straight to 224 x 224: it reaches the borders."""
    return _for_network(pixels, SIDE)


def _first_square(pixels: Plane) -> Plane:
    """The largest square at the left (at the top of an upright picture): no squash."""
    side = min(pixels.shape[:2])
    return _for_network(pixels[:side, :side], SIDE)


def _last_square(pixels: Plane) -> Plane:
    """The largest square at the right (at the bottom of an upright picture): no squash."""
    side = min(pixels.shape[:2])
    return _for_network(pixels[-side:, -side:], SIDE)


def _fit_560(pixels: Plane) -> Plane:
    """The whole frame with its aspect, the longer side at most 560."""
    return fit(pixels, 560)


KINDS: Final[dict[str, Callable[[Plane], Plane]]] = {
    "reference": _reference,
    "whole": _whole,
    "left_square": _first_square,
    "right_square": _last_square,
    "fit_560": _fit_560,
}


def _doubled(plane: Plane) -> Plane:
    """Repeat each sample in its 2 x 2 pixels: uint8 ``(h, w)`` to ``(2h, 2w)``."""
    rows, columns = plane.shape
    # A sample and itself beside it are one number of 16 bits: many times as fast as resizing.
    pairs = plane.astype(np.uint16)
    pairs *= 0x0101
    twice = np.empty((rows, 2, columns), dtype=np.uint16)
    twice[:] = pairs[:, np.newaxis]
    return twice.view(np.uint8).reshape(2 * rows, 2 * columns)


def _for_network(pixels: Plane, side: int) -> Plane:
    """Squash RGB to ``side`` x ``side``, as softly as the network's own resizing does."""
    rows, columns = pixels.shape[:2]
    small = cv2.sepFilter2D(
        resize(pixels, side, side).astype(np.float32),
        -1,
        _SOFTEN if columns > side else _KEEP,
        _SOFTEN if rows > side else _KEEP,
        borderType=cv2.BORDER_REPLICATE,
    )
    return _rounded(small)


def _rounded(values: NDArray[Any]) -> Plane:
    """Round to the nearest whole number, halves to even, and clip; nothing is below zero."""
    return cv2.convertScaleAbs(values).astype(np.uint8, copy=False)


def _matrix(layout: PictureFormat) -> NDArray[np.float32]:
    """Return the 3 x 4 matrix that takes (Y, U, V, 1) to (R, G, B)."""
    # Unspecified or unknown: guessed by size, as players do (high definition is BT.709).
    by_size = _BT709 if layout.width >= 1280 or layout.height > 576 else _BT601
    red, blue = _WEIGHTS.get(layout.matrix, by_size)
    green = 1 - red - blue
    black, luma, chroma = (0, 1.0, 1.0) if layout.full_range else (16, 255 / 219, 255 / 224)
    from_u = np.array([0, -2 * blue * (1 - blue) / green, 2 * (1 - blue)]) * chroma
    from_v = np.array([2 * (1 - red), -2 * red * (1 - red) / green, 0]) * chroma
    from_y = np.full(3, luma)
    offset = -black * from_y - 128 * (from_u + from_v)
    return np.stack([from_y, from_u, from_v, offset], axis=1).astype(np.float32)
