"""Looks at a guard and all it starts, again and again, until told to stop."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from safelight.audit import proc
from safelight.audit.proc import Socket

EVERY_S: Final = 0.02
_MAPS_EVERY: Final = 10  # looks; mappings and threads are many, and change rarely
_TABLES_EVERY: Final = 5  # looks; at once when there is a socket that they do not have
JUDGE: Final = "safelight-judge"
LOADER: Final = "safelight-load"  # waits with the threads that loading started
SOURCE: Final = "safelight-sourc"  # the kernel keeps 15 bytes


@dataclass(slots=True)
class Seen:
    """All that was seen of one process. Values that change are as last seen alive."""

    pid: int
    parent: int
    names: list[str] = field(default_factory=list)
    lines: list[tuple[str, ...]] = field(default_factory=list)  # its command lines, each once
    threads: dict[int, list[str]] = field(default_factory=dict)  # names, by thread
    looks: int = 0
    hidden: int = 0  # looks at which its descriptors could not be seen
    status: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    namespaces: dict[str, str] = field(default_factory=dict)
    owner: int = -1  # of /proc/PID: root's when the process is not dumpable
    files: Counter[str] = field(default_factory=Counter)
    sockets: Counter[Socket] = field(default_factory=Counter)
    unlisted: Counter[str] = field(default_factory=Counter)  # sockets that no table shows: looks
    unix_at_once: int = 0  # the most sockets of the kind unix at one look, once sealed
    mapped: set[tuple[str, str]] = field(default_factory=set)
    maps_seen: bool = False

    @property
    def name(self) -> str:
        """Its name, as last seen."""
        return self.names[-1] if self.names else "?"

    @property
    def sealed(self) -> bool:
        """Whether it may open nothing any more."""
        return self.limits.get("Max open files", "").startswith("0/")


class Watch:
    """A thread that looks. ``processes`` are complete once it was left.

    ``root`` is a guard, or a program that starts one. Children of ``also`` that do not descend
    from it are not followed.
    """

    def __init__(self, root: int, *, leave_out: frozenset[str] = frozenset()) -> None:
        self.processes: dict[int, Seen] = {}
        self.shared_memory: set[str] = set()
        self.segments: dict[str, int] = {}
        self.looks = 0
        self.longest_gap_s = 0.0
        self._root = root
        self._leave_out = leave_out
        self._strangers = set(proc.pids()) - {root}
        self._tables: dict[str, dict[str, Socket]] = {}
        self._before = _names_in_shm()
        self._segments_before = set(proc.shared_segments())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-watch", daemon=True)
        for pid in sorted(self._strangers):
            if self._belongs(proc.parent(pid)):
                self._strangers.discard(pid)
                self._found(pid, proc.parent(pid))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def snapshot(self) -> list[Seen]:
        """Return what is known now, oldest first."""
        return [self.processes[pid] for pid in sorted(self.processes)]

    def _run(self) -> None:
        last = time.monotonic()
        while not self._done.is_set():
            self._look()
            now = time.monotonic()
            self.longest_gap_s = max(self.longest_gap_s, now - last)
            last = now
            self._done.wait(EVERY_S)

    def _look(self) -> None:
        there = set(proc.pids())
        if self._root in there and self._root not in self.processes:
            self._found(self._root, proc.parent(self._root))
        for pid in sorted(there - self._strangers - self.processes.keys()):
            above = proc.parent(pid)
            if self._belongs(above):
                self._found(pid, above)
            else:
                self._strangers.add(pid)
        if self.looks % _TABLES_EVERY == 0:
            self._tables.clear()
        for pid in self.processes.keys() & there:
            self._look_at(self.processes[pid], self._tables)
        self.shared_memory |= _names_in_shm() - self._before
        for segment, (maker, user) in proc.shared_segments().items():
            mine = next((pid for pid in (maker, user) if pid in self.processes), None)
            if mine is not None and segment not in self._segments_before:
                self.segments[segment] = mine
        self.looks += 1

    def _belongs(self, above: int) -> bool:
        return above == self._root or above in self.processes

    def _found(self, pid: int, above: int) -> None:
        self.processes[pid] = Seen(pid, above)

    def _look_at(self, seen: Seen, tables: dict[str, dict[str, Socket]]) -> None:
        status = proc.status(seen.pid)
        if not status or status.get("State", "Z")[:1] in "ZX":
            return
        seen.looks += 1
        seen.status = status
        name = status.get("Name", "?")
        if name not in seen.names[-1:]:
            seen.names.append(name)
        line = proc.shown_line(seen.pid)
        if line and line not in seen.lines[-1:]:
            seen.lines.append(line)
        seen.limits = proc.limits(seen.pid) or seen.limits
        seen.namespaces |= proc.namespaces(seen.pid)
        try:
            seen.owner = (proc.PROC / str(seen.pid)).stat().st_uid
        except OSError:
            return
        targets = proc.descriptors(seen.pid)
        if targets is None:
            seen.hidden += 1
        else:
            self._sort(seen, targets, tables)
        if seen.looks % _MAPS_EVERY == 1:
            for thread, called in proc.threads(seen.pid).items():
                known = seen.threads.setdefault(thread, [])
                if called not in known[-1:]:
                    known.append(called)
            mapped = proc.mappings(seen.pid)
            if mapped is not None:
                seen.maps_seen = True
                seen.mapped |= {
                    m for m in mapped if m[1].startswith(("/memfd:", proc.SHM, "/SYSV"))
                }

    def _sort(self, seen: Seen, targets: list[str], tables: dict[str, dict[str, Socket]]) -> None:
        inodes = [t[8:-1] for t in targets if t.startswith("socket:[")]
        seen.files.update(t for t in targets if t.startswith("/"))
        if not inodes:
            return
        network = seen.namespaces.get("net", str(seen.pid))
        # A socket stays in the network that it was made in, and its process may have left that.
        root = self.processes.get(self._root, seen)
        home = root.namespaces.get("net", str(root.pid))
        for where, pid in {network: seen.pid, home: root.pid}.items():
            if where not in tables or any(_listed(i, tables) is None for i in inodes):
                tables[where] = proc.sockets(pid)  # again: it may be younger than the table
        found = [_listed(inode, tables) for inode in inodes]
        seen.sockets.update(s for s in found if s is not None)
        seen.unlisted.update(i for i, s in zip(inodes, found, strict=True) if s is None)
        if seen.sealed:
            unix = sum(1 for s in found if s is None or s.kind == "unix")
            seen.unix_at_once = max(seen.unix_at_once, unix)


def _listed(inode: str, tables: dict[str, dict[str, Socket]]) -> Socket | None:
    return next((table[inode] for table in tables.values() if inode in table), None)


def _names_in_shm() -> set[str]:
    try:
        return {path.name for path in Path(proc.SHM).iterdir()}
    except OSError:
        return set()
