"""Every place in which a program of this user could leave something, and what changed there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safelight.audit import proc

_MOST_ENTRIES: Final = 200_000
_DEEPEST: Final = 8
# Where systems keep dumps and logs. What may not be read is said to be so.
SYSTEM: Final = (
    "/var/crash",
    "/var/lib/systemd/coredump",
    "/var/lib/apport/coredump",
    "/var/log",
    "/run/log",
)
OPEN_TO_ALL: Final = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue")  # noqa: S108  (looked at)
# Not files in which anything is left: the kernel's own.
_NOT_LOOKED_AT: Final = ("/proc", "/sys")


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that was made or changed since the audit began."""

    path: Path
    size: int
    owner: int  # the user's number


@dataclass(slots=True)
class Looked:
    """What a walk found. ``refused`` are places that may not be read here."""

    changed: list[Changed]
    places: list[str]
    refused: list[str]
    cut_off: bool


def everywhere(*more: Path) -> list[Path]:
    """Return the places to look in, the more particular first, each once."""
    home = Path.home()
    named = [os.environ.get(name) for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "TMPDIR")]
    pattern = proc.core_pattern()
    places = [
        *more,
        home / ".cache",
        home / ".local",
        home / ".config",
        *(Path(name) for name in named if name),
        Path(f"/run/user/{os.getuid()}"),
        *(Path(name) for name in (*OPEN_TO_ALL, *SYSTEM)),
        *([Path(pattern).parent] if pattern.startswith("/") else []),
    ]
    found: list[Path] = []
    for place in places:
        inside = any(place.is_relative_to(other) for other in found)
        if place.is_dir() and not inside and not place.is_relative_to(*_NOT_LOOKED_AT[:1]):
            found.append(place)
    return found


def look(places: list[Path], since_ns: int, leave_out: tuple[Path, ...] = ()) -> Looked:
    """Return every file below ``places`` whose inode changed since ``since_ns``.

    That time is the kernel's own (ctime), which no program can set.
    """
    looked = Looked([], [str(place) for place in places], [], cut_off=False)
    seen: set[tuple[int, int]] = set()
    count = 0
    for place in places:
        for path, found in _walk(place, leave_out, looked):
            count += 1
            if count > _MOST_ENTRIES:
                looked.cut_off = True
                return looked
            identity = found.st_dev, found.st_ino
            if identity in seen or found.st_ctime_ns < since_ns:
                continue
            seen.add(identity)
            if not stat.S_ISDIR(found.st_mode):
                looked.changed.append(Changed(path, found.st_size, found.st_uid))
    return looked


def _walk(
    place: Path, leave_out: tuple[Path, ...], looked: Looked
) -> Iterator[tuple[Path, os.stat_result]]:
    waiting = [(place, 0)]
    while waiting:
        folder, depth = waiting.pop()
        if folder in leave_out:
            continue
        try:
            entries = list(os.scandir(folder))
        except OSError:
            looked.refused.append(str(folder))
            continue
        for entry in entries:
            try:
                yield Path(entry.path), entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
                    waiting.append((Path(entry.path), depth + 1))
            except OSError:
                continue  # gone meanwhile
