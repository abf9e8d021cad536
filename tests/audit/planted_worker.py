"""A judge's process that does what it must not, for tests of the audit."""

from __future__ import annotations

import os
import resource
import socket

from safelight.judge import sandbox, system_calls, worker
from safelight.sealing import kernel, own_memory

_kept: list[object] = []


def _open_a_socket(**_kept_from: object) -> None:
    """Instead of the filter: a socket that reaches for somebody."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect(("127.0.0.1", 9))
    _kept.append(one)


def _leave_the_network() -> None:
    """What the library would report must reach nobody. Without a network of its own: no test."""
    try:
        kernel.unshare(kernel.CLONE_NEWNET)
    except OSError:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
        except OSError:
            os._exit(3)


def plant(what: str) -> None:
    if what == "socket":
        # With as many open files as a socket needs, in the network of everybody.
        system_calls.restrict_template = lambda: None
        system_calls.restrict_judge = _open_a_socket
        vars(sandbox)["leave_namespaces"] = lambda: None
        sandbox._open_and_start_nothing = lambda: None
    elif what == "core":
        most = resource.getrlimit(resource.RLIMIT_CORE)[1]  # the audit allows what the user may
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
        vars(sandbox)["no_core_dumps"] = own_memory.no_core_dumps = lambda: None
        vars(sandbox)["not_traceable"] = own_memory.not_traceable = lambda: None
        vars(sandbox)["limit"] = lambda *_: None
        sandbox._open_and_start_nothing = lambda: None
        vars(sandbox)["deny_files"] = lambda: None
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    elif what == "telemetry":
        _leave_the_network()
        del os.environ["ORT_DISABLE_TELEMETRY"]
        # Its reporting makes a call that the sandbox kills a judge for, which alone would end
        # most streams before anything is seen.
        vars(system_calls)["JUDGE_CALLS"] = (*system_calls.JUDGE_CALLS, "getrusage")


if __name__ == "__main__":
    plant(os.environ["PLANTED"])
    worker.main()
