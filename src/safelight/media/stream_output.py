"""Sends packets to an RTMP server, by way of a program of its own: see ``publisher``."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import select
import ssl
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Final

import av

from safelight.errors import SinkError, SinkLostError
from safelight.media.address import Address, Kind
from safelight.media.av_output import AnyPacket
from safelight.media.libav import LIBAV_ERRORS, tls_options, words

_LOST_HINT: Final = "check the server, and start again"
_OPEN_HINT: Final = "check the address and the stream key, and that the server is running"
_PROGRAM: Final = Path(__file__).with_name("publisher.py")
# Loading takes a tenth of a second; a machine under load takes longer.
_LOAD_S: Final = 20.0
# How long the publisher may take to say why it ended, and to end.
_LAST_WORDS_S: Final = 2.0
_FLUSH_S: Final = 5.0
# Enough for a large picture and a short hiccup; a server that stalls still shows.
_PIPE: Final = 256 * 1024
_SET_PIPE_SIZE: Final = getattr(fcntl, "F_SETPIPE_SZ", None)
# All that the publisher needs of the environment: no proxy, and nothing that may hold a key.
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class _Buffer:
    """Stands in for a file: holds what the muxer wrote until it is passed on."""

    name = "flv"

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class StreamOutput:
    """Sends to an RTMP server. A server that stalls cannot hold the guard.

    ``answer_s``: how long it may take to answer. ``stall_s``: how long it may take no data.
    """

    def __init__(self, address: Address, *, answer_s: float, stall_s: float) -> None:
        self._address = address
        self._shown = address.shown
        self._answer_s = answer_s
        self._stall_s = stall_s
        self._publisher: Publisher | None = None
        self._buffer = _Buffer()
        self.container = av.open(
            self._buffer,
            "w",
            format="flv",
            container_options={
                "fflags": "+bitexact",
                "flvflags": "no_duration_filesize",
                "flush_packets": "1",
                # Pictures do not wait for sound that may not come.
                "max_interleave_delta": "100000",
            },
            metadata_errors="replace",
        )

    def start(self) -> None:
        """Connect. Raises SinkError."""
        self.container.start_encoding()
        try:
            self._publisher = Publisher()
            self._publisher.connect(self._address, self._answer_s)
            self._publisher.send(self._buffer.take(), self._stall_s)
        except OSError as error:
            raise SinkError(f"cannot open {self._shown}: {words(error)}", _OPEN_HINT) from error

    def put(self, packet: AnyPacket) -> None:
        """Have a packet sent. Raises SinkLostError."""
        self.container.mux(packet)
        try:
            self._pass_on()
        except OSError as error:
            raise self._lost(error) from error

    def finish(self) -> None:
        """Wait until everything is sent. Raises SinkLostError."""
        try:
            self.container.close()
            publisher = self._pass_on()
            publisher.finish()
        except LIBAV_ERRORS as error:
            raise self._lost(error) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Hang up. Never raises."""
        if self._publisher is not None:
            self._publisher.kill()
        try:
            self.container.close()
        except LIBAV_ERRORS:
            # Only its end mark was still to come, and nobody takes that any more.
            self._buffer.take()

    def _pass_on(self) -> Publisher:
        if self._publisher is None:
            raise OSError(errno.ENOTCONN, "not connected")
        self._publisher.send(self._buffer.take(), self._stall_s)
        return self._publisher

    def _lost(self, error: Exception) -> SinkLostError:
        if isinstance(error, StalledError):
            return SinkLostError(f"{self._shown} takes no more data", _LOST_HINT)
        return SinkLostError(f"{self._shown}: {words(error)}", _LOST_HINT)


