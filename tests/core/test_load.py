"""How late an answer is expected, from how long the last ones took."""

from __future__ import annotations

import pytest

from safelight.core.limits import Limits
from safelight.core.load import Load
from safelight.types import NS_PER_MS, Token

TOKEN = Token(0, 1, 1)


def expected_ms(load: Load, *ahead: int, looks: int = 1, now_ms: int = 0) -> int:
    """How long from now a question's answer is expected to take, behind such others."""
    now_ns = now_ms * NS_PER_MS
    at_ms = range(now_ms, now_ms + 2_000)
    hopes = (ms for ms in at_ms if not load.too_late(now_ns, ahead, looks, ms * NS_PER_MS))
    return next(hopes) - now_ms


def learnt(usual: int, *looks: int, took_ms: int) -> Load:
    """A judge that needed so long for each look; ``looks``: of questions that come in turn."""
    load = Load(Limits(), usual)
    now_ns = 0
    for many in looks * 60:
        asked_ns, now_ns = now_ns, now_ns + many * took_ms * NS_PER_MS
        load.answered(now_ns, asked_ns, many)
    return load


def test_before_any_answer_it_is_guessed() -> None:
    for usual in (1, 3):
        assert expected_ms(Load(Limits(), usual), usual, usual, looks=usual) == 120


@pytest.mark.parametrize("looks", [(1,), (2,), (1, 1, 2)])
def test_a_further_view_does_not_make_a_burst_without_one_look_slow(looks: tuple[int, ...]) -> None:
    assert expected_ms(learnt(1, *looks, took_ms=12), *[1] * 6) == pytest.approx(7 * 12, abs=2)


def test_all_views_of_every_frame_are_one_question() -> None:
    load = learnt(3, 3, 4, took_ms=12)
    assert expected_ms(load, *[3] * 6, looks=3) == pytest.approx(7 * 36, abs=2)


def test_a_further_view_is_expected_to_take_its_time() -> None:
    load = learnt(1, 1, 2, took_ms=12)
    assert expected_ms(load, 1, looks=2) == pytest.approx(3 * 12, abs=2)
    assert expected_ms(load, 1, 2, 1) == pytest.approx(5 * 12, abs=2)
    # What is in hand may be nearly done.
    assert expected_ms(load, 2, 1) == pytest.approx(3 * 12, abs=2)


def test_a_judge_with_nothing_to_do_is_asked_however_slow_it_was() -> None:
    assert expected_ms(learnt(1, 1, took_ms=900)) == 0


def test_what_was_given_up_is_still_ahead_until_its_answer_comes() -> None:
    load = learnt(1, 1, took_ms=10)
    load.give_up(TOKEN, 590 * NS_PER_MS, 2)
    assert expected_ms(load, now_ms=600) == pytest.approx(20, abs=2)
    assert load.answered_in_vain(610 * NS_PER_MS, TOKEN)
    assert expected_ms(load, now_ms=610) == 0
    assert expected_ms(load, 1, now_ms=610) == pytest.approx(20, abs=3)  # 5 ms a look, once
    assert not load.answered_in_vain(610 * NS_PER_MS, TOKEN)


def test_a_judge_that_is_gone_has_nothing_ahead() -> None:
    load = learnt(1, 1, took_ms=10)
    load.give_up(TOKEN, 590 * NS_PER_MS, 2)
    load.judge_gone()
    assert expected_ms(load, now_ms=600) == 0
    assert load.answered_in_vain(600 * NS_PER_MS, TOKEN)
    assert expected_ms(load, 1, now_ms=610) == pytest.approx(20, abs=2)
