"""A source and a sink for hosts that push pictures and take them when they may leave.

The host's thread pushes; the session reads on a thread of its own and writes on another.
Nothing here decides anything: what is pushed is read, what is written is handed on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from safelight.errors import EndOfStream, SinkError
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.media.tally import Tally
from safelight.types import NS_PER_S, Frame, Gap, Picture, SafeFrame

ROOM: Final = 4  # pictures that wait to be read; the session reads far ahead of its judge
_NANOSECOND: Final = Fraction(1, NS_PER_S)


class PushedSource:
    """Implements ``Source`` over pictures that a host pushes.

    A patient host (``info.live`` False) waits in ``push`` while there is no room; a live one
    never waits, and its oldest picture is dropped and counted.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[Frame] = deque()
        self._info: SourceInfo | None = None
        self._seq = 0
        self._gap: Gap | None = None
        self._ended = False
        self._closed = False
        self._flushing = False
        self._tally = Tally()

    # --- the host's side ------------------------------------------------------------------

    @property
    def announced(self) -> bool:
        """Whether the first picture's format was given."""
        return self._info is not None

    @property
    def next_seq(self) -> int:
        """The number of the next picture."""
        return self._seq

    @property
    def over(self) -> bool:
        """Whether the host said that nothing more comes."""
        return self._ended

    def announce(self, info: SourceInfo) -> None:
        """Say what will come; ``open`` waits for it."""
        with self._changed:
            self._info = info
            self._changed.notify_all()

    def push(self, picture: Picture, pts_ns: int) -> bool:
        """Pass a picture on; False when nothing is taken now (closed, ended or flushing)."""
        info = self._info
        if info is None:
            raise RuntimeError("a source is announced before anything is pushed")
        with self._changed:
            if not info.live:
                self._changed.wait_for(lambda: len(self._queue) < ROOM or self._shut)
            if self._shut:
                return False
            if len(self._queue) >= ROOM:
                dropped = self._queue.popleft()
                self._gap = dropped.gap or self._gap
                self._tally.add("video", "came while the guard started")
            gap, self._gap = self._gap, None
            frame = Frame(self._seq, pts_ns, _NANOSECOND, time.monotonic_ns(), picture, gap)
            self._seq += 1
            self._queue.append(frame)
            self._changed.notify_all()
            return True

    def leave_behind(self, kind: str, what: str) -> None:
        """Count something that is not passed on."""
        with self._changed:
            self._tally.add(kind, what)

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def flush(self) -> int:
        """Forget what waits and take nothing until ``go_on``; return the next number."""
        with self._changed:
            self._flushing = True
            self._queue.clear()
            self._changed.notify_all()
            return self._seq

    def go_on(self) -> None:
        """Take pictures again. The stream starts closed with the next one."""
        with self._changed:
            self._flushing = False
            self._gap = Gap.SOURCE

    @property
    def _shut(self) -> bool:
        return self._closed or self._ended or self._flushing

    # --- the session's side ---------------------------------------------------------------

    def open(self) -> SourceInfo:
        """Wait until the host has said what comes.

        Raises:
            EndOfStream: it was closed, or ended, before.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._info is not None or self._closed or self._ended)
            if self._info is None or self._closed:
                raise EndOfStream
            return self._info

    def read(self) -> Frame:
        """Return the next picture.

        Raises:
            EndOfStream: the host ended, or the source was closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed or self._ended)
            if self._closed or not self._queue:
                raise EndOfStream
            frame = self._queue.popleft()
            self._changed.notify_all()
            return frame

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """What was not passed on so far."""
        return self._tally.dropped()

    def close(self) -> None:
        """Let go. Whoever waits in ``push`` or ``read`` returns."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()


class HandedSink:
    """Implements ``Sink``: hands every safe frame to the host, on the session's writer thread.

    Args:
        hand: gets the frame; raises ``SinkLostError`` when the host's side is broken.
        over: called once, when all that was released has been handed over.
    """

    def __init__(self, hand: Callable[[SafeFrame], None], over: Callable[[], None]) -> None:
        self._hand = hand
        self._over = over
        self._info: SourceInfo | None = None
        self._closed = False

    def open(self, info: SourceInfo) -> None:
        """Begin.

        Raises:
            SinkError: it was opened before.
        """
        if self._info is not None:
            raise SinkError("the host's sink is open already", "open it once")
        self._info = info

    def write(self, frame: SafeFrame) -> None:
        """Hand one frame over.

        Raises:
            SinkLostError: the host's side is broken.
            TypeError: anything but a SafeFrame was offered.
        """
        if type(frame) is not SafeFrame:
            raise TypeError(f"a sink takes a SafeFrame, not a {type(frame).__name__}")
        self._hand(frame)

    def close(self, *, whole: bool) -> None:
        """Finish. Nothing that looks whole is left where ``whole`` is False."""
        closed, self._closed = self._closed, True
        if whole and self._info is not None and not closed:
            self._over()
