"""The files that a guard was asked to write beside its sink: a report, and events.

Both are tried before anything runs. A report appears whole, at the end; events are appended
line by line. When events can no longer be written the guard goes on, and says so at the end.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from safelight import Report, StreamEvent
from safelight.cli.event_line import EventLine
from safelight.errors import LostError, UsageError

STDOUT: Final = "-"


class Outputs:
    """Opens both in ``__enter__``; afterwards nothing half-written is left.

    Raises:
        UsageError: one cannot be written, or is the source or the sink itself.
    """

    def __init__(self, report: str | None, events: str | None, *, taken: tuple[str, ...]) -> None:
        self._report = Path(report) if report is not None else None
        self._events_to = events
        self._taken = taken
        self._part: Path | None = None
        self._events: TextIO | None = None
        self._closing = contextlib.ExitStack()
        self._broken: str | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            if self._report is not None:
                self._refuse_taken("--report", self._report)
                self._part = self._prepare(self._report)
                undo.callback(self._part.unlink, missing_ok=True)
            if self._events_to == STDOUT:
                self._events = sys.stdout
            elif self._events_to is not None:
                path = Path(self._events_to)
                self._refuse_taken("--events", path)
                if self._report is not None and path.absolute() == self._report.absolute():
                    raise UsageError("--report and --events are the same file", "name two files")
                try:
                    self._events = undo.enter_context(path.open("w", encoding="utf-8"))
                except OSError as error:
                    raise _cannot("--events", path, error) from None
            self._closing = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._closing.close()

    def event(self, event: StreamEvent) -> None:
        """Write one line. A reader that went away does not stop the guard."""
        if self._events is None:
            return
        try:
            self._events.write(EventLine.of(event).as_text())
            self._events.flush()
        except OSError as error:
            self._broken = error.strerror or "it cannot be written"
            self._events = None

    def report(self, report: Report) -> None:
        """Write the report, whole or not at all.

        Raises:
            LostError: it cannot be written.
        """
        if self._report is None or self._part is None:
            return
        try:
            with self._part.open("w", encoding="utf-8") as file:
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
        """Say at the end whether every event was written.

        Raises:
            LostError: not every one was.
        """
        if self._broken is not None:
            raise LostError(
                f"not every event could be written ({self._broken})",
                "see what reads them; the guarding itself is not affected",
            )

    def _refuse_taken(self, flag: str, path: Path) -> None:
        for other in self._taken:
            with contextlib.suppress(OSError):
                if Path(other).absolute() == path.absolute() or path.samefile(other):
                    raise UsageError(f"{flag} is the source or the sink", "name another file")

    def _prepare(self, path: Path) -> Path:
        part = path.with_name(path.name + ".part") if path.name else path
        try:
            if path.is_dir():
                raise UsageError(f"--report {path} is a folder", "name a file in it")
            # A link planted under that name is not followed.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            os.close(os.open(part, flags, 0o666))
        except OSError as error:
            raise _cannot("--report", path, error) from None
        return part


def _cannot(flag: str, path: Path, error: OSError) -> UsageError:
    why = (error.strerror or "it cannot be opened").lower()
    return UsageError(f"{flag} {path} cannot be written ({why})", "name another place")
