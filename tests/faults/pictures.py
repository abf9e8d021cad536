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
# Those that fill a frame; one was made to be a part of one.
_FULL: Final = tuple(name for name in canary.names() if name != canary.MOVING)
_LOW: Final = np.uint8(128)  # a chroma level that stands for 0; one more for 1


class Truth(enum.IntEnum):
    """What a picture may do, whatever any guard thinks of it."""

    CLEAR = 0  # may leave when judged clear, or bound to pictures that were
    NEVER = 1  # no honest judge ever said that it may
    DOUBTFUL = 2  # may leave only by an answer of its own, in time
    CANARY = 3  # the same; if the real network honestly calls it clear, that is a miss


class Artist(Protocol):
    """Draws the pictures of one stream; the same number always gives the same picture."""

    @property
    def forms(self) -> tuple[PictureFormat, PictureFormat]: ...

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
            y = _tiles(number, 150, 240, form)
        elif self._step == 0:
            y = _tiles(number, 20, 110, form)
        else:
            y = _tiles(0, 60, 70, form).copy()
            at = self.look(number) * 4 % form.width
            y[:16, at : at + 8] += 20  # what moves: less than a third of the picture
        grey = np.full((form.height // 2, form.width // 2), 128, np.uint8)
        return _finish(form, (y, grey, grey), (number, truth, order))


class Street:
    """The drawn street, and drawings that the real network calls sexual (canaries)."""

    forms = (PictureFormat(640, 360), PictureFormat(480, 270))

    def look(self, number: int) -> int:
        return 0

    def draw(self, number: int, truth: Truth, order: Order, form: PictureFormat) -> Picture:
        size = (form.width, form.height)
        if truth is Truth.CLEAR:
            y, u, v = _street(number % 150, size)
        else:
            y, u, v = _canary(_FULL[number % len(_FULL)], size)
        return _finish(form, (y, u, v), (number, truth, order))


def read(picture: Picture) -> tuple[int, Truth] | None:
    """Return the number and the truth that a picture carries; None when it carries none."""
    bits = picture.u.reshape(-1)[: _MARK.size * 8] - _LOW
    if bits.max() > 1:
        return None
    raw = np.packbits(bits).tobytes()
    magic, number, truth, check = _MARK.unpack(raw)
    if magic != _MAGIC or check != zlib.crc32(raw[:-4]):
        return None
    return number, Truth(truth)


def digest(picture: Picture) -> int:
    """Return a checksum of the three planes (of drawings: nobody's picture)."""
    planes = (picture.y, picture.u, picture.v)
    return zlib.crc32(b"".join(plane.tobytes() for plane in planes))


def _finish(
    form: PictureFormat, planes: tuple[Plane, Plane, Plane], says: tuple[int, Truth, Order]
) -> Picture:
    y, u, v = (plane.copy() for plane in planes)
    number, truth, order = says
    y[0, 0] = order
    mark = _MARK.pack(_MAGIC, number, truth, 0)[:-4]
    mark += struct.pack("<I", zlib.crc32(mark))
    # A bit a pixel, one level apart: what is still must stay still for the gate.
    u.reshape(-1)[: len(mark) * 8] = np.unpackbits(np.frombuffer(mark, np.uint8)) + _LOW
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
def _canary(name: str, size: tuple[int, int]) -> tuple[Plane, Plane, Plane]:
    rgb = canary.at_size(canary.load(name), size)
    drawn = scenes.picture_from_rgb(rgb)
    return drawn.y, drawn.u, drawn.v
