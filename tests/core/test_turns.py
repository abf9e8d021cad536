"""A further view's turn passes only where it has looked at what is still the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import pytest

from safelight import policies
from safelight.core.entry import Entry
from safelight.core.held import Held, Views
from safelight.core.limits import Limits
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import CLOSE, SAME, ScriptedGate, symbol
from safelight.types import NS_PER_MS, Absent, AbsentReason, Ask, Evidence, Frame, Reason

MS = Fraction(1, 1000)
MORE = "whole"
# "B" is still to "A", and "C" to "B", but "C" is no longer still to "A".
GATE = ScriptedGate({("A", "B"): SAME, ("B", "C"): SAME, ("A", "C"): CLOSE})
LIMITS = dataclasses.replace(
    Limits(), audit_one_in=1 << 62, audit_between_one_in=1 << 62, still_age_ns=2_000_000_000
)
CLEAR = scores(0.0, None, (VIEW, MORE))


class Stream:
    """Asks, answers what is asked, and tells which views were asked for."""

    def __init__(self, limits: Limits = LIMITS, further: tuple[str, ...] = (MORE,)) -> None:
        policy = policies.load("protect")
        self.held = Held(limits, policy, GATE, Views((VIEW,), further), b"x" * 16, 0)
        self._seq = 0

    def show(self, name: str, at_ms: int, says: Evidence | None = CLEAR) -> tuple[str, ...] | None:
        """Show a picture; return the views it is asked about, None if it inherits."""
        shown = symbol(name)
        frame = Frame(self._seq, at_ms, MS, at_ms * NS_PER_MS, shown)
        self._seq += 1
        out = self.held.arrive(at_ms * NS_PER_MS, frame, shown, live=True, barrier=None)
        entry: Entry = self.held.queue[-1]
        if says is not None and entry.asked_ns is not None:
            self.held.answer(at_ms * NS_PER_MS, entry, says)
        return next((c.views for c in out if isinstance(c, Ask) and c.token == entry.token), None)


def test_a_still_scene_is_looked_at_again_after_three_seconds() -> None:
    stream = Stream()
    asked = [stream.show("A", at_ms) for at_ms in range(0, 4100, 100)]
    seen = [at for at, views in enumerate(asked) if views is not None]
    # At 2.1 s the frame they rest on is too old, at 3.5 s what the view looked at.
    assert seen == [0, 21, 35]
    assert [asked[at] for at in seen] == [(VIEW, MORE), (VIEW,), (VIEW, MORE)]


def test_with_no_age_it_looks_at_every_turn() -> None:
    stream = Stream(dataclasses.replace(LIMITS, turn_age_ns=0))
    asked = [stream.show("A", at_ms) for at_ms in range(0, 1100, 100)]
    assert [at for at, views in enumerate(asked) if views is not None] == [0, 5, 10]


def test_each_view_has_to_have_looked_itself() -> None:
    stream = Stream(further=(MORE, "left_square"))
    both = scores(0.0, None, (VIEW, MORE, "left_square"))
    assert stream.show("A", 0, both) == (VIEW, MORE)
    assert stream.show("A", 500, both) == (VIEW, "left_square")
    assert stream.show("A", 1000, both) is None
    assert stream.show("A", 1500, both) is None


def test_a_view_that_looked_at_something_else_is_next() -> None:
    """Back at a scene that one view knows: the other looked at what was between."""
    stream = Stream(further=(MORE, "left_square"))
    both = scores(0.0, None, (VIEW, MORE, "left_square"))
    assert stream.show("A", 0, both) == (VIEW, MORE)
    assert stream.show("S", 500, both) == (VIEW, "left_square")
    assert stream.show("A", 700, both) == (VIEW,)
    assert stream.show("A", 1000, both) == (VIEW, "left_square")


def test_a_change_too_small_for_one_step_does_not_creep_past_a_view() -> None:
    """Still to the last judged frame, but not to what the view looked at."""
    stream = Stream()
    assert stream.show("A", 0) == (VIEW, MORE)
    stream.held.reference = None
    assert stream.show("B", 100) == (VIEW,)
    assert stream.show("C", 200) is None
    assert stream.show("C", 600) == (VIEW, MORE)


@pytest.mark.parametrize(
    "said",
    [
        None,  # no answer yet
        Absent(AbsentReason.NOT_A_NUMBER),
        scores(0.0),  # without the view
        scores(0.15, None, (VIEW, MORE)),  # clear, but not far below every limit
        scores(0.15, None, (VIEW, MORE), 0.0),  # by the further view's own score
        scores(0.9, None, (VIEW, MORE)),
    ],
)
def test_what_was_not_said_or_is_no_reason_to_inherit_is_looked_at_again(
    said: Evidence | None,
) -> None:
    stream = Stream()
    assert stream.show("A", 0, said) == (VIEW, MORE)
    stream.held.reference = None
    assert stream.show("A", 100) == (VIEW,)  # judged anew, without a turn
    assert stream.show("A", 600) == (VIEW, MORE)


def test_after_a_break_nothing_is_known_any_more() -> None:
    forgetting: tuple[Callable[[Held], object], ...] = (
        Held.cut_reference,
        lambda held: held.judge_gone(Reason.FAULT),
        lambda held: held.drop_all(Reason.DISCONTINUITY),
    )
    for forget in forgetting:
        stream = Stream()
        assert stream.show("A", 0) == (VIEW, MORE)
        forget(stream.held)
        assert stream.show("A", 100) == (VIEW,)
        assert stream.show("A", 600) == (VIEW, MORE)
