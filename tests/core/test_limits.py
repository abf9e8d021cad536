"""Limits that would permit what they limit are refused (promises 1 to 3)."""

from __future__ import annotations

from typing import Any

import pytest

from safelight.core.limits import Limits
from safelight.types import NS_PER_MS, NS_PER_S


def test_the_defaults_are_those_of_the_design() -> None:
    limits = Limits()
    assert (limits.hold_ns, limits.grace_ns) == (250 * NS_PER_MS, 500 * NS_PER_MS)
    assert limits.hoped_ns == 200 * NS_PER_MS
    assert Limits(hold_ns=0, grace_ns=100 * NS_PER_MS).hoped_ns == 75 * NS_PER_MS
    assert (limits.open_frames, limits.open_span_ns) == (3, 100 * NS_PER_MS)
    assert (limits.bracket_frames, limits.still_age_ns) == (8, NS_PER_S)
    assert limits.changes_per_s == 3
    assert limits.jump_ns == NS_PER_S
    assert (limits.faults_to_interrupt, limits.fault_window_ns) == (3, 60 * NS_PER_S)
    assert limits.cool_down_ns == tuple(s * NS_PER_S for s in (10, 60, 300, 900))
    assert limits.bracket_span_ns <= limits.hold_ns


@pytest.mark.parametrize(
    "change",
    [
        {"hold_ns": -1},
        {"hold_ns": 2 * NS_PER_S + 1},
        {"open_frames": 0},
        {"bracket_frames": 9},
        {"bracket_frames": 0},
        {"bracket_span_permille": 1001},
        {"still_age_ns": 3 * NS_PER_S},
        {"turn_age_ns": 3 * NS_PER_S + 1},
        {"backlog": 8},
        {"audit_one_in": 0},
        {"audit_between_one_in": 0},
        {"grace_ns": -1},
        {"hope_ns": -1},
        {"hope_permille": 1001},
        {"open_span_ns": -1},
        {"changes_per_s": 0},
        {"ahead": 0},
        {"codec_frame_samples": 0},
        {"stall_ns": 0},
        {"card_every_ns": 0},
        {"faults_to_interrupt": 0},
        {"cool_down_ns": ()},
        {"cool_down_ns": (0,)},
    ],
)
def test_a_limit_of_nothing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Limits(**change)
