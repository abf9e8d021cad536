"""How long a judge that does not keep up is left alone before a stream tries to open again.

A closed stream has every frame judged, which costs several times what an open one does: one that
goes on trying on a busy machine keeps it busy, for itself and for all others.
"""

from __future__ import annotations

from safelight.core.limits import Limits


class Backoff:
    """Counts covers for want of an answer that follow each other soon."""

    def __init__(self, limits: Limits) -> None:
        # A file waits for its judge; nothing is late there.
        self._waits_ns = (0,) if limits.patient else limits.retry_ns
        self._window_ns = limits.retry_window_ns
        self._level = -1
        self._until_ns = 0

    def covered(self, now_ns: int) -> None:
        """Note that an open stream was covered because an answer did not come in time."""
        soon = self._level >= 0 and now_ns - self._until_ns < self._window_ns
        self._level = min(self._level + 1, len(self._waits_ns) - 1) if soon else 0
        self._until_ns = now_ns + self._waits_ns[self._level]

    def waits(self, now_ns: int) -> bool:
        """Whether nothing is to be asked now."""
        return now_ns < self._until_ns
