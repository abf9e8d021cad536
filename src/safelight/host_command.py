"""What a host app may say to a guard over its events socket: one JSON object a line."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

MAX_BYTES: Final = 256  # of a line, without its end


class NotUnderstoodError(ValueError):
    """A line that is no command. It is never taken for one."""


class HostCommand(BaseModel):
    """``{"resume": true}``: leave an interruption, once its cool-down is over."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    schema_: Literal["safelight.command/1"] = Field(alias="schema", default="safelight.command/1")
    # Not Literal[True], which takes 1 as well.
    resume: bool = Field(json_schema_extra={"const": True})

    @field_validator("resume")
    @classmethod
    def _is_meant(cls, resume: bool) -> bool:
        if not resume:
            raise ValueError("a command that asks for nothing")
        return resume


def parse(line: bytes) -> HostCommand:
    """Return the command of one line.

    Raises:
        NotUnderstoodError: it is anything but a command.
    """
    if len(line) > MAX_BYTES:
        raise NotUnderstoodError(f"a command is at most {MAX_BYTES} bytes")
    try:
        return HostCommand.model_validate_json(line)
    except ValidationError:
        raise NotUnderstoodError('the one command is {"resume": true}') from None
