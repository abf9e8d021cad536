"""Copy mode's reading of H.264: what passes is slices of one picture that are in what came."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target, check, check_no_release

from safelight.media.h264 import (
    ParameterSets,
    access_unit,
    parameter_sets,
)
from safelight.media.h264_sets import NotCopyableError

_SPS: Final = bytes.fromhex("6764001facb402802dd80b64000003000400000300f03c60ca80")
_PPS: Final = bytes.fromhex("68ef0fcb")
_RECORD: Final = (
    b"\x01\x64\x00\x1f\xff\xe1\x00\x1a" + _SPS + b"\x01\x00\x04" + _PPS + b"\xfd\xf8\xf8\x00"
)
_SETS: Final = parameter_sets(_RECORD)
_I: Final = bytes([0x65, 0b10001000, 0b10000000, 1, 2, 3])
_P: Final = bytes([0x41, 0b10011010, 0b00000000, 4, 5, 6])


def run(data: bytes) -> None:
    try:
        sets = parameter_sets(data)
    except NotCopyableError:
        sets = _SETS
    else:
        check(0 <= sets.sps_id <= 31 and bool(sets.pps_ids), "sets with no numbers")
    _unit(data, sets)


def _unit(data: bytes, sets: ParameterSets) -> None:
    try:
        unit = access_unit(data, sets)
    except NotCopyableError:
        return
    at, first = 0, True
    while at < len(unit.data):
        size = int.from_bytes(unit.data[at : at + 4], "big")
        piece = unit.data[at + 4 : at + 4 + size]
        check_no_release(piece in data, "something that did not come")
        check_no_release(piece[0] & 0x1F == (5 if unit.idr else 1), "no slice, or of another kind")
        check_no_release((piece[1] & 0x80 != 0) is first, "not one whole picture")
        at, first = at + 4 + size, False
    check(at == len(unit.data) and not first, "an empty picture")


def _packed(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def seeds() -> tuple[bytes, ...]:
    return (_RECORD, _packed(_I), _packed(_P, _P), _packed(b"\x09\xf0", _SPS, _PPS, _I))


TARGET = Target(
    run,
    seeds,
    words=(b"\0\0\0\1", b"\0\0\3", _SPS, _PPS, _I, _P),
    text=False,
    pieces=4000,
    max_len=256,
)
