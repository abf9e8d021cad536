"""Makes the events that a host app hears, on one clock that never goes back.

``StreamClock`` follows what leaves, as sinks do: where a source begins a new clock (a publisher
came back), stream time goes on one step after the last picture.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Final

from safelight.events import StreamEvent, seconds
from safelight.media.interface import MayLeave, Source
from safelight.types import NS_PER_S, CardText, Reason, State

USUAL_STEP_NS: Final = NS_PER_S // 30
# Longer than any frame is held: what came before a publisher left has been settled by then.
SETTLED_S: Final = 2.5


@dataclasses.dataclass(frozen=True, slots=True)
class Texts:
    """What cards and events say: ``stream`` is drawn into the stream, ``local`` is for the
    person at this device, ``state`` and ``event`` are one line on a state, or on a kind of
    event; ``event("rest")`` is an interruption that nobody can end."""

    stream: CardText
    local: CardText
    state: Callable[[State], str]
    event: Callable[[str], str]


class StreamClock:
    """Stream time in nanoseconds: the source's pts, shifted where those go back."""

    def __init__(self, frame_rate: float) -> None:
        self._step_ns = round(NS_PER_S / frame_rate) if frame_rate > 0.0 else USUAL_STEP_NS
        self._shift_ns = 0
        self.last_ns: int | None = None

    def at(self, pts_ns: int) -> int:
        """Return the stream time of what comes next in stream order."""
        at_ns = pts_ns + self._shift_ns
        if self.last_ns is not None and at_ns < self.last_ns:
            self._shift_ns += self.last_ns + self._step_ns - at_ns
            at_ns = self.last_ns + self._step_ns
        self.last_ns = at_ns
        return at_ns


class Absence:
    """Watches whether whoever feeds a source is there."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._since_s: float | None = None
        self._settled = False

    def look(self) -> tuple[str, float]:
        """Return what is new, and for how many seconds yet somebody who left may come back.

        "source_left" and "source_back" as it happens; "settled" once, when nothing of what
        came before can still be held; else "".
        """
        source = self._source
        left_s = source.back_within_s if isinstance(source, MayLeave) else None
        now_s = time.monotonic()
        if left_s is None:
            was, self._since_s = self._since_s, None
            return ("source_back" if was is not None else "", 0.0)
        if self._since_s is None:
            self._since_s, self._settled = now_s, False
            return ("source_left", left_s)
        if not self._settled and now_s - self._since_s >= SETTLED_S:
            self._settled = True
            return ("settled", left_s)
        return ("", left_s)


class Teller:
    """Tells a host app, and keeps what its events say besides."""

    def __init__(self, texts: Texts, tell: Callable[[StreamEvent], None], *, resumes: bool) -> None:
        """``resumes``: whether anybody, or anything, may resume this stream."""
        self._texts = texts
        self._tell = tell
        self._resumes = resumes
        self.state = State.PENDING
        self.reason = Reason.STARTING

    def tell(self, kind: str, at_ns: int, *, reason: Reason | None = None, wait_s: float) -> None:
        """Tell one event; its reason is the state's unless another is given."""
        card = None if self.state in (State.LIVE, State.PENDING) else self._texts.local
        self._tell(
            StreamEvent(
                kind,
                self.state,
                self.reason if reason is None else reason,
                seconds(at_ns),
                card,
                self._line(kind),
                max(0.0, wait_s),
            )
        )

    def _line(self, kind: str) -> str:
        if kind in ("end", "source_left", "source_back"):
            return self._texts.event(kind)
        if self.state is State.INTERRUPTED and not self._resumes:
            return self._texts.event("rest")
        return self._texts.state(self.state)
