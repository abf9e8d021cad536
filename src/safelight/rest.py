"""How long an interruption lasts at least, and who else has to hear of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from safelight.errors import UsageError
from safelight.types import NS_PER_S, CoolDownStarted, Reason


def alone(_level: int, _until_ns: int) -> None:
    """A stream that belongs to no call: nobody else is interrupted with it."""


class _Parts(Protocol):
    @property
    def resume_after_s(self) -> float | None: ...
    @property
    def keep_cool_down(self) -> Callable[[int], None]: ...
    @property
    def others_wait_s(self) -> Callable[[], float]: ...
    @property
    def interrupted(self) -> Callable[[int, int], None]: ...


class Rest:
    """One stream's interruptions. Times are on the clock of the stream's engine, in ns.

    ``live``: a file's interruptions concern nobody else, and nobody else's concern it.
    """

    def __init__(self, parts: _Parts, *, live: bool) -> None:
        self._parts = parts
        self._live = live
        self._since_ns: int | None = None
        self._until_ns = 0
        self._level = 0

    def others_wait_s(self) -> float:
        """Return how long another guard's cool-down lasts yet, in seconds."""
        return self._parts.others_wait_s() if self._live else 0.0

    def cool_down(self, note: CoolDownStarted) -> bool:
        """Note that a cool-down begins; False when others cannot be told of it."""
        self._level, self._until_ns = note.level, note.until_ns
        try:
            if self._live:
                self._parts.keep_cool_down(note.level)
        except UsageError:
            # It holds for this stream; only the next one will not know of it.
            return False
        return True

    def begin(self, reason: Reason, now_ns: int) -> float:
        """Note that an interruption begins; return how long a resume has to wait, in seconds."""
        self._since_ns = now_ns
        others_ns = now_ns + round(self.others_wait_s() * NS_PER_S)
        self._until_ns = max(self._until_ns, others_ns)
        if reason is not Reason.OTHER_DIRECTION:
            # Where it comes from the other direction, that one knows.
            self._parts.interrupted(self._level, self._until_ns)
        return (self._until_ns - now_ns) / NS_PER_S

    def refused(self, until_ns: int, now_ns: int) -> None:
        """Note that a resume came too early: the other direction may not go on either."""
        self._since_ns = self._since_ns or now_ns
        self._until_ns = max(self._until_ns, until_ns)
        self._parts.interrupted(self._level, self._until_ns)

    def is_due(self, now_ns: int) -> bool:
        """Whether it is to be left by itself now (``resume_after_s``); said once."""
        after, since = self._parts.resume_after_s, self._since_ns
        if after is None or since is None or now_ns < self._until_ns:
            return False
        if now_ns - since < after * NS_PER_S:
            return False
        self._since_ns = None
        return True
