"""Policy files: TOML text in, a validated ``Policy`` or a ``PolicyError`` out.

Every action that is not a way to restrict is refused, and so is every limit so high that it
would never restrict: an empty or careless policy must not release.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from safelight.core.policy import Policy
from safelight.errors import PolicyError

Score = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Nats = Annotated[float, Field(ge=0.5, le=20.0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SexualContent(_Strict):
    """What happens to sexual content. Above 0.8 the network's authors are sure themselves."""

    action: Literal["cover", "cover-unless-adults-counted"]
    cover_at: Annotated[float, Field(gt=0.0, le=0.8, allow_inf_nan=False)]


class MinorWithSexualContent(_Strict):
    """Sexual content together with evidence of a minor: covered by every policy."""

    action: Literal["cover"]
    sexual_at: Score
    p_under_18_at: Annotated[float, Field(gt=0.0, le=0.5, allow_inf_nan=False)]


class OverTime(_Strict):
    """Evidence over time, in nats. It can only restrict."""

    cover_at: Nats
    interrupt_at: Nats


class Budget(_Strict):
    """What the limits are meant to cost on ordinary video. A design budget, not a result."""

    false_interruptions_per_100h: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    false_cover_s_per_hour: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class PolicyFile(_Strict):
    """A policy file."""

    schema_: Literal["safelight.policy/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    sexual_content: SexualContent
    minor_with_sexual_content: MinorWithSexualContent
    over_time: OverTime
    budget: Budget

    @model_validator(mode="after")
    def _rises(self) -> PolicyFile:
        if self.minor_with_sexual_content.sexual_at > self.sexual_content.cover_at:
            raise ValueError(
                "minor_with_sexual_content.sexual_at may not be above sexual_content.cover_at"
            )
        if self.over_time.cover_at > self.over_time.interrupt_at:
            raise ValueError("over_time.cover_at may not be above over_time.interrupt_at")
        return self


def parse(text: str, origin: str) -> Policy:
    """Return the policy that ``text`` holds.

    Args:
        text: TOML.
        origin: what to call it in an error: a name or a path.

    Raises:
        PolicyError: it is not TOML, has an unknown key, lacks one, or would release what no
            policy may release.
    """
    try:
        # ValueError: also a number of too many digits. RecursionError: lists in lists in ...
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        what = str(error).partition("\n")[0]
        raise PolicyError(f"policy {origin} is not TOML ({what})", "correct it") from None
    try:
        read = PolicyFile.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(_printable(part) for part in first["loc"]) or "the policy"
        raise PolicyError(
            f"policy {origin}: {where}: {_message(first['type'], first['msg'])}",
            "see `safelight policy show protect` for one that validates",
        ) from None
    return Policy(
        name=read.name,
        title=read.title,
        cover_at=read.sexual_content.cover_at,
        with_minor_at=read.minor_with_sexual_content.sexual_at,
        p_under_18_at=read.minor_with_sexual_content.p_under_18_at,
        sequential_cover_at=round(read.over_time.cover_at * 1000),
        sequential_interrupt_at=round(read.over_time.interrupt_at * 1000),
        adults_affirmed=read.sexual_content.action == "cover-unless-adults-counted",
        false_interruptions_per_100h=read.budget.false_interruptions_per_100h,
        false_cover_s_per_hour=read.budget.false_cover_s_per_hour,
    )


def _printable(key: int | str) -> str:
    # A TOML key may hold anything, also what would break the error's one line.
    text = str(key)
    return text if text.isprintable() and len(text) <= 64 else ascii(text[:64])


def _message(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "missing"
    return message.removeprefix("Value error, ").removeprefix("Input should be ")
