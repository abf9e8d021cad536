"""All that was seen of one guard, for the checks to look through."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from safelight.audit.expected import STATE_FILE
from safelight.audit.places import Looked
from safelight.audit.search import Marked
from safelight.audit.tracing import Calls
from safelight.audit.watching import JUDGE, LOADER, SOURCE, Seen, Watch

_PORTS: Final = {"rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "tls": 443, "https": 443}


@dataclass(slots=True)
class Facts:
    """What was seen. ``calls`` is None when system calls were not traced; ``why`` says so."""

    watch: Watch
    guard: Seen
    addresses: frozenset[str]  # "host:port", that source and sink name
    named: dict[str, Path]  # the files that its user named
    looked: Looked
    calls: dict[int, Calls] | None = None
    why: str = ""
    private: list[Path] = field(default_factory=list)  # folders of the guard alone
    said: list[Path] = field(default_factory=list)
    marks: list[Marked] = field(default_factory=list)
    killed: int | None = None

    @property
    def judges(self) -> list[Seen]:
        """Processes that look at pictures: forked by a process of the same name."""
        from_these = {p.pid for p in self.templates}
        return [
            p
            for p in self.watch.snapshot()
            # A program that a template starts bears its name until it runs.
            if p.parent in from_these and p.name == JUDGE and p.looks > 2 and not self._ran(p.pid)
        ]

    @property
    def templates(self) -> list[Seen]:
        """Processes that judges are forked from."""
        above = {self.guard.pid, *(p.pid for p in self.loaders)}
        return [p for p in self.watch.snapshot() if JUDGE in p.names and p.parent in above]

    @property
    def loaders(self) -> list[Seen]:
        """Processes that loaded a judge's networks among threads, and now wait for a template."""
        return [p for p in self.watch.snapshot() if p.name == LOADER and p.parent == self.guard.pid]

    @property
    def sources(self) -> list[Seen]:
        """Processes that read and decode, those that wait for a publisher's return included."""
        return [
            p
            for p in self.watch.snapshot()
            if SOURCE in p.names and p.parent == self.guard.pid and p.looks > 2
        ]

    @property
    def processes(self) -> list[Seen]:
        """Every process of the guard; a tracer is none."""
        return [p for p in self.watch.snapshot() if p.looks and p.names != ["strace"]]

    def _ran(self, pid: int) -> bool:
        return bool(self.calls and pid in self.calls and self.calls[pid].programs)

    def unread(self, names: Iterable[str]) -> dict[str, int]:
        """Return how many of these calls led to where who looks may not see."""
        every = (self.calls or {}).values()
        return {name: sum(calls.unread[name] for calls in every) for name in names}

    def is_named(self, path: Path) -> bool:
        """Whether the user named this file, or it is one of these half written."""
        for name, place in self.named.items():
            if path == place:
                return True
            if path.parent == place and name == "state":
                return path.name == STATE_FILE or (
                    path.name.startswith(f"{STATE_FILE}.") and path.suffix == ".part"
                )
            half = path.name.startswith(place.name) and path.suffix == ".part"
            if path.parent == place.parent and half:
                return True
        return False

    def is_its_own(self, path: Path) -> bool:
        """Whether the guard wrote this file, as far as can be seen."""
        if any(path.is_relative_to(place) for place in self.private):
            return True
        if any(str(path) in p.files for p in self.processes):
            return True
        if self.calls is not None:
            return any(str(path) in c.written for c in self.calls.values())
        words = {str(p.pid) for p in self.processes}
        return bool(words & set(_words(path.name)))

    def who(self, pid: int) -> str:
        """Return what to call a process."""
        if pid == self.guard.pid:
            return "guard"
        if any(p.pid == pid for p in self.judges):
            return "judge"
        if any(p.pid == pid for p in self.templates):
            return "template"
        if any(p.pid == pid for p in self.loaders):
            return "loader"
        if any(p.pid == pid for p in self.sources):
            return "source"
        seen = self.watch.processes.get(pid)
        return f"child of the guard ({seen.name})" if seen and seen.looks else "child of the guard"


def addresses_of(places: list[str]) -> frozenset[str]:
    """Return the "address:port" that the named sources and sinks mean, names looked up."""
    found: set[str] = set()
    by_name = False
    for place in places:
        parts = urlsplit(place)
        if not parts.hostname or parts.scheme not in _PORTS:
            continue
        port = parts.port or _PORTS[parts.scheme]
        try:
            ipaddress.ip_address(parts.hostname)
            found.add(f"{parts.hostname}:{port}")
        except ValueError:
            by_name = True
            with suppress(OSError):
                for *_, where in socket.getaddrinfo(parts.hostname, port):
                    found.add(f"{where[0]}:{port}")
    return frozenset(found | (_resolvers() if by_name else set()))


def _resolvers() -> set[str]:
    found = set()
    with suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text("utf-8").splitlines():
            if line.startswith("nameserver "):
                found.add(f"{line.split()[1]}:53")
    return found


def _words(name: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in name).split()


def by_root() -> bool:
    """Whether who looks may look at everything."""
    return os.geteuid() == 0
