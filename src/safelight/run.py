"""Wires one source, one engine, one judge and one sink: the imperative shell.

The engine decides; this module carries out what it says, and nothing else. Whatever breaks
here ends the stream: no path leads from a fault to a frame that leaves.
"""

from __future__ import annotations

import dataclasses
import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from safelight.core import release
from safelight.core.engine import Engine
from safelight.core.ledger import Ledger
from safelight.errors import (
    EngineFaultError,
    NotReleasableError,
    SafelightError,
    SinkLostError,
)
from safelight.events import StreamEvent
from safelight.feed import Arrived, Ended, Feed, Lost
from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.judge.keeper import Keeper, Restarted
from safelight.media.interface import DroppedStream, Sink, Source, SourceInfo
from safelight.report import Head, Tally
from safelight.rest import Rest, alone
from safelight.telling import Absence, StreamClock, Teller, Texts
from safelight.types import (
    NS_PER_S,
    Ask,
    AudioArrived,
    Command,
    CoolDownStarted,
    Discontinuity,
    Drop,
    Emit,
    EmitCard,
    Event,
    EvidenceReady,
    Fault,
    FaultKind,
    FaultNoted,
    Frame,
    Gap,
    Interrupt,
    Mute,
    Picture,
    PictureArrived,
    Reason,
    Record,
    Resume,
    ResumeRefused,
    SafeFrame,
    SourceEnded,
    State,
    StateChanged,
    Stop,
    StreamStarted,
    Tick,
)
from safelight.writer import TOO_SLOW, Writer

