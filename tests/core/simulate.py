"""A whole stream through an engine, on a clock of its own: arrivals, one judge, ticks.

The judge looks at one picture at a time and takes ``service_ns`` for each; ``say`` is what it
says. Nothing here waits for real time.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.core.oracle import Oracle

from safelight.core.engine import Engine
from safelight.types import (
    Action,
    Ask,
    AudioArrived,
    Command,
    Drop,
    Emit,
    Event,
    Evidence,
    EvidenceReady,
    Frame,
    Mute,
    Picture,
    PictureArrived,
    Record,
    SourceEnded,
    StateChanged,
    Stop,
    Tick,
    Token,
    Verdict,
)

Say = Callable[[Picture], Evidence]
END_OF_TIME = 1 << 61


@dataclass
class Log:
    """What came of a stream."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    left_ns: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)
    sound: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    states: list[StateChanged] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    asked: int = 0
    stop: Stop | None = None

    def take(self, now_ns: int, commands: list[Command]) -> None:
        self.commands += commands
        for command in commands:
            match command:
                case Emit(verdict):
                    self.verdicts[verdict.token.seq] = verdict
                    self.left_ns[verdict.token.seq] = now_ns
                case Drop(token, reason):
                    self.dropped[token.seq] = reason.value
                case Mute(token, spans):
                    self.sound[token.seq] = spans
                case Ask():
                    self.asked += 1
                case Record(note) if isinstance(note, StateChanged):
                    self.states.append(note)
                case Stop():
                    self.stop = command

    def seqs(self, action: Action) -> list[int]:
        return [seq for seq, verdict in self.verdicts.items() if verdict.action is action]

    @property
    def released(self) -> list[int]:
        return self.seqs(Action.RELEASE)


class DeadlockError(AssertionError):
    """A stream that would never end."""


def arrivals(frames: Iterable[Frame]) -> list[Event]:
    return [
        PictureArrived(f.arrived_ns, f)
        if isinstance(f.content, Picture)
        else AudioArrived(f.arrived_ns, f)
        for f in frames
    ]


class Stream:
    """One run. ``oracle`` hears everything, if given."""

    def __init__(
        self, engine: Engine, say: Say, *, service_ns: int = 0, oracle: Oracle | None = None
    ) -> None:
        self.engine = engine
        self.log = Log()
        self.now_ns = 0
        self._say = say
        self._service_ns = service_ns
        self._oracle = oracle
        self._pictures: dict[int, Picture] = {}
        self._waiting: deque[Token] = deque()
        self._busy_until_ns = 0

    def feed(self, event: Event) -> None:
        self.now_ns = max(self.now_ns, event.now_ns)
        if isinstance(event, PictureArrived) and isinstance(event.frame.content, Picture):
            self._pictures[event.frame.seq] = event.frame.content
        commands = self.engine.handle(event)
        if self._oracle is not None:
            self._oracle.observe(event, commands)
        self.log.take(self.now_ns, commands)
        for command in commands:
            if isinstance(command, Ask):
                if not self._waiting:
                    self._busy_until_ns = self.now_ns + self._service_ns
                self._waiting.append(command.token)

    def live(self, events: Iterable[Event], *, end: bool = True) -> Log:
        """Feed events at their own times, answers and ticks between them."""
        order = itertools.count()
        todo = [(event.now_ns, next(order), event) for event in events]
        heapq.heapify(todo)
        last_ns = max((at for at, _, _ in todo), default=0)
        while not self.engine.stopped:
            event_ns = todo[0][0] if todo else END_OF_TIME
            answer_ns = self._busy_until_ns if self._waiting else END_OF_TIME
            wake = self.engine.wake_ns()
            wake_ns = END_OF_TIME if wake is None else max(wake, self.now_ns)
            if event_ns <= min(answer_ns, wake_ns) and todo:
                self.feed(heapq.heappop(todo)[2])
            elif not todo and end and not self.ended:
                self.ended = True
                self.feed(SourceEnded(max(last_ns, self.now_ns)))
            elif not todo and not end:
                break
            elif answer_ns <= wake_ns and self._waiting:
                self._answer(answer_ns)
            elif wake is not None:
                self._tick(wake_ns)
            else:
                raise DeadlockError(f"nothing can happen any more at {self.now_ns}")
        return self.log

    ended = False
    _ticks_here = 0

    def _tick(self, at_ns: int) -> None:
        self._ticks_here = self._ticks_here + 1 if at_ns == self.now_ns else 0
        if self._ticks_here > 50:
            raise DeadlockError(f"ticks for ever at {self.now_ns}")
        self.feed(Tick(at_ns))

    def _answer(self, at_ns: int) -> None:
        token = self._waiting.popleft()
        self._busy_until_ns = at_ns + self._service_ns
        self.feed(EvidenceReady(at_ns, token, self._say(self._pictures[token.seq])))

    def patient(self, events: Iterable[Event]) -> Log:
        """Feed a file's frames as the engine wants them."""
        todo = deque(events)
        while not self.engine.stopped:
            if self.engine.wants_frame and todo:
                self.feed(todo.popleft())
            elif self.engine.wants_frame:
                self.feed(SourceEnded(self.now_ns))
            elif self._waiting:
                self._answer(self._busy_until_ns)
            else:
                raise DeadlockError("nothing is wanted, nothing outstanding, and no stop")
        return self.log
