"""What a guard was asked to write beside its sink: a report, and events to a file or a socket.

All are tried before anything runs. A report appears whole, at the end; events are appended
line by line. Both are made for their user alone: nobody else gets a history. When events can
no longer be written the guard goes on, and says so at the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from safelight import EventsSocket, Report, StreamEvent
from safelight.cli.event_line import EventLine
from safelight.cli.event_writer import EventWriter
from safelight.errors import LostError, UsageError

STDOUT: Final = "-"


class Outputs:
    """Opens both in ``__enter__``; afterwards nothing half-written is left.

    ``taken`` are the places that a guard reads or writes otherwise, folders with all that is
    in them; what is no place of the file system is passed over.

    Raises:
        UsageError: one cannot be written, or is one of ``taken``, or both are the same.
    """

    def __init__(
        self,
        report: str | None,
        events: str | None,
        *,
        taken: Sequence[str],
        socket: str | None = None,
    ) -> None:
        self._report = Path(report) if report is not None else None
        self._events_to = events
        self._socket_at = socket
        self._socket: EventsSocket | None = None
        self._taken = tuple(taken)
        self._part: Path | None = None
        self._events: EventWriter | None = None
        self._descriptor: int | None = None
        self._emptied = False
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._report == Path(STDOUT):
            raise UsageError(
                "--report - : a report goes to a file", "name one; events can go to standard output"
            )
        with contextlib.ExitStack() as undo:
            if self._report is not None:
                self._refuse_taken("--report", self._report)
                self._part = self._prepare(self._report)
                undo.callback(self._part.unlink, missing_ok=True)
            if self._socket_at is not None:
                self._socket = undo.enter_context(EventsSocket(self._socket_at))
            if self._events_to == STDOUT:
                self._events = EventWriter(_standard_output())
            elif self._events_to is not None:
                self._descriptor = self._open_events(Path(self._events_to))
                self._events = EventWriter(self._descriptor)
            self._closing = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A descriptor that a stuck write still uses is left for the process to close.
        idle = self._events is None or self._events.finish()
        with contextlib.suppress(OSError):
            self._closing.close()
            if idle and self._descriptor is not None:
                os.close(self._descriptor)

    @property
    def broken(self) -> str | None:
        """Why events are no longer written; None while they are, or were never asked for."""
        return self._events.broken if self._events is not None else None

    def on_resume(self, resume: Callable[[], None]) -> None:
        """Let host apps at the socket resume."""
        if self._socket is not None:
            self._socket.on_resume(resume)

    def event(self, event: StreamEvent) -> None:
        """Have one line written. Returns at once: no reader can hold up the guard."""
        if self._socket is not None:
            self._socket.tell(event)
        if self._events is not None:
            self._empty()
            self._events.put(EventLine.of(event).as_text())

    def report(self, report: Report) -> None:
        """Write the report, whole or not at all.

        Raises:
            LostError: it cannot be written.
        """
        if self._report is None or self._part is None:
            return
        try:
            flags = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(self._part, flags), "w", encoding="utf-8") as file:
                file.write(report.as_json())
                file.flush()
                os.fsync(file.fileno())
            self._part.replace(self._report)
        except OSError as error:
            raise LostError(
                f"the report could not be written ({error.strerror})",
                "make room; the guarding itself is not affected",
            ) from None

    def check(self) -> None:
        """Say at the end whether every event was written. No more can be.

        Raises:
            LostError: not every one was.
        """
        if self._events is not None:
            self._events.finish()
        if self.broken is not None:
            raise LostError(
                f"not every event could be written ({self.broken})",
                "see what reads them; the guarding itself is not affected",
            )

    def _open_events(self, path: Path) -> int:
        self._refuse_taken("--events", path)
        if self._report is not None and _same(path, self._report):
            raise UsageError("--report and --events are the same file", "name two files")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Asked of what was opened, and before it is emptied: names can change meanwhile.
            self._refuse_opened(descriptor)
        except OSError as error:
            raise _cannot("--events", path, error) from None
        return descriptor

    def _empty(self) -> None:
        """Empty the file of events before the first: a guard that never started leaves it alone."""
        if self._descriptor is None or self._emptied:
            return
        self._emptied = True
        with contextlib.suppress(OSError):  # a pipe, a device; a full disk tells when written to
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                os.ftruncate(self._descriptor, 0)

    def _refuse_opened(self, descriptor: int) -> None:
        opened = os.fstat(descriptor)
        for other in self._taken:
            with contextlib.suppress(OSError, ValueError):
                if os.path.samestat(opened, Path(other).stat()):
                    os.close(descriptor)
                    raise _is_taken("--events")

    def _refuse_taken(self, flag: str, path: Path) -> None:
        for other in self._taken:
            if _same(path, Path(other)) or _inside(path, Path(other)):
                raise _is_taken(flag)

    def _prepare(self, path: Path) -> Path:
        # A name that nobody else has, so that nothing of anybody's is written over.
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part") if path.name else path
        try:
            if path.is_dir():
                raise UsageError(f"--report {path} is a folder", "name a file in it")
            if path.is_symlink():
                # So is a link: /dev/stdout is one, and leads to a plain file now and then.
                raise UsageError(f"--report {path} is a link", "name the file itself")
            if path.exists() and not path.is_file():
                # It is put in place by renaming, which would replace a device for everybody.
                raise UsageError(f"--report {path} is not an ordinary file", "name one")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            os.close(os.open(part, flags, 0o600))
        except OSError as error:
            raise _cannot("--report", path, error) from None
        return part


def _same(one: Path, other: Path) -> bool:
    # ValueError: a name with a zero in it.
    with contextlib.suppress(OSError, ValueError):
        if one.resolve() == other.resolve():
            return True
        return one.samefile(other)
    return False


def _inside(path: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return folder.is_dir() and folder.resolve() in path.resolve().parents
    return False


def _standard_output() -> int:
    if sys.stdout is None:
        raise UsageError("--events -: standard output is closed", "name a file")
    return sys.stdout.fileno()


def _is_taken(flag: str) -> UsageError:
    return UsageError(
        f"{flag} is the source or the sink, or another file of this guard", "name another file"
    )


def _cannot(flag: str, path: Path, error: OSError) -> UsageError:
    why = (error.strerror or "it cannot be opened").lower()
    return UsageError(f"{flag} {path} cannot be written ({why})", "name another place")
