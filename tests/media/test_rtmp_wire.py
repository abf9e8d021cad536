"""RTMP on the wire: what one side cuts up the other puts together, and noise is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safelight.media.rtmp_wire import (
    SET_CHUNK_SIZE,
    ChunkReader,
    Message,
    Value,
    WireError,
    chunked,
    decode,
    encode,
)

STAMPS = st.integers(0, 2**32 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=5))
def test_values_come_back(values: list[Value]) -> None:
    assert decode(encode(*values)) == values


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_but_never_more(data: bytes) -> None:
    try:
        decode(data)
        ChunkReader().feed(data)
    except WireError as error:
        assert "RTMP" in str(error)  # noqa: PT017


@given(
    st.lists(
        st.tuples(st.integers(8, 20), st.binary(min_size=1, max_size=900), STAMPS),
        max_size=5,
    ),
    st.integers(1, 300),
    st.integers(1, 50),
)
@example([(9, bytes(300), 0x1000004)], 128, 7)
def test_messages_come_back(
    given_messages: list[tuple[int, bytes, int]], chunk_size: int, piece: int
) -> None:
    """Timestamps past 0xFFFFFF too: a stream gets there after four and a half hours."""
    sent = [Message(kind, payload, 1, at) for kind, payload, at in given_messages]
    size = Message(SET_CHUNK_SIZE, struct.pack(">I", chunk_size))
    wire = chunked(size, 2, 128) + b"".join(chunked(m, 4, chunk_size) for m in sent)
    reader = ChunkReader()
    got = [m for at in range(0, len(wire), piece) for m in reader.feed(wire[at : at + piece])]
    assert [(m.kind, m.payload) for m in got[1:]] == [(m.kind, m.payload) for m in sent]


def test_interleaved_and_short_headers_are_understood() -> None:
    reader = ChunkReader()
    first = bytes([3, 0, 0, 5, 0, 0, 2, 20, 1, 0, 0, 0]) + b"ab"
    same_length = bytes([0x43, 0, 0, 1, 0, 0, 3, 20]) + b"cde"
    only_time = bytes([0x83, 0, 0, 1]) + b"fgh"
    nothing = bytes([0xC3]) + b"ijk"
    wire = first + same_length + only_time + nothing
    assert [m.payload for m in reader.feed(wire)] == [b"ab", b"cde", b"fgh", b"ijk"]


def test_a_server_cannot_make_us_hold_gigabytes() -> None:
    with pytest.raises(WireError):
        ChunkReader().feed(bytes([3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 20, 0, 0, 0, 0]))
    with pytest.raises(WireError):
        decode(b"\x0a\xff\xff\xff\xff")
    deep = b"\x03\x00\x01a" * 50
    with pytest.raises(WireError):
        decode(deep)
