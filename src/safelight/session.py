"""Wires one source, one engine, one judge and one sink: the imperative shell.

The engine decides; this module carries out what it says, and nothing else. Whatever breaks
here ends the stream: no path leads from a fault to a frame that leaves.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal

from safelight import report as reporting
from safelight.core import release
from safelight.core.engine import Engine
from safelight.core.ledger import Ledger
from safelight.errors import (
    EngineFaultError,
    NotReleasableError,
    SafelightError,
    SinkLostError,
)
from safelight.events import StreamEvent, seconds
from safelight.feed import Arrived, Ended, Feed, Lost
from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.judge.keeper import Keeper, Restarted
from safelight.media.interface import Sink, Source, SourceInfo
from safelight.report import Report, Tally
from safelight.types import (
    NS_PER_S,
    Ask,
    AudioArrived,
    CardText,
    Command,
    CoolDownStarted,
    Drop,
    Emit,
    EmitCard,
    Event,
    EvidenceReady,
    Fault,
    FaultKind,
    FaultNoted,
    Frame,
    Mute,
    Outcome,
    Picture,
    PictureArrived,
    Reason,
    Record,
    Resume,
    ResumeRefused,
    SourceEnded,
    State,
    StateChanged,
    Stop,
    StreamStarted,
    Tick,
)
from safelight.writer import Writer

IDLE_S: Final = 0.5  # how long to sleep at most when nothing is due
FINISH_S: Final = 10.0  # how long a sink may take to write what waits at the end


@dataclasses.dataclass(frozen=True, slots=True)
class Texts:
    """What cards and events say: ``stream`` is drawn into the stream, ``local`` is for the
    person at this device, ``state`` is one line on a state."""

    stream: CardText
    local: CardText
    state: Callable[[State], str]


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Everything a session is made of; ``safelight.open`` puts it together."""

    source: Source
    sink: Sink
    judge: Judge
    make_engine: Callable[[SourceInfo], Engine]
    make_ledger: Callable[[SourceInfo], Ledger]
    texts: Texts
    resume_after_s: float | None
    keep_cool_down: Callable[[int, float], None]
    report_head: reporting.Head


