"""Each check between a frame and its release holds by itself, even if another failed.

The engine settles ties before it asks for an outcome; here nobody does, and still nothing
inherits from what is not judged clear.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from safelight import policies
from safelight.core.entry import Entry
from safelight.core.gate import BlockGate
from safelight.core.held import Held, Views
from safelight.core.limits import Limits
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import CLOSE, SLIGHTLY_CHANGED, ScriptedGate, symbol
from safelight.types import (
    NS_PER_MS,
    Absent,
    AbsentReason,
    Action,
    Ask,
    Binding,
    Evidence,
    Frame,
    Picture,
    PictureFormat,
    Reason,
)

MS = Fraction(1, 1000)
GATE = ScriptedGate({("A", "B"): CLOSE, ("A", "C"): CLOSE, ("B", "C"): CLOSE})
CLEAR = scores(0.0)


def held(limits: Limits | None = None) -> Held:
    made = limits or Limits()
    return Held(made, policies.load("protect"), GATE, Views((VIEW,), ()), b"x" * 16, 0)


def come(into: Held, seq: int, name: str, at_ms: int, arrived_ms: int | None = None) -> Entry:
    arrived = at_ms if arrived_ms is None else arrived_ms
    shown = symbol(name)
    frame = Frame(seq, at_ms, MS, arrived * NS_PER_MS, shown)
    assert isinstance(shown, Picture)
    into.arrive(arrived * NS_PER_MS, frame, shown, live=True, barrier=None)
    return into.queue[-1]


def bracket() -> tuple[Held, Entry, Entry, Entry]:
    """A left end that is judged clear, a frame between, and a right end that was asked."""
    made = held()
    left = come(made, 0, "A", 0)
    made.answer(0, left, CLEAR)
    between = come(made, 1, "B", 40)
    right = come(made, 2, "C", 230)
    assert (between.left, between.right) == (left, right)
    return made, left, between, right


def test_a_bracket_is_clear_only_with_both_ends() -> None:
    made, _, between, right = bracket()
    assert made.outcome(between) is None
    made.answer(0, right, CLEAR)
    result = made.outcome(between)
    assert result is not None
    assert (result.action, result.binding) == (Action.RELEASE, Binding.BRACKETED)


@pytest.mark.parametrize("bad", [scores(0.9), Absent(AbsentReason.LATE), scores(0.3, 0.9)])
@pytest.mark.parametrize("end", ["left", "right"])
def test_an_end_that_is_not_clear_gives_nothing_even_if_nobody_settles(
    end: str, bad: Evidence
) -> None:
    made, left, between, right = bracket()
    made.answer(0, right, CLEAR)
    (left if end == "left" else right).evidence = bad
    assert made.outcome(between) is None


def test_what_a_further_view_says_of_an_end_is_not_said_of_what_rests_on_it() -> None:
    """Judged itself, a frame between would not have been looked at by that view."""
    made, _, between, right = bracket()
    said = scores(0.3, None, (VIEW, "squares"), 0.05)
    made.answer(0, right, said)
    assert made.settle_ties(0) == []
    result, own = made.outcome(between), made.outcome(right)
    assert result is not None
    assert result.action is Action.RELEASE
    assert result.scores == dataclasses.replace(said, sexual=0.05)
    assert own is not None
    assert own.scores == said


def test_what_rests_on_an_end_near_a_limit_by_every_view_is_asked_about() -> None:
    made, _, between, right = bracket()
    made.answer(0, right, scores(0.3, None, (VIEW, "squares"), 0.15))
    assert made.outcome(between) is None
    assert [c.token for c in made.settle_ties(0) if isinstance(c, Ask)] == [between.token]


def test_an_end_that_is_shut_gives_nothing() -> None:
    made, left, between, right = bracket()
    made.answer(0, right, CLEAR)
    left.close(Reason.NO_VERDICT)
    assert made.outcome(between) is None


def test_a_still_frame_has_no_outcome_before_the_one_it_rests_on() -> None:
    made = held(dataclasses.replace(Limits(), audit_one_in=1 << 62))
    first = come(made, 0, "A", 0)
    second = come(made, 1, "A", 40)
    assert second.still_of is first
    assert made.outcome(second) is None
    made.answer(0, first, Absent(AbsentReason.FAULT))
    assert made.outcome(second) is None


NEVER_AUDITED = dataclasses.replace(Limits(), audit_one_in=1 << 62, audit_between_one_in=1 << 62)


def test_at_thirty_a_second_one_in_seven_is_asked() -> None:
    made = held(NEVER_AUDITED)
    made.answer(0, come(made, 0, "A", 0), CLEAR)
    came = [come(made, seq, "BC"[seq % 2], seq * 100 // 3) for seq in range(1, 22)]
    assert [entry.frame.seq for entry in came if entry.asked_ns is not None] == [7, 14, 21]


def test_a_picture_that_comes_too_late_for_a_bracket_begins_the_next() -> None:
    """It is like the last of those that wait, which becomes their right end: one question."""
    made = held(NEVER_AUDITED)
    made.answer(0, come(made, 0, "A", 0), CLEAR)
    between, last = come(made, 1, "B", 40), come(made, 2, "C", 120)
    late = come(made, 3, "B", 260)
    assert (between.right, last.asked_ns is not None) == (last, True)
    assert (late.left, late.asked_ns) == (last, None)
    assert list(made.outstanding.values()) == [last]


def test_of_what_changes_step_by_step_each_step_is_asked_about() -> None:
    """Unlike the left end of the bracket, although close to the newest that waits in it."""
    gate = ScriptedGate({("A", "B"): CLOSE, ("B", "C"): CLOSE})
    made = Held(NEVER_AUDITED, policies.load("protect"), gate, Views((VIEW,), ()), b"x" * 16, 0)
    made.answer(0, come(made, 0, "A", 0), CLEAR)
    before, moved = come(made, 1, "B", 40), come(made, 2, "C", 80)
    assert list(made.outstanding.values()) == [before, moved]


def test_what_is_slightly_changed_all_over_is_asked_about_unless_only_from_the_right_end() -> None:
    gate = ScriptedGate({("A", "B"): CLOSE, ("A", "C"): CLOSE, ("B", "C"): SLIGHTLY_CHANGED})
    made = Held(NEVER_AUDITED, policies.load("protect"), gate, Views((VIEW,), ()), b"x" * 16, 0)
    left = come(made, 0, "A", 0)
    made.answer(0, left, CLEAR)
    between, right = come(made, 1, "B", 40), come(made, 2, "C", 240)
    assert (between.left, between.right) == (left, right)
    made.answer(0, right, CLEAR)
    assert come(made, 3, "B", 280).asked_ns is not None


def test_a_cut_is_asked_about_and_so_is_the_picture_before_it() -> None:
    made = held(NEVER_AUDITED)
    made.answer(0, come(made, 0, "A", 0), CLEAR)
    first, last, cut = (come(made, 1, "B", 40), come(made, 2, "C", 80), come(made, 3, "X", 120))
    assert first.right is last
    assert list(made.outstanding.values()) == [last, cut]


def test_a_right_end_too_far_away_binds_nothing() -> None:
    """However it comes to be asked: the span is checked again where the tie is made."""
    for at, arrived in ((400, 400), (200, 400), (200, -400)):
        made = held()
        left = come(made, 0, "A", 0)
        made.answer(0, left, CLEAR)
        between = come(made, 1, "B", 40)
        far = made._entry(0, Frame(2, at, MS, arrived * NS_PER_MS, symbol("C")), symbol("C"))
        made.queue.append(far)
        made._promote(far, 0)
        assert between.right is None
        assert between.asked_ns is not None, "it is asked itself"


def test_a_right_end_more_than_eight_frames_on_binds_nothing() -> None:
    made = held()
    left = come(made, 0, "A", 0)
    made.answer(0, left, CLEAR)
    between = come(made, 1, "B", 1)
    for ordinal, bound in ((left.ordinal + 8, True), (left.ordinal + 9, False)):
        between.right = None
        between.left = left
        between.asked_ns = None
        far = made._entry(0, Frame(ordinal, 20, MS, 20 * NS_PER_MS, symbol("C")), symbol("C"))
        far.ordinal = ordinal
        made.queue.append(far)
        made._promote(far, 0)
        assert (between.right is far) is bound
        made.queue.remove(far)


def test_a_right_end_that_differs_binds_nothing() -> None:
    made = held()
    left = come(made, 0, "A", 0)
    made.answer(0, left, CLEAR)
    between = come(made, 1, "B", 40)
    other = made._entry(0, Frame(2, 80, MS, 80 * NS_PER_MS, symbol("S")), symbol("S"))
    made.queue.append(other)
    made._promote(other, 0)
    assert between.right is None


def test_nothing_leans_on_a_frame_that_is_not_clear() -> None:
    for bad in (scores(0.9), Absent(AbsentReason.LATE)):
        made = held()
        made.answer(0, come(made, 0, "A", 0), bad)
        assert come(made, 1, "A", 40).asked_ns is not None


def test_nothing_leans_on_what_was_before_a_break() -> None:
    for forget in ("drop_all", "judge_gone", "cut_reference"):
        made = held()
        first = come(made, 0, "A", 0)
        made.answer(0, first, CLEAR)
        assert made.reference is first
        if forget == "cut_reference":
            made.cut_reference()
        else:
            getattr(made, forget)(Reason.NO_VERDICT)
        second = come(made, 1, "A", 40)
        assert second.asked_ns is not None, forget


def test_tokens_of_one_number_differ_after_a_break() -> None:
    made = held()
    before = made.token(7)
    made.drop_all(Reason.DISCONTINUITY)
    assert made.token(7) != before
    assert made.token(7).seq == 7


def test_tokens_cannot_be_told_without_the_secret() -> None:
    other = Held(Limits(), policies.load("protect"), GATE, Views((VIEW,), ()), b"y" * 16, 0)
    assert held().token(7) != other.token(7)
    with pytest.raises(ValueError, match="16 bytes"):
        Held(Limits(), policies.load("protect"), GATE, Views((VIEW,), ()), b"short", 0)
    with pytest.raises(ValueError, match="judges nothing"):
        Views((), ())


def test_a_frame_at_a_break_is_never_dropped_for_overload() -> None:
    made = held()
    for seq in range(200):
        frame = Frame(seq, seq, MS, seq * NS_PER_MS, symbol("A"))
        made.arrive(0, frame, symbol("A"), live=False, barrier=None)
    assert len(made.outstanding) < 200, "there is overload"
    frame = Frame(200, 200, MS, 0, symbol("A"))
    made.arrive(0, frame, symbol("A"), live=False, barrier=Reason.FAULT)
    assert made.queue[-1].barrier is Reason.FAULT


def test_a_right_end_is_bound_by_proof_only_from_one_and_the_same_frame() -> None:
    """Two frames that are each like *some* judged frame need not be like one another."""
    proof = BlockGate().compare(symbol("A", PictureFormat(400, 400)), _one_block())
    assert proof.proves_close(proof)
    for same in (True, False):
        made = held()  # whose table says that B and S differ
        left = come(made, 0, "A", 0)
        made.answer(0, left, CLEAR)
        between = come(made, 1, "B", 40)
        other = made._entry(0, Frame(2, 80, MS, 80 * NS_PER_MS, symbol("S")), symbol("S"))
        between.like, other.like = (left, proof), (left if same else other, proof)
        made.queue.append(other)
        made._promote(other, 0)
        assert (between.right is other) is same
        assert other.like is None, "a chain of every judged frame would stay in memory"


def _one_block() -> Picture:
    base = symbol("A", PictureFormat(400, 400))
    y = base.y.copy()
    y[80:120, 80:120] += 60
    return Picture(base.format, y, base.u, base.v)
