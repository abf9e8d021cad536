"""How late an answer is expected: by how many views the judge has still to look through."""

from __future__ import annotations

import pytest
from tests.core.test_held import MS

from safelight.core.entry import Entry
from safelight.core.limits import Limits
from safelight.core.load import Load
from safelight.testing.gates import symbol
from safelight.types import NS_PER_MS, Frame, Token


def asked(looks: int, seq: int = 0) -> Entry:
    shown = symbol("A")
    entry = Entry(Frame(seq, seq, MS, 0, shown), shown, Token(0, seq, seq), seq, 0, None, 0)
    entry.looks = looks
    return entry


def expected_ms(load: Load, *ahead: int) -> int:
    """How long from now a question's answer is expected to take, with these looks ahead of it."""
    entries = [asked(looks, seq) for seq, looks in enumerate(ahead)]
    hopes = (ms for ms in range(2_000) if not load.too_late(0, entries, ms * NS_PER_MS))
    return next(hopes)


def learnt(usual: int, looks: int, took_ms: int) -> Load:
    load = Load(Limits(), usual)
    for at in range(1, 60):
        load.answered(at * took_ms * NS_PER_MS, (at - 1) * took_ms * NS_PER_MS, looks)
    return load


def test_before_any_answer_it_is_guessed_by_question() -> None:
    for usual in (1, 3):
        assert expected_ms(Load(Limits(), usual), usual, usual) == 120


@pytest.mark.parametrize(("usual", "looks"), [(1, 1), (1, 2), (3, 3), (3, 4)])
def test_what_a_further_view_takes_is_not_taken_for_what_every_question_does(
    usual: int, looks: int
) -> None:
    load = learnt(usual, looks, took_ms=12 * looks)
    assert expected_ms(load, *[usual] * 6) == pytest.approx(7 * 12 * usual, abs=2)
    assert expected_ms(load, *[looks] * 6) == pytest.approx(12 * (6 * looks + usual), abs=2)


def test_a_judge_with_nothing_to_do_is_asked_however_slow_it_was() -> None:
    assert expected_ms(learnt(1, 1, took_ms=900)) == 0


def test_what_was_given_up_is_still_ahead_with_all_its_looks() -> None:
    load = learnt(1, 1, took_ms=10)
    now_ns = 590 * NS_PER_MS
    load.give_up(Token(0, 1, 1), now_ns, 2)
    assert not load.too_late(now_ns, [], now_ns + 31 * NS_PER_MS)
    assert load.too_late(now_ns, [], now_ns + 29 * NS_PER_MS)
    assert load.answered_in_vain(now_ns + 20 * NS_PER_MS, Token(0, 1, 1))
    assert not load.too_late(now_ns, [], now_ns)
    assert not load.answered_in_vain(now_ns, Token(0, 1, 1))


def test_a_judge_that_is_gone_has_nothing_ahead() -> None:
    load = learnt(1, 1, took_ms=10)
    load.give_up(Token(0, 1, 1), 590 * NS_PER_MS, 2)
    load.judge_gone()
    assert not load.too_late(590 * NS_PER_MS, [], 590 * NS_PER_MS)
    assert load.answered_in_vain(600 * NS_PER_MS, Token(0, 1, 1))
