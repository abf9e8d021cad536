"""A judge, a source and a sink that do as they are told. They keep the production interfaces.

Nothing here is a detector: what a ``FakeJudge`` says was written by the test.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from safelight.errors import EndOfStream, JudgeError, SinkLostError
from safelight.judge.judge import Answer, JudgeFault
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.types import Evidence, Frame, Picture, SafeFrame, Scores, Token

VIEW = "reference"


def scores(
    sexual: float,
    minor: float | None = None,
    views: tuple[str, ...] = (VIEW,),
    every: float | None = None,
) -> Scores:
    """Return evidence through the one view that a ``FakeJudge`` has by default."""
    return Scores(sexual, minor, views, every)


# --- the judge ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Says:
    """Answer after ``after_s`` seconds of looking, ``times`` times; under another token, that
    is a lie."""

    evidence: Evidence
    after_s: float = 0.0
    times: int = 1
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Silent:
    """Never answer."""


@dataclass(frozen=True, slots=True)
class Breaks:
    """Report a fault; whatever else was asked is forgotten."""

    what: str = "the judge broke"


Reply = Says | Silent | Breaks
Plan = Callable[[int, Token, Picture], Reply]


class FakeJudge:
    """Replies to the n-th question, from 0, as ``plan(n, token, picture)`` says.

    One question at a time, in the order asked, from a thread of its own, as a real judge.
    ``asked`` lists the tokens it was asked about, each with the views.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        every: tuple[str, ...] = (VIEW,),
        in_turn: tuple[str, ...] = (),
        starts: bool = True,
        restarts: int = 1000,
    ) -> None:
        self._plan = plan
        self._every = every
        self._in_turn = in_turn
        self._starts = starts
        self._restarts = restarts
        self._listener: Callable[[Answer | JudgeFault], None] | None = None
        self._questions: queue.SimpleQueue[tuple[int, Token, Picture] | None] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._generation = 0
        self.asked: list[tuple[Token, tuple[str, ...]]] = []

    @property
    def every(self) -> tuple[str, ...]:
        """Names of the views run on every picture that is judged."""
        return self._every

    @property
    def in_turn(self) -> tuple[str, ...]:
        """Names of further views."""
        return self._in_turn

    def start(self, listener: Callable[[Answer | JudgeFault], None]) -> None:
        """Begin.

        Raises:
            JudgeError: it was told not to start.
        """
        if not self._starts:
            raise JudgeError("the fake judge was told not to start", "nothing was released")
        self._listener = listener
        threading.Thread(target=self._work, name="fake-judge", daemon=True).start()

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        """Take in a question."""
        with self._lock:
            self.asked.append((token, views))
            self._questions.put((self._generation, token, picture))

    def restart(self) -> None:
        """Forget what is outstanding.

        Raises:
            JudgeError: it was told to come back only so often.
        """
        with self._lock:
            if self._restarts == 0:
                raise JudgeError("the fake judge was told not to come back", "nothing is released")
            self._restarts -= 1
            self._generation += 1

    def cpu_seconds(self) -> float:
        """None was used."""
        return 0.0

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self._questions.put(None)

    def _work(self) -> None:
        count = 0
        while (question := self._questions.get()) is not None:
            generation, token, picture = question
            if generation != self._generation:
                continue
            reply = self._plan(count, token, picture)
            count += 1
            if isinstance(reply, Says) and self._closed.wait(reply.after_s):
                return
            with self._lock:
                if generation == self._generation and not self._closed.is_set():
                    self._reply(token, reply)

    def _reply(self, token: Token, reply: Reply) -> None:
        if self._listener is None or isinstance(reply, Silent):
            return
        if isinstance(reply, Breaks):
            self._generation += 1
            self._listener(JudgeFault(reply.what))
            return
        for _ in range(reply.times):
            self._listener(Answer(reply.token or token, reply.evidence))


# --- source and sink ------------------------------------------------------------------------


class FakeSource:
    """Gives out frames, then ends, or raises ``error``. ``pace`` is called before each."""

    def __init__(
        self,
        info: SourceInfo,
        frames: Iterable[Frame],
        *,
        error: Exception | None = None,
        pace: Callable[[Frame], None] | None = None,
        dropped: tuple[DroppedStream, ...] = (),
    ) -> None:
        self._info = info
        self._frames = iter(frames)
        self._error = error
        self._pace = pace
        self._dropped = dropped
        self._closed = False

    def open(self) -> SourceInfo:
        """Return the info it was made with."""
        return self._info

    def read(self) -> Frame:
        """Return the next frame.

        Raises:
            EndOfStream: all were given out, or it was closed.
        """
        frame = None if self._closed else next(self._frames, None)
        if frame is None:
            raise EndOfStream if self._error is None or self._closed else self._error
        if self._pace is not None:
            self._pace(frame)
        return frame

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """What it was told that it dropped."""
        return self._dropped

    def close(self) -> None:
        """Give out nothing more."""
        self._closed = True


class FakeSink:
    """Keeps what it is given in ``frames``; breaks at write number ``fails_at``, from 0.

    ``whole`` is what ``close`` was told, None until then.
    """

    def __init__(self, *, fails_at: int | None = None) -> None:
        self._fails_at = fails_at
        self.info: SourceInfo | None = None
        self.frames: list[SafeFrame] = []
        self.whole: bool | None = None

    def open(self, info: SourceInfo) -> None:
        """Note what comes."""
        self.info = info

    def write(self, frame: SafeFrame) -> None:
        """Keep a frame.

        Raises:
            SinkLostError: it was told to break here.
            TypeError: this is no SafeFrame.
            RuntimeError: it is not open.
        """
        if not isinstance(frame, SafeFrame):
            raise TypeError(f"a sink takes a SafeFrame, not {type(frame).__name__}")
        if self.info is None or self.whole is not None:
            raise RuntimeError("written to while not open")
        if self._fails_at == len(self.frames):
            raise SinkLostError("the fake sink was told to break", "nothing more leaves")
        self.frames.append(frame)

    def close(self, *, whole: bool) -> None:
        """Note how it ended; the first time counts."""
        if self.whole is None:
            self.whole = whole
