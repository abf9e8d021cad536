"""The judge's own process: loads, tests itself, gives up everything it does not need, judges.

Two kinds of process run this file, both named ``safelight-judge``. The *template* loads the
bundle once and shows it the bundle's own pictures; it never sees any other. For each judge
that is wanted it forks: the *judge* has the networks in memory at once, seals itself, and
looks at the pictures of one stream, or of those that share it, until its channel closes, it
breaks, or its parent dies. Where loading started threads, the template is the fork of a third,
``safelight-load``, which then does nothing but wait: a process with threads cannot be shut in.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import astuple
from typing import Final, NoReturn, Protocol

from safelight.errors import JudgeError, SafelightError
from safelight.judge import carry, sandbox
from safelight.judge.judge import looks_first
from safelight.judge.ring import RING_BYTES, RingReader
from safelight.judge.wire import (
    QUESTION_BYTES,
    Broke,
    pack_answer,
    pack_broke,
    parse_question,
)
from safelight.sealing import kernel
from safelight.types import Evidence, Picture, VerifiedBundle

MAX_CONTROL_BYTES: Final = 65_536
_MAX_HANDLE: Final = 1 << 16
_HINT: Final = "nothing was released; use another bundle, or reinstall safelight"


class Looking(Protocol):
    """What a judge needs of its detectors."""

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:
        """Look at a picture through the named views."""
        ...

    def self_test(self, *, quick: bool = False) -> None:
        """Raise JudgeError unless the answers to the bundle's own pictures are right."""
        ...


Load = Callable[[VerifiedBundle], Looking]


def main(load: Load | None = None) -> NoReturn:
    """Be a template until the guard closes its channel, whose descriptor is the first argument.

    ``load`` makes the detectors; those of the bundle when None.
    """
    # The guard decides when a judge ends: a Ctrl-C meant for it must not reach the judge first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox.die_with_parent(int(sys.argv[2]))
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        names, detectors, memory_bytes = _get_loaded(control, load)
        _leave_threads_behind(control)
        layers = _shut_in(memory_bytes)
    except SafelightError as error:
        _say(control, {"failed": [error.what, error.hint]})
        os._exit(3)
    except Exception as error:  # noqa: BLE001  (whatever broke: no start, so closed)
        what = f"the judge does not load ({type(error).__name__})"
        _say(control, {"failed": [what, _HINT]})
        os._exit(3)
    _say(control, {"layers": layers, "looks_first": looks_first(detectors)})
    _fork_when_asked(control, names, detectors)


def _load(bundle: VerifiedBundle, *, first_look_below: float) -> Looking:
    # Here, because the guard imports this file's neighbours and must not load the networks.
    from safelight.detect.detectors import Detectors  # noqa: PLC0415

    return Detectors(bundle, first_look_below=first_look_below)


def _get_loaded(control: socket.socket, load: Load | None) -> tuple[tuple[str, ...], Looking, int]:
    message, handles, _, _ = socket.recv_fds(control, MAX_CONTROL_BYTES, 1 + carry.MOST_FILES)
    order = json.loads(message)
    bundle = carry.unpack(handles, sha256=order["sha256"])
    below = float(order["first_look_below"])
    detectors = load(bundle) if load else _load(bundle, first_look_below=below)
    names = tuple(view.name for view in (*bundle.every, *bundle.in_turn))
    del bundle  # what is loaded is loaded; its bytes need not stay
    detectors.self_test()
    gc.collect()
    kernel.trim_heap()  # what loading took and gave back
    kernel.forget_code()  # this process only waits from here on, or for another
    return names, detectors, int(order["memory"])


def _leave_threads_behind(control: socket.socket) -> None:
    """Go on in a process of one thread; where there are more, in a fork, and wait for it here.

    A library's threads are of no use to the judge (each network computes in the thread that
    asks it), and what shuts a process in binds one thread only.
    """
    if sandbox.threads() == 1:
        sandbox.name_process()
        return
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        sandbox.die_with_parent(parent)
        sandbox.name_process()
        return
    control.close()
    sandbox.name_process("safelight-load")
    sandbox.wait_only()
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 3)


def _shut_in(memory_bytes: int) -> list[tuple[object, ...]]:
    layers = sandbox.prepare(memory_bytes, RING_BYTES)
    gc.freeze()  # what is loaded stays shared with every judge that is forked
    return [astuple(layer) for layer in layers]


def _fork_when_asked(
    control: socket.socket, names: tuple[str, ...], detectors: Looking
) -> NoReturn:
    template = os.getpid()
    while True:
        message, handles, _, _ = socket.recv_fds(control, MAX_CONTROL_BYTES, 2)
        if not message:
            os._exit(0)
        _reap()
        child = os.fork()
        if child == 0:
            try:
                control.close()  # its number may lie beyond those that are closed by number
                _judge(template, handles[0], handles[1], names, detectors)
            finally:
                os._exit(3)  # a judge never becomes a template
        for handle in handles:
            os.close(handle)
        _say(control, {"pid": child})


def _reap() -> None:
    """Forget judges that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _judge(
    template: int, ring: int, channel: int, names: tuple[str, ...], detectors: Looking
) -> NoReturn:
    sandbox.die_with_parent(template)
    reader = RingReader(ring)
    os.closerange(3, channel)
    os.closerange(channel + 1, _MAX_HANDLE)
    layers = sandbox.seal(read_from=channel, write_to=channel)
    try:
        # Sealed, so that what the seal forbids shows before the first frame and not at it.
        detectors.self_test(quick=True)
    except JudgeError as error:
        os.write(channel, json.dumps({"failed": [error.what, error.hint]}).encode())
        os._exit(3)
    kernel.trim_heap()  # what the test took
    os.write(channel, json.dumps({"layers": [astuple(layer) for layer in layers]}).encode())
    try:
        while message := os.read(channel, QUESTION_BYTES + 1):
            question = parse_question(message)
            views = tuple(name for bit, name in enumerate(names) if question.views >> bit & 1)
            evidence = detectors.infer(reader.read(question.slot, question.format), views)
            os.write(channel, pack_answer(question.token, evidence, names))
    except MemoryError:
        os.write(channel, pack_broke(Broke.MEMORY))
    except RuntimeError:
        os.write(channel, pack_broke(Broke.NETWORK))
    except Exception:  # noqa: BLE001  (whatever broke is a fault, never an answer)
        os.write(channel, pack_broke(Broke.EXCEPTION))
    os._exit(0)


def _say(control: socket.socket, what: dict[str, object]) -> None:
    control.send(json.dumps(what).encode())


if __name__ == "__main__":
    main()
