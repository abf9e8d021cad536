"""The system calls that the judge and its template may make; any other ends the process.

Two filters, the second on top of the first. The template (which loads the detectors, then
forks judges) keeps what forking and receiving descriptors need. The judge keeps what reading a
question, computing and writing an answer need. docs/sandbox.md lists both.
"""

from __future__ import annotations

from typing import Final

from safelight.sealing import filters
from safelight.sealing.filters import Is, Rules

# Every call of a sealed judge. Memory is what an inference asks of the kernel; little else.
JUDGE_CALLS: Final = (
    "read",  # the next question
    "write",  # the answer
    "close",  # what Python lets go of; closing gives no power
    "brk",  # memory for small things
    "mmap",  # memory for large ones; private and anonymous only, never executable
    "munmap",  # memory given back
    "mremap",  # a large block grows
    "mprotect",  # the C library's heaps grow and shrink; never executable
    "madvise",  # pages given back, or asked for in large pieces; nothing else
    "futex",  # locks inside the libraries
    "sched_setaffinity",  # where its own thread may run, which a network's library asks for
    "clock_gettime",  # time and CPU time, where the kernel's page of clocks cannot tell
    "restart_syscall",  # goes on after SIGSTOP and SIGCONT
    "rt_sigreturn",  # comes back from a signal handler
    "exit_group",  # ends
)

# What the template needs besides, until it is a judge.
TEMPLATE_CALLS: Final = (
    "clone",  # fork, and nothing but fork: no threads, no namespaces
    "wait4",  # notices that a judge ended
    "waitid",
    "kill",  # ends a judge: SIGKILL alone
    "recvmsg",  # commands, and descriptors with them
    "recvfrom",
    "sendmsg",  # replies
    "sendto",
    "poll",
    "ppoll",
    "getsockname",  # Python looks at a socket that it is handed
    "getsockopt",
    "close_range",  # a judge closes what it does not need
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "lseek",
    "fstat",  # Python looks at a file before it maps it
    "newfstatat",  # the same, by another name: of an open descriptor only
    "prlimit64",  # the limits of this process alone
    "prctl",  # name, death with the parent, no new privileges, not dumpable; nothing else
    "seccomp",  # the judge's own filter
    "getpid",
    "getppid",
    "gettid",
    "getrandom",  # Python seeds itself again after a fork
    "rt_sigaction",
    "rt_sigprocmask",
    "sigaltstack",
    "set_robust_list",  # the C library after a fork
    "rseq",
    "sched_yield",
    "mlock",
    "mlock2",
)

# What a process that only waits, for a template, needs besides; its idle threads need less.
_WAITING_CALLS: Final = ("wait4", "waitid", "sched_yield")

_PROT_EXEC: Final = 4
_MAP_SHARED: Final = 1
_MAP_ANONYMOUS: Final = 0x20
_MADV_DONTNEED, _MADV_FREE, _MADV_HUGEPAGE, _MADV_DONTFORK, _MADV_DONTDUMP = 4, 8, 14, 10, 16
_SIGCHLD: Final = 17
_SIGKILL: Final = 9
_AT_EMPTY_PATH: Final = 0x1000
# Every clone flag that makes a thread, a namespace or a traced child; fork has none of them.
_NOT_A_FORK: Final = (
    0x00000100  # VM
    | 0x00000200  # FS
    | 0x00000400  # FILES
    | 0x00000800  # SIGHAND
    | 0x00002000  # PTRACE
    | 0x00008000  # PARENT
    | 0x00010000  # THREAD
    | 0x7E020000  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
)
_FCNTL: Final = (0, 1, 2, 3, 4, 1030, 1034)  # DUPFD, GETFD, SETFD, GETFL, SETFL, …CLOEXEC, SEALS
# SET_PDEATHSIG and GET, GET_DUMPABLE, SET_NAME and GET, GET_SECCOMP, SET_SECCOMP,
# SET_NO_NEW_PRIVS and GET. SET_DUMPABLE comes with its argument below.
_PRCTL: Final = (1, 2, 3, 15, 16, 21, 22, 38, 39)


_JUDGE_RULES: Final[Rules] = {
    "mmap": ((Is(2, 0, _PROT_EXEC), Is(3, _MAP_ANONYMOUS, _MAP_ANONYMOUS | _MAP_SHARED)),),
    "mprotect": ((Is(2, 0, _PROT_EXEC),),),
    "madvise": tuple((Is(2, a),) for a in (_MADV_DONTNEED, _MADV_FREE, _MADV_HUGEPAGE)),
    "sched_setaffinity": ((Is(0, 0),),),
}
_TEMPLATE_RULES: Final[Rules] = {
    "mmap": ((Is(2, 0, _PROT_EXEC),),),
    "mprotect": ((Is(2, 0, _PROT_EXEC),),),
    "madvise": (
        *_JUDGE_RULES["madvise"],
        *(((Is(2, a),)) for a in (_MADV_DONTFORK, _MADV_DONTDUMP)),
    ),
    "sched_setaffinity": _JUDGE_RULES["sched_setaffinity"],
    "clone": ((Is(0, _SIGCHLD, _NOT_A_FORK | 0xFF),),),
    "kill": ((Is(0, 0, 0x80000000), Is(1, _SIGKILL)),),
    "fcntl": tuple((Is(1, command),) for command in _FCNTL),
    "newfstatat": ((Is(3, _AT_EMPTY_PATH, _AT_EMPTY_PATH),),),
    "prlimit64": ((Is(0, 0),),),
    "prctl": (*((Is(0, option),) for option in _PRCTL), (Is(0, 4), Is(1, 0))),
}


def restrict_judge(*, read_from: int | None = None, write_to: int | None = None) -> None:
    """Allow every thread of this process ``JUDGE_CALLS`` alone, for good.

    Args:
        read_from: the only descriptor to read from; None allows any.
        write_to: the only descriptor to write to; None allows any.

    Raises:
        OSError, RuntimeError: the filter is not in force.
    """
    rules = dict(_JUDGE_RULES)
    if read_from is not None:
        rules["read"] = ((Is(0, read_from),),)
    if write_to is not None:
        rules["write"] = ((Is(0, write_to),),)
    filters.load(JUDGE_CALLS, rules)


def restrict_waiting() -> None:
    """Allow every thread of this process ``JUDGE_CALLS`` and to wait for a child.

    Raises:
        OSError, RuntimeError: the filter is not in force.
    """
    filters.load((*JUDGE_CALLS, *_WAITING_CALLS), _JUDGE_RULES)


def restrict_template() -> None:
    """Allow every thread of this process ``JUDGE_CALLS`` and ``TEMPLATE_CALLS`` alone.

    Raises:
        OSError, RuntimeError: the filter is not in force.
    """
    filters.load((*JUDGE_CALLS, *TEMPLATE_CALLS), _TEMPLATE_RULES)
