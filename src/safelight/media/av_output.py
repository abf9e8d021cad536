"""Where packets go: here a file, which looks whole only once it is."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
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
_TAKES: Final = "use .mp4, .m4v, .mov, .mkv, .flv or .ts"
_LOST_FILE: Final = "make room, or give another place; nothing that looks whole was left"


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
    """Writes ``NAME.<random>.part`` and renames it to ``NAME`` when it is whole.

    The unfinished file is new: it takes no name that is there already, and only a file that
    was made here is removed.
    """

    def __init__(self, address: Address) -> None:
        self._shown = address.shown
        self._path = Path(address.target)
        # Random, so that nothing else that is written meanwhile can mean this very file.
        self._part = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}.part")
        if self._path.is_dir():
            raise SinkError(f"{self._shown} is a directory", "give a file name in it")
        suffix = self._path.suffix.lower()
        if suffix not in FORMATS:
            what = "cannot carry H.264" if suffix == ".webm" else "names no container that is known"
            raise SinkError(f"{self._shown} {what}", _TAKES)
        self._file = self._create()
        try:
            made = os.fstat(self._file.fileno())
            self._made = (made.st_dev, made.st_ino)
            self.container = av.open(
                self._file,
                "w",
                format=FORMATS[suffix],
                container_options={"fflags": "+bitexact"},
                metadata_errors="replace",
            )
        except BaseException:
            self._file.close()
            self._part.unlink(missing_ok=True)
            raise

    def _create(self) -> BinaryIO:
        if self._path.exists() and not self._path.is_file():
            # Renaming over a pipe or a device would replace it for everybody.
            raise SinkError(f"{self._shown} is not an ordinary file", "give another name")
        try:
            if not self._path.parent.is_dir():
                raise SinkError(
                    f"cannot write {self._shown}: its folder is not there", "make the folder first"
                )
            # It must be new: no file and no link that has that name is touched.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
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
            if not self._is_ours():
                raise OSError(errno.ENOENT, "the unfinished file is gone")
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
            if self._is_ours():
                self._part.unlink()

    def _is_ours(self) -> bool:
        """Whether what has the unfinished file's name is what was made under it."""
        try:
            there = self._part.lstat()
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == self._made
