"""All limits of the engine in one place. Every number is a whole one: nanoseconds, counts,
thousandths. docs/policies.md says where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from safelight.types import NS_PER_MS, NS_PER_S

HOLD_LIVESTREAM_NS: Final = 250 * NS_PER_MS
GRACE_LIVESTREAM_NS: Final = 500 * NS_PER_MS
GRACE_CALL_NS: Final = 100 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine goes by. The defaults are a livestream's.

    ``patient``: the source is a file, which waits for its judge; nothing is late there and
    nothing is dropped. Otherwise a frame's deadline is its arrival + ``hold_ns`` +
    ``grace_ns``.
    """

    hold_ns: int = HOLD_LIVESTREAM_NS
    patient: bool = False
    grace_ns: int = GRACE_LIVESTREAM_NS
    # An answer that is expected later than this, past the hold, is not asked for; nor later than
    # this share of the grace. The rest is for answers that take longer than was expected, and
    # not for a queue of them.
    hope_ns: int = 200 * NS_PER_MS
    hope_permille: int = 750

    # It starts closed (promise 3).
    open_frames: int = 3
    open_span_ns: int = 100 * NS_PER_MS

    # A cover lifts by itself; three changes a second at most spare a photosensitive viewer.
    lift_span_ns: int = NS_PER_S
    changes_per_s: int = 3

    # Bracketed and still (core/gate.py). The right end is asked for after ``span`` so that
    # its answer is there when the first frame between is due.
    bracket_frames: int = 8
    bracket_span_permille: int = 900
    still_age_ns: int = NS_PER_S
    # Which of the frames that could inherit are judged all the same, by a secret: a frame that
    # is still to a judged one leaves little room, one between two ends leaves more.
    audit_one_in: int = 64
    audit_between_one_in: int = 16
    # Others inherit from a frame whose score is below this share of the policy's lowest limit.
    vouch_permille: int = 500

    # Further views, and samples of sequential evidence: neighbouring frames are correlated.
    # For so long what a further view said of a picture holds for those that are still to it.
    in_turn_every_ns: int = 500 * NS_PER_MS
    turn_age_ns: int = 3 * NS_PER_S
    sample_every_ns: int = 500 * NS_PER_MS

    # Sound.
    silence_after_ns: int = 250 * NS_PER_MS
    codec_frame_samples: int = 1024
    sound_backlog: int = 2048

    # The flow of a stream.
    jump_ns: int = NS_PER_S
    suspend_ns: int = 5 * NS_PER_S
    stall_ns: int = 2 * NS_PER_S
    card_every_ns: int = NS_PER_S
    backlog: int = 32
    held_bytes: int = 512 * 1024 * 1024
    ahead: int = 1
    service_guess_ns: int = 40 * NS_PER_MS

    # After how long a stream that was covered because its judge was late tries again: the first
    # time, the next, and so on while no window passes without.
    retry_ns: tuple[int, ...] = (0, NS_PER_S // 2, NS_PER_S)
    retry_window_ns: int = 10 * NS_PER_S

    # Faults, interruptions.
    fault_window_ns: int = 60 * NS_PER_S
    faults_to_interrupt: int = 3
    cool_down_ns: tuple[int, ...] = (
        10 * NS_PER_S,
        60 * NS_PER_S,
        300 * NS_PER_S,
        900 * NS_PER_S,
    )

    def __post_init__(self) -> None:
        # Bracketing is safe only over a span no longer than the hold that delays release.
        if not 0 <= self.hold_ns <= 2 * NS_PER_S:
            raise ValueError("a hold is between 0 and 2 seconds")
        if not 1 <= self.bracket_frames <= 8 or not 0 <= self.bracket_span_permille <= 1000:
            raise ValueError("a bracket spans at most 8 frames and one hold")
        if not 0 <= self.still_age_ns <= 2 * NS_PER_S:
            raise ValueError("a still frame rests on one at most 2 seconds old")
        if not 0 <= self.turn_age_ns <= 3 * NS_PER_S:
            raise ValueError("a further view looks again after at most 3 seconds")
        if not 0 <= self.hope_permille <= 1000:
            raise ValueError("what is hoped for comes before the deadline")
        if not 0 < self.vouch_permille <= 1000:
            raise ValueError("a frame that others inherit from is itself below the limits")
        # A queue that a bracket could fill would wait for itself.
        if self.backlog <= self.bracket_frames:
            raise ValueError("a backlog is longer than a bracket")
        if any(value < 1 for value in self._counts) or any(v < 0 for v in self._spans):
            raise ValueError("a limit of nothing would permit what it limits")
        if not self.retry_ns or any(wait < 0 for wait in self.retry_ns):
            raise ValueError("a stream whose judge was late tries again some time")
        if not self.cool_down_ns or any(wait < 1 for wait in self.cool_down_ns):
            raise ValueError("an interruption has to cool down from")

    @property
    def _counts(self) -> tuple[int, ...]:
        return (
            self.open_frames,
            self.changes_per_s,
            self.audit_one_in,
            self.audit_between_one_in,
            self.codec_frame_samples,
            self.sound_backlog,
            self.ahead,
            self.faults_to_interrupt,
        )

    @property
    def _spans(self) -> tuple[int, ...]:
        return (
            self.grace_ns,
            self.hope_ns,
            self.open_span_ns,
            self.lift_span_ns,
            self.in_turn_every_ns,
            self.sample_every_ns,
            self.silence_after_ns,
            self.jump_ns,
            self.suspend_ns,
            self.stall_ns - 1,
            self.card_every_ns - 1,
            self.service_guess_ns,
            self.fault_window_ns,
            self.retry_window_ns,
        )

    @property
    def at_once(self) -> bool:
        """Whether pictures leave as soon as they are judged (a call): none is held meanwhile."""
        return not self.patient and not self.hold_ns

    @property
    def hoped_ns(self) -> int:
        """How long past its hold a picture's answer may be expected, to be asked for at all."""
        return min(self.hope_ns, self.grace_ns * self.hope_permille // 1000)

    @property
    def bracket_span_ns(self) -> int:
        """After how much stream time or waiting a right end is asked for."""
        return self.hold_ns * self.bracket_span_permille // 1000
