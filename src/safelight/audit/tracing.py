"""System calls as ``strace`` sees them, from the first moment of a guard on.

A judge that is not dumpable lets nobody of its user attach; whoever traced its guard from the
start keeps seeing. But of a process that hides only root may read what its pointers lead to:
another tracer sees that a file was opened, and not which. Those calls are counted as ``unread``.
No content of any call is written down (``-s 0``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from safelight.audit.expected import KEPT_ELSEWHERE

HOW_TO_GET: Final = "apt-get install strace"
_LINE: Final = re.compile(r"^(\d+) +(.*)$")
_CALL: Final = re.compile(r"^(\w+)\((.*)$", re.DOTALL)
_RESUMED: Final = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FOLDER: Final = re.compile(r"(?:AT_FDCWD|\b\d+)<(/[^>]*)>, \"")
_OPENED: Final = re.compile(r"\)\s+= \d+<([^>]*)>")
_ADDRESS: Final = re.compile(
    r"sin6?_port=htons\((\d+)\).*?"
    r'(?:inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)")'
)
_LOCAL: Final = re.compile(r'sun_path=(@?"[^"]*")')
_WRITES: Final = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE")
_MAKES: Final = frozenset(
    {
        "creat",
        "rename",
        "renameat",
        "renameat2",
        "mkdir",
        "mkdirat",
        "mknod",
        "mknodat",
        "symlink",
        "symlinkat",
        "link",
        "linkat",
        "truncate",
        "setxattr",
        "lsetxattr",
    }
)
_OPENS: Final = frozenset({"open", "openat", "openat2"})
OPENING: Final = _OPENS | _MAKES
_SENDS: Final = frozenset({"sendto", "sendmsg", "sendmmsg"})
# An address that was read stands there in braces; one that is absent, as NULL.
_POINTER_TO_ADDRESS: Final = re.compile(r", 0x[0-9a-f]+, \[?\d+\]?\)\s+=")
_FILTERS: Final = {"seccomp": "SET_MODE_FILTER", "prctl": "PR_SET_SECCOMP"}
_DUMPED: Final = "(core dumped)"
_FAILED: Final = re.compile(r"= -1 E\w+[^)]*\)\s*$")


@dataclass(slots=True)
class Calls:
    """What one process did, its threads included."""

    pid: int
    counts: Counter[str] = field(default_factory=Counter)  # since its first filter was set
    before: Counter[str] = field(default_factory=Counter)
    last: Counter[str] = field(default_factory=Counter)  # since its last filter was set
    filters: int = 0
    written: dict[str, str] = field(default_factory=dict)  # path -> the call
    connected: Counter[str] = field(default_factory=Counter)  # "127.0.0.1:80", "unix /path"
    bound: Counter[str] = field(default_factory=Counter)
    sockets: Counter[str] = field(default_factory=Counter)  # families
    shared: Counter[str] = field(default_factory=Counter)  # shmget and the like
    programs: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)  # where it led to was hidden from us
    dumpable_off: bool = False
    dumped: bool = False
    ended: str = ""


def command(log: Path) -> list[str] | None:
    """Return what to put before a command so that it is traced; None without strace."""
    program = shutil.which("strace")
    if program is None:
        return None
    return [program, "-f", "-y", "-qq", "-s", "0", "-o", str(log), "--"]


def works(log: Path) -> str | None:
    """Say why tracing cannot be done here; None when it can."""
    wrapped = command(log)
    if wrapped is None:
        return f"strace is not installed ({HOW_TO_GET})"
    try:
        done = subprocess.run(
            [*wrapped, "/bin/true"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"strace does not run ({type(error).__name__})"
    if done.returncode != 0:
        return "the system lets nobody trace (ptrace is refused)"
    return None


def read(log: Path, folder: str = "/") -> dict[int, Calls]:
    """Return what each *process* did; calls of a thread count for its process.

    ``folder`` is what relative names are meant from.

    Raises:
        OSError: the log cannot be read.
    """
    owner = _threads(log)
    found: dict[int, Calls] = {}
    for pid, text in _whole_lines(log):
        process = owner.get(pid, pid)
        calls = found.setdefault(process, Calls(process))
        if text.startswith("+++"):
            calls.dumped |= _DUMPED in text
            if process == pid:
                calls.ended = text.strip("+ ")
        elif (match := _CALL.match(text)) is not None:
            _note(calls, match[1], match[2], folder)
    return found


def _threads(log: Path) -> dict[int, int]:
    """Return whose thread each thread is. Its first call may stand before the one that made it."""
    above: dict[int, int] = {}
    for pid, text in _whole_lines(log):
        if text.startswith("clone") and "CLONE_THREAD" in text:
            child = re.search(r"=> \{parent_tid=\[(\d+)\]|\)\s+= (\d+)", text)
            if child is not None:
                above[int(child[1] or child[2])] = pid
    found = {}
    for pid in above:
        process = pid
        while process in above:
            process = above[process]
        found[pid] = process
    return found


def _whole_lines(log: Path) -> Iterator[tuple[int, str]]:
    """Yield calls with their results, those of one process in order."""
    started: dict[int, str] = defaultdict(str)
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                continue
            pid, text = int(match[1]), match[2]
            if text.endswith("<unfinished ...>"):
                started[pid] = text.removesuffix("<unfinished ...>")
                continue
            resumed = _RESUMED.match(text)
            if resumed is not None:
                text = started.pop(pid, f"{resumed[1]}(") + resumed[2]
            yield pid, text
    for pid, text in started.items():
        yield pid, text


def _note(calls: Calls, name: str, rest: str, folder: str) -> None:
    failed = _FAILED.search(rest) is not None
    calls.last[name] += 1
    if not failed and name in _FILTERS and _FILTERS[name] in rest:
        calls.filters += 1
        calls.last.clear()
        if calls.filters == 1:
            calls.before, calls.counts = calls.counts, Counter()
            return
        # A further one, that may allow everything, must not wipe out what was done before it.
    calls.counts[name] += 1
    if name == "prctl" and "PR_SET_DUMPABLE, " in rest and not failed:
        calls.dumpable_off = "SUID_DUMP_DISABLE" in rest
    elif name in _OPENS and any(flag in rest for flag in _WRITES):
        opened = _OPENED.search(rest)
        if not failed:
            paths = [opened[1]] if opened else _paths(rest, folder)[:1]
            calls.written.update(dict.fromkeys(paths, name))
            calls.unread[name] += not paths
    elif name in _MAKES and not failed:
        paths = _paths(rest, folder)[-1:]
        calls.written.update(dict.fromkeys(paths, name))
        calls.unread[name] += not paths
    elif name == "connect" or (name in _SENDS and "sa_family" in rest):
        calls.connected.update(_address(rest))
        calls.unread[name] += _POINTER_TO_ADDRESS.search(rest) is not None
    elif name == "bind":
        calls.bound.update(_address(rest))
        calls.unread[name] += _POINTER_TO_ADDRESS.search(rest) is not None
    elif name in _SENDS:
        calls.unread[name] += _hides_address(name, rest)
    elif name in {"socket", "socketpair"} and not failed:
        calls.sockets[rest.partition(",")[0]] += 1
    elif name in KEPT_ELSEWHERE and not failed:
        calls.shared[name] += 1
    elif name in {"execve", "execveat"} and not failed:
        paths = _paths(rest, folder)[:1]
        calls.programs += paths
        calls.unread[name] += not paths


def _paths(rest: str, folder: str) -> list[str]:
    named = _FOLDER.search(rest)
    base = named[1] if named else folder
    return [os.path.join(base, text) for text in _TEXT.findall(rest)]


def _hides_address(name: str, rest: str) -> bool:
    """Whether a datagram may name an address that could not be read."""
    if name == "sendto":
        return _POINTER_TO_ADDRESS.search(rest) is not None
    # The whole message, and so its address, is behind one pointer.
    return re.match(r"\S+, 0x", rest) is not None


def _address(rest: str) -> list[str]:
    if (inet := _ADDRESS.search(rest)) is not None:
        return [f"{inet[2] or inet[3]}:{inet[1]}"]
    if (local := _LOCAL.search(rest)) is not None:
        return [f"unix {local[1]}"]
    family = re.search(r"sa_family=(\w+)", rest)
    return [family[1]] if family and family[1] not in {"AF_UNSPEC"} else []
