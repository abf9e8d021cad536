"""``safelight.toml``: the flags of ``guard``, written down.

A key is a flag without its dashes; a flag on the command line counts before it. A stand-in
bundle is asked for on the command line only: a file that lies about must not choose it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safelight.errors import UsageError

NAME: Final = "safelight.toml"
Words = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """What a file may say. Paths are meant from the current folder, like the flags'."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )

    policy: Words | None = None
    direction: Literal["outgoing", "incoming"] | None = None
    bundle: Words | None = None
    report: Words | None = None
    events: Words | None = None
    hold_ms: int | None = None
    resume_after: float | None = None
    region: Words | None = None
    bind: Words | None = None
    state: Words | None = None
    quiet: bool | None = None

    def names(self) -> list[str]:
        """Return the keys that are set, as they are written."""
        return sorted(self.model_dump(by_alias=True, exclude_none=True))


def read(config: Path | None) -> tuple[Settings, Path | None]:
    """Return what ``config`` says, or ``safelight.toml`` of the current folder if it is there.

    Raises:
        UsageError: it cannot be read, is not TOML, or has a key that is no flag.
    """
    path = config
    if path is None:
        path = Path(NAME)
        if not path.exists():
            return Settings(), None
    try:
        return Settings.model_validate(tomllib.loads(path.read_text("utf-8"))), path
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error})", "correct it") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(name.replace("_", "-") for name in Settings.model_fields)
        if first["type"] == "extra_forbidden":
            what = f"{path}: unknown key {key!r}"
            if key == "test-bundle":
                raise UsageError(
                    f"{path}: test-bundle cannot be set in a file", "give --test-bundle itself"
                ) from None
            raise UsageError(what, f"use {known}") from None
        raise UsageError(f"{path}: {key}: {first['msg'].lower()}", "correct it") from None
