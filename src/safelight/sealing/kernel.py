"""What Python's ``os`` lacks of the Linux kernel: a few calls by ctypes, each an error or done."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_SET_NAME: Final = 15
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000

MADV_DONTNEED: Final = 4
MADV_DONTFORK: Final = 10
MADV_DONTDUMP: Final = 16
MADV_WIPEONFORK: Final = 18
_MLOCK_ONFAULT: Final = 1

_CAPABILITIES_V3: Final = 0x20080522
# Where the kernel is not told by a name of the C library: the number differs by machine.
_MLOCK2: Final = {"x86_64": 325, "aarch64": 284}


@functools.cache
def _library() -> Any:
    """The C library. Loaded at the first use, so that this module can be imported anywhere."""
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def prctl(option: int, *arguments: int) -> int:
    """Set or ask something of this process, and return what the kernel answers.

    Raises:
        OSError: refused, or unknown to this kernel.
    """
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _done(_library().prctl(option, *(ctypes.c_ulong(value) for value in padded)))


def set_name(name: str) -> None:
    """Set the name that ``ps`` shows; the kernel keeps 15 bytes of it."""
    text = ctypes.create_string_buffer(name.encode()[:15])
    _done(_library().prctl(PR_SET_NAME, text, 0, 0, 0))


def system_call(number: int, *arguments: Any) -> int:
    """Call the kernel by number; every number goes as a long.

    Raises:
        OSError: refused, or unknown to this kernel.
    """
    sent = (ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    return _done(_library().syscall(ctypes.c_long(number), *sent))


def unshare(flags: int) -> None:
    """Leave the namespaces of ``flags`` for new, empty ones.

    Raises:
        OSError: refused; nothing has changed.
    """
    _done(_library().unshare(ctypes.c_int(flags)))


def drop_capabilities(*, effective_only: bool = False) -> None:
    """Give up every capability of this thread; only what it may do now if ``effective_only``.

    Raises:
        OSError: refused.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; low words, then high
    if effective_only:
        _done(_library().capget(header, sets))
        sets[0] = sets[3] = 0
    else:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _done(_library().capset(header, sets))


def lock(address: int, size: int) -> None:
    """Keep memory out of swap, each page from its first use on where the kernel can.

    Raises:
        OSError: refused, usually because RLIMIT_MEMLOCK is too small.
    """
    start, length = ctypes.c_void_p(address), ctypes.c_size_t(size)
    number = _MLOCK2.get(os.uname().machine)
    if number is not None and (
        _library().syscall(ctypes.c_long(number), start, length, ctypes.c_long(_MLOCK_ONFAULT)) == 0
    ):
        return
    _done(_library().mlock(start, length))


def advise(address: int, size: int, advice: int) -> None:
    """Tell the kernel how to treat whole pages (``madvise``).

    Raises:
        OSError: refused, not page-aligned, or not possible for this kind of memory.
    """
    _done(_library().madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_int(advice)))


def trim_heap() -> None:
    """Give freed memory back to the system, where the C library can (glibc).

    It keeps what was freed for itself otherwise: of a network that was parsed, as much again
    as stays loaded.
    """
    trim = getattr(_library(), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def forget_code() -> None:
    """Let go of the pages of programs and libraries that are in memory; used, they come again.

    Loading needs a great deal of them that nothing needs afterwards.
    """
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
            where, access, *_ = line.split()
            # Nothing but code of a file: any other page may have been written to.
            if access == "r-xp" and "/" in line:
                start, end = (int(part, 16) for part in where.split("-"))
                advise(start, end - start, MADV_DONTNEED)


def is_linux() -> bool:
    """Whether any of this can work."""
    return sys.platform == "linux"
