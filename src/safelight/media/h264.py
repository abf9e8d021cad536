"""What copy mode reads of H.264: which units a packet holds, and whose parameter sets they use.

Only what is needed to say no (ITU-T H.264, 7.3 and 7.4; ISO/IEC 14496-15 for how a container
stores it). Nothing here decodes a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SLICE: Final = 1
IDR_SLICE: Final = 5
_SPS: Final = 7
_PPS: Final = 8
# SEI, access unit delimiter, end of sequence, end of stream, filler: nothing is decoded from them.
_LEFT_OUT: Final = frozenset({6, 9, 10, 11, 12})
# The number that our own parameter sets bear beside another encoder's: the last there is.
OUR_ID: Final = 31
_BASELINE: Final = 66
_MAIN: Final = 77
_HIGH: Final = 100
# The other profiles have pictures that a usual decoder does not show as ours does.
_PROFILES: Final = frozenset({_BASELINE, _MAIN, _HIGH})
_MOST_UNITS: Final = 1024


class NotCopyableError(ValueError):
    """What came is not of the plain kind that may be passed on as it is."""


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a container says once: the sets that slices refer to, and how units are stored.

    ``head``: the first bytes of an avcC record, profile and level. ``tail``: what follows the
    sets there. ``length_size``: bytes of a unit's length.
    """

    head: bytes
    sps: bytes
    pps: tuple[bytes, ...]
    tail: bytes
    length_size: int

    @property
    def sps_id(self) -> int:
        """The id of the sequence parameter set."""
        return _Bits(_unescaped(self.sps[4:])).number()

    @property
    def pps_ids(self) -> frozenset[int]:
        """The ids of the picture parameter sets."""
        return frozenset(_Bits(_unescaped(unit[1:])).number() for unit in self.pps)

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
    if profile not in _PROFILES or (profile == _BASELINE and not constraints & 0x40):
        # Plain Baseline may hold slices in any order and pictures twice.
        raise NotCopyableError("its profile is not Constrained Baseline, Main or High")
    at = 6
    sps, at = _sets(record, at, record[5] & 0x1F)
    if at >= len(record):
        raise NotCopyableError("its parameter sets are cut off")
    pps, at = _sets(record, at + 1, record[at])
    if len(sps) != 1 or not pps or sps[0][0] & 0x1F != _SPS or sps[0][1] != profile:
        raise NotCopyableError("it has more than one sequence parameter set")
    if any(unit[0] & 0x1F != _PPS for unit in pps) or len(sps[0]) < 5:
        raise NotCopyableError("its parameter sets are not such")
    found = ParameterSets(record[:6], sps[0], tuple(pps), record[at:], (record[4] & 3) + 1)
    if found.sps_id > 31 or any(number > 255 for number in found.pps_ids):
        raise NotCopyableError("its parameter sets bear numbers that there are not")
    return found


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
    """The slices of one picture, each with a length of 4 bytes before it, and nothing else."""

    data: bytes
    idr: bool


def access_unit(packet: bytes, sets: ParameterSets) -> AccessUnit:
    """Return what of a packet may go on: its slices, if they are those of one plain picture.

    Raises:
        NotCopyableError: it holds anything else than slices of one picture, these parameter
            sets, and what is left out (SEI, delimiters, filler).
    """
    slices = []
    for unit in _units(packet, sets.length_size):
        kind = unit[0] & 0x1F
        if unit[0] & 0x80:
            raise NotCopyableError("a unit is damaged")
        if kind in (SLICE, IDR_SLICE):
            slices.append(unit)
        elif kind == _SPS and unit != sets.sps:
            raise NotCopyableError("the sequence parameter set changed")
        elif kind == _PPS and unit not in sets.pps:
            raise NotCopyableError("a picture parameter set changed")
        elif kind not in (_SPS, _PPS) and kind not in _LEFT_OUT:
            raise NotCopyableError(f"it holds units of type {kind}")
    kinds = {unit[0] & 0x1F for unit in slices}
    if len(kinds) != 1 or any(len(unit) < 3 for unit in slices):
        raise NotCopyableError("it holds no slices, or such of two kinds")
    first = [_Bits(_unescaped(unit[1:9])).number() == 0 for unit in slices]
    if not first[0] or sum(first) != 1:
        # The second field of a picture, or two pictures.
        raise NotCopyableError("it does not hold one whole picture")
    for unit in slices:
        bits = _Bits(_unescaped(unit[1:33]))
        bits.number(), bits.number()  # first macroblock, type
        if bits.number() not in sets.pps_ids:
            raise NotCopyableError("a slice refers to a parameter set that is not there")
    return AccessUnit(b"".join(_with_length(u, 4) for u in slices), kinds == {IDR_SLICE})


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


def _unescaped(data: bytes) -> bytes:
    """Remove the bytes that keep start codes from appearing inside a unit."""
    return data.replace(b"\0\0\3", b"\0\0")


class _Bits:
    """Reads bits, highest first, and Exp-Golomb numbers."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def number(self) -> int:
        """Read one ``ue(v)``.

        Raises:
            NotCopyableError: the data ends.
        """
        zeros = 0
        while not self._bit():
            zeros += 1
            if zeros > 31:
                raise NotCopyableError("a number that cannot be")
        value = 1
        for _ in range(zeros):
            value = value << 1 | self._bit()
        return value - 1

    def _bit(self) -> int:
        if self._left == 0:
            raise NotCopyableError("it ends too early")
        self._left -= 1
        return self._value >> self._left & 1
