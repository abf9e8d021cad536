"""Which programs have a camera open, as far as this user may see."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class User:
    """A program that has a device open."""

    pid: int
    name: str
    device: str


def users(devices: Collection[Path], *, but: int | None = None) -> tuple[tuple[User, ...], int]:
    """Return who has one of ``devices`` open, apart from the process ``but``, and how many
    programs could not be looked at."""
    # By what they are: a link to a device is that device.
    wanted = {}
    for device in devices:
        try:
            found = device.stat()
        except OSError:
            continue
        wanted[found.st_dev, found.st_ino] = device
        if found.st_rdev:
            wanted[-1, found.st_rdev] = device
    hidden = 0
    seen: list[User] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) in (but, os.getpid()):
            continue
        try:
            handles = os.listdir(folder / "fd")
        except PermissionError:
            hidden += 1
            continue
        except OSError:
            continue  # it has ended
        opened = sorted(_opened(folder, handles, wanted))
        seen += [User(int(folder.name), _name(folder), device) for device in opened]
    return tuple(sorted(seen, key=lambda user: user.pid)), hidden


def _opened(folder: Path, handles: list[str], wanted: dict[tuple[int, int], Path]) -> set[str]:
    found = set()
    for handle in handles:
        try:
            held = os.stat(folder / "fd" / handle)
        except OSError:
            continue  # it was closed meanwhile
        device = wanted.get((held.st_dev, held.st_ino))
        if device is None and held.st_rdev:
            device = wanted.get((-1, held.st_rdev))
        if device is not None:
            found.add(str(device))
    return found


def _name(folder: Path) -> str:
    try:
        name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        name = ""
    shown = "".join(sign for sign in name if sign.isprintable())
    return shown or f"process {folder.name}"
