"""What H.264's parameter sets say, read to the last bit (ITU-T H.264, 7.3.2 and annex E).

Copy mode passes sets on as they came, so what is not understood here does not pass: no bits
behind the end, no syntax that decoders treat each in its own way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from safelight.types import PictureFormat

BASELINE: Final = 66
MAIN: Final = 77
HIGH: Final = 100
_MOST_ID: Final = 31
_OWN_ASPECT: Final = 255
_UNSPECIFIED: Final = 2
_SAY_NOTHING: Final = frozenset({_UNSPECIFIED, 3})  # 3 is reserved
_STATED: Final = 1  # weights of B slices: 0 none, 2 worked out
_1B: Final = 9
_HAS_1B: Final = 0x10  # a constraint flag, of level 1.1 in profiles below High
# By level, how many macroblocks of decoded pictures there is room for (table A-1).
_MOST_HELD: Final = {
    _1B: 396,
    **{10: 396, 11: 900, 12: 2376, 13: 2376},
    **{20: 2376, 21: 4752, 22: 8100},
    **{30: 8100, 31: 18000, 32: 20480},
    **{40: 32768, 41: 32768, 42: 34816},
    **{50: 110400, 51: 184320, 52: 184320},
    **{60: 696320, 61: 696320, 62: 696320},
}
_MOST_REFERENCES: Final = 16
_BEYOND: Final = "it has what its profile has not"
# What no unit may hold (7.4.1): a start code, what some take for one, an escape of nothing.
_NEVER: Final = re.compile(rb"\x00\x00(?:[\x00-\x02]|\x03[^\x00-\x03])")


class NotCopyableError(ValueError):
    """What came is not of the plain kind that may be passed on as it is."""


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A sequence parameter set. ``width`` and ``height`` in pixels, as shown; colours as H.273
    numbers, 2 where it says nothing. ``poc_bits``: 0 unless order is counted by its low bits.
    ``poc_deltas``: whether slices tell order by differences."""

    profile: int
    number: int
    width: int
    height: int
    full_range: bool
    colours: tuple[int, int, int]
    frame_num_bits: int
    poc_bits: int
    poc_deltas: bool

    def describes(self, form: PictureFormat) -> bool:
        """Whether a player that goes by this set alone shows such a picture.

        A container that names a smaller size, or other colours, would be believed by our
        decoder; a player may not.
        """
        said = (form.primaries, form.transfer, form.matrix)
        return (
            (self.width, self.height) == (form.width, form.height)
            and self.full_range == form.full_range
            and all(
                ours in (_UNSPECIFIED, its) for ours, its in zip(self.colours, said, strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class PictureSet:
    """A picture parameter set. ``poc_of_bottom``: slices tell the order of a second field.
    ``references``: how many a slice lists, of either list, if it does not say. ``weighted``:
    whether P slices, and B slices, hold weights."""

    number: int
    poc_of_bottom: bool
    references: tuple[int, int]
    weighted: tuple[bool, bool]


def sequence_set(unit: bytes) -> SequenceSet:
    """Read a sequence parameter set of Baseline, Main or High profile.

    Raises:
        NotCopyableError: it is damaged, or pictures of it may be shown in more than one way.
    """
    bits = Bits(unescaped(unit[4:]))
    number = bits.number()
    if number > _MOST_ID:
        raise NotCopyableError("its parameter sets bear numbers that there are not")
    if unit[1] == HIGH:
        if (bits.number(), bits.number(), bits.number()) != (1, 0, 0) or bits.take(1):
            raise NotCopyableError("its pictures are not 8-bit 4:2:0")
        _scaling(bits, 8)
    frame_num_bits = _small(bits.number(), 12) + 4
    poc_bits, poc_deltas = _order(bits)
    references = bits.number()
    if bits.take(1):
        raise NotCopyableError("pictures may be missing from it")
    columns, rows = (_small(bits.number(), 511) + 1 for _ in range(2))
    room = min(_MOST_REFERENCES, _MOST_HELD.get(_level(unit), 0) // (columns * rows))
    if references > room:
        # libav makes the room; a chip may let go of what is still referred to.
        raise NotCopyableError("it refers to more pictures than its level has room for")
    width, height = 16 * columns, 16 * rows
    if not bits.take(1):
        raise NotCopyableError("it may hold fields")
    bits.take(1)  # how vectors are derived
    if bits.take(1):
        left, right, top, bottom = (bits.number() for _ in range(4))
        if left:
            # libav cuts the left side only at some columns.
            raise NotCopyableError("its pictures are cut on the left")
        width, height = width - 2 * right, height - 2 * (top + bottom)
    full_range, colours = False, (_UNSPECIFIED,) * 3
    if bits.take(1):
        full_range, colours = _usability(bits, range(references, room + 1))
    bits.end()
    return SequenceSet(
        profile=unit[1],
        number=number,
        width=width,
        height=height,
        full_range=full_range,
        colours=colours,
        frame_num_bits=frame_num_bits,
        poc_bits=poc_bits,
        poc_deltas=poc_deltas,
    )


def picture_set(unit: bytes, sequence: SequenceSet) -> PictureSet:
    """Read a picture parameter set that goes with ``sequence``.

    Raises:
        NotCopyableError: it is damaged, or pictures of it may be shown in more than one way.
    """
    bits = Bits(unescaped(unit[1:]))
    number = bits.number()
    if number > 255 or bits.number() != sequence.number:
        raise NotCopyableError("its parameter sets bear numbers that there are not")
    arithmetic = bits.take(1)
    poc_of_bottom = bool(bits.take(1))
    if bits.number():
        raise NotCopyableError("its slices lie in groups")
    references = bits.number() + 1, bits.number() + 1
    p_weights, b_weights = bits.take(1), bits.take(2)
    if sequence.profile == BASELINE and (arithmetic or p_weights or b_weights):
        raise NotCopyableError(_BEYOND)
    for most in (26, 26, 12):  # quantisers, and chroma's difference from them
        _near(bits.signed(), most)
    bits.take(2)  # deblocking, intra prediction
    if bits.take(1):
        raise NotCopyableError("it may hold pictures twice")
    if bits.more():
        if sequence.profile != HIGH:
            # Some read it all the same; libav does not where a flag says Main.
            raise NotCopyableError(_BEYOND)
        large = bits.take(1)
        _scaling(bits, 6 + 2 * large)
        _near(bits.signed(), 12)  # the other chroma's
    bits.end()
    weighted = bool(p_weights), b_weights == _STATED
    return PictureSet(number, poc_of_bottom, references, weighted)


def _small(number: int, most: int) -> int:
    if number > most:
        raise NotCopyableError("a number that cannot be")
    return number


def _near(number: int, most: int) -> None:
    if not -most <= number <= most:
        raise NotCopyableError("a number that cannot be")


def _order(bits: Bits) -> tuple[int, bool]:
    """Read how the order of showing is told."""
    kind = _small(bits.number(), 2)
    if kind == 0:
        return _small(bits.number(), 12) + 4, False
    if kind == 2:
        return 0, False
    never = bits.take(1)
    bits.number(), bits.number()
    for _ in range(_small(bits.number(), 255)):
        bits.number()
    return 0, not never


def _scaling(bits: Bits, count: int) -> None:
    if not bits.take(1):
        return
    for index in range(count):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _level(unit: bytes) -> int:
    level: int = unit[3]
    return _1B if level == 11 and unit[1] != HIGH and unit[2] & _HAS_1B else level


def _usability(bits: Bits, held: range) -> tuple[bool, tuple[int, int, int]]:
    """Read what annex E adds; return full range, and primaries, transfer, matrix.

    ``held``: how many decoded pictures a decoder may be told to have room for.
    """
    full_range, colours = False, (_UNSPECIFIED,) * 3
    if bits.take(1) and bits.take(8) == _OWN_ASPECT:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(3)
        full_range = bool(bits.take(1))
        if bits.take(1):
            primaries, transfer, matrix = (bits.take(8) for _ in range(3))
            if not matrix:
                raise NotCopyableError("its numbers are said to be RGB")
            colours = (_said(primaries), _said(transfer), _said(matrix))
    if bits.take(1):
        bits.number(), bits.number()  # where chroma lies
    if bits.take(1):
        bits.take(65)  # time
    buffers = 0
    for _ in range(2):
        if bits.take(1):
            buffers += 1
            _buffer(bits)
    bits.take(2 if buffers else 1)
    if bits.take(1):
        bits.take(1)
        _, _, _, _, reordered, most = (bits.number() for _ in range(6))
        if most not in held or reordered > most:
            raise NotCopyableError("it asks for less room than it takes")
    return full_range, colours


def _said(number: int) -> int:
    return _UNSPECIFIED if number in _SAY_NOTHING else number


def _buffer(bits: Bits) -> None:
    count = _small(bits.number(), 31) + 1
    bits.take(8)
    for _ in range(count):
        bits.number(), bits.number()
        bits.take(1)
    bits.take(20)


def keeps_whole(unit: bytes) -> bool:
    """Whether a unit is the same one to who finds its end by a length, and by a start code.

    A decoder that is fed from MP4 or FLV goes by the length; who repackages it as a byte stream
    (a browser, HLS) finds another unit behind a start code inside, which ours never saw.
    """
    return unit[-1:] != b"\0" and _NEVER.search(unit) is None


def unescaped(data: bytes) -> bytes:
    """Remove the bytes that keep start codes from appearing inside a unit."""
    return data.replace(b"\0\0\3", b"\0\0")


class Bits:
    """Reads bits, highest first, and Exp-Golomb numbers. Every read may raise
    NotCopyableError: the data ends."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """Read ``count`` bits as one number."""
        if self._left < count:
            raise NotCopyableError("it ends too early")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def number(self) -> int:
        """Read one ``ue(v)``."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise NotCopyableError("a number that cannot be")
        return (1 << zeros | self.take(zeros)) - 1

    def signed(self) -> int:
        """Read one ``se(v)``."""
        number = self.number()
        return (number + 1) // 2 if number % 2 else -(number // 2)

    def more(self) -> bool:
        """Whether anything but the bits that end a set is left."""
        rest = self._value & (1 << self._left) - 1
        return rest & (rest - 1) != 0

    def end(self) -> None:
        """Read the bits that end a set.

        Raises:
            NotCopyableError: there is more.
        """
        left = self._left
        if not 1 <= left <= 8 or self.take(left) != 1 << (left - 1):
            raise NotCopyableError("its parameter sets hold more than they should")
