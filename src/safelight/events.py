"""What a host app hears of a stream: states, never scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from safelight.types import NS_PER_S, CardText, Reason, State

SCHEMA: Final = "safelight.event/1"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing that happened, in stream order.

    ``kind`` is "state", "fault", "resume_refused", "source_left", "source_back" or "end".
    ``at_s`` is stream time in seconds, which never goes back. ``card`` is the local card's text
    (what the person at this device may be shown), with its ``message_id``, so that a host app
    can draw its own; None while the picture is live. ``text`` is one line for that person.
    ``wait_s``: how long a resume has to wait from now on (in a file: of film time), 0.0 if it
    need not; of "source_left", how long the publisher has to come back.
    """

    kind: str
    state: State
    reason: Reason
    at_s: float
    card: CardText | None
    text: str
    wait_s: float = 0.0

    @property
    def should_cover(self) -> bool:
        """Whether the picture is to be covered; after the end there is none."""
        return self.state is not State.LIVE or self.kind == "end"

    @property
    def should_mute(self) -> bool:
        """Whether the sound is to be muted."""
        return self.should_cover

    @property
    def should_interrupt(self) -> bool:
        """Whether both directions stop until somebody resumes."""
        return self.state is State.INTERRUPTED

    def as_json(self) -> dict[str, object]:
        """Return the event as one JSON object of ``--events``."""
        card: dict[str, object] | None = None
        if self.card is not None:
            card = {
                "message_id": self.card.message_id,
                "headline": self.card.headline,
                "lines": list(self.card.lines),
                "stamp": self.card.stamp,
            }
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "state": self.state.value,
            "reason": self.reason.value,
            "at_s": round(self.at_s, 3),
            "should_cover": self.should_cover,
            "should_interrupt": self.should_interrupt,
            "should_mute": self.should_mute,
            "text": self.text,
            "card": card,
            "wait_s": round(self.wait_s, 1),
        }


def seconds(ns: int) -> float:
    """Return nanoseconds as seconds."""
    return ns / NS_PER_S
