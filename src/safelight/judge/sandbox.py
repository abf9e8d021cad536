"""The judge's sandbox: what looks at pictures reaches nothing and keeps nothing (promise 5).

Two steps. ``prepare`` is for the template process, once the detectors are loaded: no files, no
network, limits, and a first list of system calls. ``seal`` is for each judge that it forks,
before the first question: the strict list. Neither can be undone. docs/sandbox.md lists the
layers, and how anyone can look at them from outside.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

from safelight.judge import system_calls
from safelight.judge.system_calls import JUDGE_CALLS, TEMPLATE_CALLS
from safelight.sealing import filters, kernel
from safelight.sealing.layers import (
    EXTRA,
    FILE_SYSTEM,
    LIMITS,
    NETWORK_NAMESPACE,
    NO_CAPABILITIES,
    NO_CORE_DUMPS,
    NO_NEW_PRIVILEGES,
    NOT_TRACEABLE,
    REQUIRED,
    SYSTEM_CALLS,
    Layer,
    attempt,
    enough,
    missing,
)
from safelight.sealing.observing import cpu_seconds, observed, renew_cpu
from safelight.sealing.own_memory import (
    hide_this_process,
    lock_memory,
    no_core_dumps,
    not_traceable,
)
from safelight.sealing.programs import SINGLE_THREADED
from safelight.sealing.steps import (
    deny_files,
    die_with_parent,
    leave_namespaces,
    limit,
    no_new_privileges,
    set_limit,
    single,
    threads,
)

if sys.platform != "win32":  # so that this module can be imported anywhere
    import resource

__all__ = [
    "EXTRA",
    "JUDGE_CALLS",
    "REQUIRED",
    "SINGLE_THREADED",
    "TEMPLATE_CALLS",
    "Layer",
    "cpu_seconds",
    "die_with_parent",
    "enough",
    "hide_this_process",
    "lock_memory",
    "missing",
    "name_process",
    "observed",
    "prepare",
    "probe",
    "renew_cpu",
    "seal",
    "threads",
    "unsupported",
    "wait_only",
]

_OPEN_FILES: Final = 64  # of the template; a judge may open none
_PROBE_SECONDS: Final = 60
_PROBE_MEMORY: Final = 64 << 20

# What prepare() found; a forked judge inherits it, since it cannot ask for all of it again.
_extra: tuple[Layer, ...] = tuple(Layer(name, False, False, "not prepared") for name in EXTRA)


def name_process(name: str = "safelight-judge") -> None:
    """Show this process to ``ps`` by a name of at most 15 bytes.

    Raises:
        OSError: refused.
    """
    kernel.set_name(name)


def prepare(memory_bytes: int, shared_bytes: int = 0) -> tuple[Layer, ...]:
    """Shut the template in, once everything is loaded. Never raises; says what holds.

    From here on this process opens nothing, connects to nothing and starts no program; what
    is not imported yet never will be (the attempt kills). It may still fork judges.

    Args:
        memory_bytes: how much memory it, and each judge, may take on top of what it has now.
        shared_bytes: how much each judge may map of what it is handed (the ring).
    """
    global _extra  # noqa: PLW0603  (the one thing that seal() must know and cannot ask)
    running = threads()
    # Before any file is out of reach: libraries to be loaded, and how much memory is in use.
    filters.why_not()
    limits = attempt(LIMITS, lambda: limit(memory_bytes, shared_bytes, _OPEN_FILES))
    network = attempt(NETWORK_NAMESPACE, single(running, leave_namespaces))
    powers = attempt(NO_CAPABILITIES, kernel.drop_capabilities)
    privileges = attempt(NO_NEW_PRIVILEGES, no_new_privileges)
    files = attempt(FILE_SYSTEM, single(running, deny_files))
    _extra = (network, files, powers)
    layers = (
        privileges,
        *hide_this_process(),
        limits,
        attempt(SYSTEM_CALLS, system_calls.restrict_template),
    )
    return (*layers, *_extra)


def wait_only() -> tuple[Layer, ...]:
    """Shut in a process with threads that only waits for a child. Never raises.

    Namespaces, Landlock and powers bind one thread; a list of system calls binds all of them,
    and leaves nothing to use the others for: no file, no socket, no program, no signal.
    """
    return *hide_this_process(), attempt(SYSTEM_CALLS, system_calls.restrict_waiting)


def seal(*, read_from: int | None = None, write_to: int | None = None) -> tuple[Layer, ...]:
    """Shut a judge in, before its first question. Never raises; says what holds.

    From here on it may make ``JUDGE_CALLS`` alone; any other kills it. Whatever layer is
    required is set or asked for again here, so a judge without a template is told apart. End
    it by ``os._exit``: Python's own ending makes other calls, and so do sleeping, sockets'
    ``recv`` and ``send``, a traceback that nobody catches, and a first import.

    Args:
        read_from: the only descriptor that questions come from; None allows any open one.
        write_to: the only descriptor that answers go to; None allows any open one.
    """
    filters.why_not()  # loads its library, if no template has: soon no file can be opened
    layers = (
        attempt(NO_NEW_PRIVILEGES, no_new_privileges),
        attempt(NOT_TRACEABLE, not_traceable),
        attempt(NO_CORE_DUMPS, no_core_dumps),
        attempt(LIMITS, _open_and_start_nothing),
        # Last: after it nothing above could be asked any more.
        attempt(
            SYSTEM_CALLS,
            lambda: system_calls.restrict_judge(read_from=read_from, write_to=write_to),
        ),
    )
    return (*layers, *_extra)


def unsupported() -> str | None:
    """Say why no judge can be isolated here; None where it can."""
    if not kernel.is_linux():
        return f"unsupported until isolated: no sandbox is written for {platform.system()} yet"
    why = filters.why_not()
    return None if why is None else f"unsupported until isolated: {why}"


def probe() -> tuple[Layer, ...]:
    """Try every layer on a throwaway process and return what holds on this machine."""
    if (why := unsupported()) is not None:
        return _none_holds(why)
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "safelight.judge.sandbox_probe", str(_PROBE_MEMORY)],
            env={**os.environ, **SINGLE_THREADED, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PROBE_SECONDS,
        )
        told = json.loads(ran.stdout)
        layers = tuple(
            Layer(str(name), name in REQUIRED, held is True, str(why)) for name, held, why in told
        )
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        return _none_holds(f"the trial process did not answer ({type(error).__name__})")
    if ran.returncode != 0:
        return _none_holds(f"the trial process ended with {ran.returncode}")
    return layers


def _none_holds(why: str) -> tuple[Layer, ...]:
    return tuple(Layer(name, name in REQUIRED, False, why) for name in (*REQUIRED, *EXTRA))


def _open_and_start_nothing() -> str | None:
    set_limit(resource.RLIMIT_NOFILE, 0)
    set_limit(resource.RLIMIT_NPROC, 0)
    set_limit(resource.RLIMIT_FSIZE, 0)
    bounded = (resource.RLIMIT_DATA, resource.RLIMIT_AS)
    if any(resource.getrlimit(which)[1] == resource.RLIM_INFINITY for which in bounded):
        return "memory is not limited"
    return None
