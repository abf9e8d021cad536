"""What copy mode reads of H.264: which units a packet holds, and whose parameter sets they use.

Only what is needed to say no (ITU-T H.264, 7.3 and 7.4; ISO/IEC 14496-15 for how a container
stores it). Nothing here decodes a picture.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Final

from safelight.media.h264_sets import (
    BASELINE,
    HIGH,
    MAIN,
    NotCopyableError,
    PictureSet,
    SequenceSet,
    keeps_whole,
    picture_set,
    sequence_set,
)
from safelight.media.h264_slices import IDR_SLICE, SLICE, slice_head

_SEI: Final = 6
_SPS: Final = 7
_PPS: Final = 8
# SEI, access unit delimiter, end of sequence, end of stream, filler: no picture needs them.
_LEFT_OUT: Final = frozenset({6, 9, 10, 11, 12})
_FILLER: Final = b"\x0c"
# The number that our own parameter sets bear beside another encoder's: the last there is.
OUR_ID: Final = 31
# The other profiles have pictures that a usual decoder does not show as ours does.
_PROFILES: Final = frozenset({BASELINE, MAIN, HIGH})
# 4:2:0, 8 bits, 8 bits, no further sets.
_HIGH_TAIL: Final = b"\xfd\xf8\xf8\x00"
_MOST_UNITS: Final = 1024


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a container says once: the sets that slices refer to, and how units are stored.

    ``head``: the first bytes of an avcC record, profile and level. ``tail``: what follows the
    sets there. ``length_size``: bytes of a unit's length. ``sequence`` and ``pictures``, by
    their numbers, are what the sets say.

    Raises:
        NotCopyableError: a set says what is not taken.
    """

    head: bytes
    sps: bytes
    pps: tuple[bytes, ...]
    tail: bytes
    length_size: int
    sequence: SequenceSet = field(init=False, compare=False, repr=False)
    pictures: dict[int, PictureSet] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        sequence = sequence_set(self.sps)
        read = [picture_set(unit, sequence) for unit in self.pps]
        pictures = {each.number: each for each in read}
        if len(pictures) != len(read):
            # Which of two holds is a matter of order.
            raise NotCopyableError("two of its parameter sets bear one number")
        object.__setattr__(self, "sequence", sequence)
        object.__setattr__(self, "pictures", pictures)

    @property
    def sps_id(self) -> int:
        """The id of the sequence parameter set."""
        return self.sequence.number

    @property
    def pps_ids(self) -> frozenset[int]:
        """The ids of the picture parameter sets."""
        return frozenset(self.pictures)

    @property
    def leaves_room(self) -> bool:
        """Whether sets that bear ``OUR_ID`` can stand beside these."""
        return self.sps_id != OUR_ID and OUR_ID not in self.pps_ids and len(self.pps) < 255

    def with_another(self, sps: bytes, pps: bytes) -> bytes:
        """Return an avcC record that holds these sets and another encoder's."""
        both = (self.sps, sps), (*self.pps, pps)
        # Ours are written with lengths of 4 bytes; theirs are turned into such.
        head = self.head[:4] + bytes([0xFC | 3, 0xE0 | len(both[0])])
        first, then = (b"".join(_with_length(u, 2) for u in units) for units in both)
        return head + first + bytes([len(both[1])]) + then + self.tail


def parameter_sets(record: bytes | None) -> ParameterSets:
    """Read an avcC record.

    Raises:
        NotCopyableError: it is none, or not of a profile whose pictures everybody shows alike.
    """
    if record is None or len(record) < 7 or record[0] != 1:
        raise NotCopyableError("its parameter sets are not stored apart")
    profile, constraints = record[1], record[2]
    if profile not in _PROFILES or (profile == BASELINE and not constraints & 0x40):
        # Plain Baseline may hold slices in any order and pictures twice.
        raise NotCopyableError("its profile is not Constrained Baseline, Main or High")
    at = 6
    sps, at = _sets(record, at, record[5] & 0x1F)
    if at >= len(record):
        raise NotCopyableError("its parameter sets are cut off")
    pps, at = _sets(record, at + 1, record[at])
    if len(sps) != 1 or not pps or sps[0][0] & 0x1F != _SPS or sps[0][1] != profile:
        raise NotCopyableError("it has more than one sequence parameter set")
    if any(unit[0] & 0x1F != _PPS for unit in pps) or sps[0][1:4] != record[1:4]:
        raise NotCopyableError("its parameter sets are not such")
    if not all(keeps_whole(unit) for unit in (*sps, *pps)):
        raise NotCopyableError("its parameter sets are not whole units")
    length_size = (record[4] & 3) + 1
    if length_size == 3:
        raise NotCopyableError("its units are not stored as they should be")
    # What follows the sets is not looked at by anybody, and could be anything: said anew.
    tail = _HIGH_TAIL if profile == HIGH else b""
    return ParameterSets(record[:6], sps[0], tuple(pps), tail, length_size)


