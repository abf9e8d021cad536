"""What copy mode lets pass of a packet: slices of one plain picture, and nothing else."""

from __future__ import annotations

import pytest

from safelight.media.h264 import (
    ParameterSets,
    access_unit,
    from_byte_stream,
    parameter_sets,
    slices_of_ours,
)
from safelight.media.h264_sets import NotCopyableError

# From x264: High, 1280x720.
SPS = bytes.fromhex("6764001facb402802dd80b64000003000400000300f03c60ca80")
BARE = SPS.replace(b"\0\0\3", b"\0\0")
PPS = bytes.fromhex("68ef0fcb")
RECORD = b"\x01\x64\x00\x1f\xff\xe1\x00\x1a" + SPS + b"\x01\x00\x04" + PPS + b"\xfd\xf8\xf8\x00"
SETS = parameter_sets(RECORD)
# First macroblock, type 7 (I) or 5 (P), set, frame number, and then: number of the IDR picture and
# how it is kept; or references (as many as usual, in order), weights (none), how it is kept.
I_SLICE = bytes([0x65, 0b1_0001000, 0b1_0000_1_00, 1, 2, 3])
P_SLICE = bytes([0x41, 0b1_00110_1_0, 0b000_0_0_1_1_0, 0b0_0_000000, 4, 5, 6])
SECOND = bytes([0x41, 0b010_00110, 0b1_0000_0_0_1, 0b1_00_0_0000, 7])
FORGETS = bytes([0x41, 0b010_00110, 0b1_0000_0_0_1, 0b1_00_1_010_1, 0b1_0000000, 7])
SEI = bytes([6, 5, 4, 1, 2, 3, 4, 0x80])


def packed(*units: bytes, size: int = 4) -> bytes:
    return b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)


def test_slices_pass_byte_for_byte_and_what_hangs_on_them_does_not() -> None:
    found = access_unit(packed(b"\x09\xf0", SPS, PPS, SEI, I_SLICE, b"\x0c\xff\x80"), SETS)
    assert found.data == packed(I_SLICE)
    assert found.idr
    found = access_unit(packed(P_SLICE, SECOND), SETS)
    assert found.data == packed(P_SLICE, SECOND)
    assert not found.idr


def test_lengths_of_other_sizes_become_four_bytes() -> None:
    sets = ParameterSets(SETS.head, SETS.sps, SETS.pps, SETS.tail, 2)
    assert access_unit(packed(I_SLICE, size=2), sets).data == packed(I_SLICE)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="empty"),
        pytest.param(packed(SEI), id="no slice"),
        pytest.param(packed(I_SLICE, P_SLICE), id="two kinds"),
        pytest.param(packed(P_SLICE, P_SLICE), id="two pictures"),
        pytest.param(packed(P_SLICE, FORGETS), id="another idea of what is kept"),
        pytest.param(packed(SECOND), id="not from its beginning"),
        pytest.param(packed(SECOND, P_SLICE), id="out of order"),
        pytest.param(packed(I_SLICE)[:-1], id="cut off"),
        pytest.param(packed(I_SLICE) + b"\0\0\0\0", id="an empty unit"),
        pytest.param(packed(I_SLICE) + b"\0", id="left over"),
        pytest.param(packed(bytes([0xE5]) + I_SLICE[1:]), id="forbidden bit"),
        pytest.param(packed(SPS[:-1] + b"\x81", I_SLICE), id="another SPS"),
        pytest.param(packed(PPS[:-1] + b"\xcc", I_SLICE), id="another PPS"),
        *(
            pytest.param(packed(bytes([kind, 1, 2]), I_SLICE), id=f"type {kind}")
            for kind in (0, 2, 3, 4, 13, 14, 15, 16, 19, 20, 21, 24, 31)
        ),
        pytest.param(packed(bytes([0x41, 0b10011001, 0, 1])), id="a PPS that is not there"),
        pytest.param(packed(bytes([0x41, 0, 0, 0, 0, 0])), id="a number that cannot be"),
        pytest.param(packed(b"\x41"), id="a slice without a head"),
    ],
)
def test_anything_else_is_not_copied(packet: bytes) -> None:
    with pytest.raises(NotCopyableError):
        access_unit(packet, SETS)


