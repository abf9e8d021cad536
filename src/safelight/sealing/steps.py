"""What a process of ours does to itself on its way into a sandbox: one step a function."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from safelight.sealing import kernel, landlock

if sys.platform != "win32":  # so that this module can be imported anywhere
    import resource

_RESERVED: Final = 256 << 20  # bytes of addresses that the C library reserves, unused, for a heap


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends; end now if it has ended.

    The kernel watches the *thread* that started this process: it must live as long.

    Raises:
        OSError: refused.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(3)


def threads() -> int:
    """How many threads this process has; 0 when that cannot be told."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:  # not known is not one
        return 0


def single(threads: int, apply: Callable[[], str | None]) -> Callable[[], str | None]:
    """Return a layer that holds only where there is one thread."""
    if threads == 1:
        return apply
    return lambda: f"it binds one thread, and there are {threads or 'an unknown number'}"


def leave_namespaces() -> None:
    """Go to a network with nothing in it, with IPC and a host name of its own.

    Raises:
        OSError: refused.
    """
    apart = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    try:
        kernel.unshare(kernel.CLONE_NEWUSER | apart)
    except OSError:
        if os.geteuid() != 0:
            raise
        kernel.unshare(apart)  # root needs no user namespace for it


def deny_files() -> None:
    """Reach no file, no TCP, by Landlock. Open descriptors keep working.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    landlock.deny_everything()


def no_new_privileges() -> str | None:
    """Set, then ask whether it is so."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    return None if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) == 1 else "the kernel did not keep it"


def limit(memory_bytes: int, shared_bytes: int, open_files: int) -> None:
    """Set what is counted against limits: so much memory on top of what it has now.

    RLIMIT_DATA bounds private writable memory, whatever it is called; RLIMIT_AS bounds shared
    memory too, and needs room for addresses that are reserved and never used. RLIMIT_NPROC
    counts all processes of the user, so here it would be a limit on somebody else.

    Raises:
        ValueError, OSError: it cannot be limited so.
    """
    if memory_bytes <= 0 or shared_bytes < 0:
        raise ValueError("a process needs memory")
    data, addresses = _memory("VmData"), _memory("VmSize")
    set_limit(resource.RLIMIT_FSIZE, 0)
    set_limit(resource.RLIMIT_NOFILE, open_files)
    set_limit(resource.RLIMIT_DATA, data + memory_bytes)
    set_limit(resource.RLIMIT_AS, addresses + memory_bytes + shared_bytes + _RESERVED)


def set_limit(which: int, most: int) -> None:
    """Set a limit for good; one that is lower already stays."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def _memory(name: str) -> int:
    """Return bytes of a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the kernel does not say {name}")
