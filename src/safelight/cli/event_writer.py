"""Writes lines on a thread of its own: a reader that stopped reading holds nobody up."""

from __future__ import annotations

import os
import queue
import select
import threading
from typing import Final

BACKLOG: Final = 1000  # lines that wait for a slow reader
FINISH_S: Final = 1.0  # how long a reader may take for what waits at the end


class EventWriter:
    """Writes to a descriptor that it does not own. Once a line is lost no more are written:
    what was written has no gaps."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(BACKLOG)
        self._broken: str | None = None
        # A daemon: stuck in a write it is left behind when the process ends.
        self._thread = threading.Thread(target=self._run, name="safelight-events", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> str | None:
        """Why not every line was written; None while every one was, or still waits."""
        return self._broken

    def put(self, line: str) -> None:
        """Have a line written. Returns at once."""
        if self._broken is not None:
            return
        try:
            self._lines.put_nowait(line.encode())
        except queue.Full:
            self._broken = "nobody reads them"

    def finish(self) -> bool:
        """Write what waits, for a second at most; False when the writing hangs."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=FINISH_S)
            except queue.Full:
                self._broken = "nobody reads them"
            else:
                self._thread.join(FINISH_S)
                if self._thread.is_alive():
                    self._broken = "nobody reads them"
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._broken is not None:
                continue
            try:
                self._write(line)
            except OSError as error:
                self._broken = error.strerror or "it cannot be written"

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
