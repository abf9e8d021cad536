"""What a slice of H.264 says at its head (ITU-T H.264, 7.3.3), as far as copy mode asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from safelight.media.h264_sets import (
    BASELINE,
    Bits,
    NotCopyableError,
    PictureSet,
    SequenceSet,
    unescaped,
)

SLICE: Final = 1
IDR_SLICE: Final = 5
_P, _B, _I = range(3)
# Each again where all slices of a picture are of one type.
_TYPES: Final = {_P: _P, _B: _B, _I: _I, 5: _P, 6: _B, 7: _I}
_MOST_BYTES: Final = 1024  # of a head; weights for 64 references take half of it
_MOST_REFERENCES: Final = 32
_ORDER_ENDS: Final = 3
# How many numbers go with each way to mark reference pictures; 0 ends them.
_MARKS: Final = {0: 0, 1: 1, 2: 1, 3: 2, 4: 1, 5: 0, 6: 1}


@dataclass(frozen=True, slots=True)
class SliceHead:
    """``first``: a slice's first macroblock. ``of_picture``: what all slices of a picture share."""

    first: int
    frame_num: int
    of_picture: tuple[int, ...]


def slice_head(unit: bytes, sequence: SequenceSet, pictures: Mapping[int, PictureSet]) -> SliceHead:
    """Read the head of a slice, of a stream with these sets.

    Raises:
        NotCopyableError: it is damaged, or refers to a set that is not there.
    """
    bits = Bits(unescaped(unit[1:_MOST_BYTES]))
    first, kind, number = bits.number(), _TYPES.get(bits.number()), bits.number()
    picture = pictures.get(number)
    if kind is None or picture is None:
        raise NotCopyableError("a slice refers to a parameter set that is not there")
    if kind == _B and sequence.profile == BASELINE:
        raise NotCopyableError("it has slices that its profile has not")
    frame_num = bits.take(sequence.frame_num_bits)
    of_picture = [unit[0], number, frame_num]
    idr = unit[0] & 0x1F == IDR_SLICE
    if idr:
        of_picture.append(bits.number())
    of_picture.append(bits.take(sequence.poc_bits))
    if sequence.poc_deltas:
        of_picture.append(bits.number())
    if picture.poc_of_bottom and (sequence.poc_deltas or sequence.poc_bits):
        of_picture.append(bits.number())
    if unit[0] & 0x60:
        # Which pictures stay as references: some go by the first slice, some by the last.
        if kind != _I:
            _references(bits, kind, picture)
        of_picture += _marking(bits, idr=idr)
    return SliceHead(first, frame_num, tuple(of_picture))


def _references(bits: Bits, kind: int, picture: PictureSet) -> None:
    """Read what a slice says of the pictures that it refers to, each slice as it likes."""
    lists = 2 if kind == _B else 1
    if kind == _B:
        bits.take(1)  # how vectors are derived
    counts = list(picture.references[:lists])
    if bits.take(1):
        counts = [bits.number() + 1 for _ in range(lists)]
    if max(counts) > _MOST_REFERENCES:
        raise NotCopyableError("a number that cannot be")
    for _ in range(lists):
        if bits.take(1):
            _order(bits)
    if picture.weighted[kind == _B]:
        bits.number(), bits.number()
        for _ in range(sum(counts)):
            for numbers in (2, 4):  # luma; both chromas
                if bits.take(1):
                    for _ in range(numbers):
                        bits.number()


def _order(bits: Bits) -> None:
    """Read in what order references are listed."""
    while (how := bits.number()) != _ORDER_ENDS:
        if how > _ORDER_ENDS:
            raise NotCopyableError("a number that cannot be")
        bits.number()


def _marking(bits: Bits, *, idr: bool) -> list[int]:
    """Read what becomes of reference pictures, this one among them (7.3.3.3)."""
    if idr:
        return [bits.take(2)]
    said = [bits.take(1)]
    mark = said[0]
    while mark:
        mark = bits.number()
        if mark not in _MARKS:
            raise NotCopyableError("a number that cannot be")
        said += [mark, *(bits.number() for _ in range(_MARKS[mark]))]
    return said
