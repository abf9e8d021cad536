"""Event lines: what is read back is what was written; no line lifts what its state covers."""

from __future__ import annotations

import json

from pydantic import ValidationError
from tests.fuzz.target import Target, check, check_no_release

from safelight.cli.event_line import EventLine
from safelight.events import StreamEvent
from safelight.types import CardText, Reason, State


def run(data: bytes) -> None:
    try:
        line = EventLine.model_validate_json(data)
    except ValidationError:
        return
    text = line.as_text()
    check(text.endswith("\n") and text.count("\n") == 1, "an event is one line")
    check(EventLine.model_validate_json(text) == line, "it reads back as another event")
    json.loads(text, parse_constant=_no_number)
    shows = line.state == "live" and line.kind != "end"
    check_no_release(line.should_cover is not shows, "its state and its cover contradict")
    check_no_release(line.should_mute is not shows, "its state and its sound contradict")
    check_no_release(line.should_interrupt == (line.state == "interrupted"), "not interrupted")


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def seeds() -> tuple[bytes, ...]:
    card = CardText("card.local", "This device paused the video", ("It can be wrong.",), "TEST")
    made = [
        StreamEvent("state", State.LIVE, Reason.CLEAR, 1.2345, None, "The picture is live."),
        StreamEvent("state", State.COVERED, Reason.SEXUAL_CONTENT, 2.0, card, "Paused."),
        StreamEvent("resume_refused", State.INTERRUPTED, Reason.SEXUAL_CONTENT, 3.0, card, "", 9.5),
        StreamEvent("end", State.LIVE, Reason.END, 4.0, None, "Over."),
    ]
    return tuple(EventLine.of(event).as_text().encode() for event in made)


TARGET = Target(
    run,
    seeds,
    words=tuple(
        b'"state" "live" "covered" "interrupted" "pending" "should_cover" "should_mute" '
        b'"should_interrupt" "end" "fault" "wait_s" "card" true false "yes" "off"'.split()
    ),
)
