"""Evidence -> what happens to a frame. Only scores that are there and in range can release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from safelight.types import Absent, AbsentReason, Action, Evidence, Reason, Scores

# Over 1,416 views, many of them made to score in between, what bf16 said below 0.08 was within
# 0.007 of f32 (tools/bench_runtime.py, ADR 0024).
FIRST_LOOK_ERROR: Final = 0.02
MOST_FIRST_LOOK: Final = 0.08


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits that a stream is judged by. Made by policies/policy_file.py, which validates them.

    ``cover_at``: a sexual content score in (0, 1] from which a frame is never released.
    ``with_minor_at`` and ``p_under_18_at``: the lower score that suffices together with a
    P(<18) estimate. ``sequential_*``: thousandths of a nat, see core/sequential.py.
    ``adults_affirmed``: the platform has established that the user is an adult; it changes
    nothing unless the bundle counts people, which no bundle of this version does.

    Raises:
        ValueError: a limit that no score could reach, NaN among them: it would permit all.
    """

    name: str
    title: str
    cover_at: float
    with_minor_at: float
    p_under_18_at: float
    sequential_cover_at: int
    sequential_interrupt_at: int
    adults_affirmed: bool
    false_interruptions_per_100h: float
    false_cover_s_per_hour: float

    def __post_init__(self) -> None:
        if not all(0.0 < at <= 1.0 for at in (self.cover_at, self.with_minor_at)):
            raise ValueError("a sexual content limit lies in (0, 1]")
        if not 0.0 < self.p_under_18_at <= 1.0:
            raise ValueError("the limit of the P(<18) estimate lies in (0, 1]")
        if not 0 < self.sequential_cover_at <= self.sequential_interrupt_at:
            raise ValueError("sequential limits rise from cover to interrupt, above zero")


def checked(evidence: Evidence, required_views: tuple[str, ...]) -> Evidence:
    """Return the evidence, or ``Absent`` when it is not what it claims to be.

    NaN must not pass as a score: ``nan >= limit`` is False, which would release.
    """
    if not isinstance(evidence, Scores):
        return evidence if isinstance(evidence, Absent) else Absent(AbsentReason.FAULT)
    told = (evidence.minor, evidence.every)
    for number in (evidence.sexual, *(number for number in told if number is not None)):
        if isinstance(number, bool) or not isinstance(number, float | int):
            return Absent(AbsentReason.NOT_A_NUMBER)
        if number != number:  # noqa: PLR0124  (NaN; math.isnan raises for a huge int)
            return Absent(AbsentReason.NOT_A_NUMBER)
        if not 0.0 <= number <= 1.0:
            return Absent(AbsentReason.OUT_OF_RANGE)
    if evidence.every is not None and evidence.every > evidence.sexual:
        return Absent(AbsentReason.CONTRADICTED)
    given = evidence.views if isinstance(evidence.views, tuple) else ()
    # Names only: anything else may compare in ways of its own, or raise.
    views = {view for view in given if isinstance(view, str)}
    if not required_views or any(view not in views for view in required_views):
        return Absent(AbsentReason.MISSING_VIEW)
    differs = evidence.every is not None and evidence.every != evidence.sexual
    if differs and views.issubset(required_views):
        # Higher in all than by the views of every frame, though no other looked.
        return Absent(AbsentReason.CONTRADICTED)
    return evidence


def decide(policy: Policy, evidence: Evidence) -> tuple[Action, Reason]:
    """Return what one frame's own evidence demands.

    Args:
        policy: the limits.
        evidence: checked evidence of this frame alone.

    Returns:
        RELEASE only for scores below every limit; an interruption is never decided on one
        frame alone.
    """
    if not isinstance(evidence, Scores):
        return Action.COVER, Reason.NO_VERDICT
    # Written so that only a comparison that holds can loosen or release.
    no_minor = evidence.minor is None or evidence.minor < policy.p_under_18_at
    limit = policy.cover_at if no_minor else min(policy.with_minor_at, policy.cover_at)
    if evidence.sexual < limit:
        return Action.RELEASE, Reason.CLEAR
    return Action.COVER, Reason.SEXUAL_CONTENT


def is_far_below(policy: Policy, evidence: Evidence, permille: int) -> bool:
    """Whether all that was said is below ``permille`` thousandths of the policy's lowest limit."""
    if not isinstance(evidence, Scores) or decide(policy, evidence)[0] is not Action.RELEASE:
        return False
    return _is_far_below(policy, evidence.sexual, permille)


def vouches(policy: Policy, evidence: Evidence, permille: int) -> bool:
    """Whether a judged frame is clear by so much that its neighbours may inherit from it.

    It is clear by all its views, and far below every limit by those that a neighbour would be
    looked at through: one that looks nearly the same scores nearly the same, and the rest is
    for that.
    """
    if not isinstance(evidence, Scores) or decide(policy, evidence)[0] is not Action.RELEASE:
        return False
    return _is_far_below(policy, _by_every_view(evidence), permille)


def _is_far_below(policy: Policy, score: float, permille: int) -> bool:
    return score * 1000 < min(policy.cover_at, policy.with_minor_at) * permille


def _by_every_view(scores: Scores) -> float:
    """Return the score by the views of every frame: a view in turn has looked at one alone."""
    return scores.sexual if scores.every is None else scores.every


def for_neighbours(ends: Iterable[Scores]) -> Scores:
    """Return what was said of the highest of some judged frames, one at least, as far as it holds
    for those that inherit from them."""
    highest = max(ends, key=_by_every_view)
    return replace(highest, sexual=_by_every_view(highest))


def first_look_below(policy: Policy, permille: int) -> float:
    """Return up to which score a quicker, less exact network may answer; 0: none may.

    Whatever it lets pass is clear, and vouches, by f32 too: there is room for its error below
    the score from which on a frame does not vouch. It is never more than what was measured for.
    """
    vouching = min(policy.cover_at, policy.with_minor_at) * permille / 1000
    return max(0.0, min(MOST_FIRST_LOOK, vouching - FIRST_LOOK_ERROR))
