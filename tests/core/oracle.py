"""What must hold of any dialogue with an engine, written down apart from the engine.

The oracle hears every event and every command. It knows design.md's promises 1 to 3 and the
rules of sound, and nothing of how the engine keeps them; what it cannot see (which frame is
tied to which) it takes from the verdicts and then checks.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

from safelight.core.gate import Gate
from safelight.core.limits import Limits
from safelight.core.policy import Policy
from safelight.types import (
    NS_PER_S,
    Action,
    Ask,
    AudioArrived,
    Binding,
    BundleChanged,
    Command,
    CoolDownStarted,
    Discontinuity,
    Drop,
    Emit,
    EmitCard,
    Event,
    Evidence,
    EvidenceReady,
    Fault,
    FaultKind,
    Frame,
    Interrupt,
    Mute,
    Picture,
    PictureArrived,
    Reason,
    Record,
    Resume,
    Scores,
    Sound,
    SourceEnded,
    State,
    StateChanged,
    Stop,
    Token,
    Verdict,
)

TO = {
    State.PENDING: {State.PENDING, State.LIVE, State.COVERED, State.INTERRUPTED},
    State.LIVE: {State.PENDING, State.COVERED, State.INTERRUPTED},
    State.COVERED: {State.PENDING, State.LIVE, State.COVERED, State.INTERRUPTED},
    State.INTERRUPTED: {State.PENDING},
}


@dataclass(eq=False)
class Seen:
    """One picture, and what was said of it."""

    frame: Frame
    picture: Picture
    order: int
    clock: int
    boundary: bool
    came_ns: int
    token: Token | None = None
    void: bool = False
    clear: bool = False
    said: Evidence | None = None
    said_ns: int | None = None


@dataclass(eq=False)
class Chunk:
    start_ns: int
    end_ns: int
    margin_ns: int
    clock: int


@dataclass
class Oracle:
    """Feed it with :meth:`observe`; it raises AssertionError on a broken promise."""

    limits: Limits
    policy: Policy
    every: tuple[str, ...]
    gate: Gate
    until_ns: int = 0  # of a cool-down that was there at the start
    now_ns: int = 0
    begun: bool = False
    ended: bool = False
    stopped: bool = False
    state: State = State.PENDING
    order: int = 0
    clock: int = 0
    boundary: bool = True
    last: tuple[int, object] | None = None
    last_sound_ns: int | None = None
    held: dict[int, Seen] = field(default_factory=dict)
    known: dict[Token, Seen] = field(default_factory=dict)
    unanswered: dict[Token, Seen] = field(default_factory=dict)
    run_count: int = 0
    run_from_ns: int = 0
    open: bool = False
    covers_content: bool = False
    opens_after_content: bool = False
    showing: bool | None = None
    shown_ns: int = 0
    shown_pts_ns: int | None = None
    changes: list[int] = field(default_factory=list)
    chunks: dict[int, Chunk] = field(default_factory=dict)
    out_clock: int = 0
    timeline: list[tuple[int, bool]] = field(default_factory=list)
    audible: list[tuple[int, int, int]] = field(default_factory=list)
    released: int = 0
    covered: int = 0
    interrupted: int = 0
    dropped: int = 0
    must_interrupt: bool = False
    must_cover: bool = False

    # --- events ---------------------------------------------------------------------------

    def observe(self, event: Event, commands: list[Command]) -> None:
        if self.stopped:
            assert not commands, "something was said after Stop"
            return
        slept = event.now_ns - self.now_ns
        self.now_ns = max(self.now_ns, event.now_ns)
        self._may_resume = False
        must_go: set[int] = set()
        if not self.begun:
            self.begun = True
            if self.until_ns > self.now_ns:
                assert self._first_state(commands) is State.INTERRUPTED, "a cool-down was lost"
        elif not self.limits.patient and slept > self.limits.suspend_ns:
            must_go |= self._broke()
        must_go |= self._event(event)
        for command in commands:
            assert not self.stopped, "something was said after Stop"
            self._command(command)
        left = must_go & set(self.held)
        assert not left, f"held across a break: {left}"
        if self.must_interrupt and not self.stopped:
            assert self.state is State.INTERRUPTED, "the other direction was not heeded"
        self.must_interrupt = False
        if self.must_cover and not self.stopped:
            covers = self.state is State.COVERED and self.covers_content
            assert covers or self.state is State.INTERRUPTED, "a late answer was not heeded"
        self.must_cover = False
        self._prune()

    @staticmethod
    def _first_state(commands: list[Command]) -> State | None:
        for command in commands:
            if isinstance(command, Record) and isinstance(command.note, StateChanged):
                return command.note.state
        return None

    def _event(self, event: Event) -> set[int]:
        match event:
            case PictureArrived(_, frame) if isinstance(frame.content, Picture):
                return self._picture(frame, frame.content)
            case AudioArrived(_, frame) if isinstance(frame.content, Sound):
                return self._sound(frame, frame.content)
            case EvidenceReady(_, token, evidence):
                self._answer(token, evidence)
            case Discontinuity():
                return self._broke()
            case BundleChanged() | Fault(_, FaultKind.JUDGE):
                self._judge_gone()
            case Fault(_, FaultKind.SOURCE) | SourceEnded():
                self.ended = True
            case Interrupt():
                self.until_ns = max(self.until_ns, event.until_ns)
                self.must_interrupt = True
            case Resume() if not self.ended and self.state is State.INTERRUPTED:
                if self.now_ns >= self.until_ns:
                    self._may_resume = True
                    # Nothing before it is held any more: what comes is on a clock of its own.
                    self.last = self.last_sound_ns = None
                    self._new_region()
                    self.timeline.clear()
                    self.audible.clear()
                    self._void_all()
                    return set(self.held)
        return set()

    def _picture(self, frame: Frame, picture: Picture) -> set[int]:
        must_go: set[int] = set()
        last = self.last
        jumped = last is not None and (
            last[1] != picture.format
            or frame.pts_ns < last[0]
            or frame.pts_ns - last[0] > self.limits.jump_ns
        )
        if not self.ended and (frame.gap is not None or jumped):
            must_go = self._broke()
        self.last = (frame.pts_ns, picture.format)
        self.order += 1
        seen = Seen(frame, picture, self.order, self.clock, self.boundary, self.now_ns)
        self.boundary = False
        assert frame.seq not in self.held, "the test repeats a number"
        self.held[frame.seq] = seen
        return must_go

    def _sound(self, frame: Frame, sound: Sound) -> set[int]:
        must_go: set[int] = set()
        last = self.last_sound_ns
        if not self.ended and last is not None and frame.pts_ns < last - self.limits.jump_ns:
            must_go = self._broke()
        last = self.last_sound_ns
        self.last_sound_ns = frame.pts_ns if last is None else max(last, frame.pts_ns)
        length = sound.samples.shape[1] * NS_PER_S // sound.rate
        margin = self.limits.codec_frame_samples * NS_PER_S // sound.rate
        self.chunks[frame.seq] = Chunk(frame.pts_ns, frame.pts_ns + length, margin, self.clock)
        return must_go

    def _answer(self, token: Token, evidence: Evidence) -> None:
        asked = self.unanswered.pop(token, None)
        if asked is not None and self._late(asked, self.now_ns):
            self.must_cover = self._is_sound(evidence) and not self._is_clear(evidence)
            if self.must_cover:
                self.run_count = 0
        seen = self.known.get(token)
        if seen is None or seen.void:
            return
        if seen.said is None:
            seen.said, seen.said_ns = evidence, self.now_ns
            seen.clear = self._is_clear(evidence) and not self._late(seen, self.now_ns)
        elif seen.said != evidence or not self._is_clear(evidence):
            seen.clear = False

    def _vouches(self, seen: Seen) -> bool:
        """Nobody inherits from a score that is near a limit, however clear it is."""
        said = seen.said
        if not isinstance(said, Scores):
            return False
        lowest = min(self.policy.cover_at, self.policy.with_minor_at)
        of_every = said.sexual if said.every is None else said.every
        return of_every * 1000 < lowest * self.limits.vouch_permille

    def _is_sound(self, evidence: Evidence) -> bool:
        if not isinstance(evidence, Scores):
            return False
        told = [evidence.sexual, evidence.minor, evidence.every]
        numbers = [number for number in told if number is not None]
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int | float):
                return False
            if isinstance(number, float) and not math.isfinite(number):
                return False
            if number < 0 or number > 1:
                return False
        if evidence.every is not None and evidence.every > evidence.sexual:
            return False
        if not all(view in evidence.views for view in self.every):
            return False
        # Where no further view looked, all that was said is said by those of every frame.
        further = any(view not in self.every for view in evidence.views)
        return further or evidence.every is None or evidence.every == evidence.sexual

    def _is_clear(self, evidence: Evidence) -> bool:
        if not isinstance(evidence, Scores) or not self._is_sound(evidence):
            return False
        if evidence.sexual >= self.policy.cover_at:
            return False
        minor = evidence.minor is not None and evidence.minor >= self.policy.p_under_18_at
        return not (minor and evidence.sexual >= self.policy.with_minor_at)

    def _late(self, seen: Seen, when_ns: int) -> bool:
        limits = self.limits
        deadline = seen.frame.arrived_ns + limits.hold_ns + limits.grace_ns
        return not limits.patient and when_ns >= deadline

    def _broke(self) -> set[int]:
        self.last = self.last_sound_ns = None
        self.clock += 1
        if self.state is State.INTERRUPTED:
            return set()
        self.boundary = True
        if self.limits.patient:
            return set()
        self._new_region()
        self._void_all()
        self.timeline.clear()
        self.audible.clear()
        return set(self.held)

    def _new_region(self) -> None:
        self.run_count, self.open = 0, False

    def _void_all(self) -> None:
        self.unanswered.clear()
        for seen in self.known.values():
            seen.void = seen.void or seen.said is None

    def _judge_gone(self) -> None:
        if self.state is State.INTERRUPTED:
            return
        # The engine's first frame without an outcome is this one or an elder one.
        undecided = [s for s in self.held.values() if s.token is not None and s.said is None]
        self._void_all()
        if undecided:
            undecided[0].boundary = True
        elif not any(seen.token is None for seen in self.held.values()):
            self.boundary = True

    # --- commands -------------------------------------------------------------------------

    def _command(self, command: Command) -> None:
        match command:
            case Ask(token, views):
                seen = self.held[token.seq]
                assert seen.token is None, f"{token.seq} was asked twice"
                assert set(self.every) <= set(views), "asked without the views for every frame"
                seen.token = token
                self.known[token] = self.unanswered[token] = seen
            case Emit(verdict):
                self._emit(verdict)
            case EmitCard(pts_ns, action):
                self._shows(pts_ns, False)
                assert action is not Action.RELEASE
                assert not self.limits.patient
                assert not self.held
                assert (action is Action.INTERRUPT) == (self.state is State.INTERRUPTED)
            case Mute(token, spans):
                self._mute(self.chunks.pop(token.seq), spans)
            case Drop(token, _):
                if token.seq in self.held:
                    seen = self.held.pop(token.seq)
                    seen.void = True
                    self.dropped += 1
                else:
                    del self.chunks[token.seq]
            case Record(note):
                if isinstance(note, StateChanged):
                    self._changed(note)
                elif isinstance(note, CoolDownStarted):
                    assert note.until_ns > self.now_ns
                    self.until_ns = note.until_ns
            case Stop():
                assert not self.held, f"stopped with pictures held: {set(self.held)}"
                assert not self.chunks, f"stopped with sound held: {set(self.chunks)}"
                self.stopped = True

    def _emit(self, verdict: Verdict) -> None:
        seq = verdict.token.seq
        assert seq in self.held, f"{seq} left twice, or out of nowhere"
        assert seq == next(iter(self.held)), f"{seq} left before its elders"
        seen = self.held.pop(seq)
        frame = seen.frame
        if not self.limits.patient:
            assert self.now_ns >= frame.arrived_ns + self.limits.hold_ns, "left before its hold"
        if seen.clock != self.out_clock:
            self.out_clock = seen.clock
            self.timeline.clear()
            self.audible.clear()
        if seen.boundary:
            self._new_region()
        is_interrupted = self.state is State.INTERRUPTED
        assert (verdict.action is Action.INTERRUPT) == is_interrupted, "INTERRUPT, or not"
        if verdict.action is Action.RELEASE:
            self.released += 1
            self._check_release(seen, verdict)
        else:
            assert verdict.binding is None
            assert verdict.rests_on == ()
            self.covered += verdict.action is Action.COVER
            self.interrupted += verdict.action is Action.INTERRUPT
            self.open = False
            if seen.clear:
                self.run_from_ns = self.run_from_ns if self.run_count else frame.pts_ns
                self.run_count += 1
            else:
                self.run_count = 0
            for start, end, margin in self.audible:
                early = f"sound {start}-{end} left before the cover at {frame.pts_ns}"
                assert end <= frame.pts_ns - margin, early
        self._shows(frame.pts_ns, verdict.action is Action.RELEASE)
        seen.void = seen.void or seen.said is None
        self.timeline.append((frame.pts_ns, verdict.action is Action.RELEASE))

    def _shows(self, pts_ns: int, released: bool) -> None:
        if self.shown_pts_ns is not None:
            self.shown_ns += min(max(pts_ns - self.shown_pts_ns, 0), NS_PER_S)
        self.shown_pts_ns = pts_ns
        if self.showing is not None and self.showing is not released:
            at = self.shown_ns if self.limits.patient else self.now_ns
            self.changes = [t for t in self.changes if at - t < NS_PER_S] + [at]
            assert len(self.changes) <= self.limits.changes_per_s, "flickers"
        self.showing = released

    def _check_release(self, seen: Seen, verdict: Verdict) -> None:
        seq, limits = verdict.token.seq, self.limits
        assert self.state is State.LIVE, f"{seq} released in {self.state}"
        if not limits.patient:
            assert self.now_ns <= verdict.expires_ns <= self.now_ns + NS_PER_S
        ends = [self.known[token] for token, _ in verdict.rests_on]
        for end, (_, evidence) in zip(ends, verdict.rests_on, strict=True):
            assert end.clear, f"{seq} rests on {end.frame.seq}, which is not judged clear"
            assert end.said == evidence, f"{seq} rests on other evidence than was given"
            assert end.clock == seen.clock, f"{seq} rests on another flow"
            assert end.said_ns is not None
            # What was said before it came is not late, however long it was on its way.
            late = self._late(seen, end.said_ns) and end.said_ns > seen.came_ns
            assert not late, f"{seq} rests on a late answer"
        match verdict.binding, ends:
            case Binding.JUDGED, [own]:
                assert own is seen
            case Binding.STILL, [before]:
                assert self._vouches(before)
                assert seen.token is None
                assert before.order < seen.order
                assert self._apart(seen, before) <= limits.still_age_ns
                assert self.gate.compare(seen.picture, before.picture).still
            case Binding.BRACKETED, [left, right]:
                assert self._vouches(left)
                assert self._vouches(right)
                assert seen.token is None
                assert left.order < seen.order < right.order
                assert right.order - left.order <= min(8, limits.bracket_frames)
                assert self._apart(right, left) <= limits.hold_ns
                assert self.gate.compare(seen.picture, left.picture).near
                assert self.gate.compare(seen.picture, right.picture).close
            case _:
                raise AssertionError(f"{seq} released on no known ground: {verdict}")
        if not self.open:
            self._check_opening(seen)
            self.open = True

    @staticmethod
    def _apart(a: Seen, b: Seen) -> int:
        return max(
            abs(a.frame.pts_ns - b.frame.pts_ns), abs(a.frame.arrived_ns - b.frame.arrived_ns)
        )

    def _check_opening(self, seen: Seen) -> None:
        pts_ns = seen.frame.pts_ns
        assert seen.clear, "opened on a frame that was not judged clear itself"
        count = self.run_count + 1
        from_ns = self.run_from_ns if self.run_count else pts_ns
        last_ns = pts_ns
        if not self.opens_after_content:
            for ahead in self.held.values():
                if not ahead.clear or ahead.boundary:
                    break
                count, last_ns = count + 1, ahead.frame.pts_ns
        limits = self.limits
        span = limits.lift_span_ns if self.opens_after_content else limits.open_span_ns
        assert count >= limits.open_frames, f"opened after {count} clear frames"
        assert last_ns - from_ns >= span, f"opened after {last_ns - from_ns} ns"

    def _changed(self, note: StateChanged) -> None:
        if note.reason is Reason.END:
            assert note.state is self.state
            return
        assert note.state in TO[self.state], f"{self.state} -> {note.state}"
        if self.state is State.INTERRUPTED:
            assert self._may_resume, "left an interruption without a resume past its cool-down"
        # Content keeps a stream covered for a second whatever else happens, but for a resume.
        if note.state is State.COVERED and note.reason is Reason.SEXUAL_CONTENT:
            self.covers_content = True
        elif note.state is State.LIVE:
            self.opens_after_content, self.covers_content = self.covers_content, False
        elif note.reason is Reason.USER_RESUME:
            self.covers_content = False
        self.state = note.state

    def _mute(self, chunk: Chunk, spans: tuple[tuple[int, int], ...]) -> None:
        at = chunk.start_ns
        for start, end in [*sorted(spans), (chunk.end_ns, chunk.end_ns)]:
            if at < start:
                self._heard(at, min(start, chunk.end_ns), chunk)
            at = max(at, end)

    def _heard(self, start: int, end: int, chunk: Chunk) -> None:
        what = f"sound {start}-{end} was heard"
        assert self.state is not State.INTERRUPTED, f"{what} in an interruption"
        assert chunk.clock == self.out_clock, f"{what} on another clock"
        assert self.timeline, f"{what} before any picture"
        times = [pts for pts, _ in self.timeline]
        assert end <= max(times), f"{what} beyond the last picture"
        assert start >= times[0], f"{what} before the first picture"
        for (pts, was_released), (after, _) in itertools.pairwise(self.timeline):
            if was_released:
                quiet_from, quiet_to = pts + self.limits.silence_after_ns, after
            else:
                quiet_from, quiet_to = pts - chunk.margin_ns, after + chunk.margin_ns
            overlaps = max(start, quiet_from) < min(end, quiet_to)
            assert not overlaps, f"{what}; it is silent from {quiet_from} to {quiet_to}"
        pts, was_released = self.timeline[-1]
        assert was_released or end <= pts - chunk.margin_ns, f"{what} at a cover"
        self.audible.append((start, end, chunk.margin_ns))

    def _may_be_an_end(self, seen: Seen) -> bool:
        oldest = next(iter(self.held.values()), None)
        age = max(self.limits.still_age_ns, self.limits.hold_ns)
        if oldest is None:
            last = self.timeline[-1][0] if self.timeline else seen.frame.pts_ns
            return last - seen.frame.pts_ns <= age
        return oldest.frame.pts_ns - seen.frame.pts_ns <= age or seen.order >= oldest.order

    def _prune(self) -> None:
        # What left and is not judged clear can be no ground for anything; nor can what is
        # too old to be the end of a bracket, or to be taken over from.
        self.known = {
            token: seen
            for token, seen in self.known.items()
            if seen.frame.seq in self.held or (seen.clear and self._may_be_an_end(seen))
        }
        if len(self.timeline) > 400:
            del self.timeline[:200]
            del self.audible[:-50]
