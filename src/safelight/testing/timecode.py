"""A time code drawn into a picture and read back at the other end: how old is what is shown?

The moment is this machine's monotonic clock, so both ends have to be on one machine. It is
drawn as black and white blocks along the upper edge, with a check, so that a card, another
picture or what a codec broke reads as nothing.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safelight.testing.scenes import scene
from safelight.types import Plane

_UNIT_NS: Final = 100_000
_BITS: Final = 24  # of tenths of a millisecond: half an hour, then it begins anew
_CHECK_BITS: Final = 8
_COLUMNS: Final = 16
_ROWS: Final = (_BITS + _CHECK_BITS) // _COLUMNS
_HIGH: Final = 16
_BLACK, _WHITE = 20, 235
_UNSURE: Final = (90, 160)
# A code that is older than anything waits was misread.
_OLDEST_MS: Final = 60_000.0
_LOOP: Final = 60
WARM_UP_S: Final = 3.0


def stamp(picture: NDArray[np.uint8], at_ns: int) -> NDArray[np.uint8]:
    """Return a copy with the moment drawn in; luma (height, width) or RGB (height, width, 3).

    ``at_ns``: of the monotonic clock. Pictures are at least 128 wide and 48 high.
    """
    made = picture.copy()
    wide = made.shape[1] // _COLUMNS
    code = _code(at_ns)
    for bit in range(_BITS + _CHECK_BITS):
        row, column = divmod(bit, _COLUMNS)
        block = made[row * _HIGH : (row + 1) * _HIGH, column * wide : (column + 1) * wide]
        block[...] = _WHITE if code >> bit & 1 else _BLACK
    return made


def age_ms(luma: Plane, now_ns: int) -> float | None:
    """Return how long ago the code in ``luma`` (height, width) was drawn; None without one."""
    wide = luma.shape[1] // _COLUMNS
    code = 0
    for bit in range(_BITS + _CHECK_BITS):
        row, column = divmod(bit, _COLUMNS)
        rows = slice(row * _HIGH + 4, (row + 1) * _HIGH - 4)
        level = luma[rows, column * wide + wide // 4 : (column + 1) * wide - wide // 4].mean()
        if _UNSURE[0] < level < _UNSURE[1]:
            return None
        code |= int(level > _UNSURE[0]) << bit
    at = code & ((1 << _BITS) - 1)
    if code >> _BITS != _check(at):
        return None
    age = ((now_ns // _UNIT_NS - at) % (1 << _BITS)) * _UNIT_NS / 1e6
    return age if age <= _OLDEST_MS else None


def _code(at_ns: int) -> int:
    at = at_ns // _UNIT_NS % (1 << _BITS)
    return at | _check(at) << _BITS


def _check(at: int) -> int:
    return zlib.crc32(at.to_bytes(_BITS // 8, "little")) & 0xFF


class Scene:
    """The drawn scene, stamped: ``now()`` draws what a camera would show this moment."""

    def __init__(self, size: tuple[int, int], rate: int) -> None:
        self._pictures = [scene(index / rate, size) for index in range(_LOOP)]
        # To and fro: nothing jumps.
        self._turn = [*range(_LOOP), *range(_LOOP - 2, 0, -1)]
        self._index = 0

    def now(self) -> NDArray[np.uint8]:
        """Return RGB, uint8 (height, width, 3)."""
        shown = self._pictures[self._turn[self._index % len(self._turn)]]
        self._index += 1
        return stamp(shown, time.monotonic_ns())


def paced(size: tuple[int, int], rate: int, seconds: float) -> Iterator[NDArray[np.uint8]]:
    """Yield stamped RGB pictures at ``rate`` a second, each when it is due."""
    drawn, began_s = Scene(size, rate), time.monotonic()
    for index in range(round(seconds * rate)):
        time.sleep(max(0.0, began_s + index / rate - time.monotonic()))
        yield drawn.now()


@dataclass
class Ages:
    """What came out at the other end: how old each picture was, and how many had no code.

    The first seconds after the first picture do not count: encoders and judges warm up.
    """

    ages_ms: list[float] = field(default_factory=list)
    others: int = 0
    _first_ns: int | None = None
    _before: int = 0

    def note(self, luma: Plane) -> None:
        """Take in a picture that was shown just now: its luma, uint8 (height, width)."""
        now_ns = time.monotonic_ns()
        age = age_ms(luma, now_ns)
        if self._first_ns is None and age is not None:
            self._first_ns = now_ns
        if self._first_ns is None:
            self._before += 1
        if self._first_ns is None or now_ns - self._first_ns < WARM_UP_S * 1e9:
            return
        if age is None:
            self.others += 1
        else:
            self.ages_ms.append(age)

    def figures(self) -> dict[str, Any]:
        """Return ``p50``, ``p99`` and ``max`` in ms (None of nothing), and how many came."""
        # Where no code was ever read, whatever came was something else.
        others = self._before if self._first_ns is None else self.others
        found: dict[str, Any] = {"pictures": len(self.ages_ms), "others": others}
        if not self.ages_ms:
            return {**found, "p50": None, "p99": None, "max": None}
        p50, p99, most = (round(float(np.percentile(self.ages_ms, q)), 1) for q in (50, 99, 100))
        return {**found, "p50": p50, "p99": p99, "max": most}
