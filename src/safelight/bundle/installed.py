"""Where pulled bundles lie, and how a new one takes the place of an old one in one step.

A place holds ``trusted/`` (the update metadata last accepted), one folder a bundle, and
``current``, a file that names the folder that judges. A bundle's folder is never written to
once ``current`` names it, so a pull that fails leaves it as it was.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from safelight.bundle.trust import CURRENT
from safelight.errors import UsageError

TRUSTED: Final = "trusted"
_STAGED: Final = ".new-"
_IS_STAGED: Final = re.compile(r"\.new-[0-9a-f]{16}")
_IS_BUNDLE: Final = re.compile(r"[a-z0-9][a-z0-9-]+-[0-9]+\.[0-9a-f]{8}")
_LOCK: Final = ".lock"


def data_folder(environment: Mapping[str, str], *, test: bool = False) -> Path:
    """Return where this user's pulled bundles lie. Stand-ins have a place of their own.

    Raises:
        UsageError: the user has no home folder.
    """
    given = environment.get("XDG_DATA_HOME", "")
    try:
        base = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "share"
    except RuntimeError:
        raise UsageError("this user has no home folder", "name a folder with --into") from None
    return base / "safelight" / ("test-bundles" if test else "bundles")


@contextmanager
def staging(place: Path) -> Iterator[Path]:
    """Give an empty folder inside ``place`` to build a bundle in, to one pull at a time.

    It is gone afterwards, unless ``adopt`` made it the current one.

    Raises:
        UsageError: the place cannot be written, holds other things, or another pull is at work
            in it.
    """
    import fcntl  # noqa: PLC0415  (not on every system; a guard that only starts needs none)

    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (place / _LOCK).is_file() and any(place.iterdir()):
            # Never pulled into: what is in it is the user's, and may bear names that ours have.
            raise UsageError(f"{place} holds other things", "name a new folder with --into")
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written ({error.strerror})", "name another folder with --into"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another pull is at work in {place}", "wait for it") from error
        for left in place.iterdir():
            if _IS_STAGED.fullmatch(left.name):  # of a pull that was killed
                shutil.rmtree(left, ignore_errors=True)
        staged = place / f"{_STAGED}{secrets.token_hex(8)}"
        staged.mkdir(mode=0o700)
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    finally:
        os.close(lock)


def adopt(place: Path, staged: Path, name: str) -> Path:
    """Make a staged, verified bundle the current one, and forget all but it and the last one.

    The step from old to new is one rename of ``current``; before it nothing has changed.

    Raises:
        OSError: it could not be written down.
    """
    before = named(place)
    final = place / f"{name}.{secrets.token_hex(4)}"
    _sync(staged)
    staged.rename(final)
    part = place / f".{CURRENT}.part"
    with part.open("w", encoding="ascii") as file:
        file.write(f"{final.name}\n")
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(place)
    part.replace(place / CURRENT)
    _sync_folder(place)
    # A guard that is just starting may still be reading the one before.
    for path in place.iterdir():
        if path.name not in {final.name, before} and _is_bundle(path):
            shutil.rmtree(path, ignore_errors=True)
    return final


def _is_bundle(path: Path) -> bool:
    """Whether a pull put it there: nothing else that lies there is ours to remove."""
    named_so = _IS_BUNDLE.fullmatch(path.name) is not None
    return named_so and not path.is_symlink() and (path / "manifest.json").is_file()


def named(place: Path) -> str | None:
    """Return what ``current`` says, None where there is none."""
    try:
        return (place / CURRENT).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _sync(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            _sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
