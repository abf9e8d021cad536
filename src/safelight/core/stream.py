"""The state of one stream, walked frame by frame in stream order.

PENDING -> LIVE <-> COVERED -> INTERRUPTED -> (resume) PENDING. The only place that turns a
frame's own result into RELEASE, and it does so in LIVE alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from safelight.core.backoff import Backoff
from safelight.core.entry import Entry, Result
from safelight.core.held import Held
from safelight.core.limits import Limits
from safelight.core.policy import Policy, decide
from safelight.core.sequential import Sequential
from safelight.types import (
    NS_PER_S,
    Action,
    Binding,
    Calibration,
    Command,
    CoolDownStarted,
    Evidence,
    Reason,
    Record,
    ResumeRefused,
    Scores,
    State,
    StateChanged,
    Token,
    Verdict,
)

NEVER_NS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class CoolDown:
    """Where earlier interruptions left this user: ``level`` 0 (none) to 4, and until when."""

    level: int = 0
    until_ns: int = 0


NO_COOL_DOWN: Final = CoolDown()


class Stream:
    """State, reason, and what changes them. ``out`` collects what is to be recorded."""

    def __init__(
        self,
        limits: Limits,
        policy: Policy,
        calibration: Calibration,
        cool_down: CoolDown,
        out: list[Command],
    ) -> None:
        self._limits = limits
        self._policy = policy
        self._calibration = calibration
        self._cool_down = cool_down
        self._out = out
        self._sequential = self._new_sequential()
        self._backoff = Backoff(limits)
        self._run_from_ns = 0  # pts of the first of the clear frames in a row
        self._run_count = 0
        self._showing: bool | None = None  # whether what left last was released
        self._shown_ns = 0  # a file's own time: its pts, whatever breaks they have
        self._shown_pts_ns: int | None = None
        self._changes: deque[int] = deque(maxlen=16)
        self.state = State.PENDING
        self.reason = Reason.STARTING

    def start(self, now_ns: int) -> None:
        """Begin closed; an interruption elsewhere, or before a restart, still holds."""
        if self._cool_down.until_ns > now_ns:
            self._enter(State.INTERRUPTED, Reason.SEXUAL_CONTENT, 0, now_ns)
        else:
            self._enter(State.PENDING, Reason.STARTING, 0, now_ns)

    # --- one frame ------------------------------------------------------------------------

    def walk(
        self, entry: Entry, result: Result, held: Held, now_ns: int, *, may_wait: bool
    ) -> Verdict | None:
        """Return the verdict of the frame at the head, or None when it has to wait.

        Args:
            entry: the frame at the head of ``held``.
            result: what it has come to by itself.
            held: the queue, to look ahead in while the stream is PENDING.
            now_ns: the time.
            may_wait: whether waiting for later frames is still an option.
        """
        pts_ns = entry.frame.pts_ns
        if self.state is State.INTERRUPTED:
            return self._verdict(entry, Action.INTERRUPT, self.reason, now_ns)
        if result.scores is not None:
            self._sequential.sample(pts_ns, result.scores)
        restriction = self._sequential.restriction
        if restriction is Action.INTERRUPT:
            self.interrupt(Reason.SEXUAL_CONTENT, pts_ns, now_ns)
            return self._verdict(entry, Action.INTERRUPT, Reason.SEXUAL_CONTENT, now_ns)
        if restriction is not None:
            return self._refuse(entry, Reason.SEXUAL_CONTENT, now_ns)
        if result.action is not Action.RELEASE:
            return self._refuse(entry, result.reason, now_ns)
        if self.state is State.LIVE:
            return self._release(entry, result, now_ns)
        if result.binding is not Binding.JUDGED:
            # It inherited while the stream was live; now it is not.
            return self._refuse(entry, self.reason, now_ns)
        return self._reopen(entry, result, held, now_ns, may_wait=may_wait)

    def _release(self, entry: Entry, result: Result, now_ns: int) -> Verdict:
        expires = NEVER_NS if self._limits.patient else now_ns + NS_PER_S
        return Verdict(
            entry.token, Action.RELEASE, Reason.CLEAR, result.binding, result.rests_on, expires
        )

    def _refuse(self, entry: Entry, reason: Reason, now_ns: int) -> Verdict:
        self._run_count = 0
        # A cover for content outlasts one for want of a verdict, and PENDING is closed as it
        # is: only content makes more of it.
        worse = reason is Reason.SEXUAL_CONTENT and not self._covers_content
        if self.state is State.LIVE and reason is Reason.NO_VERDICT:
            self._backoff.covered(now_ns)
        if self.state is State.LIVE or worse:
            self._enter(State.COVERED, reason, entry.frame.pts_ns, now_ns)
        return self._verdict(entry, Action.COVER, reason, now_ns)

    def _reopen(
        self, entry: Entry, result: Result, held: Held, now_ns: int, *, may_wait: bool
    ) -> Verdict | None:
        """A judged-clear frame while closed: it counts towards opening, and may open."""
        pts_ns = entry.frame.pts_ns
        if self._run_count == 0:
            self._run_from_ns = pts_ns
        count, last, more = self._run_count + 1, pts_ns, False
        if self.state is State.PENDING:
            ahead, last, more = held.clear_run()
            count = self._run_count + ahead
        span = self._limits.lift_span_ns if self._covers_content else self._limits.open_span_ns
        enough = count >= self._limits.open_frames and last - self._run_from_ns >= span
        if enough and self._may_change(now_ns) and not self.waits(now_ns):
            self._enter(State.LIVE, Reason.CLEAR, pts_ns, now_ns)
            return self._release(entry, result, now_ns)
        if more and may_wait:
            return None
        self._run_count += 1
        return self._verdict(entry, Action.COVER, self.reason, now_ns)

    def hear_late(self, evidence: Evidence, pts_ns: int, now_ns: int) -> None:
        """Heed what is said of a frame that could not wait for it: it permits nothing, and
        what it forbids is forbidden from here on.

        Otherwise a judge that is slow enough would never be heard.
        """
        action, reason = decide(self._policy, evidence)
        if not isinstance(evidence, Scores) or action is Action.RELEASE:
            return
        if self.state is State.INTERRUPTED:
            return
        self._run_count = 0
        self._sequential.sample_late(pts_ns, evidence)
        if self._sequential.restriction is Action.INTERRUPT:
            self.interrupt(reason, pts_ns, now_ns)
        elif not self._covers_content:
            self._enter(State.COVERED, reason, pts_ns, now_ns)

    def waits(self, now_ns: int) -> bool:
        """Whether a stream whose judge was late leaves it alone for now."""
        return self.state is not State.LIVE and self._backoff.waits(now_ns)

    @property
    def _covers_content(self) -> bool:
        return self.state is State.COVERED and self.reason is Reason.SEXUAL_CONTENT

    def shows(self, pts_ns: int, now_ns: int, *, released: bool) -> None:
        """Note what leaves: a viewer may see three changes a second and no more."""
        last = self._shown_pts_ns
        self._shown_ns += 0 if last is None else min(max(pts_ns - last, 0), NS_PER_S)
        self._shown_pts_ns = pts_ns
        if self._showing not in (None, released):
            self._changes.append(self._viewer_ns(now_ns))
        self._showing = released

    def _viewer_ns(self, now_ns: int) -> int:
        return self._shown_ns if self._limits.patient else now_ns

    def _may_change(self, now_ns: int) -> bool:
        if self._showing is not False:
            return True  # nothing would change
        # Opening now, and the cover that may follow at once, must both fit.
        recent = sum(1 for at in self._changes if self._viewer_ns(now_ns) - at < NS_PER_S)
        return recent + 2 <= self._limits.changes_per_s

    def _verdict(self, entry: Entry, action: Action, reason: Reason, now_ns: int) -> Verdict:
        nothing: tuple[tuple[Token, Evidence], ...] = ()
        return Verdict(entry.token, action, reason, None, nothing, now_ns)

    # --- changes of state -----------------------------------------------------------------

    def close(self, reason: Reason, pts_ns: int, now_ns: int) -> None:
        """Start anew, closed; a cover for content, or an interruption, stays what it is."""
        self._run_count = 0
        if self.state is not State.INTERRUPTED and not self._covers_content:
            self._enter(State.PENDING, reason, pts_ns, now_ns)

    def interrupt(self, reason: Reason, pts_ns: int, now_ns: int) -> None:
        """Stop until somebody resumes; for content, with a cool-down."""
        self._enter(State.INTERRUPTED, reason, pts_ns, now_ns)
        if reason is not Reason.SEXUAL_CONTENT:
            return  # a broken judge is not the user's doing: nothing to cool down from
        waits = self._limits.cool_down_ns
        level = min(self._cool_down.level + 1, len(waits))
        self._cool_down = CoolDown(level, now_ns + waits[level - 1])
        self._out.append(Record(CoolDownStarted(level, self._cool_down.until_ns)))

    def heed(self, level: int, until_ns: int) -> None:
        """Take over a cool-down that runs elsewhere; ours is never shortened by it."""
        mine = self._cool_down
        level = min(max(mine.level, level), len(self._limits.cool_down_ns))
        self._cool_down = CoolDown(level, max(mine.until_ns, until_ns))

    def resume(self, pts_ns: int, now_ns: int) -> bool:
        """Leave an interruption, unless it has to cool down; return whether it was left."""
        if self.state is not State.INTERRUPTED:
            return False
        if now_ns < self._cool_down.until_ns:
            self._out.append(Record(ResumeRefused(self._cool_down.until_ns)))
            return False
        self._sequential = self._new_sequential()
        self._enter(State.PENDING, Reason.USER_RESUME, pts_ns, now_ns)
        return True

    def _enter(self, state: State, reason: Reason, pts_ns: int, now_ns: int) -> None:
        self.state, self.reason = state, reason
        self._run_count = 0
        self._out.append(Record(StateChanged(state, reason, pts_ns, now_ns)))

    def _new_sequential(self) -> Sequential:
        # After an interruption the limits are tighter, until the cool-down decays: 4/5 at
        # the first level down to 1/2 at the fourth. Never looser.
        level = self._cool_down.level
        policy = self._policy
        return Sequential(
            self._calibration,
            policy.sequential_cover_at * 4 // (4 + level),
            policy.sequential_interrupt_at * 4 // (4 + level),
            self._limits.sample_every_ns,
        )
