"""What a person sees: every change of state, the card once, no key, no score."""

from __future__ import annotations

import socket
from typing import cast

import pytest

from safelight import Reason, Session, State, StreamEvent, redact
from safelight.cli import screen
from safelight.cli.listening import listens, port_of
from safelight.media.address import parse_source
from safelight.types import CardText

SOURCE = redact("rtmp://127.0.0.1:1935/live/sk-12345?listen=1")
CARD = CardText("card.local_outgoing", "This device paused the video by itself.", ("It can err.",))


class _Opening:
    """A session whose source is not open yet."""

    info = None


def event(state: State, reason: Reason = Reason.CLEAR, kind: str = "state") -> StreamEvent:
    card = CARD if state in (State.COVERED, State.INTERRUPTED) else None
    return StreamEvent(kind, state, reason, 1.0, card, f"it is {state.value}", 7.0)


def shown(
    capsys: pytest.CaptureFixture[str],
    *events: StreamEvent,
    quiet: bool = False,
    live: bool = True,
) -> str:
    seen = screen.Screen(quiet=quiet, moving=True, live=live, resume_key="r", source=SOURCE)
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


def test_an_interruption_says_at_once_how_long_a_resume_has_to_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    live = event(State.LIVE)
    text = shown(capsys, live, event(State.INTERRUPTED, Reason.SEXUAL_CONTENT))
    assert "resume possible in 7 s" in text
    text = shown(capsys, live, event(State.INTERRUPTED, Reason.SEXUAL_CONTENT), live=False)
    assert "resume possible" not in text, "in a file nobody can resume"


def test_a_stream_that_begins_interrupted_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, event(State.INTERRUPTED, Reason.SEXUAL_CONTENT))
    assert "after an interruption shortly before" in text
    assert "resume possible in 7 s" in text


def test_a_publisher_that_leaves_is_told_and_why_the_stream_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    left, back = event(State.LIVE, kind="source_left"), event(State.LIVE, kind="source_back")
    end = event(State.PENDING, Reason.END, "end")
    text = shown(capsys, event(State.LIVE), left, end)
    assert "(7 s)" in text
    assert "did not come back" in text
    assert "did not come back" not in shown(capsys, event(State.LIVE), left, back, end)


def test_a_stream_that_opens_with_its_first_picture_says_that_it_began_closed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin = event(State.PENDING, Reason.STARTING)
    assert "held until they were judged" in shown(capsys, begin, event(State.LIVE))


WIDTHS = range(24, 140)


@pytest.mark.parametrize("state", State)
def test_the_live_line_is_cut_nowhere(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is left out whole, and how long to wait is never what is left out."""
    text = "Interrupted: sound and picture stay paused until resumed"
    seen = screen.Screen(quiet=True, moving=True, live=True, resume_key="r", source=SOURCE)
    seen.happened(event(State.LIVE))
    wanted = {
        "Live",
        "Interrupted",
        "Paused",
        "Starting",
        text,
        "resume possible in 7 s",
        "press r to resume",
        "Ctrl-C ends",
        "0 frames/s",
        "covered 0×",
        "covered 1×",
    }
    seen._waiting = False
    seen.happened(StreamEvent("state", state, Reason.SEXUAL_CONTENT, 1.0, None, text, 7.0))
    for width in WIDTHS:
        monkeypatch.setattr(screen._Console, "width", width)
        line = seen._moving_line().plain
        assert len(line) < width
        assert set(line.split(" · ")) <= wanted
        if state is State.INTERRUPTED and width >= 40:
            assert "resume possible in 7 s" in line


def test_it_says_that_it_waits_once_a_publisher_can_connect(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    asked: list[int] = []

    def listens(port: int) -> bool:
        asked.append(port)
        return next(answers)

    monkeypatch.setattr(screen, "listens", listens)
    seen = screen.Screen(quiet=False, moving=False, live=True, resume_key=None, source=SOURCE)
    session = cast(Session, _Opening())
    seen.tick(session)
    assert capsys.readouterr().err == ""
    assert "nobody can connect yet" in seen._moving_line().plain
    seen.tick(session)
    seen.tick(session)
    assert capsys.readouterr().err == "Waiting for a publisher\n"
    line = seen._moving_line().plain
    assert line.startswith("Waiting for a publisher at rtmp://127.0.0.1:1935/")
    assert "sk-12345" not in line
    assert asked == [1935, 1935]


def test_a_port_is_listened_at_from_listen_on() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        assert not listens(port)
        one.listen()
        assert listens(port)
    assert not listens(port)


@pytest.mark.parametrize(("port", "written"), [(1936, ":1936"), (1935, "")])
def test_an_address_that_names_no_port_means_that_of_rtmp(port: int, written: str) -> None:
    source = f"rtmp://127.0.0.1{written}/live/k?listen=1"
    assert port_of(redact(source)) == parse_source(source).port == port
