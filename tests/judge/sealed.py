"""A guard, a template and judges in miniature, run as a program by test_sandbox.py.

``python -m tests.judge.sealed WHAT WHO NAMESPACES`` prints JSON. The guard (this process)
forks a template, which prepares itself and forks sealed judges, as safelight.judge does; but
no detector is loaded, and a judge does one forbidden thing.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

import pyseccomp

from safelight.judge import sandbox
from safelight.sealing import kernel

NOBODY: Final = 65534
MEMORY: Final = 64 << 20
LIBC: Final = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE: Final = 0x4206
_OTHER: Final = os.memfd_create("other")


def _allocate() -> None:
    kept = [bytearray(1 << 20) for _ in range(256)]
    kept.clear()


def _allocate_at_once() -> None:
    bytearray(1 << 40)


def _compute() -> None:
    """What a judge may do: memory of all sizes, exceptions, the collector, time."""
    for size in (10, 10**4, 10**6, 30 * 10**6):
        block = bytearray(size)
        block.extend(bytes(size // 4))
    try:
        raise ValueError("no harm in it")
    except ValueError as error:
        str(error)
    gc.collect()
    for clock in (time.monotonic, time.process_time, time.thread_time, time.time):
        clock()


def _map(protection: int, flags: int) -> Callable[[], object]:
    return lambda: mmap.mmap(-1, 4096, flags=flags, prot=protection)


def _memory_page() -> mmap.mmap:
    return mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _protect() -> None:
    page = _memory_page()
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    LIBC.mprotect(ctypes.c_void_p(address), 4096, 5)


def _undo_dontdump() -> None:
    page = _memory_page()
    kernel.advise(ctypes.addressof(ctypes.c_char.from_buffer(page)), 4096, 17)


ANON: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
ACTS: Final[dict[str, Callable[[], object]]] = {
    "nothing": lambda: None,
    "compute": _compute,
    "allocate": _allocate,
    "allocate_at_once": _allocate_at_once,
    "crash": lambda: ctypes.string_at(1),
    # each of these must kill
    "socket_tcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "socket_udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "socket_unix": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "socket_pair": socket.socketpair,
    "open_to_read": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "open_to_write": lambda: os.open("/tmp/x", os.O_WRONLY | os.O_CREAT),
    "open_own_memory": lambda: os.open("/proc/self/mem", os.O_RDONLY),
    "stat": lambda: os.stat("/"),
    "list": lambda: os.listdir("/proc"),
    "memfd": lambda: os.memfd_create("x"),
    "pipe": os.pipe,
    "duplicate": lambda: os.dup(0),
    "fork": os.fork,
    "thread": lambda: threading.Thread(target=int).start(),
    "exec": lambda: os.execv(sys.executable, [sys.executable, "-V"]),  # noqa: S606
    "signal_itself": lambda: os.kill(os.getpid(), 0),
    "signal_parent": lambda: LIBC.kill(1, 0),
    "ptrace": lambda: LIBC.ptrace(0, 0, 0, 0),
    "read_other_memory": lambda: LIBC.process_vm_readv(1, None, 0, None, 0, 0),
    "prctl": lambda: LIBC.prctl(3, 0, 0, 0, 0),
    "set_limit": lambda: resource.getrlimit(resource.RLIMIT_CORE),
    "unshare": lambda: LIBC.unshare(0),
    "another_filter": lambda: LIBC.syscall(ctypes.c_long(317), 0, 0, 0),
    "executable_memory": _map(mmap.PROT_READ | mmap.PROT_EXEC, ANON),
    "shared_memory": _map(mmap.PROT_READ, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
    "map_a_file": lambda: LIBC.mmap(None, 4096, 1, mmap.MAP_PRIVATE, _OTHER, 0),
    "make_executable": _protect,
    "dump_after_all": _undo_dontdump,
    "read_elsewhere": lambda: os.read(_OTHER, 1),
    "write_elsewhere": lambda: os.write(_OTHER, b"x"),
    "signal_handler": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
}
HARMLESS: Final = frozenset({"nothing", "compute"})
OUT_OF_MEMORY: Final = frozenset({"allocate", "allocate_at_once"})


def become(who: str) -> None:
    """Go on as an ordinary user, who traces and dumps as after exec."""
    if who == "ordinary":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)


def deny_namespaces(how: str) -> None:
    """Make namespaces fail as on systems that refuse them."""
    if how == "refused":
        denied = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
        denied.add_rule(pyseccomp.ERRNO(1), "unshare")
        denied.load()
    elif how == "none_left":  # user.max_user_namespaces = 0, inside a user namespace
        kernel.unshare(kernel.CLONE_NEWUSER)
        with open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")


def rows(layers: tuple[sandbox.Layer, ...]) -> dict[str, list[Any]]:
    return {layer.name: [layer.held, layer.why] for layer in layers}


def judge(act: Callable[[], object], questions: int, answers: int) -> int:
    """Fork a judge that seals itself, says what holds, and acts; return its pid."""
    template = os.getpid()
    if (pid := os.fork()) == 0:
        _serve(template, act, questions, answers)
    return pid


def _serve(template: int, act: Callable[[], object], questions: int, answers: int) -> NoReturn:
    try:
        sandbox.name_process()
        sandbox.die_with_parent(template)
        layers = sandbox.seal(read_from=questions, write_to=answers)
        weak = sandbox.missing(layers)
        os.write(answers, b"weak" if weak else b"sealed")
        act()
        os.write(answers, b"+survived")
    except MemoryError:
        os._exit(5)
    finally:
        os._exit(6)


def crashes() -> dict[str, Any]:
    """Every act, and before them a crash without a sandbox, to compare with."""
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
    control = os.fork()
    if control == 0:
        ACTS["crash"]()
    _, status = os.waitpid(control, 0)
    return acts(control_dumps=os.WCOREDUMP(status))


def acts(*, control_dumps: bool = False) -> dict[str, Any]:
    """Every act, each by a judge of its own."""
    questions, mine = os.pipe()
    pipes = {name: os.pipe() for name in ACTS}
    found: dict[str, Any] = {"control_dumped": control_dumps}
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
    found["prepared"] = rows(sandbox.prepare(MEMORY))
    for name, act in ACTS.items():
        hears, says = pipes[name]
        pid = judge(act, questions, says)
        _, status = os.waitpid(pid, 0)
        os.close(says)
        found[name] = {
            "said": os.read(hears, 100).decode(),
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "dumped": os.WCOREDUMP(status),
        }
    os.close(mine)
    return found


def _spin_when_asked(questions: int) -> Callable[[], None]:
    def act() -> None:
        os.read(questions, 1)
        while True:
            hash(questions)

    return act


class Template:
    """A prepared template with one sealed judge that waits for its question."""

    def __init__(self) -> None:
        questions, self.ask = os.pipe()
        self._hears, says = os.pipe()
        told, tells = os.pipe()
        guard = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.ask)
            os.close(1)  # whoever reads this program's output must not wait for a judge
            sandbox.die_with_parent(guard)
            sandbox.prepare(MEMORY)
            pid = judge(_spin_when_asked(questions), questions, says)
            os.write(tells, struct.pack("i", pid))
            os.write(tells, struct.pack("i", os.waitpid(pid, 0)[1]))
            os.read(questions, 1)  # until the guard is gone
            os._exit(0)
        self._told = told
        self.judge = self.hear()
        os.read(self._hears, 100)

    def hear(self) -> int:
        (number,) = struct.unpack("i", os.read(self._told, 4))
        return int(number)


def attack(pid: int) -> list[int]:
    """Try to read another process of the same user; return what each try failed with, or 0.

    Root gives its powers up first: what refuses must be the target, not the user.
    """
    reads, writes = os.pipe()
    attacker = os.fork()
    if attacker == 0:
        kernel.drop_capabilities()
        traced = LIBC.ptrace(PTRACE_SEIZE, pid, None, None)
        found = [ctypes.get_errno() if traced else 0]
        for name in ("mem", "maps", "environ", "fd/0", "root"):
            try:
                path = f"/proc/{pid}/{name}"
                if name in {"fd/0", "root"}:
                    os.readlink(path)
                else:
                    with open(path, "rb", buffering=0) as file:
                        file.read(0 if name == "mem" else 1)
                found.append(0)
            except OSError as error:
                found.append(int(error.errno or 0))
        os.write(writes, json.dumps(found).encode())
        os._exit(0)
    answer = json.loads(os.read(reads, 1000))
    os.waitpid(attacker, 0)
    return [int(number) for number in answer]


def watch() -> dict[str, Any]:
    """What a guard sees of a judge, and what an attacker of the same user gets."""
    control = os.fork()
    if control == 0:
        kernel.drop_capabilities()  # else root's powers are what refuses, not the sandbox
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
        signal.pause()
    template = Template()
    with open(f"/proc/{template.judge}/status") as file:
        status = file.read()
    found: dict[str, Any] = {
        "status": status,
        "judge": sorted(sandbox.observed(template.judge)),
        "template": sorted(sandbox.observed(template.pid)),
        "control": sorted(sandbox.observed(control)),
        "attack_judge": attack(template.judge),
        "attack_template": attack(template.pid),
        "attack_control": attack(control),
    }
    os.kill(control, signal.SIGKILL)
    os.waitid(os.P_PID, control, os.WEXITED | os.WNOWAIT)  # killing takes a moment
    found["dead"] = sorted(sandbox.observed(control))  # a zombie: nobody has waited for it
    os.waitpid(control, 0)
    found["gone"] = sorted(sandbox.observed(control))
    os.kill(template.judge, signal.SIGKILL)
    template.hear()
    return found


def spin() -> dict[str, Any]:
    """A judge that runs away, with one second of CPU time, renewed once."""
    template = Template()
    sandbox.renew_cpu(template.judge, 60)
    sandbox.renew_cpu(template.judge, 1)
    os.kill(template.judge, signal.SIGSTOP)  # while it waits for a question: it goes on
    os.kill(template.judge, signal.SIGCONT)
    os.write(template.ask, b"?")
    status = template.hear()
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}


def orphan() -> dict[str, Any]:
    """A guard that is killed; whoever reads this looks whether the others are gone."""
    template = Template()
    os.write(1, json.dumps([template.pid, template.judge]).encode())
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def main() -> None:
    what, who, namespaces = sys.argv[1:]
    become(who)
    deny_namespaces(namespaces)
    told = json.dumps(
        {"acts": acts, "crashes": crashes, "watch": watch, "spin": spin, "orphan": orphan}[what]()
    )
    os.write(1, told.encode())
    os._exit(0)


if __name__ == "__main__":
    main()
