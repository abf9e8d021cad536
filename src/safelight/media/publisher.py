"""A program of its own that hands FLV on to an RTMP server. ``stream_output`` runs it.

libav publishes well, but its binding holds Python's interpreter lock while an output
connects, and offers no time limit there. Here that stops nobody: whoever started this
program waits as long as it likes, and ends it.

It imports nothing of ours, so that it is small and starts quickly. What it gets was released
and encoded already. On standard input: a line of JSON (``target``, libav's ``options``,
``answer_s``), then FLV to the end, which leaves byte by byte as it came. On standard output,
a line each: ``ready`` when it is loaded, ``open`` when the server takes the stream, or
``failed`` and why: ``host``, ``tls``, ``refused``, ``protocol`` or an errno. Exit status 0:
everything was handed on. The address comes this way because ``ps`` shows arguments to all.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import termios
import threading
import time
from typing import Final
from urllib.parse import urlsplit

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

_IN: Final = 0
_OUT: Final = 1
_PR_SET_PDEATHSIG: Final = 1
_BYTES: Final = 64 * 1024
# So long may it take to hand on what is left, once nobody writes to it any more.
_FLUSH_S: Final = 5
# For as much less is waited for the server to have it all; the kernel goes on without us.
_MARGIN_S: Final = 0.5
_LOOK_AGAIN_MS: Final = 20
# libav's connection is among the first descriptors: two pipes are all there is besides.
_DESCRIPTORS: Final = 64
# What the kernel may hold for a slow network; without this it grows to megabytes, and a
# server that takes nothing is noticed late.
_SEND_BUFFER: Final = 512 * 1024


def main() -> int:
    """Run the program; return its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The guard decides when the stream ends, and says so by closing standard input.
        signal.signal(number, signal.SIG_IGN)
    # A dump of memory would hold pictures and the stream key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = json.loads(_line())
    _say("ready")
    enough = threading.Event()
    threading.Thread(target=_end_with_the_guard, args=(enough,), daemon=True).start()
    try:
        output = _open(order["target"], order["options"], order["answer_s"])
        _say("open")
        _copy(output)
        _close(output, enough)
    except FailedError as error:
        _say(f"failed {error}")
        return 1
    except (FFmpegError, OSError) as error:
        _say(f"failed {error.errno or errno.EIO}")
        return 1
    return 0


class FailedError(Exception):
    """The server cannot be had; its text is the word for why."""


def _open(target: str, options: dict[str, str], answer_s: int) -> OutputContainer:
    try:
        # libav says of an unknown host no more than that something failed.
        socket.getaddrinfo(urlsplit(target).hostname, None)
    except OSError as error:
        raise FailedError("host") from error
    # The binding lets no thread run while it connects, so the kernel has to end this program
    # if the guard dies meanwhile; where it cannot, after a while.
    _die_with_parent(signal.SIGKILL)
    signal.alarm(answer_s + _FLUSH_S)
    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture(local=False) as said:
        try:
            output = _connect(target, options)
        except (FFmpegError, OSError) as error:
            raise FailedError(_why(error, said)) from error
    av.logging.set_level(None)
    signal.alarm(0)
    _die_with_parent(0)
    return output


def _why(error: FFmpegError | OSError, said: list[tuple[int, str, str]]) -> str:
    """Tell apart what libav gives one number to, by who complained in its log."""
    if any(name == "tls" for _, name, _ in said):
        return "tls"
    if any(name == "rtmp" and what.startswith("Server error") for _, name, what in said):
        return "refused"
    if isinstance(error, EOFError):
        return str(errno.ECONNRESET)
    if error.errno in (None, errno.EIO):
        return "protocol"
    return str(error.errno)


def _connect(target: str, more: dict[str, str]) -> OutputContainer:
    """Open the server's side. libav's RTMP takes the bytes of an FLV file."""
    options = {
        # No muxer: every byte as it came.
        "f": "data",
        "flush_packets": "1",
        "tcp_nodelay": "1",
        "send_buffer_size": str(_SEND_BUFFER),
    } | more
    # The binding passes no options to a connection; libav's "tee" does, to its one branch.
    given = ":".join(f"{name}={_escaped(value, ':]')}" for name, value in options.items())
    output = av.open(
        _escaped(f"[{given}]{target}", "|"), "w", format="tee", metadata_errors="replace"
    )
    output.add_data_stream()
    output.start_encoding()
    return output


def _copy(output: OutputContainer) -> None:
    stream = output.streams[0]
    while data := os.read(_IN, _BYTES):
        packet = Packet(data)
        packet.stream = stream
        output.mux(packet)


def _close(output: OutputContainer, enough: threading.Event) -> None:
    """Close, and wait until the server's machine has everything.

    A connection that is closed while something from the server is unread, as its receipts are
    now and then, is reset by the kernel, and what the network has not yet taken is lost.
    """
    connection = _connection()
    output.close()
    if connection is None:
        return
    # A server that resets the connection now has had enough of it: it is over either way.
    with connection, contextlib.suppress(ConnectionError):
        connection.shutdown(socket.SHUT_WR)
        _wait_for_the_other_end(connection, enough)


def _connection() -> socket.socket | None:
    """Return this program's one socket once more: it stays open when libav closes it."""
    for number in range(_OUT + 1, _DESCRIPTORS):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                return socket.socket(fileno=os.dup(number))
        except OSError:
            continue
    return None


def _wait_for_the_other_end(connection: socket.socket, enough: threading.Event) -> None:
    """Read until the server has acknowledged all, or hangs up; for no longer than ``enough``."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while not enough.is_set() and not _acknowledged(connection):
        if poll.poll(_LOOK_AGAIN_MS) and not connection.recv(_BYTES):
            return


def _acknowledged(connection: socket.socket) -> bool:
    """Say whether the other end's kernel has all; False where ours does not tell."""
    if not sys.platform.startswith("linux"):
        return False
    left = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(left, sys.byteorder) == 0


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{sign}" if sign in special + "\\'" else sign for sign in text)


def _end_with_the_guard(enough: threading.Event) -> None:
    """End when the guard has closed its side, or died, and the rest is not taken in time."""
    poll = select.poll()
    poll.register(_IN, 0)
    poll.poll()
    time.sleep(_FLUSH_S - _MARGIN_S)
    enough.set()
    time.sleep(_MARGIN_S)
    os._exit(1)


def _die_with_parent(number: int) -> None:
    """Have Linux send a signal when the parent dies; 0 for none.

    It counts the *thread* that started this program as its parent. That one waits for us to
    connect; afterwards it may end while the session goes on, so then it must not count.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _line() -> bytes:
    line = b""
    # Byte by byte: what follows the line is not to be taken from the pipe with it.
    while not line.endswith(b"\n"):
        byte = os.read(_IN, 1)
        if not byte:
            # The guard is gone before it began.
            os._exit(1)
        line += byte
    return line


def _say(what: str) -> None:
    os.write(_OUT, what.encode() + b"\n")


if __name__ == "__main__":
    # Not sys.exit: closing a connection that hangs would hang with it.
    os._exit(main())
