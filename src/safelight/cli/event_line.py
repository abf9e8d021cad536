"""One line of ``--events``: the file format, spec/event.schema.json."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from safelight import StreamEvent


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Card(_Part):
    """The local card's text, for a host app that draws its own."""

    message_id: str
    headline: str
    lines: tuple[str, ...]
    stamp: str | None


class EventLine(_Part):
    """What happened, in stream order. States and times; no scores."""

    schema_: Literal["safelight.event/1"] = Field(alias="schema")
    kind: Literal["state", "fault", "resume_refused", "source_left", "source_back", "end"]
    state: Literal["pending", "live", "covered", "interrupted"]
    reason: Literal[
        "starting",
        "clear",
        "sexual_content",
        "no_verdict",
        "fault",
        "overload",
        "discontinuity",
        "user_resume",
        "other_direction",
        "end",
    ]
    at_s: float = Field(description="stream time in seconds; never goes back")
    should_cover: bool
    should_interrupt: bool
    should_mute: bool
    text: str = Field(description="one line on what happened, for a person")
    card: Card | None
    wait_s: float = Field(
        ge=0.0,
        description="how long a resume has to wait, 0 if it need not; of source_left, how long"
        " the publisher has to come back",
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        # Whoever reads a line goes by either: no line may lift what its state covers.
        shows = self.state == "live" and self.kind != "end"
        if self.should_cover is shows or self.should_mute is shows:
            raise ValueError("should_cover and should_mute must be as the state says")
        if self.should_interrupt is not (self.state == "interrupted"):
            raise ValueError("should_interrupt must be as the state says")
        return self

    @classmethod
    def of(cls, event: StreamEvent) -> Self:
        """Return the line of an event."""
        return cls.model_validate(event.as_json())

    def as_text(self) -> str:
        """Return the line itself, with its end."""
        return self.model_dump_json(by_alias=True) + "\n"
