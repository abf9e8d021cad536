"""Where packets go: a file that looks whole only once it is, or an RTMP server."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeAlias

import av
from av.container import OutputContainer
from av.packet import Packet

from safelight.errors import SinkError, SinkLostError
from safelight.media.address import Address
from safelight.media.libav import LIBAV_ERRORS, words

FORMATS: Final = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".flv": "flv",
    ".ts": "mpegts",
}
_TAKES: Final = "use .mp4, .mov, .mkv, .flv or .ts"
_LOST_FILE: Final = "make room, or give another place; nothing that looks whole was left"
_LOST_STREAM: Final = "check the server, and start again"


# In quotes: the class can be subscripted in its stubs only.
AnyPacket: TypeAlias = "Packet[Any]"


class Output(Protocol):
    """Where packets go. ``container`` is what their streams are added to, before ``start``."""

    container: OutputContainer

    def start(self) -> None:
        """Write the header. Raises SinkError."""
        ...

    def put(self, packet: AnyPacket) -> None:
        """Write a packet. Raises SinkLostError."""
        ...

    def finish(self) -> None:
        """Complete it. Raises SinkLostError."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind that looks whole. Never raises."""
        ...


class FileOutput:
    """Writes ``NAME.part`` and renames it to ``NAME`` when it is whole."""

    def __init__(self, address: Address) -> None:
        self._shown = address.shown
        self._path = Path(address.target)
        self._part = self._path.with_name(self._path.name + ".part")
        suffix = self._path.suffix.lower()
        if suffix not in FORMATS:
            what = "cannot carry H.264" if suffix == ".webm" else "names no container that is known"
            raise SinkError(f"{self._shown} {what}", _TAKES)
        self._file = self._create()
        self.container = av.open(
            self._file, "w", format=FORMATS[suffix], container_options={"fflags": "+bitexact"}
        )

    def _create(self) -> BinaryIO:
        if self._path.is_dir():
            raise SinkError(f"{self._shown} is a directory", "give a file name in it")
        try:
            if not self._path.parent.is_dir():
                raise SinkError(
                    f"cannot write {self._shown}: its folder is not there", "make the folder first"
                )
            # A link planted under that name is not followed.
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(self._part, flags | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise SinkError(
                f"cannot write {self._shown}: {words(error)}", "give a place that can be written"
            ) from error
        return open(descriptor, "wb", buffering=1 << 18)

    def start(self) -> None:
        """Write the header."""
        try:
            self.container.start_encoding()
        except (*LIBAV_ERRORS, ValueError) as error:
            raise SinkLostError(
                f"cannot write {self._shown}: {words(error)}", _LOST_FILE
            ) from error

    def put(self, packet: AnyPacket) -> None:
        """Write a packet. Raises SinkLostError."""
        try:
            self.container.mux(packet)
        except LIBAV_ERRORS as error:
            raise SinkLostError(
                f"cannot write {self._shown}: {words(error)}", _LOST_FILE
            ) from error

    def finish(self) -> None:
        """Write the trailer and give it its name. Raises SinkLostError."""
        try:
            self.container.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
        except LIBAV_ERRORS as error:
            self.abandon()
            raise SinkLostError(
                f"cannot finish {self._shown}: {words(error)}", _LOST_FILE
            ) from error

    def abandon(self) -> None:
        """Remove it. Never raises."""
        # Closed before the container is, which then writes no trailer. Whatever fails here,
        # the unfinished file goes.
        with contextlib.suppress(*LIBAV_ERRORS):
            self._file.close()
        with contextlib.suppress(*LIBAV_ERRORS):
            self.container.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)


class StreamOutput:
    """Sends to an RTMP server from a thread of its own.

    libav sets no limit to how long a send may take; with a thread, a server that stops
    listening is noticed after ``stall_s`` and cannot hold the guard.
    """

    def __init__(self, address: Address, *, answer_s: float, stall_s: float) -> None:
        self._shown = address.shown
        self._answer_s = answer_s
        self._stall_s = stall_s
        self._packets: queue.SimpleQueue[tuple[float, AnyPacket] | None] = queue.SimpleQueue()
        self._sending_since: float | None = None
        self._error: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="safelight-sink", daemon=True)
        self.container = av.open(
            address.target,
            "w",
            format="flv",
            container_options={
                "fflags": "+bitexact",
                "flvflags": "no_duration_filesize",
                "flush_packets": "1",
                # Pictures do not wait for sound that may not come.
                "max_interleave_delta": "100000",
            },
        )

    def start(self) -> None:
        """Connect. Raises SinkError."""
        self._thread.start()
        answered = self._started.wait(self._answer_s)
        if self._error is not None:
            raise SinkError(
                f"cannot open {self._shown}: {words(self._error)}",
                "check the address, and that the server is running",
            ) from self._error
        if not answered:
            raise SinkError(
                f"cannot open {self._shown}: it does not answer",
                "check the address, and that the server is running",
            )

    def put(self, packet: AnyPacket) -> None:
        """Have a packet sent. Raises SinkLostError."""
        self._check()
        self._packets.put((time.monotonic(), packet))

    def finish(self) -> None:
        """Wait until everything is sent. Raises SinkLostError."""
        self._packets.put(None)
        self._thread.join(self._stall_s)
        if self._thread.is_alive():
            raise SinkLostError(f"{self._shown} takes no more data", _LOST_STREAM)
        self._check()

    def abandon(self) -> None:
        """Hang up. Never raises."""
        self._packets.put(None)
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _check(self) -> None:
        if self._error is not None:
            raise SinkLostError(
                f"{self._shown}: {words(self._error)}", _LOST_STREAM
            ) from self._error
        since = self._sending_since
        if since is not None and time.monotonic() - since > self._stall_s:
            raise SinkLostError(f"{self._shown} takes no more data", _LOST_STREAM)

    def _run(self) -> None:
        try:
            self.container.start_encoding()
            self._started.set()
            while (item := self._packets.get()) is not None:
                self._sending_since = item[0]
                self.container.mux(item[1])
                self._sending_since = None
            self.container.close()
        except (*LIBAV_ERRORS, ValueError) as error:
            self._error = error
            self._started.set()
            # Marks it as ended, so that nothing tries again later.
            with contextlib.suppress(*LIBAV_ERRORS):
                self.container.close()
