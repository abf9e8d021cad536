"""Pictures that carry their number and what they may do, for a ledger that reads pixels only."""

from __future__ import annotations

import enum
import struct
import zlib
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from tests.judge.stub_judge import Order

from safelight.testing import canary, scenes
from safelight.types import Picture, PictureFormat, Plane

_MARK: Final = struct.Struct("<4sIBI")
_MAGIC: Final = b"FLT1"


class Truth(enum.IntEnum):
    """What a picture may do, whatever any guard thinks of it."""

    CLEAR = 0  # may leave when judged clear, or bound to pictures that were
    NEVER = 1  # no honest judge ever said that it may
    DOUBTFUL = 2  # may leave only by an answer of its own, in time


class Artist(Protocol):
    """Draws the pictures of one stream; the same number always gives the same picture."""

    forms: tuple[PictureFormat, ...]

    def draw(self, number: int, truth: Truth, order: Order, form: PictureFormat) -> Picture: ...

    def look(self, number: int) -> int:
        """Clear pictures of one look may pass for still ones of each other."""
        ...


class Blocks:
    """Small drawings: clear ones are dark and move a little, others are bright and all differ.

    ``step``: after how many pictures a clear one changes; 0: each is unlike the last.
    """

    forms = (PictureFormat(96, 64), PictureFormat(128, 96))

    def __init__(self, step: int) -> None:
        self._step = step

    def look(self, number: int) -> int:
        return number // self._step if self._step else number

    def draw(self, number: int, truth: Truth, order: Order, form: PictureFormat) -> Picture:
        if truth is not Truth.CLEAR:
            y = _tiles(number, 150, 240, form).copy()
        elif self._step == 0:
            y = _tiles(number, 20, 110, form).copy()
        else:
            y = _tiles(0, 60, 70, form).copy()
            at = self.look(number) * 4 % form.width
            y[:32, at : at + 8] += 20  # what moves: less than a third of the picture
        return _finish(y, number, truth, order, form)


class Street:
    """The drawn street, and drawings that the real network calls sexual (canaries)."""

    forms = (PictureFormat(640, 360), PictureFormat(480, 270 // 2 * 2))

    def look(self, number: int) -> int:
        return 0

    def draw(self, number: int, truth: Truth, order: Order, form: PictureFormat) -> Picture:
        size = (form.width, form.height)
        if truth is Truth.CLEAR:
            y, u, v = _street(number % 150, size)
        else:
            y, u, v = _canary(number % len(canary.names()), size)
        return _finish(y.copy(), number, truth, order, form, u, v)


def read(picture: Picture) -> tuple[int, Truth] | None:
    """Return the number and the truth that a picture carries; None when it carries none."""
    raw = picture.u[0, : _MARK.size].tobytes()
    magic, number, truth, check = _MARK.unpack(raw)
    if magic != _MAGIC or check != zlib.crc32(raw[:-4]):
        return None
    return number, Truth(truth)


def digest(picture: Picture) -> int:
    """Return a checksum of the three planes (of drawings: nobody's picture)."""
    checked = zlib.crc32(picture.y)
    return zlib.crc32(picture.v, zlib.crc32(picture.u, checked))


def _finish(
    y: Plane,
    number: int,
    truth: Truth,
    order: Order,
    form: PictureFormat,
    u: Plane | None = None,
    v: Plane | None = None,
) -> Picture:
    half = (form.height // 2, form.width // 2)
    u = np.full(half, 128, np.uint8) if u is None else u.copy()
    v = np.full(half, 128, np.uint8) if v is None else v.copy()
    y[0, 0] = order
    mark = _MARK.pack(_MAGIC, number, truth, 0)[:-4]
    mark += struct.pack("<I", zlib.crc32(mark))
    u[0, : len(mark)] = np.frombuffer(mark, np.uint8)
    return Picture(form, y, u, v)


@lru_cache(maxsize=64)
def _tiles(key: int, low: int, high: int, form: PictureFormat) -> Plane:
    levels = np.random.default_rng(key).integers(
        low, high, (form.height // 8, form.width // 8), np.uint8
    )
    return np.repeat(np.repeat(levels, 8, 0), 8, 1)


@lru_cache(maxsize=320)
def _street(at: int, size: tuple[int, int]) -> tuple[Plane, Plane, Plane]:
    drawn = scenes.picture_from_rgb(scenes.scene(at / 15, size))
    return drawn.y, drawn.u, drawn.v


@lru_cache(maxsize=16)
def _canary(which: int, size: tuple[int, int]) -> tuple[Plane, Plane, Plane]:
    rgb = canary.at_size(canary.load(canary.names()[which]), size)
    drawn = scenes.picture_from_rgb(rgb)
    return drawn.y, drawn.u, drawn.v
