"""Only scores that are there and in range can release (promise 2)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight import policies
from safelight.core.policy import (
    FIRST_LOOK_ERROR,
    MOST_FIRST_LOOK,
    Policy,
    checked,
    decide,
    first_look_below,
    for_neighbours,
    is_far_below,
    vouches,
)
from safelight.testing.fakes import VIEW, scores
from safelight.types import Absent, AbsentReason, Action, Reason, Scores

EVERY = (VIEW,)
PROTECT = policies.load("protect")


class Pretender(float):
    """Compares as it likes."""

    def __le__(self, other: object) -> bool:
        return True

    __ge__ = __lt__ = __gt__ = __le__


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (scores(math.nan), AbsentReason.NOT_A_NUMBER),
        (scores(0.0, math.nan), AbsentReason.NOT_A_NUMBER),
        (scores(math.inf), AbsentReason.OUT_OF_RANGE),
        (scores(-math.inf), AbsentReason.OUT_OF_RANGE),
        (scores(0.0, math.inf), AbsentReason.OUT_OF_RANGE),
        (scores(-1e-12), AbsentReason.OUT_OF_RANGE),
        (scores(1.0 + 1e-12), AbsentReason.OUT_OF_RANGE),
        (scores(10**400), AbsentReason.OUT_OF_RANGE),
        (scores(False), AbsentReason.NOT_A_NUMBER),
        (scores(0.0, True), AbsentReason.NOT_A_NUMBER),
        (scores("0.0"), AbsentReason.NOT_A_NUMBER),  # type: ignore[arg-type]
        (scores(None), AbsentReason.NOT_A_NUMBER),  # type: ignore[arg-type]
        (scores(np.float32(0.0)), AbsentReason.NOT_A_NUMBER),  # type: ignore[arg-type]
        (scores(0.0, views=()), AbsentReason.MISSING_VIEW),
        (scores(0.0, views=("squares",)), AbsentReason.MISSING_VIEW),
        (scores(0.0, views=None), AbsentReason.MISSING_VIEW),  # type: ignore[arg-type]
        (scores(0.0, views=VIEW), AbsentReason.MISSING_VIEW),  # type: ignore[arg-type]
        (scores(0.0, views=([], {})), AbsentReason.MISSING_VIEW),  # type: ignore[arg-type]
        (scores(0.0, views=(np.arange(2),)), AbsentReason.MISSING_VIEW),  # type: ignore[arg-type]
        (scores(0.3, every=math.nan), AbsentReason.NOT_A_NUMBER),
        (scores(0.3, every=False), AbsentReason.NOT_A_NUMBER),
        (scores(0.3, every=-0.1), AbsentReason.OUT_OF_RANGE),
        (scores(0.3, every=0.31), AbsentReason.CONTRADICTED),
        (scores(0.3, every=0.1), AbsentReason.CONTRADICTED),  # by no other view
        (None, AbsentReason.FAULT),
        (0.0, AbsentReason.FAULT),
        ("clear", AbsentReason.FAULT),
    ],
)
def test_what_is_no_evidence_is_absent_and_covers(evidence: Any, reason: AbsentReason) -> None:
    found = checked(evidence, EVERY)
    assert found == Absent(reason)
    assert decide(PROTECT, found) == (Action.COVER, Reason.NO_VERDICT)


def test_nothing_required_is_nothing_judged() -> None:
    assert checked(scores(0.0), ()) == Absent(AbsentReason.MISSING_VIEW)


def test_an_absence_keeps_its_reason() -> None:
    absent = Absent(AbsentReason.LATE)
    assert checked(absent, EVERY) is absent


def test_whole_evidence_passes_as_it_is() -> None:
    more = (VIEW, "squares")
    for good in (
        scores(0.0),
        scores(1.0),
        scores(0, 1),
        scores(0.3, 0.7, more),
        scores(0.3, None, more, 0.1),
        scores(0.3, every=0.3),
    ):
        assert checked(good, EVERY) is good


def test_a_further_view_says_nothing_of_neighbours() -> None:
    """It looks at the judged frame alone: those beside it, judged themselves, would not be."""
    raised = scores(0.3, None, (VIEW, "squares"), 0.05)
    assert decide(PROTECT, raised)[0] is Action.RELEASE
    assert vouches(PROTECT, raised, 500)
    assert not is_far_below(PROTECT, raised, 500)
    assert for_neighbours([raised]) == scores(0.05, None, (VIEW, "squares"), 0.05)


def test_but_what_it_covers_vouches_for_nothing() -> None:
    assert not vouches(PROTECT, scores(0.6, None, (VIEW, "squares"), 0.0), 500)
    assert not vouches(PROTECT, scores(0.3, 0.9, (VIEW, "squares"), 0.0), 500)


def test_a_view_of_every_frame_that_is_near_a_limit_vouches_for_nothing() -> None:
    assert not vouches(PROTECT, scores(0.1, None, (VIEW, "squares"), 0.1), 500)
    assert not vouches(PROTECT, scores(0.1), 500)
    assert vouches(PROTECT, scores(math.nextafter(0.1, 0)), 500)


def test_evidence_that_nobody_checked_does_not_vouch_by_nan() -> None:
    for wrong in (scores(math.nan), scores(0.0, every=math.nan), scores(math.nan, every=0.0)):
        assert not vouches(PROTECT, wrong, 500)


@given(st.floats(), st.none() | st.floats())
def test_only_a_score_below_every_limit_releases(sexual: float, minor: float | None) -> None:
    for evidence in (checked(scores(sexual, minor), EVERY), scores(sexual, minor)):
        action, _ = decide(PROTECT, evidence)
        assert action is not Action.INTERRUPT, "one frame alone never interrupts"
        if action is Action.RELEASE:
            assert sexual < PROTECT.cover_at
            assert minor is None or minor < PROTECT.p_under_18_at or sexual < 0.2


def test_evidence_that_nobody_checked_does_not_loosen_by_nan() -> None:
    assert decide(PROTECT, scores(0.3, math.nan))[0] is Action.COVER
    assert decide(PROTECT, scores(math.nan))[0] is Action.COVER


def test_the_limits_themselves_cover() -> None:
    assert decide(PROTECT, scores(PROTECT.cover_at))[0] is Action.COVER
    below = math.nextafter(PROTECT.cover_at, 0)
    assert decide(PROTECT, scores(below))[0] is Action.RELEASE
    assert decide(PROTECT, scores(PROTECT.with_minor_at, PROTECT.p_under_18_at))[0] is Action.COVER
    assert decide(PROTECT, scores(below, math.nextafter(PROTECT.p_under_18_at, 0)))[0] is (
        Action.RELEASE
    )


@pytest.mark.parametrize("name", policies.names())
@given(sexual=st.floats(0, 1), minor=st.floats(0, 1))
def test_sexual_content_with_evidence_of_a_minor_is_covered_by_every_policy(
    name: str, sexual: float, minor: float
) -> None:
    policy = policies.load(name)
    if sexual >= policy.with_minor_at and minor >= policy.p_under_18_at:
        assert decide(policy, scores(sexual, minor)) == (Action.COVER, Reason.SEXUAL_CONTENT)
    # Evidence of a minor never loosens.
    if decide(policy, scores(sexual))[0] is not Action.RELEASE:
        assert decide(policy, scores(sexual, minor))[0] is not Action.RELEASE


@pytest.mark.parametrize("name", policies.names())
def test_no_policy_releases_sexual_content_with_a_bundle_of_this_version(name: str) -> None:
    assert decide(policies.load(name), scores(0.9))[0] is Action.COVER
    assert decide(policies.load(name), scores(0.9, 0.0))[0] is Action.COVER


@pytest.mark.parametrize(
    "change",
    [
        {"cover_at": 0.0},
        {"cover_at": 1.01},
        {"cover_at": math.nan},
        {"cover_at": math.inf},
        {"with_minor_at": math.nan},
        {"with_minor_at": 0.0},
        {"p_under_18_at": math.nan},
        {"p_under_18_at": 1.5},
        {"sequential_cover_at": 0},
        {"sequential_interrupt_at": 1},
    ],
)
def test_limits_that_no_score_reaches_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"limit"):
        dataclasses.replace(PROTECT, **change)


def test_a_number_that_compares_as_it_likes_is_held_to_its_value() -> None:
    evidence = checked(scores(Pretender(math.nan)), EVERY)
    assert decide(PROTECT, evidence)[0] is Action.COVER


def test_a_policy_has_no_field_that_could_be_left_out() -> None:
    assert all(
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        for field in dataclasses.fields(Policy)
    )
    # Left out, what all views said stands for it, which is never less.
    optional = [f.name for f in dataclasses.fields(Scores) if f.default is not dataclasses.MISSING]
    assert optional == ["every"]
    assert not vouches(PROTECT, scores(0.3), 500)


@given(
    cover_at=st.floats(0.001, 1.0),
    with_minor_at=st.floats(0.001, 1.0),
    permille=st.integers(1, 1000),
    said=st.floats(0.0, 1.0),
    off=st.floats(0.0, FIRST_LOOK_ERROR),
)
def test_what_a_first_look_lets_pass_is_clear_and_vouches_by_f32_too(
    cover_at: float, with_minor_at: float, permille: int, said: float, off: float
) -> None:
    policy = dataclasses.replace(PROTECT, cover_at=cover_at, with_minor_at=with_minor_at)
    if said >= first_look_below(policy, permille):
        return  # f32 answers
    for minor in (None, 1.0):
        # A hair of rounding: both sides are sums of floating-point numbers.
        truth = scores(min(1.0, math.nextafter(said + off * (1 - 1e-9), 0.0)), minor)
        if minor is None or truth.sexual < min(cover_at, with_minor_at):
            assert decide(policy, truth)[0] is Action.RELEASE
            assert vouches(policy, truth, permille)


@pytest.mark.parametrize(
    ("lowest", "below"), [(0.2, MOST_FIRST_LOOK), (0.9, MOST_FIRST_LOOK), (0.1, 0.03), (0.04, 0.0)]
)
def test_a_policy_says_up_to_where_a_first_look_counts(lowest: float, below: float) -> None:
    policy = dataclasses.replace(PROTECT, cover_at=lowest, with_minor_at=lowest)
    assert first_look_below(policy, 500) == pytest.approx(below)
