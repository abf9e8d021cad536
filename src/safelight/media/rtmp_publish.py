"""Publishes to an RTMP server.

libav can do this too, but its binding holds Python's interpreter lock while it connects and
knows no time limit: a server that takes the connection and says nothing froze the whole
guard (measured). Here every wait has a limit, and the certificate of ``rtmps://`` is checked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from safelight.media.address import Address, Kind
from safelight.media.rtmp_wire import (
    ACKNOWLEDGEMENT,
    COMMAND,
    SET_CHUNK_SIZE,
    USER_CONTROL,
    WINDOW_ACK_SIZE,
    ChunkReader,
    Message,
    Value,
    WireError,
    chunked,
    decode,
    encode,
)

_CHUNK: Final = 4096
_HELLO: Final = 1536
_CONTROL_CHUNKS: Final = 2
_COMMAND_CHUNKS: Final = 3
_MEDIA_CHUNKS: Final = 4
_PING: Final = 6
_PONG: Final = 7


class RefusedError(OSError):
    """The server does not want this stream."""

    def __init__(self) -> None:
        super().__init__(errno.EPROTO, "the server refuses the stream")


class RtmpPublisher:
    """One connection that publishes one stream. One thread uses it.

    Everything raises ``OSError`` (``TimeoutError`` and ``ssl.SSLError`` among them) when the
    connection or the server fails.
    """

    def __init__(self, address: Address, *, answer_s: float, stall_s: float) -> None:
        self._address = address
        self._answer_s = answer_s
        self._stall_s = stall_s
        self._reader = ChunkReader()
        self._socket: socket.socket | None = None
        self._deadline = 0.0
        self._stream = 1
        self._received = 0
        self._acknowledged = 0
        self._window = 0
        parts = urlsplit(address.target)
        path = [part for part in parts.path.split("/") if part]
        self._app = "/".join(path[:-1]) if len(path) > 1 else "".join(path)
        self._key = (path[-1] if len(path) > 1 else "") + (f"?{parts.query}" if parts.query else "")
        self._tc_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{self._app}"

    def open(self) -> None:
        """Connect and get the server's leave to publish, within ``answer_s``."""
        self._deadline = time.monotonic() + self._answer_s
        self._socket = self._connect()
        self._shake_hands()
        self._send(Message(SET_CHUNK_SIZE, struct.pack(">I", _CHUNK)), _CONTROL_CHUNKS, first=True)
        hello: dict[str, Value] = {
            "app": self._app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; Safelight)",
            "tcUrl": self._tc_url,
        }
        self._command("connect", 1, hello)
        self._await(lambda name, values: name == "_result" and values[:1] == [1.0])
        self._command("releaseStream", 2, None, self._key)
        self._command("FCPublish", 3, None, self._key)
        self._command("createStream", 4, None)
        made = self._await(lambda name, values: name == "_result" and values[:1] == [4.0])
        self._stream = int(made[2]) if len(made) > 2 and isinstance(made[2], float) else 1
        self._command("publish", 5, None, self._key, "live", stream=self._stream)
        self._await(lambda name, values: name == "onStatus" and _code(values).endswith(".Start"))

    def send(self, kind: int, timestamp: int, payload: bytes) -> None:
        """Send sound, a picture or data at ``timestamp`` ms; answer what the server asked."""
        self._listen()
        self._send(Message(kind, payload, self._stream, timestamp), _MEDIA_CHUNKS)

    def idle(self) -> None:
        """Answer what the server asked, when there is nothing to send."""
        self._listen()

    def close(self, *, politely: bool) -> None:
        """Hang up; ``politely`` tells the server first. Never raises."""
        if self._socket is None:
            return
        if politely:
            # The stream is over: whether the server still hears the farewell is its affair.
            with contextlib.suppress(OSError):
                self._command("FCUnpublish", 6, None, self._key)
                self._command("deleteStream", 7, None, float(self._stream))
                self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()
        self._socket = None

    # --- opening ----------------------------------------------------------------------------

    def _connect(self) -> socket.socket:
        host, port = self._address.host or "", self._address.port or 0
        try:
            plain = socket.create_connection((host, port), timeout=self._answer_s)
        except socket.gaierror as error:
            raise OSError(errno.EHOSTUNREACH, "no such host") from error
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._address.kind is not Kind.RTMPS:
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise

    def _shake_hands(self) -> None:
        hello = struct.pack(">II", 0, 0) + os.urandom(_HELLO - 8)
        self._raw().sendall(b"\x03" + hello)
        answer = self._exactly(1 + 2 * _HELLO)
        if answer[0] != 3:
            raise WireError("another protocol")
        self._raw().sendall(answer[1 : 1 + _HELLO])

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._receive(size - len(data))
        return data

    def _await(self, wanted: Callable[[str, list[Value]], bool]) -> list[Value]:
        """Wait for a command that is wanted; return its values after the name."""
        while True:
            for message in self._reader.feed(self._receive(65536)):
                name, values = self._answer(message)
                if name and wanted(name, values):
                    return values

    def _receive(self, size: int) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "no answer in time")
        raw = self._raw()
        raw.settimeout(left)
        data = raw.recv(size)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the server hung up")
        self._received += len(data)
        return data

    # --- both -------------------------------------------------------------------------------

    def _raw(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return self._socket

    def _listen(self) -> None:
        """Take what has come without waiting for more."""
        raw = self._raw()
        raw.settimeout(0)
        try:
            while True:
                data = raw.recv(65536)
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "the server hung up")
                self._received += len(data)
                for message in self._reader.feed(data):
                    self._answer(message)
        except (BlockingIOError, ssl.SSLWantReadError):
            return

    def _answer(self, message: Message) -> tuple[str, list[Value]]:
        """Do what a message asks for; return its name and values if it is a command."""
        payload = message.payload
        if message.kind == WINDOW_ACK_SIZE and len(payload) >= 4:
            self._window = int.from_bytes(payload[:4], "big")
        elif message.kind == USER_CONTROL and payload[:2] == struct.pack(">H", _PING):
            self._send(
                Message(USER_CONTROL, struct.pack(">H", _PONG) + payload[2:6]), _CONTROL_CHUNKS
            )
        if self._window and self._received - self._acknowledged >= self._window:
            self._acknowledged = self._received
            count = struct.pack(">I", self._received & 0xFFFFFFFF)
            self._send(Message(ACKNOWLEDGEMENT, count), _CONTROL_CHUNKS)
        if message.kind != COMMAND:
            return "", []
        name, *values = decode(payload) or [""]
        failed = name == "_error" and values[:1] not in ([2.0], [3.0])
        if failed or (name == "onStatus" and _level(values) == "error"):
            raise RefusedError
        return str(name), values

    def _command(self, name: str, number: int, *values: Value, stream: int = 0) -> None:
        payload = encode(name, float(number), *values)
        self._send(Message(COMMAND, payload, stream), _COMMAND_CHUNKS)

    def _send(self, message: Message, chunk_stream: int, *, first: bool = False) -> None:
        raw = self._raw()
        raw.settimeout(self._stall_s)
        # The chunk size applies only once the server was told.
        raw.sendall(chunked(message, chunk_stream, 128 if first else _CHUNK))


def _status(values: list[Value]) -> dict[str, Value]:
    return next((value for value in values if isinstance(value, dict)), {})


def _code(values: list[Value]) -> str:
    return str(_status(values).get("code", ""))


def _level(values: list[Value]) -> str:
    return str(_status(values).get("level", ""))
