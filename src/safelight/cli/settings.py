"""``safelight.toml``: the flags of ``guard``, written down.

A key is a flag without its dashes; a flag on the command line counts before it. A stand-in
bundle, a judge that is not isolated, a source in the guard's process, or copy mode is asked for
on the command line only: a file that lies about must not choose it. Nor may a file that merely
lies in the current folder, and that nobody named, choose what is written, what judges, who may
connect, a policy that somebody wrote, that a guard shows nothing, or that it resumes by itself.
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import safelight
from safelight.errors import UsageError

NAME: Final = "safelight.toml"
_MAX_BYTES: Final = 65_536
_ONLY_WHEN_NAMED: Final = (
    "events",
    "events-socket",
    "report",
    "state",
    "bundle",
    "bind",
    "quiet",
    "resume-after",
)
_ONLY_AS_FLAGS: Final = ("test-bundle", "allow-weak-sandbox", "copy", "source-inside")
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
    events_socket: Words | None = None
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
        UsageError: it cannot be read, is not TOML, has a key that is no flag, or, lying in
            the current folder unnamed, one that only a named file may have.
    """
    path = config
    if path is None:
        path = Path(NAME)
        if not os.path.lexists(path):
            return Settings(), None
    try:
        text = _bytes(path, named=config is not None)
        if len(text) > _MAX_BYTES:
            raise UsageError(f"{path} is longer than {_MAX_BYTES} bytes", "shorten it")
        settings = Settings.model_validate(tomllib.loads(text.decode("utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check --config") from None
    except ValidationError as error:
        raise _not_understood(path, error) from None
    # ValueError: also a number of too many digits. RecursionError: lists in lists in ...
    except (ValueError, RecursionError) as error:
        what = str(error).partition("\n")[0]
        raise UsageError(f"{path} is not TOML ({what})", "correct it") from None
    if config is None:
        _refuse_unnamed(settings)
    return settings, path


def _bytes(path: Path, *, named: bool) -> bytes:
    # A pipe that only lies in the folder must not hold up a guard before it begins.
    waits = 0 if named else getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, os.O_RDONLY | waits), "rb") as file:
        if not named and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UsageError(f"{path} is no plain file", "remove it, or name it with --config")
        return file.read(_MAX_BYTES + 1)


def _refuse_unnamed(settings: Settings) -> None:
    refused = [key for key in settings.names() if key in _ONLY_WHEN_NAMED]
    if settings.policy is not None and settings.policy not in safelight.policy_names():
        refused.append("policy")
    if refused:
        raise UsageError(
            f"{NAME} of the current folder may not set {refused[0]}",
            "give it on the command line or name the file with --config",
        )


def _not_understood(path: Path, error: ValidationError) -> UsageError:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if key in _ONLY_AS_FLAGS:
        return UsageError(f"{path}: {key} cannot be set in a file", f"give --{key} itself")
    if first["type"] == "extra_forbidden":
        known = ", ".join(name.replace("_", "-") for name in Settings.model_fields)
        return UsageError(f"{path}: unknown key {key[:64]!r}", f"use {known}")
    return UsageError(f"{path}: {key}: {first['msg'].lower()}", "correct it")
