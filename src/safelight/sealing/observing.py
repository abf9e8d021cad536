"""A sealed process seen from outside, so that the guard need not believe what it says."""

from __future__ import annotations

import math
import os
import re
import sys
import threading
from pathlib import Path
from typing import Final

from safelight.sealing import kernel
from safelight.sealing.layers import (
    LIMITS,
    NETWORK_NAMESPACE,
    NO_CAPABILITIES,
    NO_CORE_DUMPS,
    NO_NEW_PRIVILEGES,
    NOT_TRACEABLE,
    SYSTEM_CALLS,
)

if sys.platform != "win32":  # so that this module can be imported anywhere
    import resource

_FILTERED: Final = "2"  # /proc/PID/status, Seccomp: filters are in force


def observed(pid: int, *, filters: int = 2, open_files: int = 0) -> frozenset[str]:
    """Return the layers that the kernel shows of a sealed process; empty if dead or gone.

    ``file_system`` cannot be seen from outside, and ``network_namespace`` only by root.
    ``system_calls`` is told of a process that is sealed to the end: it has so many ``filters``
    more than this one (a judge two, its template one), and its limit of open files, at most
    ``open_files``, is below what it has.
    """
    try:
        status = _status(pid)
        limits = _limits(pid)
        hidden = _is_hidden(pid)
        again = _status(pid)
    except (OSError, KeyError, ValueError):
        return frozenset()
    if {status["State"][:1], again["State"][:1]} & {"Z", "X"}:
        return frozenset()
    found = set()
    if status.get("NoNewPrivs") == "1":
        found.add(NO_NEW_PRIVILEGES)
    closed = limits["Max open files"] <= open_files
    if status.get("Seccomp") == _FILTERED and closed and _has_filters(status, filters):
        found.add(SYSTEM_CALLS)
    if all(int(status.get(name, "f"), 16) == 0 for name in ("CapEff", "CapPrm", "CapInh")):
        found.add(NO_CAPABILITIES)
        if hidden:  # a process with more rights than who looks is hidden for that alone
            found.add(NOT_TRACEABLE)
    if limits["Max core file size"] == 0:
        found.add(NO_CORE_DUMPS)
    if limits["Max file size"] == 0 and all(
        math.isfinite(limits[name]) for name in ("Max address space", "Max data size")
    ):
        found.add(LIMITS)
    if _has_other_network(pid):
        found.add(NETWORK_NAMESPACE)
    return frozenset(found)


def renew_cpu(pid: int, seconds: int) -> None:
    """Let a process compute for so many seconds more; then the kernel ends it (SIGXCPU).

    A process that runs away stops by itself. The
    kernel counts whole seconds.

    Raises:
        ValueError: not at least one second.
        OSError: it is gone, or is another user's.
    """
    if seconds < 1:
        raise ValueError("a process is given at least one second")
    used = math.ceil(cpu_seconds(pid))
    _, most = resource.prlimit(pid, resource.RLIMIT_CPU)
    wanted = used + seconds
    resource.prlimit(pid, resource.RLIMIT_CPU, (wanted if most < 0 else min(wanted, most), most))


def cpu_seconds(pid: int) -> float:
    """CPU time that a process used so far, in seconds, by the kernel's account.

    Raises:
        OSError: it is gone.
    """
    # The name in brackets may hold anything, so the fields count from the last bracket.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    user, system = fields.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _status(pid: int | str) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return {name: value.strip() for name, _, value in (s.partition(":") for s in text.splitlines())}


def _limits(pid: int) -> dict[str, float]:
    """Hard limits by name."""
    text = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")
    rows = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[1:])
    return {row[0]: math.inf if row[2] == "unlimited" else int(row[2]) for row in rows}


def _has_filters(status: dict[str, str], wanted: int) -> bool:
    """Whether it has so many filters more than this process (Linux before 5.9 cannot say)."""
    if "Seccomp_filters" not in status:
        return True
    return int(status["Seccomp_filters"]) >= int(_status("self")["Seccomp_filters"]) + wanted


def _is_hidden(pid: int) -> bool:
    """Whether another process of the same user is refused its memory.

    Root is refused nothing, so a thread of its own gives root's powers up before it tries.

    Raises:
        OSError: the process is gone, or it could not be tried.
    """
    outcome: list[bool | OSError] = []

    def attempt() -> None:
        try:
            kernel.drop_capabilities(effective_only=True)
        except OSError as error:
            outcome.append(error)
            return
        try:
            os.readlink(f"/proc/{pid}/exe")  # asks for the same right as reading its memory
        except PermissionError:
            outcome.append(True)
        except OSError as error:
            outcome.append(error)
        else:
            outcome.append(False)

    thread = threading.Thread(target=attempt, name="safelight-look", daemon=True)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def _has_other_network(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    except OSError:  # not root, or gone: not seen is not held
        return False
