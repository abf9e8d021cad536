"""What a person sees: every change of state, the card once, no key, no score."""

from __future__ import annotations

import pytest

from safelight import Reason, State, StreamEvent
from safelight.cli import screen
from safelight.types import CardText

CARD = CardText("card.local_outgoing", "This device paused the video by itself.", ("It can err.",))


def event(state: State, reason: Reason = Reason.CLEAR, kind: str = "state") -> StreamEvent:
    card = CARD if state in (State.COVERED, State.INTERRUPTED) else None
    return StreamEvent(kind, state, reason, 1.0, card, f"it is {state.value}", 7.0)


def shown(capsys: pytest.CaptureFixture[str], *events: StreamEvent, quiet: bool = False) -> str:
    seen = screen.Screen(quiet=quiet, moving=True, live=True, resume_key="r", listening="waiting")
    for happened in events:
        seen.happened(happened)
    seen.stop(finished=True)
    said = capsys.readouterr()
    assert said.out == "", "standard output belongs to events"
    return said.err


def test_every_change_of_state_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, *(event(state) for state in State))
    for state in State:
        assert f"it is {state.value}" in text


def test_the_card_is_shown_once_while_it_stays(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, event(State.COVERED), event(State.INTERRUPTED), event(State.COVERED))
    assert text.count(CARD.headline) == 1
    assert text.count(CARD.lines[0]) == 1


def test_content_is_given_no_words_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """The local card mentions neither abuse nor anyone present; nor does what stands beside it."""
    text = shown(capsys, event(State.COVERED, Reason.SEXUAL_CONTENT)).lower()
    for word in ("sexual", "abuse", "child", "minor", "score"):
        assert word not in text


def test_a_refused_resume_says_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, event(State.INTERRUPTED, kind="resume_refused"))
    assert "resume possible in 7 s" in text


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, event(State.COVERED), quiet=True) == ""


def test_a_complaint_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    screen.complain("first\nsecond\r\n  third")
    assert capsys.readouterr().err == "safelight: first second third\n"