class StalledError(TimeoutError):
    """The server took no data for too long."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, "it takes no more data")


class Publisher:
    """The other program, from outside. Everything but ``kill`` raises ``OSError``.

    One thread at a time uses it. It inherits its two pipes and nothing else.
    """

    def __init__(self) -> None:
        flags, environment = _isolation()
        self._process = subprocess.Popen(
            [sys.executable, *flags, str(_PROGRAM)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # libav's own lines may hold the address with its stream key.
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment,
            # Ctrl-C is for the guard, which then finishes the stream.
            start_new_session=True,
        )
        self._in = self._process.stdin.fileno() if self._process.stdin else -1
        self._out = self._process.stdout.fileno() if self._process.stdout else -1
        self._said = b""
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        if _SET_PIPE_SIZE is not None:
            try:
                fcntl.fcntl(self._in, _SET_PIPE_SIZE, _PIPE)
            except OSError:
                # The user has many pipes already: a smaller one does too.
                return

    def connect(self, address: Address, answer_s: float) -> None:
        """Have it connect, within ``answer_s``, to a server that takes the stream."""
        secure = address.kind is Kind.RTMPS
        order = {
            "target": address.target,
            "options": tls_options() if secure else {},
            "answer_s": math.ceil(answer_s),
        }
        self.send(json.dumps(order).encode() + b"\n", _LOAD_S)
        self._expect("ready", _LOAD_S)
        self._expect("open", answer_s)

    def send(self, data: bytes, stall_s: float) -> None:
        """Pass bytes on; none may have to wait for longer than ``stall_s``."""
        left = memoryview(data)
        deadline = time.monotonic() + stall_s
        while left:
            try:
                left = left[os.write(self._in, left) :]
                continue
            except BlockingIOError:
                wait_s = deadline - time.monotonic()
            except BrokenPipeError as error:
                raise self._last_words() from error
            if wait_s <= 0:
                raise StalledError
            _wait(self._in, select.POLLOUT, wait_s)

    def finish(self) -> None:
        """Let it hand on the rest, and end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            status = self._process.wait(_FLUSH_S)
        except subprocess.TimeoutExpired as error:
            raise StalledError from error
        if status != 0:
            raise self._last_words()

    def kill(self) -> None:
        """End it at once, if it still runs. Never raises."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        # Their numbers may soon belong to other files.
        self._in = self._out = -1

    def _expect(self, wanted: str, limit_s: float) -> None:
        line = self._next_line(limit_s)
        if line is None:
            raise TimeoutError(errno.ETIMEDOUT, "no answer in time")
        if line != wanted:
            raise _meaning(line)

    def _last_words(self) -> OSError:
        return _meaning(self._next_line(_LAST_WORDS_S) or "")

    def _next_line(self, limit_s: float) -> str | None:
        """Return its next line, "" when it says no more, None when ``limit_s`` is over."""
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._said:
            try:
                more = os.read(self._out, 1024)
            except BlockingIOError:
                wait_s = deadline - time.monotonic()
                if wait_s <= 0:
                    return None
                _wait(self._out, select.POLLIN, wait_s)
                continue
            if not more:
                return ""
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line.decode("ascii", "replace")


def _wait(descriptor: int, event: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    poll.poll(max(1, math.ceil(seconds * 1000)))


def _meaning(line: str) -> OSError:
    """Return the error that a line of the publisher's stands for."""
    match line.split():
        case ["failed", "host"]:
            return OSError(errno.EHOSTUNREACH, "no such host")
        case ["failed", "tls"]:
            return ssl.SSLError(errno.EPROTO, "not to be trusted")
        case ["failed", "refused"]:
            return OSError(errno.EPROTO, "the server refuses the stream")
        case ["failed", "protocol"]:
            return OSError(errno.EPROTO, "it does not speak RTMP as expected")
        case ["failed", number] if number.isdecimal() and int(number):
            return OSError(int(number), os.strerror(int(number)))
        case _:
            return OSError(errno.EIO, "it ended")


def _isolation() -> tuple[list[str], dict[str, str]]:
    """Return Python's flags and the environment with which it finds PyAV and little else."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    place = str(Path(av.__file__).parents[1])
    if place in (sysconfig.get_path("platlib"), sysconfig.get_path("purelib")):
        return ["-I"], environment
    return ["-P", "-s"], {**environment, "PYTHONPATH": place}
