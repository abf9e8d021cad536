"""Promise 8 on the wire: numbers only, and what is not exactly a message is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.judge import wire
from safelight.judge.wire import Broke, Question, WireError
from safelight.types import Absent, AbsentReason, Evidence, PictureFormat, Scores, Token

VIEWS = ("frame", "left_square", "right_square")
U64 = st.integers(0, 2**64 - 1)
TOKENS = st.builds(Token, U64, U64, U64)


@given(TOKENS, st.integers(0, 15), st.integers(8, 3000), st.integers(1, 7), st.booleans())
def test_a_question_arrives_as_it_was_sent(
    token: Token, slot: int, side: int, views: int, full_range: bool
) -> None:
    form = PictureFormat(2 * side, 16, full_range=full_range, matrix=9, primaries=5, transfer=13)
    asked = Question(token, slot, form, views)
    assert wire.parse_question(wire.pack_question(asked)) == asked


@pytest.mark.parametrize(
    "evidence",
    [
        Scores(0.25, None, ("frame",)),
        Scores(1.0, 0.0, ("frame", "right_square")),
        Scores(0.5, 1.0, VIEWS),
        Scores(0.5, 0.25, VIEWS, 0.125),
        Scores(0.5, None, VIEWS, 0.0),
        *(Absent(reason) for reason in AbsentReason),
    ],
)
def test_an_answer_arrives_as_it_was_sent(evidence: Evidence) -> None:
    token = Token(2**64 - 1, 2**63, 7)
    assert wire.parse_answer(wire.pack_answer(token, evidence, VIEWS), VIEWS) == (token, evidence)


def test_what_is_no_number_stays_none_and_is_not_made_a_score() -> None:
    said = wire.parse_answer(
        wire.pack_answer(Token(1, 2, 3), Scores(math.nan, math.inf, VIEWS, math.nan), VIEWS), VIEWS
    )
    assert not isinstance(said, Broke)
    evidence = said[1]
    assert isinstance(evidence, Scores)
    assert math.isnan(evidence.sexual)
    assert evidence.minor == math.inf
    assert evidence.every is not None
    assert math.isnan(evidence.every)


def test_giving_up_says_why_and_nothing_else() -> None:
    for why in Broke:
        message = wire.pack_broke(why)
        assert wire.parse_answer(message, VIEWS) is why
        assert len(message) == wire.ANSWER_BYTES


@given(st.binary(max_size=80))
def test_anything_else_is_refused(message: bytes) -> None:
    with pytest.raises(WireError):
        wire.parse_answer(message, VIEWS)
    with pytest.raises(WireError):
        wire.parse_question(message)


@given(st.binary(min_size=wire.ANSWER_BYTES - 4, max_size=wire.ANSWER_BYTES - 4))
def test_no_answer_names_a_view_that_the_guard_does_not_know(rest: bytes) -> None:
    try:
        said = wire.parse_answer(b"SLA1" + rest, VIEWS)
    except WireError:
        return
    if not isinstance(said, Broke) and isinstance(said[1], Scores):
        assert set(said[1].views) <= set(VIEWS)


@pytest.mark.parametrize("views", [(), ("other",), ("frame", "other")])
def test_only_views_of_the_bundle_can_be_asked_for(views: tuple[str, ...]) -> None:
    with pytest.raises(WireError):
        wire.view_bits(views, VIEWS)


def test_a_question_without_views_or_of_an_odd_size_is_refused() -> None:
    good = wire.pack_question(Question(Token(1, 2, 3), 0, PictureFormat(320, 240), 1))
    for at, value in ((0, 0), (30, 3), (34, 0), (36, 1), (38, 2)):
        bad = bytearray(good)
        bad[at] = value
        with pytest.raises(WireError):
            wire.parse_question(bytes(bad))
