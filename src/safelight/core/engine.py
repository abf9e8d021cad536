"""The one state machine: events in, commands out, no clock, no thread, no I/O.

States are walked in stream order, at the head of the queue of held pictures: a frame that
is judged clear before its elders are settled waits for them. Nothing that happens late,
twice, out of order or not at all leads to RELEASE; every such path ends in COVER, INTERRUPT,
Drop or Stop.
"""

from __future__ import annotations

from collections import deque

from safelight.core import load
from safelight.core.entry import Result
from safelight.core.flow import Flow
from safelight.core.gate import Gate
from safelight.core.held import Held, Views
from safelight.core.limits import Limits
from safelight.core.policy import Policy, checked
from safelight.core.sound import SoundHold
from safelight.core.stream import NO_COOL_DOWN, CoolDown, Stream
from safelight.types import (
    NS_PER_MS,
    Absent,
    AbsentReason,
    Action,
    AudioArrived,
    BundleChanged,
    Calibration,
    Command,
    Discontinuity,
    Drop,
    Emit,
    EmitCard,
    Event,
    Evidence,
    EvidenceReady,
    Fault,
    FaultKind,
    FaultNoted,
    Frame,
    Interrupt,
    Outcome,
    Picture,
    PictureArrived,
    Reason,
    Record,
    Resume,
    Sound,
    SourceEnded,
    State,
    StateChanged,
    Stop,
    Tick,
    Token,
)


