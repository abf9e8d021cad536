"""What the kernel shows of a process to anybody who may look: /proc, read and nothing else."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
SHM: Final = "/dev/shm/"  # noqa: S108  (looked at, not used)
LISTEN: Final = "0A"
TABLES: Final = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "udplite", "udplite6", "icmp")
_LOCAL: Final = ("unix", "netlink", "packet")
_NAMESPACES: Final = ("net", "ipc", "uts", "user", "mnt", "pid")
# Going away while it is looked at is what processes do.
GONE: Final = (OSError, ValueError, IndexError, KeyError)


@dataclass(frozen=True, slots=True, order=True)
class Socket:
    """A socket as the kernel's tables show it. ``local`` and ``peer`` are "address:port".

    ``kind`` is the table it stands in: tcp, udp, unix, netlink, … or "unknown".
    """

    kind: str
    local: str = ""
    peer: str = ""
    listens: bool = False

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix {self.local or '(unnamed)'}"
        if self.listens:
            return f"{self.kind} listening at {self.local}"
        return f"{self.kind} {self.local} → {self.peer}"


def pids() -> list[int]:
    """Return every process number there is."""
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def parent(pid: int) -> int:
    """Return the parent of a process; 0 when it cannot be told."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
        return int(text.rpartition(")")[2].split()[1])
    except GONE:
        return 0


def command_line(pid: int) -> list[str]:
    """Return its arguments.

    Raises:
        OSError: it is gone, or may not be looked at.
    """
    text = (PROC / str(pid) / "cmdline").read_bytes()
    return [part.decode("utf-8", "replace") for part in text.split(b"\0")[:-1]]


def shown_line(pid: int) -> tuple[str, ...]:
    """Return its arguments as anybody sees them now; empty when it is gone."""
    try:
        return tuple(command_line(pid))
    except OSError:
        return ()


def threads(pid: int) -> dict[int, str]:
    """Return its threads' names, which anybody may read too; empty when it is gone."""
    found = {}
    try:
        for name in os.listdir(PROC / str(pid) / "task"):
            comm = PROC / str(pid) / "task" / name / "comm"
            found[int(name)] = comm.read_text("utf-8", "replace").rstrip("\n")
    except GONE:
        return found
    return found


def status(pid: int) -> dict[str, str]:
    """Return the lines of /proc/PID/status; empty when it is gone."""
    try:
        text = (PROC / str(pid) / "status").read_text("utf-8", "replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def limits(pid: int) -> dict[str, str]:
    """Return the soft and hard limit of each resource, "soft/hard"; empty when it is gone."""
    try:
        text = (PROC / str(pid) / "limits").read_text("utf-8", "replace")
    except OSError:
        return {}
    rows = (line[26:].split() for line in text.splitlines()[1:])
    names = (line[:26].strip() for line in text.splitlines()[1:])
    return {name: "/".join(row[:2]) for name, row in zip(names, rows, strict=True)}


def namespaces(pid: int) -> dict[str, str]:
    """Return the namespaces it is in, as far as they may be seen."""
    found = {}
    for name in _NAMESPACES:
        try:
            found[name] = os.readlink(PROC / str(pid) / "ns" / name)
        except OSError:
            continue
    return found


def descriptors(pid: int) -> list[str] | None:
    """Return what each descriptor leads to; None when that may not be seen."""
    folder = PROC / str(pid) / "fd"
    found = []
    try:
        for name in os.listdir(folder):
            try:
                found.append(os.readlink(folder / name))
            except FileNotFoundError:
                continue
    except OSError:
        return None
    return found


def mappings(pid: int) -> list[tuple[str, str]] | None:
    """Return the rights and name of each mapping with a name; None when it may not be seen."""
    try:
        text = (PROC / str(pid) / "maps").read_text("utf-8", "replace")
    except OSError:
        return None
    rows = (line.split(maxsplit=5) for line in text.splitlines())
    return [(row[1], row[5]) for row in rows if len(row) == 6]


def sockets(pid: int) -> dict[str, Socket]:
    """Return the sockets of the network that a process is in, by inode."""
    found: dict[str, Socket] = {}
    for table in (*TABLES, *_LOCAL):
        try:
            text = (PROC / str(pid) / "net" / table).read_text("utf-8", "replace")
        except OSError:
            continue
        for line in text.splitlines()[1:]:
            row = line.split()
            try:
                inode, seen = _row(table, row)
            except GONE:
                continue
            found[inode] = seen
    return found


def _row(table: str, row: list[str]) -> tuple[str, Socket]:
    if table == "unix":
        return row[6], Socket("unix", row[7] if len(row) > 7 else "")
    if table == "netlink":
        return row[9], Socket("netlink", row[1])
    if table == "packet":
        return row[8], Socket("packet", row[3])
    return row[9], Socket(table, _address(row[1]), _address(row[2]), row[3] == LISTEN)


def _address(text: str) -> str:
    """Turn the kernel's hexadecimal address into "address:port"."""
    host, _, port = text.partition(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    name = socket.inet_ntop(family, packed).removeprefix("::ffff:")
    return f"{name}:{int(port, 16)}"


def shared_segments() -> dict[str, tuple[int, int]]:
    """Return System V segments: id -> (process that made it, process that used it last)."""
    try:
        rows = (PROC / "sysvipc" / "shm").read_text().splitlines()
    except OSError:
        return {}
    head = rows[0].split()
    at = head.index("shmid"), head.index("cpid"), head.index("lpid")
    parts = (row.split() for row in rows[1:])
    return {row[at[0]]: (int(row[at[1]]), int(row[at[2]])) for row in parts}


def core_pattern() -> str:
    """Return where the kernel writes dumps; "" when it does not say."""
    try:
        return (PROC / "sys/kernel/core_pattern").read_text().strip()
    except OSError:
        return ""
