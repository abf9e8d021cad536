"""What the system says of a process and of those that it started: CPU time, memory."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_JUDGE: Final = "safelight-judge"
_PPID, _UTIME, _STIME = 1, 11, 12  # of /proc/PID/stat, counted after the name


def cpu_seconds(pid: int, but: Collection[int] = ()) -> float:
    """Return the CPU seconds of all processes that ``pid`` and its own have started, ``but``
    some."""
    ticks = os.sysconf("SC_CLK_TCK")
    counted = [f for other, f in _started_by(pid).items() if other not in but]
    return sum(int(f[_UTIME]) + int(f[_STIME]) for f in counted) / ticks


def memory_bytes(pid: int, but: Collection[int] = ()) -> int:
    """Return the memory of ``pid`` and all it started ``but`` some, what they share counted once.

    Where the system does not tell what is shared (only root may look at the judge), the
    shared part of the others is left out: then it is what they have for themselves.
    """
    return _share(pid) + sum(_share(other) for other in _started_by(pid) if other not in but)


def judges_of(pid: int) -> list[int]:
    """Return the judges, each of one stream, that ``pid`` has started; not their template."""
    below = _started_by(pid)
    # A judge is forked by the template, which is a child of the guard.
    return [
        one
        for one, fields in below.items()
        if int(fields[_PPID]) in below and _name(one) == _name(int(fields[_PPID])) == _JUDGE
    ]


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _share(pid: int) -> int:
    folder = _PROC / str(pid)
    try:
        lines = (folder / "smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    try:
        resident, shared = (folder / "statm").read_text("ascii").split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _started_by(pid: int) -> dict[int, list[str]]:
    """Return the stat fields, from the state on, of each process below ``pid``."""
    found: dict[int, list[str]] = {}
    for folder in _PROC.iterdir() if _PROC.is_dir() else ():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text("utf-8", "replace")
            except OSError:
                continue  # it has ended meanwhile
            found[int(folder.name)] = text.rpartition(")")[2].split()
    below = {pid}
    grew = True
    while grew:
        more = {one for one, fields in found.items() if int(fields[_PPID]) in below} - below
        grew = bool(more)
        below |= more
    return {one: found[one] for one in below - {pid} if one in found}
