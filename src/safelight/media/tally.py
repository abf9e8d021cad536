"""Counts what a source does not pass on, so that nothing is left out silently."""

from __future__ import annotations

import threading

from safelight.media.interface import DroppedStream


class Tally:
    """Counts by kind and name. Any thread may count and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, kind: str, what: str, count: int = 1) -> None:
        """Count ``count`` more of ``what``; names only, never contents."""
        if count < 1:
            return
        with self._lock:
            self._counts[kind, what] = self._counts.get((kind, what), 0) + count

    def dropped(self) -> tuple[DroppedStream, ...]:
        """Return what was counted so far, in the order in which it first came up."""
        with self._lock:
            return tuple(DroppedStream(kind, what, n) for (kind, what), n in self._counts.items())
