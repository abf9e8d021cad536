"""The one thing kept across restarts: how many interruptions there were lately.

A file with a level, and two times of day: until when a resume must wait, and from when on
the level is forgotten. It says nothing of what was seen; deleting it is allowed.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from safelight.core.limits import Limits
from safelight.errors import UsageError
from safelight.types import NS_PER_S

FORGET_AFTER_S: Final = 24 * 3600
NAME: Final = "cool-down.json"
_MAX_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Kept:
    """``level`` 0 to 4; ``until`` in seconds since the epoch."""

    level: int = 0
    until: float = 0.0


class CoolDownFile:
    """The file in the state folder. Every guard of one user shares it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def read(self, now: float) -> Kept:
        """Return what is kept; a level older than 24 clear hours is erased.

        A file that cannot be read as what it should be counts as the first level, without
        a wait: it may have been damaged, and damage must not loosen anything.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(_MAX_BYTES + 1)
            if len(text) > _MAX_BYTES:
                raise ValueError("more than was ever written")
            kept = json.loads(text.decode("utf-8"))
            level, until = _level(kept["level"]), _time(kept["until"])
        except FileNotFoundError:
            return Kept()
        # OverflowError: 1e999, or 400 digits. RecursionError: lists in lists in ...
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return Kept(level=1)
        if level == 0 or now - until > FORGET_AFTER_S:
            self._path.unlink(missing_ok=True)
            return Kept()
        # A clock set back must not lock anybody out for longer than the longest wait.
        return Kept(level, min(until, now + 900.0))

    def check(self) -> None:
        """See, before anything starts, that a level could be kept. Writes nothing.

        Raises:
            UsageError: the folder cannot be written.
        """
        nearest = next(at for at in (self._path, *self._path.parents) if at.exists())
        if not os.access(nearest, os.W_OK) or not (nearest.is_dir() or nearest == self._path):
            raise _not_writable(nearest.name)

    def raise_to(self, level: int, now: float) -> None:
        """Keep that an interruption began now, at ``level`` or one above what others kept.

        Raises:
            UsageError: the folder cannot be written.
        """
        kept = self.read(now)
        waits = Limits().cool_down_ns
        level = min(max(level, kept.level + 1), len(waits))
        self.write(Kept(level, max(kept.until, now + waits[level - 1] / NS_PER_S)))

    def write(self, kept: Kept) -> None:
        """Keep a level, whole or not at all.

        Raises:
            UsageError: the folder cannot be written.
        """
        temporary = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps({"level": kept.level, "until": round(kept.until)}))
            os.replace(temporary, self._path)
        except OSError as error:
            raise _not_writable(error.strerror or type(error).__name__) from None


def _level(value: object) -> int:
    # Not by way of int(): 0.9 would become 0, which erases what it says.
    if type(value) is not int or not 0 <= value <= 4:
        raise ValueError("a level that is none")
    return value


def _time(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(until := float(cast(float, value))):
        raise ValueError("a time that is none")
    return until


def _not_writable(why: str) -> UsageError:
    return UsageError(f"the state folder cannot be written ({why})", "name another with --state")


def default_folder() -> Path:
    """Return where the file lies unless ``--state`` says otherwise."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "safelight"