def _sets(record: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    found = []
    for _ in range(count):
        size = int.from_bytes(record[at : at + 2], "big")
        unit = record[at + 2 : at + 2 + size]
        if size < 2 or len(unit) != size:
            raise NotCopyableError("its parameter sets are cut off")
        found.append(unit)
        at += 2 + size
    return found, at


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """The slices of one picture, each with a length of 4 bytes before it, and nothing else.

    ``blanked``: the packet with filler instead of everything else. ``frame_num``: a reference
    picture counts it up by one, from an IDR picture's 0. ``sei``: how many units of that kind
    hung on it.
    """

    data: bytes
    blanked: bytes
    idr: bool
    is_reference: bool
    frame_num: int
    sei: int


def access_unit(packet: bytes, sets: ParameterSets) -> AccessUnit:
    """Return what of a packet may go on: its slices, if they are those of one plain picture.

    Raises:
        NotCopyableError: it holds anything else than slices of one picture, these parameter
            sets, and what is left out (SEI, delimiters, filler).
    """
    slices: list[bytes] = []
    blanked: list[bytes] = []
    sei = 0
    for unit in _units(packet, sets.length_size):
        kind = unit[0] & 0x1F
        if unit[0] & 0x80:
            raise NotCopyableError("a unit is damaged")
        if kind in (SLICE, IDR_SLICE):
            if not keeps_whole(unit):
                raise NotCopyableError("a slice is not a whole unit")
            slices.append(unit)
        elif kind == _SPS and unit != sets.sps:
            raise NotCopyableError("the sequence parameter set changed")
        elif kind == _PPS and unit not in sets.pps:
            raise NotCopyableError("a picture parameter set changed")
        elif kind not in (_SPS, _PPS) and kind not in _LEFT_OUT:
            raise NotCopyableError(f"it holds units of type {kind}")
        blanked.append(unit if kind in (SLICE, IDR_SLICE) else _FILLER + b"\xff" * (len(unit) - 1))
        sei += kind == _SEI
    heads = [slice_head(unit, sets.sequence, sets.pictures) for unit in slices]
    if len({head.of_picture for head in heads}) != 1:
        raise NotCopyableError("it holds no slices, or such of two pictures")
    firsts = [head.first for head in heads]
    if firsts[0] or any(b <= a for a, b in itertools.pairwise(firsts)):
        raise NotCopyableError("it does not hold one whole picture, in order")
    idr = slices[0][0] & 0x1F == IDR_SLICE
    is_reference = bool(slices[0][0] & 0x60)
    if idr and (heads[0].frame_num or not is_reference):
        raise NotCopyableError("it begins anew in a way that there is not")
    return AccessUnit(
        b"".join(_with_length(u, 4) for u in slices),
        b"".join(_with_length(u, sets.length_size) for u in blanked),
        idr,
        is_reference,
        heads[0].frame_num,
        sei,
    )


def _units(packet: bytes, length_size: int) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(packet):
        size = int.from_bytes(packet[at : at + length_size], "big")
        unit = packet[at + length_size : at + length_size + size]
        if size == 0 or len(unit) != size or len(found) >= _MOST_UNITS:
            raise NotCopyableError("a packet is cut off")
        found.append(unit)
        at += length_size + size
    return found


def from_byte_stream(data: bytes) -> list[bytes]:
    """Split what an encoder gave, with start codes, into units."""
    parts = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]


def slices_of_ours(data: bytes) -> bytes:
    """Return the slices of our own encoder's packet, each with a length of 4 bytes."""
    kept = (u for u in from_byte_stream(data) if u[0] & 0x1F in (SLICE, IDR_SLICE))
    return b"".join(_with_length(unit, 4) for unit in kept)


def _with_length(unit: bytes, size: int) -> bytes:
    return len(unit).to_bytes(size, "big") + unit