@pytest.mark.parametrize(
    "inside",
    [
        pytest.param(b"\0\0\1" + I_SLICE, id="a start code and a unit"),
        pytest.param(b"\0\0\0", id="three zeros"),
        pytest.param(b"\0\0\2\1", id="what libav takes for an end"),
        pytest.param(b"\0\0\3\4", id="an escape of nothing"),
        pytest.param(b"\1\0", id="a zero at the end"),
    ],
)
def test_a_slice_that_start_codes_would_cut_elsewhere_is_not_copied(inside: bytes) -> None:
    for slices in ([I_SLICE + inside], [P_SLICE, SECOND + inside], [P_SLICE + inside, SECOND]):
        with pytest.raises(NotCopyableError):
            access_unit(packed(*slices), SETS)


def test_a_slice_with_what_encoders_escape_is_copied() -> None:
    for inside in (b"\0\0\3\0\1", b"\0\0\3\1\5", b"\0\0\3", b"\0\0\x67", b"\0\1\0\1"):
        whole = packed(I_SLICE + inside)
        assert access_unit(whole, SETS).data == whole


@pytest.mark.parametrize(
    "record",
    [
        None,
        b"",
        b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS,
        RECORD[:20],
        RECORD[:34],
        RECORD[:35],
        RECORD.replace(b"\x01\x64", b"\x01\x42", 1),  # plain Baseline, and not what its SPS says
        b"\x01\x6e\x00\x1f\xff\xe1\x00\x1a" + b"\x67\x6e" + SPS[2:] + b"\x01\x00\x04" + PPS,
        b"\x01\x64\x00\x1f\xff\xe2" + packed(SPS, SPS, size=2) + b"\x01\x00\x04" + PPS,
        b"\x01\x64\x00\x1f\xff\xe1\x00\x1a" + SPS + b"\x00",
        b"\x01\x64\x00\x1f\xff\xe1\x00\x1a" + SPS + b"\x01\x00\x04" + b"\x66" + PPS[1:],
        # The same bits, but start codes would cut it.
        b"\x01\x64\x00\x1f\xff\xe1\x00\x18" + BARE + b"\x01\x00\x04" + PPS,
    ],
)
def test_other_parameter_sets_are_not_taken(record: bytes | None) -> None:
    with pytest.raises(NotCopyableError):
        parameter_sets(record)


def test_two_encoders_sets_stand_side_by_side() -> None:
    assert (SETS.sps_id, SETS.pps_ids, SETS.leaves_room) == (0, frozenset({0}), True)
    ours_sps = bytes.fromhex("6764001e040b2d01405fc44bff80a0009c88000003000800000301e478b175")
    ours_pps = bytes.fromhex("68040082f06f2c")
    both = SETS.with_another(ours_sps, ours_pps)
    assert both[:6] == b"\x01\x64\x00\x1f\xff\xe2"
    assert packed(SPS, ours_sps, size=2) in both
    assert both.endswith(b"\x02" + packed(PPS, ours_pps, size=2) + b"\xfd\xf8\xf8\x00")
    ours = ParameterSets(SETS.head, ours_sps, (ours_pps,), b"", 4)
    assert (ours.sps_id, ours.pps_ids, ours.leaves_room) == (31, frozenset({31}), False)


def test_what_our_encoder_gives_loses_all_but_its_slices() -> None:
    stream = b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS + b"\0\0\1" + SEI + b"\0\0\1" + I_SLICE
    assert from_byte_stream(stream) == [SPS, PPS, SEI, I_SLICE]
    assert slices_of_ours(stream) == packed(I_SLICE)