IDLE_S: Final = 0.5  # how long to sleep at most when nothing is due
FINISH_S: Final = 10.0  # how long a sink may take to write what waits at the end
READ_AHEAD: Final = 3  # frames of a file asked for at a time


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Everything a session is made of; ``safelight.open`` puts it together.

    ``interrupted`` is told of each interruption that begins here, or goes on: the level of
    its cool-down and until when, on the monotonic clock. ``judge_apart``: the judge's CPU time
    is not in this process's own.
    """

    source: Source
    sink: Sink
    judge: Judge
    make_engine: Callable[[SourceInfo], Engine]
    make_ledger: Callable[[SourceInfo], Ledger]
    texts: Texts
    resume_after_s: float | None
    keep_cool_down: Callable[[int], None]
    others_wait_s: Callable[[], float]
    report_head: Head
    interrupted: Callable[[int, int], None] = alone
    judge_apart: bool = False


class Run:
    """One stream from its first frame to its last. One thread calls it."""

    def __init__(  # noqa: PLR0917
        self,
        parts: Parts,
        info: SourceInfo,
        ledger: Ledger,
        tally: Tally,
        inbox: queue.SimpleQueue[object],
        tell: Callable[[StreamEvent], None],
    ) -> None:
        self._parts = parts
        self._live = info.live
        self._ledger = ledger
        self._tally = tally
        self._inbox = inbox
        resumes = info.live or parts.resume_after_s is not None
        self._teller = Teller(parts.texts, tell, resumes=resumes)
        self._clock = StreamClock(info.frame_rate)
        self._absence = Absence(parts.source)
        self._clock_start_ns = self._clock_ns = time.monotonic_ns()
        self._first_pts_ns: int | None = None
        self._engine = parts.make_engine(info)
        self._format = info.format
        self._frames: dict[int, tuple[Frame, int]] = {}  # seq -> frame, real arrival
        self._keeper = Keeper(parts.judge, inbox.put)
        self._feed = Feed(parts.source, inbox, info)
        self._writer = Writer(
            parts.sink,
            ledger,
            tally,
            info=info,
            failed=inbox.put,
            leaked=lambda: inbox.put(FaultKind.ENGINE),
        )
        self._credits = 0
        self._waiting: deque[Frame] = deque()
        self._ended: Ended | None = None
        self._rest = Rest(parts, live=info.live)
        self._failure: SafelightError | None = None
        self._stopped = False

    @property
    def state(self) -> State:
        """The state of the stream, as it was told last."""
        return self._teller.state

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """What came before a live stream's edge and was never taken in."""
        skipped = self._feed.skipped
        return (DroppedStream("video", "before the live edge", skipped),) if skipped else ()

    def loop(self, closing: Callable[[], bool]) -> None:
        """Guard until the stream ends, breaks, or ``closing`` says so.

        Raises:
            EngineFaultError: the engine wanted what the mint refuses.
        """
        self._do(StreamStarted(self._now()))
        self._feed.start()
        self._allow()
        while not self._stopped and not closing():
            self._take(self._next())
            self._allow()
            self._settle_end()
            self._look_around()

    def finish(self, failure: SafelightError | None) -> SafelightError | None:
        """Write what was released, close the sink; return what went wrong, if anything."""
        failure = self._failure = failure or self._failure
        self._feed.stop()
        if not self._writer.finish(FINISH_S):
            return failure or SinkLostError("the sink hangs", "see whether it is reachable")
        try:
            broken = isinstance(failure, SinkLostError | EngineFaultError)
            self._parts.sink.close(whole=not broken)
        except SafelightError as error:
            return failure or error
        return failure

    def _next(self) -> object:
        timeout = IDLE_S
        wake = self._engine.wake_ns()
        if wake is not None:
            timeout = min(max((wake - time.monotonic_ns()) / NS_PER_S, 0.0), IDLE_S)
        elif not self._live and self._writer.full:
            timeout = 0.005
        try:
            return self._inbox.get(timeout=timeout) if timeout > 0 else self._inbox.get_nowait()
        except queue.Empty:
            return Tick(0)

    def _settle_end(self) -> None:
        """Tell the engine of the end, once it has seen everything before it."""
        if self._ended is not None and not self._waiting:
            ended, self._ended = self._ended, None
            self._source_ended(ended.error)

    def _allow(self) -> None:
        """Have a file read on, as far as the engine wants and the sink keeps up."""
        if self._live:
            return
        while self._waiting and self._engine.wants_frame and not self._writer.full:
            self._arrived(self._waiting.popleft())
        while self._credits + len(self._waiting) < READ_AHEAD:
            self._credits += 1
            self._feed.allow()

    def _take(self, item: object) -> None:
        match item:
            case Arrived(frame):
                self._credits -= 1
                if self._live:
                    self._arrived(frame)
                else:
                    # It is looked at when what came before has been answered for, so that
                    # the same file always gives the same judgements.
                    self._waiting.append(frame)
            case Lost():
                self._tally.arrived += 1
            case Answer() | JudgeFault() | Restarted():
                self._judge_said(item)
            case Resume():
                self._resume()
            case Interrupt(level=level, until_ns=until_ns):
                self._do(Interrupt(self._now(), level, until_ns))
            case Ended():
                self._ended = item
            case SafelightError():
                self._fail(item, FaultKind.SINK)
            case FaultKind():
                what = "a frame was about to leave unjudged"
                self._fail(EngineFaultError(what, "please report it; it did not leave"), item)
            case Tick():
                self._do(Tick(self._now()))

    def _judge_said(self, item: Answer | JudgeFault | Restarted) -> None:
        match item:
            case Answer(token, evidence):
                self._keeper.answered(token)
                self._ledger.answered(token, evidence)
                self._tally.judged += 1
                self._do(EvidenceReady(self._now(), token, evidence))
            case JudgeFault(what):
                self._tally.fault(what)
                self._tell("fault", reason=Reason.FAULT)
                self._do(Fault(self._now(), FaultKind.JUDGE))
                self._keeper.restart()
            case Restarted(error):
                self._keeper.restarted()
                if error is not None:
                    self._fail(EngineFaultError(error.what, error.hint), FaultKind.ENGINE)

    def _look_around(self) -> None:
        """What time alone brings: a judge that hangs, a resume that is due."""
        overdue = self._keeper.overdue()
        if overdue is not None:
            self._take(overdue)
        wake = self._engine.wake_ns()
        if wake is not None and time.monotonic_ns() >= wake:
            self._do(Tick(self._now()))
        match self._absence.look():
            case ("source_left" | "source_back") as kind, wait_s:
                self._tell(kind, wait_s=wait_s)
            case "settled", _:
                # Nothing came for a while: the stream is no longer live, and starts closed.
                self._do(Discontinuity(self._now(), Gap.SOURCE))
        if self._rest.is_due(self._now()):
            self._resume()

    def _arrived(self, frame: Frame) -> None:
        real_ns = frame.arrived_ns
        if not self._live:
            # A file has no arrival of its own: it arrives as its pictures are shown.
            if self._first_pts_ns is None:
                self._first_pts_ns = frame.pts_ns
            shown = self._clock_start_ns + frame.pts_ns - self._first_pts_ns
            self._clock_ns = max(self._clock_ns, shown)
            frame = dataclasses.replace(frame, arrived_ns=self._clock_ns)
        elif real_ns > self._now():
            # A frame from the future would have its deadline there too.
            frame = dataclasses.replace(frame, arrived_ns=self._now())
        self._frames[frame.seq] = (frame, real_ns)
        if isinstance(frame.content, Picture):
            self._tally.arrived += 1
            self._format = frame.content.format
            self._do(PictureArrived(self._now(), frame))
        else:
            self._do(AudioArrived(self._now(), frame))

    def _now(self) -> int:
        return time.monotonic_ns() if self._live else self._clock_ns

    def _source_ended(self, error: SafelightError | None) -> None:
        if error is None:
            self._do(SourceEnded(self._now()))
        else:
            self._failure = error
            self._do(Fault(self._now(), FaultKind.SOURCE))

    def _fail(self, error: SafelightError, kind: FaultKind) -> None:
        if self._failure is None:
            self._failure = error
        self._do(Fault(self._now(), kind))

    def _resume(self) -> None:
        """Resume, unless another guard of this user has an interruption to cool down from."""
        wait_s = self._rest.others_wait_s()
        if self.state is State.INTERRUPTED and wait_s > 0.0:
            self._record(ResumeRefused(self._now() + round(wait_s * NS_PER_S)))
        else:
            self._do(Resume(self._now()))

    # --- carrying out ---------------------------------------------------------------------

    def _do(self, event: Event) -> None:
        try:
            commands = self._engine.handle(event)
            for command in commands:
                # Before the interruption is told, which says how long a resume has to wait.
                if isinstance(command, Record) and isinstance(command.note, CoolDownStarted):
                    self._cool_down(command.note)
            for command in commands:
                self._carry_out(command)
        except NotReleasableError as error:
            raise EngineFaultError(str(error), "please report it; it did not leave") from None

    def _carry_out(self, command: Command) -> None:
        match command:
            case Ask(token, views):
                frame, _ = self._frames[token.seq]
                if isinstance(frame.content, Picture):
                    self._ledger.asked(token, frame)
                    self._keeper.ask(token, frame.content, views)
            case Emit(verdict):
                frame, real_ns = self._frames.pop(verdict.token.seq)
                self._tally.reached(self._clock.at(frame.pts_ns))
                text = self._parts.texts.stream
                self._write(release.picture(frame, verdict, self._now(), text), real_ns)
            case EmitCard(pts_ns, _):
                self._tally.reached(self._clock.at(pts_ns))
                text = self._parts.texts.stream
                self._write(release.lone_card(self._format, pts_ns, text), 0)
            case Mute(token, spans):
                frame, real_ns = self._frames.pop(token.seq)
                self._tally.muted_ns += sum(end - start for start, end in spans)
                self._write(release.sound(frame, command), real_ns)
            case Drop(token, reason):
                self._frames.pop(token.seq, None)
                if reason is Reason.OVERLOAD:
                    self._tally.fault("overload: a frame was dropped")
            case Record(note):
                self._record(note)
            case Stop():
                self._stopped = True

    def _write(self, safe: SafeFrame, real_ns: int) -> None:
        if not self._writer.put(safe, real_ns):
            self._tally.fault(TOO_SLOW)

    def _record(self, note: StateChanged | FaultNoted | CoolDownStarted | ResumeRefused) -> None:
        match note:
            case StateChanged(state, reason, pts_ns, _):
                at_ns = self._clock.at(pts_ns)
                self._tally.state_changed(state, reason, at_ns)
                self._teller.state = state
                if reason is Reason.END:
                    self._tell("end", reason=reason)
                    return
                self._teller.reason = reason
                if state is State.INTERRUPTED:
                    self._tell("state", wait_s=self._rest.begin(reason, self._now()))
                else:
                    self._tell("state")
            case FaultNoted(what, _):
                self._tally.fault(what)
            case CoolDownStarted():
                return  # taken in before
            case ResumeRefused(until_ns):
                self._rest.refused(until_ns, self._now())
                self._tell("resume_refused", wait_s=(until_ns - self._now()) / NS_PER_S)

    def _cool_down(self, note: CoolDownStarted) -> None:
        if not self._rest.cool_down(note):
            self._tally.fault("the cool-down could not be kept")

    def _tell(self, kind: str, *, reason: Reason | None = None, wait_s: float = 0.0) -> None:
        self._teller.tell(kind, self._clock.last_ns or 0, reason=reason, wait_s=wait_s)
