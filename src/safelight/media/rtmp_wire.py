"""RTMP on the wire: AMF0 values and chunks, as Adobe's RTMP 1.0 specification says.

Pure: bytes in, messages out, and the other way round.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import Final

SET_CHUNK_SIZE: Final = 1
ACKNOWLEDGEMENT: Final = 3
USER_CONTROL: Final = 4
WINDOW_ACK_SIZE: Final = 5
AUDIO: Final = 8
VIDEO: Final = 9
DATA: Final = 18
COMMAND: Final = 20

_EXTENDED: Final = 0xFFFFFF
_MAX_MESSAGE: Final = 1 << 20

Value = float | bool | str | None | dict[str, "Value"] | list["Value"]


class WireError(OSError):
    """What came is not RTMP."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EPROTO, f"the other end does not speak RTMP ({what})")


@dataclass(frozen=True, slots=True)
class Message:
    """One RTMP message. ``timestamp`` is in milliseconds."""

    kind: int
    payload: bytes
    stream: int = 0
    timestamp: int = 0


# --- AMF0 -------------------------------------------------------------------------------------


def encode(*values: Value) -> bytes:
    """Return the values as AMF0."""
    return b"".join(map(_encoded, values))


def _encoded(value: Value) -> bytes:
    match value:
        case None:
            return b"\x05"
        case bool():
            return b"\x01" + bytes([value])
        case int() | float():
            return b"\x00" + struct.pack(">d", value)
        case str():
            return b"\x02" + _text(value)
        case dict():
            fields = b"".join(_text(name) + _encoded(item) for name, item in value.items())
            return b"\x03" + fields + b"\x00\x00\x09"
        case _:
            raise TypeError("a list is only ever received")


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def decode(data: bytes) -> list[Value]:
    """Return all AMF0 values in ``data``.

    Raises:
        WireError: it is not AMF0, or a kind of it that servers do not send here.
    """
    values: list[Value] = []
    at = 0
    try:
        while at < len(data):
            value, at = _decoded(data, at, 0)
            values.append(value)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise WireError("not AMF0") from error
    return values


def _decoded(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth > 8:
        raise WireError("nested too deeply")
    marker, at = data[at], at + 1
    match marker:
        case 0x00:
            return struct.unpack_from(">d", data, at)[0], at + 8
        case 0x01:
            return data[at] != 0, at + 1
        case 0x02:
            return _read_text(data, at)
        case 0x03:
            return _read_fields(data, at, depth)
        case 0x05 | 0x06:
            return None, at
        case 0x08:
            return _read_fields(data, at + 4, depth)
        case 0x0A:
            items: list[Value] = []
            count, at = struct.unpack_from(">I", data, at)[0], at + 4
            for _ in range(count):
                item, at = _decoded(data, at, depth + 1)
                items.append(item)
            return items, at
        case _:
            raise WireError(f"an unknown kind of value: {marker}")


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + struct.unpack_from(">H", data, at)[0]
    if end > len(data):
        raise WireError("a text that is cut off")
    return data[at + 2 : end].decode(), end


def _read_fields(data: bytes, at: int, depth: int) -> tuple[dict[str, Value], int]:
    fields: dict[str, Value] = {}
    while True:
        name, at = _read_text(data, at)
        if not name and data[at] == 0x09:
            return fields, at + 1
        fields[name], at = _decoded(data, at, depth + 1)


# --- chunks -----------------------------------------------------------------------------------


def chunked(message: Message, chunk_stream: int, chunk_size: int) -> bytes:
    """Return a message cut into chunks, every one but the first with a header of one byte."""
    late = message.timestamp >= _EXTENDED
    extended = struct.pack(">I", message.timestamp & 0xFFFFFFFF) if late else b""
    stamp = _EXTENDED if late else message.timestamp
    head = (
        bytes([chunk_stream])
        + stamp.to_bytes(3, "big")
        + len(message.payload).to_bytes(3, "big")
        + bytes([message.kind])
        + struct.pack("<I", message.stream)
        + extended
    )
    parts = [head, message.payload[:chunk_size]]
    for start in range(chunk_size, len(message.payload), chunk_size):
        parts += [bytes([0xC0 | chunk_stream]), extended]
        parts.append(message.payload[start : start + chunk_size])
    return b"".join(parts)


@dataclass(slots=True)
class _Partial:
    """What a chunk stream remembers of its last message."""

    kind: int = 0
    length: int = 0
    stream: int = 0
    timestamp: int = 0
    extended: bool = False
    data: bytes = b""


class ChunkReader:
    """Puts messages together again from bytes as they come."""

    def __init__(self) -> None:
        self._chunk_size = 128
        self._buffer = b""
        self._partials: dict[int, _Partial] = {}

    def feed(self, data: bytes) -> list[Message]:
        """Add bytes; return the messages that are complete.

        Raises:
            WireError: it is not RTMP.
        """
        self._buffer += data
        messages: list[Message] = []
        while (step := self._chunk()) is not None:
            used, message = step
            self._buffer = self._buffer[used:]
            if message is None:
                continue
            if message.kind == SET_CHUNK_SIZE and len(message.payload) >= 4:
                self._chunk_size = max(1, int.from_bytes(message.payload[:4], "big") & 0x7FFFFFFF)
            messages.append(message)
        return messages

    def _chunk(self) -> tuple[int, Message | None] | None:
        """Return how long the first chunk is and what it completes; None if it is not all there."""
        data = self._buffer
        if not data:
            return None
        form, number, at = data[0] >> 6, data[0] & 0x3F, 1
        if number < 2 and len(data) < 2 + number:
            return None
        if number == 0:
            number, at = data[1] + 64, 2
        elif number == 1:
            number, at = data[1] + data[2] * 256 + 64, 3
        size = (11, 7, 3, 0)[form]
        if len(data) < at + size:
            return None
        known = self._partials.get(number, _Partial())
        made = _Partial(
            known.kind, known.length, known.stream, known.timestamp, known.extended, known.data
        )
        if form < 3:
            made.timestamp = int.from_bytes(data[at : at + 3], "big")
            made.extended = made.timestamp == _EXTENDED
        if form < 2:
            made.length = int.from_bytes(data[at + 3 : at + 6], "big")
            made.kind = data[at + 6]
        if form == 0:
            made.stream = int.from_bytes(data[at + 7 : at + 11], "little")
        if made.length > _MAX_MESSAGE:
            raise WireError("a message too long for a server's answer")
        at += size + (4 if made.extended else 0)
        wanted = min(self._chunk_size, made.length - len(made.data))
        if len(data) < at + wanted:
            return None
        made.data += data[at : at + wanted]
        at += wanted
        self._partials[number] = made
        if len(made.data) < made.length:
            return at, None
        message = Message(made.kind, made.data, made.stream, made.timestamp)
        made.data = b""
        return at, message
