"""What a judge may do, written down a second time, by the auditor.

Not taken from the code that is audited: whoever changes that changes nothing here. A test says
when the two, or docs/sandbox.md, come to differ.
"""

from __future__ import annotations

from typing import Final

JUDGE_CALLS: Final = frozenset(
    {
        "read",
        "write",
        "close",
        "brk",
        "mmap",
        "munmap",
        "mremap",
        "mprotect",
        "madvise",
        "futex",
        "clock_gettime",
        "restart_syscall",
        "rt_sigreturn",
        "exit_group",
    }
)
# The C library asks this one for names of users and hosts, where it runs.
NAME_SERVICE: Final = frozenset({"/var/run/nscd/socket", "/run/nscd/socket"})
# Programs that Python itself starts to find a library, by name.
FINDERS: Final = frozenset({"ldconfig", "gcc", "cc", "ld", "objdump", "uname"})
# What may be opened for writing without anything being kept.
NOTHING_KEPT: Final = ("/dev/null", "/dev/tty", "/dev/pts/", "/proc/self/", "pipe:", "/dev/zero")
