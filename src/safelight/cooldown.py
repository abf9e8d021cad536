"""The one thing kept across restarts: how many interruptions there were lately.

A file with a level, and two times of day: until when a resume must wait, and from when on
the level is forgotten. It says nothing of what was seen; deleting it is allowed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from safelight.core.limits import Limits
from safelight.errors import UsageError
from safelight.types import NS_PER_S

FORGET_AFTER_S: Final = 24 * 3600
LONGEST_S: Final = max(Limits().cool_down_ns) / NS_PER_S
NAME: Final = "cool-down.json"
_MAX_BYTES: Final = 4096
_TRIES: Final = 20
_WAIT_S: Final = 0.01


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
        a wait: it may have been damaged, and damage must not loosen anything. A wait that is
        longer than any there is was kept by a clock that was ahead: the longest begins now.
        """
        kept = self._read(now)
        if kept is None:
            with self._alone():
                # Another guard may have written meanwhile.
                if self._read(now) is None:
                    self._path.unlink(missing_ok=True)
            return Kept()
        if _is_ahead(kept, now):
            with self._alone():
                kept = self._read(now) or Kept()
                if _is_ahead(kept, now):
                    # Kept, so that it runs out: else it would begin anew at every look.
                    kept = Kept(kept.level, now + LONGEST_S)
                    with contextlib.suppress(UsageError):
                        self.write(kept)
        return Kept(kept.level, min(kept.until, now + LONGEST_S))

    def _read(self, now: float) -> Kept | None:
        """Return what is kept, None when it is to be erased."""
        try:
            text = self._bytes()
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
            return None
        return Kept(level, until)

    def _bytes(self) -> bytes:
        # A pipe of that name must not hold up a guard: not to open it, and not to read it.
        handle = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("not an ordinary file")
            return file.read(_MAX_BYTES + 1)

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
        waits = Limits().cool_down_ns
        self._make_folder()
        with self._alone():
            kept = self._read(now) or Kept()
            level = min(max(level, kept.level + 1), len(waits))
            before = 0.0 if _is_ahead(kept, now) else kept.until
            self.write(Kept(level, max(before, now + waits[level - 1] / NS_PER_S)))

    def write(self, kept: Kept) -> None:
        """Keep a level, whole or not at all.

        Raises:
            UsageError: the folder cannot be written.
        """
        self._make_folder()
        # A name that no other guard has, and no link: a half of two would be neither's.
        part = self._path.with_name(f"{NAME}.{secrets.token_hex(8)}.part")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(part, flags, 0o600), "w", encoding="ascii") as file:
                json.dump({"level": kept.level, "until": round(kept.until)}, file)
            os.replace(part, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise _not_writable(error.strerror or type(error).__name__) from None

    def _make_folder(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _not_writable(error.strerror or type(error).__name__) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other guards from reading and writing in between, where the system can.

        It is the folder that is locked: no further file lies about. Who holds the lock for
        ever must not hold up a stream, so after a while it goes on without.
        """
        try:
            import fcntl  # noqa: PLC0415  (not on every system)

            handle = os.open(self._path.parent, os.O_RDONLY)
        except (ImportError, OSError):
            yield
            return
        try:
            for _ in range(_TRIES):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    time.sleep(_WAIT_S)
            yield
        finally:
            os.close(handle)


def _is_ahead(kept: Kept, now: float) -> bool:
    """Whether no wait that began by now lasts so long; whole seconds are kept."""
    return kept.until > now + LONGEST_S + 1.0


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
    """Return where the file lies unless ``--state`` says otherwise.

    Raises:
        UsageError: the user has no home folder.
    """
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    # A relative one is to be ignored, by its specification: each folder would have its own.
    if given.is_absolute():
        return given / "safelight"
    try:
        return Path.home() / ".local" / "state" / "safelight"
    except RuntimeError:
        raise _not_writable("this user has no home") from None