class Engine:
    """One stream's engine. One thread at a time calls it; ``handle`` never raises for what
    arrives, whatever it is."""

    def __init__(  # noqa: PLR0917  (everything it goes by comes in here, once)
        self,
        limits: Limits,
        policy: Policy,
        calibration: Calibration,
        views: Views,
        gate: Gate,
        secret: bytes,
        stream: int = 0,
        cool_down: CoolDown = NO_COOL_DOWN,
    ) -> None:
        self._limits = limits
        self._views = views
        self._out: list[Command] = []
        self._stream = Stream(limits, policy, calibration, cool_down, self._out)
        self._held = Held(limits, policy, gate, views, secret, stream)
        self._sound = SoundHold(limits)
        self._now_ns = 0
        self._barrier: Reason | None = None  # for the next picture
        self._stalled = False
        self._faults: deque[int] = deque(maxlen=limits.faults_to_interrupt)
        self._flow = Flow(limits)
        self._begun = False
        self._last_out_pts_ns: int | None = None
        self._last_out_now_ns = 0
        self._ended: Outcome | None = None
        self._stopped = False

    # --- what the shell may look at -------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the stream, at the frame that leaves next."""
        return self._stream.state

    @property
    def stopped(self) -> bool:
        """Whether ``Stop`` was said; from then on nothing is."""
        return self._stopped

    @property
    def wants_frame(self) -> bool:
        """Whether a patient source should be read on now."""
        few = len(self._held.outstanding) < self._limits.ahead
        return self._ended is None and few and self._has_room

    @property
    def _has_room(self) -> bool:
        return not load.is_full(self._held.queue, self._limits.backlog, self._limits)

    @property
    def outstanding(self) -> int:
        """How many questions the judge has not answered."""
        return len(self._held.outstanding)

    def wake_ns(self) -> int | None:
        """Return when a ``Tick`` is needed at the latest; None when only events matter."""
        if self._stopped or self._limits.patient:
            return None
        times = [self._held.wake_ns(), self._sound.wake_ns()]
        if self._held.queue:
            head = self._held.queue[0]
            shut = self._stream.state is State.INTERRUPTED
            decided = shut or self._held.outcome(head) is not None
            if decided and self._now_ns < head.due_ns:
                times.append(head.due_ns)
            else:
                times.append(head.deadline_ns)
        elif self._last_out_pts_ns is not None and self._ended is None:
            times.append(self._last_out_now_ns + self._stall_ns())
        return min((at for at in times if at is not None), default=None)

    # --- events ---------------------------------------------------------------------------

    def handle(self, event: Event) -> list[Command]:  # noqa: PLR0912  (one branch an event)
        """Take in one event and return what is to be done, in order."""
        if self._stopped:
            return []
        slept = event.now_ns - self._now_ns
        self._now_ns = max(self._now_ns, event.now_ns)
        if not self._begun:
            # Whatever comes first starts the stream, so that a cool-down holds from there
            # on; a StreamStarted that comes later must not leave an interruption.
            self._begun = True
            self._stream.start(self._now_ns)
        elif not self._limits.patient and slept > self._limits.suspend_ns:
            self._break_off()
        match event:
            case PictureArrived():
                self._picture(event)
            case AudioArrived():
                self._audio(event)
            case EvidenceReady():
                self._evidence(event.token, event.evidence)
            case Discontinuity():
                self._break_off()
            case BundleChanged():
                self._judge_gone(Reason.STARTING)
            case Fault():
                self._fault(event.kind)
            case Resume():
                self._resume()
            case Interrupt(level=level, until_ns=until_ns):
                self._stream.heed(level, until_ns)
                self._interrupted(Reason.OTHER_DIRECTION)
            case SourceEnded():
                self._end(Outcome.ENDED)
            case Tick():
                self._tick()
        self._advance()
        out = self._out.copy()
        self._out.clear()
        return out

    def _picture(self, event: PictureArrived) -> None:
        frame = event.frame
        if self._ended is not None or not isinstance(frame.content, Picture):
            self._out.append(Drop(self._held.token(frame.seq), Reason.END))
            return
        if not self._rises(frame):
            return
        if frame.gap or self._flow.gap_before(frame.pts_ns, frame.content.format):
            self._break_off()
        self._flow.picture(frame.pts_ns, frame.content.format)
        if self._too_many():
            self._out.append(Drop(self._held.token(frame.seq), Reason.OVERLOAD))
            return
        barrier, self._barrier = self._barrier, None
        if self._stream.state is State.INTERRUPTED:
            # Nobody looks at anything until somebody resumes.
            self._held.cut_reference()
            self._held.arrive_shut(self._now_ns, frame, frame.content, self._stream.reason)
            return
        back_late = barrier is Reason.FAULT and self._limits.at_once
        if back_late or self._stream.waits(self._now_ns):
            # Its judge is hardly back before its deadline, or is left alone for a while.
            shut = self._held.arrive_shut(self._now_ns, frame, frame.content, Reason.NO_VERDICT)
            shut.barrier = barrier
            return
        closed = barrier is not None or self._held.will_close()
        live = self._stream.state is State.LIVE and not closed
        self._out += self._held.arrive(
            self._now_ns, frame, frame.content, live=live, barrier=barrier
        )

    def _rises(self, frame: Frame) -> bool:
        """Whether a frame has a number of its own; else verdicts could be mixed up: the end."""
        if self._flow.rises(frame):
            return True
        self._out.append(Drop(self._held.token(frame.seq), Reason.FAULT))
        self._fault(FaultKind.ENGINE)
        return False

    def _too_many(self) -> bool:
        # A shell that floods the engine must not fill the memory; a patient one looks at
        # wants_frame, a live one is slower than its source.
        limits = self._limits
        return not limits.patient and load.is_full(self._held.queue, 4 * limits.backlog, limits)

    def _audio(self, event: AudioArrived) -> None:
        frame = event.frame
        token = self._held.token(frame.seq)
        if self._ended is not None or not isinstance(frame.content, Sound):
            self._out.append(Drop(token, Reason.END))
            return
        if not self._rises(frame):
            return
        if self._flow.sound_fell_back(frame.pts_ns):
            # Another clock, on which no picture has come yet: it must not pass for sound
            # of pictures that left long ago.
            self._break_off()
        self._flow.sound(frame.pts_ns)
        self._out += self._sound.arrive(token, frame, frame.content, self._held.clock)

    def _evidence(self, token: Token, evidence: Evidence) -> None:
        self._held.shut_late_ties(self._now_ns)
        entry = self._held.outstanding.get(token)
        evidence = checked(evidence, self._views.every)
        if entry is None:
            self._stray_answer(token, evidence)
            return
        if entry.is_late(self._now_ns):
            self._stream.hear_late(evidence, self._head_pts_ns(), self._now_ns)
            evidence = Absent(AbsentReason.LATE)
        self._held.answer(self._now_ns, entry, evidence)
        if isinstance(evidence, Absent):
            self._note(f"no verdict: {evidence.reason.value}")
        self._out += self._held.settle_ties(self._now_ns)

    def _stray_answer(self, token: Token, evidence: Evidence) -> None:
        """Answers that nobody waits for permit nothing."""
        entry = self._held.judged_as(token)
        if entry is None:
            if not self._held.answered_in_vain(self._now_ns, token):
                self._note("an answer to no question")
            elif self._held.token(token.seq) == token:  # asked since all was last forgotten
                self._stream.hear_late(evidence, self._head_pts_ns(), self._now_ns)
        elif entry.evidence != evidence:
            entry.evidence = Absent(AbsentReason.CONTRADICTED)
            self._note("two answers that contradict each other")
            self._out += self._held.settle_ties(self._now_ns)

    def _break_off(self) -> None:
        """The flow broke. Live: forget what is held. A file: finish it, then start closed."""
        self._flow.forget()
        self._held.clock += 1
        if self._stream.state is State.INTERRUPTED:
            return
        if self._limits.patient:
            self._out += self._held.close_bracket(self._now_ns)
            self._held.cut_reference()
            self._barrier = Reason.DISCONTINUITY
            return
        self._out += self._held.drop_all(Reason.DISCONTINUITY)
        self._out += self._sound.drop_all(Reason.DISCONTINUITY)
        self._stream.close(Reason.DISCONTINUITY, self._head_pts_ns(), self._now_ns)

    def _fault(self, kind: FaultKind) -> None:
        self._note(f"{kind.value} fault")
        if kind is FaultKind.SOURCE:
            self._end(Outcome.FAULT)
        elif kind is not FaultKind.JUDGE:
            self._out += self._held.drop_all(Reason.FAULT)
            self._out += self._sound.drop_all(Reason.FAULT)
            self._stop(Outcome.FAULT)
        else:
            self._judge_gone(Reason.FAULT)
            shows_last = self._stream.state is State.LIVE and not self._stalled
            if self._limits.at_once and shows_last and not self._held.queue:
                # Until the next picture comes, which still lies behind this card.
                at_ns = (self._last_out_pts_ns or 0) + NS_PER_MS
                self._lone_card(at_ns)
                self._sound.picture_left(at_ns, released=False)
            self._faults.append(self._now_ns)
            full = len(self._faults) == self._limits.faults_to_interrupt
            if full and self._now_ns - self._faults[0] <= self._limits.fault_window_ns:
                self._faults.clear()
                self._interrupted(Reason.FAULT)

    def _interrupted(self, reason: Reason) -> None:
        if self._stream.state is not State.INTERRUPTED:
            self._stream.interrupt(reason, self._head_pts_ns(), self._now_ns)

    def _judge_gone(self, reason: Reason) -> None:
        """What has no answer gets none. Frames judged clear before still leave."""
        if self._stream.state is State.INTERRUPTED:
            return
        first = self._held.judge_gone(Reason.NO_VERDICT)
        if first is None:
            self._barrier = reason
        elif first.barrier is None:
            first.barrier = reason

    def _resume(self) -> None:
        if self._ended is None and self._stream.resume(self._head_pts_ns(), self._now_ns):
            self._out += self._held.drop_all(Reason.USER_RESUME)
            self._out += self._sound.drop_all(Reason.USER_RESUME)
            self._flow.forget()

    def _end(self, outcome: Outcome) -> None:
        if self._ended is None:
            self._out += self._held.close_bracket(self._now_ns)
            self._ended = outcome
            self._held.ended = True

    def _tick(self) -> None:
        wake = self._held.wake_ns()
        if wake is not None and self._now_ns >= wake:
            self._out += self._held.close_bracket(self._now_ns)
        last = self._last_out_pts_ns
        quiet = self._now_ns - self._last_out_now_ns
        waits = self._ended is None and not self._limits.patient and not self._held.queue
        if last is not None and waits and quiet >= self._stall_ns():
            # The sound is not told: it may reach as far as the pictures, not as far as this.
            self._lone_card(last + quiet)

    def _lone_card(self, pts_ns: int) -> None:
        """Show a card that stands for no frame."""
        action = Action.INTERRUPT if self._stream.state is State.INTERRUPTED else Action.COVER
        self._out.append(EmitCard(pts_ns, action))
        self._stream.shows(pts_ns, self._now_ns, released=False)
        self._last_out_pts_ns = pts_ns
        self._last_out_now_ns = self._now_ns
        self._stalled = True

    def _stall_ns(self) -> int:
        return self._limits.card_every_ns if self._stalled else self._limits.stall_ns

    # --- the head of the queue ------------------------------------------------------------

    def _advance(self) -> None:
        while self._held.queue and not self._stopped:
            entry = self._held.queue[0]
            self._out += self._sound.enter(entry.clock)
            if entry.barrier is not None:
                self._stream.close(entry.barrier, entry.frame.pts_ns, self._now_ns)
                entry.barrier = None
            result = self._held.outcome(entry)
            late = entry.is_late(self._now_ns)
            if result is None and (late or self._stream.state is State.INTERRUPTED):
                result = Result(Action.COVER, Reason.NO_VERDICT, None, (), None)
            if result is None or (not self._limits.patient and self._now_ns < entry.due_ns):
                break
            full = self._limits.patient and not self._has_room
            verdict = self._stream.walk(
                entry, result, self._held, self._now_ns, may_wait=not (late or full)
            )
            if verdict is None:
                break
            self._held.void(entry.token)
            if result.binding is None and entry.evidence is None:
                entry.shut = entry.shut or Reason.NO_VERDICT  # nothing may lean on it later
            self._held.queue.popleft()
            self._out.append(Emit(verdict))
            released = verdict.action is Action.RELEASE
            self._stream.shows(entry.frame.pts_ns, self._now_ns, released=released)
            self._sound.picture_left(entry.frame.pts_ns, released=released)
            self._last_out_pts_ns = entry.frame.pts_ns
            self._last_out_now_ns = self._now_ns
            self._stalled = False
            self._out += self._held.settle_ties(self._now_ns)
        ended = self._ended is not None and not self._held.queue
        shut = self._stream.state is State.INTERRUPTED
        self._out += self._sound.settle(self._now_ns, ended=ended, shut=shut)
        if ended and not self._stopped and self._ended is not None:
            self._stop(self._ended)

    def _head_pts_ns(self) -> int:
        queue = self._held.queue
        return queue[0].frame.pts_ns if queue else self._last_out_pts_ns or 0

    def _stop(self, outcome: Outcome) -> None:
        self._stopped = True
        note = StateChanged(self.state, Reason.END, self._last_out_pts_ns or 0, self._now_ns)
        self._out += [Record(note), Stop(outcome)]

    def _note(self, what: str) -> None:
        self._out.append(Record(FaultNoted(what, self._now_ns)))
