"""What a judge, and what decodes, may do, written down a second time, by the auditor.

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
        "sched_setaffinity",
        "clock_gettime",
        "restart_syscall",
        "rt_sigreturn",
        "exit_group",
    }
)
# What a judge may call besides before it seals itself: what its template is left with.
SEALING_CALLS: Final = frozenset(
    {
        *("clone", "wait4", "waitid", "kill", "recvmsg", "recvfrom", "sendmsg", "sendto"),
        *("poll", "ppoll", "getsockname", "getsockopt", "close_range", "dup", "dup2", "dup3"),
        *("fcntl", "lseek", "fstat", "newfstatat", "prlimit64", "prctl", "seccomp"),
        *("getpid", "getppid", "gettid", "getrandom", "rt_sigaction", "rt_sigprocmask"),
        *("sigaltstack", "set_robust_list", "rseq", "sched_yield", "mlock", "mlock2"),
    }
)
# What a process that decodes may call once it is sealed.
SOURCE_CALLS: Final = frozenset(
    {
        *("read", "write", "close", "brk", "mmap", "munmap", "mremap", "mprotect", "madvise"),
        *("futex", "clone", "set_robust_list", "rseq", "rt_sigprocmask", "rt_sigaction"),
        *("sched_getaffinity", "sched_yield", "gettid", "getpid", "prctl", "exit"),
        *("clock_gettime", "clock_nanosleep", "getrandom", "restart_syscall", "rt_sigreturn"),
        *("exit_group", "lseek", "recvfrom", "sendto", "poll", "ppoll", "getsockopt"),
        *("recvmsg", "sendmsg"),
    }
)
# Answered by "no such call", so that the C library makes one whose flags can be seen.
ANSWERED_BY_NO: Final = frozenset({"clone3"})
# What it may call besides while it looks for whom it is to reach, under its first filter.
REACHING_CALLS: Final = frozenset(
    {
        *("open", "openat", "access", "faccessat2", "stat", "fstat", "newfstatat", "lstat"),
        *("statx", "readlink", "readlinkat", "getcwd", "getdents64", "pread64", "uname"),
        *("sysinfo", "socket", "connect", "bind", "listen", "accept", "accept4", "shutdown"),
        *("getsockname", "getpeername", "setsockopt", "sendmmsg", "fcntl", "ioctl", "getuid"),
        *("geteuid", "getgid", "getegid", "prlimit64", "capget", "capset", "unshare"),
        *("seccomp", "sigaltstack", "landlock_create_ruleset", "landlock_add_rule"),
        *("landlock_restrict_self", "lseek"),
    }
)
# Ways to leave something with the kernel, or in another process, that are no files: shared
# memory, messages, keys, and calls that no tracer sees.
KEPT_ELSEWHERE: Final = frozenset(
    {
        *("shmget", "shmat", "msgget", "msgsnd", "mq_open", "mq_timedsend", "semget"),
        *("add_key", "request_key", "keyctl", "fsetxattr", "io_uring_setup", "io_uring_enter"),
        # Nor what is left with a file besides what is in it: no guard has to set any of it.
        *("utime", "utimes", "utimensat", "futimesat", "chmod", "fchmod", "fchmodat"),
        *("chown", "fchown", "fchownat", "lchown", "setxattr", "lsetxattr"),
        *("process_vm_writev", "ptrace", "open_by_handle_at", "bpf"),
    }
)
# The C library asks this one for names of users and hosts, where it runs.
NAME_SERVICE: Final = frozenset({"/var/run/nscd/socket", "/run/nscd/socket"})
# Programs that Python itself starts to find a library, by name.
FINDERS: Final = frozenset({"ldconfig", "gcc", "cc", "ld", "objdump", "uname"})
# By these names its processes may be known to everybody: Python, ours, what finds a library,
# and what offers a camera or shows a notification.
NAMES: Final = frozenset(
    {
        *(*FINDERS, "sh", "strace", "setpriv", "gst-launch-1.0", "gst-plugin-scan"),
        *("notify-send", "gdbus"),
    }
)
# What may be opened for writing without anything being kept: itself, or what is below it.
NOTHING_KEPT: Final = frozenset({"/dev/null", "/dev/zero", "/dev/tty"})
NOTHING_KEPT_BELOW: Final = ("/dev/pts/", "/proc/self/", "pipe:")
# By these, /proc/self leads to other files.
LEADS_ELSEWHERE: Final = frozenset({"cwd", "root", "fd", "task", "map_files", "mem"})
# The one file in the folder that a user names for it.
STATE_FILE: Final = "cool-down.json"
