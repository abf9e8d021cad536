"""The ledger at the sink: decides by itself whether a picture may have left.

It knows what the source showed, what it overheard between judge and guard, and the pixels
that arrive. It shares nothing with the engine, nor with ``safelight.core.ledger``.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.faults import pictures
from tests.faults.pictures import Truth

from safelight.judge.judge import Answer
from safelight.media.interface import SourceInfo
from safelight.types import NS_PER_MS, NS_PER_S, Picture, SafeFrame, Scores, Sound, Token

# Stated here once more, and not taken from the engine's limits.
CLEAR_BELOW: Final = 0.5
LATEST_NS: Final = 750 * NS_PER_MS  # a livestream's hold and grace
BRACKET: Final = 8
WIDEST: Final = 32  # pictures in a hold at any rate here
HOLD_NS: Final = 250 * NS_PER_MS
STILL_NS: Final = NS_PER_S
CARDS: Final = 1  # a stream has one card a size


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as the source showed it. ``fault``: the one it came with or after."""

    truth: Truth
    look: int
    arrived_ns: int
    pts_ns: int
    digest: int
    fault: int


@dataclass(slots=True)
class Ledger:
    """One stream's. The source, the judge's thread and the sink's all write to it."""

    live: bool
    every: tuple[str, ...]
    shown: dict[int, Shown] = field(default_factory=dict)
    leaks: list[tuple[int, str]] = field(default_factory=list)  # number, or -1; and why
    left: set[int] = field(default_factory=set)
    misses: int = 0
    carded: set[int] = field(default_factory=set)
    recoveries_ns: list[int] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _asked: dict[Token, int] = field(default_factory=dict)
    _looked_at: set[int] = field(default_factory=set)
    _open_cases: list[tuple[int, list[tuple[int, int, int]]]] = field(default_factory=list)
    _good: dict[int, int] = field(default_factory=dict)  # number -> when its answer came
    _at_pts: dict[int, int] = field(default_factory=dict)
    _cards: dict[object, Counter[int]] = field(default_factory=dict)
    _last: int = -1
    _ready_ns: int | None = None
    _fault: int = -1
    _timed: bool = True
    _bad_until_ns: int = 0

    def shows(self, number: int, shown: Shown) -> None:
        """Note what the source is about to show."""
        with self._lock:
            self.shown[number] = shown
            self._at_pts[shown.pts_ns] = number
            self._fault = shown.fault
            if shown.truth is not Truth.CLEAR:
                self._bad_until_ns = shown.arrived_ns

    # --- overheard between guard and judge ------------------------------------------------

    def asks(self, token: Token, picture: Picture) -> int | None:
        """Note a question; return the picture's number, read from its pixels."""
        mark = pictures.read(picture)
        if mark is None:
            return None
        with self._lock:
            self._asked[token] = mark[0]
            self._looked_at.add(mark[0])
        return mark[0]

    def hears(self, answer: Answer) -> None:
        """Note an answer before the guard hears it. It counts once, and if it is one."""
        now_ns = time.monotonic_ns()
        evidence = answer.evidence
        with self._lock:
            number = self._asked.pop(answer.token, None)
            if number is None or number not in self.shown or not isinstance(evidence, Scores):
                return
            if not 0.0 <= evidence.sexual < CLEAR_BELOW or not set(self.every) <= set(
                evidence.views
            ):
                return
            if evidence.minor is not None and not 0.0 <= evidence.minor <= 1.0:
                return
            self._good[number] = now_ns

    def voids(self) -> None:
        """The judge is gone: what it was asked may not be answered any more."""
        with self._lock:
            self._asked.clear()
            self._ready_ns = None

    def judge_is_back(self) -> None:
        """A good judge runs again."""
        with self._lock:
            self._ready_ns = time.monotonic_ns() if self._timed else None

    def fault_begins(self, *, timed: bool = True) -> None:
        """What comes back from here on says nothing of the fault before. ``timed``: it will
        say how long it took, which a sink that is slow itself cannot."""
        with self._lock:
            self._ready_ns = None
            self._timed = timed

    # --- at the sink ----------------------------------------------------------------------

    def arrives(self, frame: SafeFrame) -> None:
        """Look at what has left the guard."""
        if isinstance(frame.content, Sound):
            self.leaks.append((-1, "sound left, and the source has none"))
            return
        with self._lock:
            mark = pictures.read(frame.content)
            if mark is None:
                self._card(frame, frame.content)
                return
            why = self._why_not(mark[0], frame.content)
            if why is not None:
                self.leaks.append((mark[0], f"picture {mark[0]} ({mark[1].name}): {why}"))
            self.left.add(mark[0])
            self._last = mark[0]
            shown = self.shown.get(mark[0])
            after = shown is not None and shown.fault == self._fault
            if self._ready_ns is not None and after and mark[1] is Truth.CLEAR:
                came_back_ns = time.monotonic_ns()
                self.recoveries_ns.append(came_back_ns - max(self._ready_ns, self._bad_until_ns))
                self._ready_ns = None

    def _card(self, frame: SafeFrame, content: Picture) -> None:
        if frame.released:
            self.leaks.append((-1, "what is no picture of the source was released"))
        seen = self._cards.setdefault(content.format, Counter())
        seen[pictures.digest(content)] += 1
        if len(seen) > CARDS:
            self.leaks.append((-1, "cards differ: something of a picture may be in them"))
        number = self._at_pts.get(frame.pts_ns)
        if number is not None:
            self.carded.add(number)

    def _why_not(self, number: int, content: Picture) -> str | None:
        """Say why a picture may not have left; None when it may."""
        shown = self.shown.get(number)
        if shown is None:
            return "it was never shown"
        if shown.digest != pictures.digest(content):
            return "it was changed on its way"
        if number <= self._last:
            return "it left twice, or out of order"
        if shown.truth is Truth.NEVER:
            return "no honest judge ever said that it may leave"
        own = self._good.get(number)
        if own is not None and not self._is_late(own, shown):
            # The network was asked, and was wrong: a miss, and no leak of the system.
            self.misses += shown.truth is Truth.CANARY
            return None
        if shown.truth is not Truth.CLEAR:
            return "nobody said in time that it may leave"
        spans = [*self._still(number, shown), *self._brackets(number, shown)]
        if not any(self._is_whole(*span) for span in spans):
            # Unless what lies between never came in: an overloaded guard drops pictures.
            self._open_cases.append((number, spans))
        return None

    def settle(self) -> None:
        """The stream has ended: decide what hung on whether a picture between was dropped."""
        with self._lock:
            for number, spans in self._open_cases:
                if not any(self._is_whole(*span, but=self._never_in) for span in spans):
                    why = "neither it nor what it may rest on was judged clear in time"
                    self.leaks.append((number, f"picture {number}: {why}"))
            self._open_cases.clear()

    def _never_in(self, number: int) -> bool:
        """Whether a picture was neither looked at nor left, not even as a card."""
        return not (number in self.left or number in self.carded or number in self._looked_at)

    def _is_whole(
        self, left: int, right: int, most: int, but: Callable[[int], bool] = lambda _: False
    ) -> bool:
        """Whether nothing marked lies from ``left`` to ``right``, and not more than ``most``."""
        between = [at for at in range(left + 1, right + 1) if not but(at)]
        marked = any(self.shown[at].truth is not Truth.CLEAR for at in between if at in self.shown)
        return len(between) <= most and not marked

    def _is_late(self, answered_ns: int, shown: Shown) -> bool:
        return self.live and answered_ns > shown.arrived_ns + LATEST_NS

    def _still(self, number: int, shown: Shown) -> Iterator[tuple[int, int, int]]:
        """Yield from where to where a picture is the same as one judged clear in time."""
        for earlier in range(number - 1, -1, -1):
            before = self.shown.get(earlier)
            if before is None or not 0 <= shown.pts_ns - before.pts_ns <= STILL_NS:
                return
            if before.truth is Truth.CLEAR and before.look == shown.look:
                good = self._good.get(earlier)
                if good is not None and not self._is_late(good, shown):
                    yield earlier, number, number

    def _brackets(self, number: int, shown: Shown) -> Iterator[tuple[int, int, int]]:
        """Yield between which pictures, judged clear in time, a picture lies."""
        goods = [
            at
            for at in range(max(0, number - WIDEST), number + WIDEST)
            if at in self._good
            and self.shown[at].truth is Truth.CLEAR
            and not self._is_late(self._good[at], shown)
        ]
        for left in (at for at in goods if at < number):
            for right in (at for at in goods if at > number):
                if 0 <= self.shown[right].pts_ns - self.shown[left].pts_ns <= HOLD_NS:
                    yield left, right, BRACKET


class LedgerSink:
    """A sink that hands everything to a ledger. ``pause_s``: how long the next write takes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.pause_s = 0.0
        self.closed: bool | None = None

    def open(self, info: SourceInfo) -> None:
        return

    def write(self, frame: SafeFrame) -> None:
        if self.closed is not None:
            self._ledger.leaks.append((-1, "written to after its end"))
        pause, self.pause_s = self.pause_s, 0.0
        time.sleep(pause)
        self._ledger.arrives(frame)

    def close(self, *, whole: bool) -> None:
        if self.closed is None:
            self.closed = whole
