"""How a process that decodes shuts itself in, and the system calls that are left to it.

``hide`` comes first. ``reach`` comes before a connection is opened: its list still opens what
a connection needs, and starts no program and writes no file. ``seal`` comes before the first
byte of media is looked at (of RTSP: right after the first; docs/sandbox.md). None can be undone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from safelight.media.address import Kind
from safelight.media.apart_ring import RING_BYTES
from safelight.sealing import filters, kernel
from safelight.sealing.filters import Is, Rules
from safelight.sealing.own_memory import hide_this_process
from safelight.sealing.steps import (
    deny_files,
    leave_namespaces,
    limit,
    no_new_privileges,
    set_limit,
    single,
    threads,
)

if sys.platform != "win32":  # so that this module can be imported anywhere
    import resource

# At most so many descriptors: as many as one poll() may name, which this limits too. They are
# all open already.
OPEN_FILES: Final = {Kind.FILE: 0, Kind.RTMP: 3, Kind.RTMPS: 3, Kind.LISTEN: 3, Kind.RTSP: 64}
# Filters of its own: one, and before it one more where it has to reach somebody.
FILTERS: Final = {Kind.FILE: 1, Kind.RTMP: 2, Kind.RTMPS: 2, Kind.LISTEN: 2, Kind.RTSP: 2}

# On top of what is loaded: 8K pictures that a decoder holds, 16 of them and two threads' own.
_MEMORY: Final = 4 << 30
_OPEN_FILES_AT_FIRST: Final = 64

# What decoding asks of the kernel.
DECODE_CALLS: Final = (
    "read",  # the file; which slots are free
    "write",  # messages
    "close",  # what Python lets go of; closing gives no power
    "brk",
    "mmap",  # private and anonymous only, never executable
    "munmap",
    "mremap",
    "mprotect",  # never executable
    "madvise",  # pages given back, asked for in large pieces, guarded
    "futex",
    "clone",  # a decoder's threads, and nothing but threads
    "set_robust_list",  # a thread begins
    "rseq",
    "rt_sigprocmask",
    "rt_sigaction",  # the C library, before the first thread
    "sched_getaffinity",  # how many threads are worth while
    "sched_yield",
    "gettid",
    "getpid",
    "prctl",  # the name of a thread alone
    "exit",  # a thread ends
    "clock_gettime",
    "clock_nanosleep",
    "getrandom",
    "restart_syscall",
    "rt_sigreturn",
    "exit_group",
)
FILE_CALLS: Final = ("lseek",)  # in the one file
# A connection that is there.
CONNECTION_CALLS: Final = ("recvfrom", "sendto", "poll", "ppoll", "getsockopt")
# RTSP's, which has one socket a stream.
RTSP_CALLS: Final = ("recvmsg", "sendmsg")
# Until a connection is there: names, certificates, connecting or listening. Reading alone.
REACH_CALLS: Final = (
    *("open", "openat", "access", "faccessat2", "stat", "fstat", "newfstatat", "lstat", "statx"),
    *("readlink", "readlinkat", "getcwd", "getdents64", "lseek", "pread64", "uname", "sysinfo"),
    *("socket", "connect", "bind", "listen", "accept", "accept4", "shutdown"),
    *("getsockname", "getpeername", "setsockopt", "sendmmsg", "fcntl", "ioctl"),
    *("getuid", "geteuid", "getgid", "getegid", "prlimit64", "capget", "capset"),
    *("unshare", "seccomp", "sigaltstack"),
    *("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),
)

_PROT_EXEC: Final = 4
_MAP_SHARED: Final = 1
_MAP_ANONYMOUS: Final = 0x20
_EVERY_BIT: Final = 0xFFFFFFFFFFFFFFFF
# pthread_create's flags, whatever the C library (one sets DETACHED, which means nothing).
_THREAD: Final = 0x003D0F00
_NOT_DETACHED: Final = 0xFFFFFFFF & ~0x00400000
# DONTNEED, FREE, HUGEPAGE, GUARD_INSTALL and GUARD_REMOVE (of a thread's stack)
_ADVICE: Final = (4, 8, 14, 102, 103)
_PR_SET_NAME: Final = 15
# GETFD, SETFD, GETFL, SETFL
_FCNTL: Final = (1, 2, 3, 4)
_TCGETS, _FIONREAD, _FIONBIO = 0x5401, 0x541B, 0x5421  # Python asks whether a file is a terminal
_WRITES: Final = 0o3 | 0o100 | 0o1000 | 0o2000  # how it is opened, CREAT, TRUNC, APPEND

_DECODE_RULES: Final[Rules] = {
    "mmap": ((Is(2, 0, _PROT_EXEC), Is(3, _MAP_ANONYMOUS, _MAP_ANONYMOUS | _MAP_SHARED)),),
    "mprotect": ((Is(2, 0, _PROT_EXEC),),),
    "madvise": tuple((Is(2, advice),) for advice in _ADVICE),
    "clone": ((Is(0, _THREAD, _NOT_DETACHED),),),
    "prctl": ((Is(0, _PR_SET_NAME),),),
}
_REACH_RULES: Final[Rules] = {
    **_DECODE_RULES,
    "mmap": ((Is(2, 0, _PROT_EXEC),),),
    "open": ((Is(1, 0, _WRITES),),),
    "openat": ((Is(2, 0, _WRITES),),),
    "fcntl": tuple((Is(1, command),) for command in _FCNTL),
    "ioctl": tuple((Is(1, request),) for request in (_TCGETS, _FIONREAD, _FIONBIO)),
    "prlimit64": ((Is(0, 0),),),
    # What the seal itself needs: SET_DUMPABLE to 0, NO_NEW_PRIVS, SECCOMP, CAP_AMBIENT.
    "prctl": (
        *((Is(0, option),) for option in (3, _PR_SET_NAME, 21, 22, 38, 39, 47)),
        (Is(0, 4), Is(1, 0)),
    ),
}


def hide() -> None:
    """Let nobody look into this process, from its first moment on. Never raises."""
    hide_this_process()


def reach(kind: Kind) -> None:
    """Give up what no connection needs. Never raises: the guard looks at what holds."""
    filters.why_not()  # loads its library
    names = (*DECODE_CALLS, *CONNECTION_CALLS, *RTSP_CALLS, *REACH_CALLS)
    _tried(no_new_privileges)
    if FILTERS[kind] > 1:
        _tried(lambda: filters.load(names, _REACH_RULES))


def seal(kind: Kind, *, channel: int, file: int | None) -> None:
    """Give up everything but decoding. Never raises: the guard looks at what holds.

    ``channel``: the only descriptor to write to. ``file``: the only one to read from besides;
    None for a connection, which is read by other calls.
    """
    filters.why_not()
    running = threads()
    _tried(lambda: limit(_MEMORY, RING_BYTES, _OPEN_FILES_AT_FIRST))
    _tried(single(running, leave_namespaces))
    _tried(kernel.drop_capabilities)
    _tried(no_new_privileges)
    hide_this_process()
    _tried(single(running, deny_files))
    _tried(lambda: set_limit(resource.RLIMIT_NOFILE, OPEN_FILES[kind]))
    _tried(lambda: filters.load(calls(kind), _rules(kind, channel, file)))


def calls(kind: Kind) -> tuple[str, ...]:
    """Return every call that is left to a sealed process."""
    match kind:
        case Kind.FILE:
            return (*DECODE_CALLS, *FILE_CALLS)
        case Kind.RTSP:
            return (*DECODE_CALLS, *CONNECTION_CALLS, *RTSP_CALLS)
        case _:
            return (*DECODE_CALLS, *CONNECTION_CALLS)


def _rules(kind: Kind, channel: int, file: int | None) -> Rules:
    rules = dict(_DECODE_RULES)
    rules["read"] = tuple((Is(0, handle),) for handle in (channel, file) if handle is not None)
    rules["write"] = ((Is(0, channel),),)
    if file is not None:
        rules["lseek"] = ((Is(0, file),),)
    if kind is not Kind.RTSP:
        # To nobody but whom it is connected to.
        rules["sendto"] = ((Is(4, 0, _EVERY_BIT),),)
    return rules


def _tried(step: Callable[[], object]) -> None:
    try:
        step()
    except (OSError, ValueError, RuntimeError, ImportError, AttributeError):
        # Said by nobody, seen by the guard: it asks the kernel which layers hold.
        return
