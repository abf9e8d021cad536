"""The second opinion finds a planted release of each kind that was not judged (promise 1)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from safelight import policies
from safelight.core import release
from safelight.core.ledger import REMEMBER, Ledger
from safelight.core.limits import Limits
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import SMALL, symbol
from safelight.types import (
    Absent,
    AbsentReason,
    Action,
    Binding,
    CardText,
    Evidence,
    Frame,
    Mute,
    Picture,
    Reason,
    SafeFrame,
    Sound,
    Token,
    Verdict,
)

MS = Fraction(1, 1000)
LIMITS = Limits()
CLEAR = scores(0.01)


def token(seq: int) -> Token:
    return Token(0, seq, 77 + seq)


def picture() -> Picture:
    """Another object each time, as from a camera."""
    shown = symbol("A")
    return Picture(SMALL, shown.y.copy(), shown.u.copy(), shown.v.copy())


def frame(seq: int, pts_ms: int | None = None) -> Frame:
    return Frame(seq, seq * 40 if pts_ms is None else pts_ms, MS, 0, picture())


def release_of(held: Frame, binding: Binding, *ends: int) -> SafeFrame:
    rests_on = tuple((token(end), CLEAR) for end in ends)
    said = Verdict(token(held.seq), Action.RELEASE, Reason.CLEAR, binding, rests_on, 1)
    return release.picture(held, said, 0, CardText("m", "Paused"))


def ledger(*asked: tuple[Frame, Evidence | None]) -> Ledger:
    made = Ledger(LIMITS, policies.load("protect"), (VIEW,))
    for held, evidence in asked:
        made.asked(token(held.seq), held)
        if evidence is not None:
            made.answered(token(held.seq), evidence)
    return made


def test_what_was_judged_clear_may_leave() -> None:
    held = [frame(seq) for seq in range(6)]
    book = ledger((held[1], CLEAR), (held[5], CLEAR))
    assert book.leaving(release_of(held[1], Binding.JUDGED, 1))
    assert book.leaving(release_of(held[3], Binding.STILL, 1))
    assert book.leaving(release_of(held[3], Binding.BRACKETED, 1, 5))
    assert book.unjudged_released == 0


def planted_other_picture() -> tuple[Ledger, SafeFrame]:
    asked, other = frame(1), frame(1)
    return ledger((asked, CLEAR)), release_of(other, Binding.JUDGED, 1)


def planted(held: Frame, binding: Binding, *ends: int) -> Callable[..., tuple[Ledger, SafeFrame]]:
    def make(*asked: tuple[Frame, Evidence | None]) -> tuple[Ledger, SafeFrame]:
        return ledger(*asked), release_of(held, binding, *ends)

    return make


F1, F2, F9 = frame(1), frame(2), frame(9)
LATE = frame(40, 1041)  # 1001 ms after frame 1
WIDE = frame(9, 291)  # 251 ms after frame 1

PLANTED: dict[str, Callable[[], tuple[Ledger, SafeFrame]]] = {
    "never asked": planted(F1, Binding.JUDGED, 1),
    "no answer": lambda: planted(F1, Binding.JUDGED, 1)((F1, None)),
    "answer not clear": lambda: planted(F1, Binding.JUDGED, 1)((F1, scores(0.5))),
    "answer absent": lambda: planted(F1, Binding.JUDGED, 1)((F1, Absent(AbsentReason.FAULT))),
    "answer not a number": lambda: planted(F1, Binding.JUDGED, 1)((F1, scores(float("nan")))),
    "a view missing": lambda: planted(F1, Binding.JUDGED, 1)((F1, scores(0.0, views=()))),
    "another picture": planted_other_picture,
    "still, end not clear": lambda: planted(F2, Binding.STILL, 1)((F1, scores(0.9))),
    "still, too old": lambda: planted(LATE, Binding.STILL, 1)((F1, CLEAR)),
    "bracket, right not clear": lambda: planted(F2, Binding.BRACKETED, 1, 9)(
        (F1, CLEAR), (F9, scores(0.9))
    ),
    "bracket, left unanswered": lambda: planted(F2, Binding.BRACKETED, 1, 9)(
        (F1, None), (F9, CLEAR)
    ),
    "bracket, too wide": lambda: planted(F2, Binding.BRACKETED, 1, 9)((F1, CLEAR), (WIDE, CLEAR)),
    "bracket, not between": lambda: planted(frame(2, 500), Binding.BRACKETED, 1, 9)(
        (F1, CLEAR), (frame(9, 200), CLEAR)
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_release_is_found(kind: str) -> None:
    book, safe = PLANTED[kind]()
    assert not book.leaving(safe)
    assert book.unjudged_released == 1


@pytest.mark.parametrize("second", [scores(0.9), CLEAR, Absent(AbsentReason.FAULT)])
def test_two_answers_that_differ_are_none(second: Evidence) -> None:
    held = frame(1)
    book = ledger((held, scores(0.9) if second is CLEAR else CLEAR))
    book.answered(token(1), second)
    assert not book.leaving(release_of(held, Binding.JUDGED, 1))
    book.answered(token(1), CLEAR)
    assert not book.leaving(release_of(held, Binding.JUDGED, 1))


def test_an_answer_to_no_question_is_no_answer() -> None:
    held = frame(1)
    book = ledger()
    book.answered(token(1), CLEAR)
    book.asked(token(1), held)
    assert not book.leaving(release_of(held, Binding.JUDGED, 1))


def test_cards_and_sound_pass() -> None:
    book = ledger()
    held = frame(1)
    covered = Verdict(token(1), Action.COVER, Reason.NO_VERDICT, None, (), 0)
    assert book.leaving(release.picture(held, covered, 0, CardText("m", "Paused")))
    chunk = Frame(2, 0, MS, 0, Sound(48000, np.zeros((1, 8), np.float32)))
    assert book.leaving(release.sound(chunk, Mute(token(2), ())))
    assert book.unjudged_released == 0


def test_the_ledger_keeps_no_picture_alive_and_does_not_grow() -> None:
    book = ledger()
    for seq in range(REMEMBER + 10):
        book.asked(token(seq), frame(seq))
    assert len(book._asked) == REMEMBER
    assert all(asked.picture() is None for asked in book._asked.values())
