"""What a host hears: a clock that never goes back, and who is there."""

from __future__ import annotations

import itertools

import pytest

from safelight.events import StreamEvent
from safelight.telling import Absence, StreamClock, Teller, Texts
from safelight.testing.drawn_source import DrawnSource
from safelight.types import NS_PER_S, CardText, Reason, State

CARD = CardText("card.local_outgoing", "Paused.", ())
TEXTS = Texts(CARD, CARD, lambda state: f"state {state.value}", lambda kind: f"event {kind}")


class Comes(DrawnSource):
    """A source that says who is there."""

    back_within_s: float | None = None


def test_stream_time_never_goes_back() -> None:
    clock = StreamClock(25.0)
    at = [clock.at(round(s * NS_PER_S)) for s in (3.0, 3.04, 7.0, 0.0, 0.0, 0.04, 0.0)]
    assert at == sorted(at)
    assert at[:3] == [3_000_000_000, 3_040_000_000, 7_000_000_000], "a jump forward is kept"
    assert at[3] == at[2] + NS_PER_S // 25, "it goes on one step after the last picture"
    assert at[4] == at[3], "a change of state and its picture are at one time"
    assert at[5] == at[4] + 40_000_000, "and keeps its spacing from there on"


def test_a_source_that_says_nothing_is_there() -> None:
    absence = Absence(DrawnSource([]))
    assert [absence.look()[0] for _ in range(3)] == [""] * 3


def test_a_publisher_that_leaves_and_returns_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = itertools.count(0.0, 1.0)
    monkeypatch.setattr("safelight.telling.time.monotonic", lambda: next(now))
    source = Comes([])
    absence = Absence(source)
    assert absence.look() == ("", 0.0)
    source.back_within_s = 30.0
    assert [absence.look() for _ in range(6)] == [
        ("source_left", 30.0),
        ("", 30.0),
        ("", 30.0),
        ("settled", 30.0),
        ("", 30.0),
        ("", 30.0),
    ]
    source.back_within_s = None
    assert [absence.look()[0] for _ in range(2)] == ["source_back", ""]


@pytest.mark.parametrize("resumes", [True, False])
def test_the_text_is_that_of_what_happened(resumes: bool) -> None:
    told: list[StreamEvent] = []
    teller = Teller(TEXTS, told.append, resumes=resumes)
    teller.state, teller.reason = State.LIVE, Reason.CLEAR
    teller.tell("state", 0, wait_s=0.0)
    teller.tell("end", 0, reason=Reason.END, wait_s=0.0)
    teller.state = State.INTERRUPTED
    teller.tell("state", NS_PER_S, wait_s=-1.0)
    rest = "state interrupted" if resumes else "event rest"
    assert [event.text for event in told] == ["state live", "event end", rest]
    assert told[1].should_cover
    assert told[2].wait_s == 0.0
    assert told[2].card == CARD
