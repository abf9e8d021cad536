"""Fits a picture into the size and range that a sink was opened with."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import cv2
import numpy as np

from safelight.types import Picture, PictureFormat, Plane

Planes = tuple[Plane, Plane, Plane]

_BLACK_FULL: Final = 0
_BLACK_LIMITED: Final = 16
_GREY: Final = 128


def fit(picture: Picture, target: PictureFormat) -> Planes:
    """Return the picture's planes as ``target`` needs them, its shape kept, bars black.

    A picture of that very format is returned as it is. Range is converted; matrix, primaries
    and transfer are not: a source that changes them is cut off before it gets here.
    """
    planes: Planes = (picture.y, picture.u, picture.v)
    source = picture.format
    if source.full_range != target.full_range:
        y_table, c_table = _tables(to_full=target.full_range)
        planes = (y_table[planes[0]], c_table[planes[1]], c_table[planes[2]])
    same_size = (source.width, source.height) == (target.width, target.height)
    if same_size and source.sample_aspect == target.sample_aspect:
        return planes
    width, height = _inner_size(source, target)
    left, top = (target.width - width) // 4 * 2, (target.height - height) // 4 * 2
    black = _BLACK_FULL if target.full_range else _BLACK_LIMITED
    y, u, v = planes
    return (
        _placed(y, (target.height, target.width), (top, left, height, width), black),
        _placed(u, *_halves(target, top, left, height, width), _GREY),
        _placed(v, *_halves(target, top, left, height, width), _GREY),
    )


def _inner_size(source: PictureFormat, target: PictureFormat) -> tuple[int, int]:
    shape = Fraction(source.width, source.height) * source.sample_aspect / target.sample_aspect
    width, height = Fraction(target.width), target.width / shape
    if height > target.height:
        width, height = target.height * shape, Fraction(target.height)
    # At least one chroma pixel, however extreme the shape.
    even_w = min(max(2, round(width / 2) * 2), target.width)
    even_h = min(max(2, round(height / 2) * 2), target.height)
    return even_w, even_h


def _halves(
    target: PictureFormat, top: int, left: int, height: int, width: int
) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    inner = (top // 2, left // 2, height // 2, width // 2)
    return (target.height // 2, target.width // 2), inner


def _placed(
    plane: Plane, shape: tuple[int, int], inner: tuple[int, int, int, int], background: int
) -> Plane:
    top, left, height, width = inner
    canvas = np.full(shape, background, dtype=np.uint8)
    canvas[top : top + height, left : left + width] = _resized(plane, width, height)
    return canvas


def _resized(plane: Plane, width: int, height: int) -> Plane:
    """Bring a plane to ``(height, width)``: area averaging down, bilinear up, in two steps.

    OpenCV's area mode quietly becomes bilinear sampling on *both* axes as soon as one grows.
    Most pixels of the other would then leave no trace, so that another picture left than the
    one that was judged.
    """
    rows, columns = plane.shape
    for size, how in (
        ((min(width, columns), min(height, rows)), cv2.INTER_AREA),
        ((width, height), cv2.INTER_LINEAR),
    ):
        if size != plane.shape[::-1]:
            plane = cv2.resize(plane, size, interpolation=how).astype(np.uint8, copy=False)
    return plane


def _tables(*, to_full: bool) -> tuple[Plane, Plane]:
    codes = np.arange(256, dtype=np.float64)
    if to_full:
        y, c = (codes - 16) * 255 / 219, (codes - 128) * 255 / 224 + 128
    else:
        y, c = codes * 219 / 255 + 16, (codes - 128) * 224 / 255 + 128
    return _rounded(y), _rounded(c)


def _rounded(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Plane:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