class Session:
    """One guarded stream. ``start`` runs it on a thread; ``wait`` returns its report."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[StreamEvent | None] = queue.SimpleQueue()
        self._tally = Tally()
        self._thread = threading.Thread(target=self._main, name="safelight", daemon=True)
        self._state = State.PENDING
        self._error: SafelightError | None = None
        self._report: Report | None = None
        self._closing = False
        self._info: SourceInfo | None = None
        self._frames: dict[int, tuple[Frame, int]] = {}  # seq -> frame, real arrival
        self._keeper = Keeper(parts.judge, self._inbox.put)
        self._interrupted_at_ns: int | None = None

    # --- what an integrator uses ----------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the stream."""
        return self._state

    @property
    def info(self) -> SourceInfo | None:
        """What is known of the source; None until it is open."""
        return self._info

    @property
    def frames_in(self) -> int:
        """How many pictures have come in so far."""
        return self._tally.arrived

    def events(self) -> Iterator[StreamEvent]:
        """Yield what happens, in stream order, until the stream has ended."""
        while (event := self._events.get()) is not None:
            yield event

    def resume(self) -> None:
        """Leave an interruption, once its cool-down is over; otherwise nothing happens."""
        self._inbox.put(Resume(0))

    def close(self) -> None:
        """End the stream now; what was released stays playable. Safe to call twice."""
        self._closing = True
        self._inbox.put(None)

    def wait(self, timeout_s: float | None = None) -> Report | None:
        """Wait until the stream has ended and return its report; None on a timeout.

        Raises:
            SafelightError: the stream could not be opened, or something broke later.
        """
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return None
        if self._error is not None:
            raise self._error
        return self._report

    @property
    def report(self) -> Report | None:
        """The report, once the stream has ended; also after a fault."""
        return self._report

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._thread.ident is not None:
            self._thread.join()

    # --- opening --------------------------------------------------------------------------

    def begin(self, *, at_once: bool) -> None:
        """Get the judge ready, open source and sink, and begin.

        Args:
            at_once: open them in the caller's thread, so that errors show here; otherwise
                (a publisher that has not come yet) they show in ``wait``.

        Raises:
            JudgeError: the judge does not start or gives wrong answers.
            SourceError: the source cannot be opened.
            SinkError: the sink cannot be opened.
        """
        parts = self._parts
        try:
            parts.judge.start(self._inbox.put)
            if at_once:
                self._info = parts.source.open()
                parts.sink.open(self._info)
        except BaseException:
            parts.source.close()
            parts.sink.close(whole=False)
            parts.judge.close()
            raise
        self._thread.start()

    # --- the loop -------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            if self._info is None:
                self._open_while_closable()
            if self._info is not None:
                self._run(self._info)
        except SafelightError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  (fails closed: nothing more leaves)
            what = f"the guard broke ({type(error).__name__}: {error})"
            self._error = EngineFaultError(what, "please report it; nothing more was released")
        finally:
            self._parts.source.close()
            self._keeper.close()
            self._events.put(None)

    def _open_while_closable(self) -> None:
        """Open a source that may take for ever (a publisher that has not come)."""
        done: queue.SimpleQueue[SourceInfo | SafelightError] = queue.SimpleQueue()

        def work() -> None:
            try:
                done.put(self._parts.source.open())
            except SafelightError as error:
                done.put(error)

        threading.Thread(target=work, name="safelight-open", daemon=True).start()
        while not self._closing:
            try:
                opened = done.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(opened, SafelightError):
                raise opened
            self._parts.sink.open(opened)
            self._info = opened
            return
        self._report = self._make_report(0, "closed")

    def _run(self, info: SourceInfo) -> None:
        self._live = info.live
        self._clock_ns = time.monotonic_ns()  # a file's own clock starts anywhere
        self._first_pts_ns: int | None = None
        self._clock_start_ns = self._clock_ns
        self._engine = self._parts.make_engine(info)
        self._ledger = self._parts.make_ledger(info)
        self._format = info.format
        self._stopped: Outcome | None = None
        self._failure: SafelightError | None = None
        self._feed = Feed(self._parts.source, self._inbox, live=info.live)
        self._writer = Writer(
            self._parts.sink,
            self._ledger,
            self._tally,
            live=info.live,
            failed=self._inbox.put,
            leaked=lambda: self._inbox.put(FaultKind.ENGINE),
        )
        self._credits = 0
        self._do(StreamStarted(self._now()))
        self._feed.start()
        try:
            while self._stopped is None and not self._closing:
                self._allow()
                self._take(self._next())
                self._resume_when_due()
        finally:
            self._feed.stop()
            self._finish()

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

    def _allow(self) -> None:
        """Have a file read on, as far as the engine wants and the sink keeps up."""
        if self._live:
            return
        while self._credits < 3 and self._engine.wants_frame and not self._writer.full:
            self._credits += 1
            self._feed.allow()

    def _take(self, item: object) -> None:
        match item:
            case Arrived(frame):
                self._arrived(frame)
            case Lost():
                self._tally.arrived += 1
            case Answer(token, evidence):
                self._keeper.answered()
                self._ledger.answered(token, evidence)
                self._tally.judged += 1
                self._do(EvidenceReady(self._now(), token, evidence))
            case JudgeFault(what):
                self._tally.fault(what)
                self._do(Fault(self._now(), FaultKind.JUDGE))
                self._keeper.restart()
            case Restarted(error):
                self._keeper.restarted()
                if error is not None:
                    self._fail(EngineFaultError(error.what, error.hint), FaultKind.ENGINE)
            case Resume():
                self._do(Resume(self._now()))
            case Ended(error):
                self._source_ended(error)
            case SafelightError():
                self._fail(item, FaultKind.SINK)
            case FaultKind():
                error = EngineFaultError(
                    "a frame was about to leave unjudged", "please report it; it did not leave"
                )
                self._fail(error, item)
            case Tick():
                overdue = self._keeper.overdue()
                if overdue is not None:
                    self._take(overdue)
                self._do(Tick(self._now()))

    def _arrived(self, frame: Frame) -> None:
        self._credits -= 1
        real_ns = frame.arrived_ns
        if not self._live:
            # A file has no arrival of its own: it arrives as its pictures are shown.
            if self._first_pts_ns is None:
                self._first_pts_ns = frame.pts_ns
            shown = self._clock_start_ns + frame.pts_ns - self._first_pts_ns
            self._clock_ns = max(self._clock_ns, shown)
            frame = dataclasses.replace(frame, arrived_ns=self._clock_ns)
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
            self._tally.fault("source lost")
            self._do(Fault(self._now(), FaultKind.SOURCE))

    def _fail(self, error: SafelightError, kind: FaultKind) -> None:
        if self._failure is None:
            self._failure = error
        self._do(Fault(self._now(), kind))

    def _resume_when_due(self) -> None:
        after, since = self._parts.resume_after_s, self._interrupted_at_ns
        if after is not None and since is not None and self._now() - since >= after * NS_PER_S:
            self._interrupted_at_ns = None
            self._do(Resume(self._now()))

    # --- carrying out ---------------------------------------------------------------------

    def _do(self, event: Event) -> None:
        try:
            for command in self._engine.handle(event):
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
                text = self._parts.texts.stream
                self._writer.put(release.picture(frame, verdict, self._now(), text), real_ns)
            case EmitCard(pts_ns, _):
                text = self._parts.texts.stream
                self._writer.put(release.lone_card(self._format, pts_ns, text), 0)
            case Mute(token, spans):
                frame, real_ns = self._frames.pop(token.seq)
                self._tally.muted_ns += sum(end - start for start, end in spans)
                self._writer.put(release.sound(frame, command), real_ns)
            case Drop(token, _):
                self._frames.pop(token.seq, None)
            case Record(note):
                self._record(note)
            case Stop(outcome):
                self._stopped = outcome

    def _record(self, note: StateChanged | FaultNoted | CoolDownStarted | ResumeRefused) -> None:
        match note:
            case StateChanged(state, reason, pts_ns, _):
                self._tally.state_changed(note)
                self._state = state
                kind = "end" if reason is Reason.END else "state"
                if state is State.INTERRUPTED and kind == "state":
                    self._interrupted_at_ns = self._now()
                self._tell(kind, reason, pts_ns)
            case FaultNoted(what, _):
                self._tally.fault(what)
            case CoolDownStarted(level, until_ns):
                wait_s = seconds(until_ns - self._now())
                self._parts.keep_cool_down(level, wait_s)
            case ResumeRefused(until_ns):
                self._interrupted_at_ns = self._interrupted_at_ns or self._now()
                self._tell("resume_refused", Reason.SEXUAL_CONTENT, 0, until_ns)

    def _tell(self, kind: str, reason: Reason, pts_ns: int, until_ns: int = 0) -> None:
        texts = self._parts.texts
        card = None if self._state in (State.LIVE, State.PENDING) else texts.local
        wait_s = max(0.0, seconds(until_ns - self._now())) if until_ns else 0.0
        line = texts.state(self._state)
        self._events.put(
            StreamEvent(kind, self._state, reason, seconds(pts_ns), card, line, wait_s)
        )

    # --- the end --------------------------------------------------------------------------

    def _finish(self) -> None:
        written = self._writer.finish(FINISH_S)
        broken = isinstance(self._failure, SinkLostError | EngineFaultError) or not written
        try:
            if written:
                self._parts.sink.close(whole=not broken)
        except SafelightError as error:
            self._failure = self._failure or error
        if not written:
            self._failure = SinkLostError("the sink hangs", "see whether it is reachable")
        outcome: Literal["ended", "closed", "fault"] = "closed" if self._closing else "ended"
        if self._failure is not None:
            outcome = "fault"
        self._report = self._make_report(self._ledger.unjudged_released, outcome)
        if self._failure is not None:
            raise self._failure

    def _make_report(
        self, unjudged_released: int, outcome: Literal["ended", "closed", "fault"]
    ) -> Report:
        return reporting.assemble(
            self._tally,
            unjudged_released,
            outcome=outcome,
            judge_cpu_s=self._parts.judge.cpu_seconds(),
            dropped=self._parts.source.dropped,
            head=self._parts.report_head,
        )
