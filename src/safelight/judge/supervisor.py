"""A judge in a process of its own: started, watched, killed when it lies or hangs, replaced.

Everything that belongs to the process is done by one thread that lives as long as it does:
the system kills a child whose parent asked for it when the *thread* that made it ends.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from safelight.errors import JudgeError
from safelight.judge import sandbox
from safelight.judge.exchange import Exchange, LyingError
from safelight.judge.judge import Answer, JudgeFault
from safelight.judge.ring import Ring
from safelight.judge.sandbox import Layer
from safelight.judge.template import FORK_S, HINT, NoReasonError, Template, heard, layers_of
from safelight.judge.wire import WireError
from safelight.judge.worker import MAX_CONTROL_BYTES
from safelight.sealing import kernel
from safelight.types import Picture, Token, VerifiedBundle

Listener = Callable[[Answer | JudgeFault], None]

WORKER: Final = "safelight.judge.worker"
CPU_S: Final = 30  # how much CPU time a judge may use ahead before the guard grants it more
RENEW_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Judge:
    """One forked judge: its process, and what is exchanged with it."""

    pid: int
    handle: int  # a pidfd: the number may be another's by the time it is used
    exchange: Exchange


class ProcessJudge:
    """One bundle, one template, one judge at a time, one thread that looks after them.

    The listener is called from that thread. It may call ``ask``, ``restart`` and ``close``,
    and must not wait for a thread that does.
    """

    def __init__(
        self,
        bundle: VerifiedBundle,
        *,
        allow_weak: bool = False,
        first_look_below: float = 0.0,
        worker: str = WORKER,
    ) -> None:
        """Make a judge that is not started yet.

        ``allow_weak``: run although layers of the sandbox that are required do not hold here.
        ``first_look_below``: up to which score a quicker network may answer, where it does
        well (``core.policy.first_look_below``); 0: f32 alone judges.
        ``worker``: the module that the process runs; another one is for tests of the guard.
        """
        self._bundle = bundle
        self._allow_weak = allow_weak
        self._first_look_below = first_look_below
        self._worker = worker
        self._listener: Listener | None = None
        # Reentrant, because the listener is called under it: so an answer is either delivered
        # before restart() or close() returns, or never.
        self._lock = threading.RLock()
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._wake, self._sleep = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="safelight-supervisor", daemon=True)
        self._template: Template | None = None
        self._looks_first = False
        self._judge: _Judge | None = None
        self._broken: str | None = None
        self._cpu_before = 0.0
        self._renew_at_s = 0.0
        self._closed = False
        self._finished = False  # its thread takes nothing on any more
        self._ended = threading.Event()
        self.layers: tuple[Layer, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        """Names of the views run on every picture that is judged."""
        return tuple(view.name for view in self._bundle.every)

    @property
    def in_turn(self) -> tuple[str, ...]:
        """Names of further views, run one at a time, in turn."""
        return tuple(view.name for view in self._bundle.in_turn)

    @property
    def looks_first(self) -> bool:
        """Whether a quicker network answers where it may (detect/first_look.py)."""
        return self._looks_first

    @property
    def pid(self) -> int | None:
        """The process number of the judge, for those who want to look at it from outside."""
        judge = self._judge
        return judge.pid if judge is not None else None

    def start(self, listener: Listener) -> None:
        """Start the process, have it test and seal itself.

        Raises:
            JudgeError: it does not start, gives wrong answers, or cannot be isolated here.
            RuntimeError: it was started before, or is closed.
        """
        with self._lock:
            if self._listener is not None or self._closed:
                raise RuntimeError("a judge is started once")
            self._listener = listener
        unsupported = sandbox.unsupported()
        if unsupported is not None:
            raise JudgeError(f"the judge cannot run here: {unsupported}", HINT)
        self._thread.start()
        self._have_done(self._begin)

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        """Have it look. Returns at once; the answer comes to the listener.

        Between a fault and ``restart``, and after ``close``, no answer comes.

        Raises:
            RuntimeError: it was never started.
        """
        with self._lock:
            if self._listener is None:
                raise RuntimeError("a judge is started before it is asked")
            if self._judge is None or self._broken is not None:
                return
            try:
                self._judge.exchange.ask(token, picture, views)
            except (LyingError, WireError) as error:
                # Told from the judge's own thread, as every fault is.
                self._broken = str(error)
                self._nudge()

    def restart(self) -> None:
        """Kill the judge and have another one.

        No answer to what was asked before is delivered once this has been called.

        Raises:
            JudgeError: it does not come back.
            RuntimeError: it was never started, or is closed.
        """
        with self._lock:
            if self._listener is None or self._closed:
                raise RuntimeError("a judge that does not run cannot be restarted")
            self._dismiss()
        self._have_done(self._begin)

    def cpu_seconds(self) -> float:
        """CPU time that its processes used so far, in seconds."""
        with self._lock:
            pids = [self._template.pid] if self._template is not None else []
            pids += [self._judge.pid] if self._judge is not None else []
            return self._cpu_before + sum(map(_cpu_s, pids))

    def close(self) -> None:
        """End it, and wait until it has ended. Safe to call twice, and from the listener."""
        with self._lock:
            first, self._closed = not self._closed, True
            self._dismiss()
        if self._thread.ident is None:
            if first:
                self._wake.close()
                self._sleep.close()
        elif threading.current_thread() is self._thread:
            self._end()
        else:
            self._nudge()
            self._ended.wait()

    # --- the thread -----------------------------------------------------------------------

    def _have_done(self, work: Callable[[], None]) -> None:
        """Run ``work`` in the judge's thread and wait for it."""
        if threading.current_thread() is self._thread:
            work()
            return
        done: Future[None] = Future()
        with self._lock:
            # Handed over before the thread has worked off the last, or not at all: nobody
            # would ever look at it later.
            if self._finished:
                raise JudgeError("the judge is closed", HINT)
            self._jobs.put((work, done))
        self._nudge()
        done.result()

    def _nudge(self) -> None:
        # Full means that it will wake up anyway; closed, that it has ended.
        with suppress(BlockingIOError, OSError):
            self._wake.send(b"!")

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                channel = self._judge.exchange.channel if self._judge is not None else None
            woken = _wait_for([self._sleep, *([] if channel is None else [channel])])
            if self._sleep in woken:
                self._sleep.recv(4096)
            self._work_off()
            if channel is not None:
                self._look_at(channel, channel in woken)
        self._end()
        self._work_off()

    def _work_off(self) -> None:
        while not self._jobs.empty():
            work, done = self._jobs.get()
            try:
                work()
            except BaseException as error:  # noqa: BLE001  (raised again in the one who waits)
                done.set_exception(error)
            else:
                done.set_result(None)

    def _look_at(self, channel: socket.socket, readable: bool) -> None:
        with self._lock:
            judge = self._judge
            if judge is None or judge.exchange.channel is not channel:
                return
            self._renew(judge)
            if self._broken is None and not readable:
                return
            try:
                if self._broken is not None:
                    raise LyingError(self._broken)
                answer = judge.exchange.take()
            except LyingError as error:
                self._dismiss()
                self._tell(JudgeFault(str(error)))
            except Exception as error:  # noqa: BLE001  (a fault; without its thread no restart)
                self._dismiss()
                self._tell(JudgeFault(f"the judge cannot be heard ({type(error).__name__})"))
            else:
                self._tell(answer)

    def _renew(self, judge: _Judge) -> None:
        """Grant the judge more CPU time, now and then; without it the kernel ends it."""
        now_s = time.monotonic()
        if now_s >= self._renew_at_s:
            self._renew_at_s = now_s + RENEW_S
            with suppress(OSError):  # it is gone, which its channel says next
                sandbox.renew_cpu(judge.pid, CPU_S)

    def _tell(self, message: Answer | JudgeFault) -> None:
        if self._listener is not None and not self._closed:
            self._listener(message)

    # --- processes ------------------------------------------------------------------------

    def _begin(self) -> None:
        """Have a judge that is ready, from the template if it is there.

        Raises:
            JudgeError: there is none to be had.
        """
        if self._closed:
            raise JudgeError("the judge is closed", HINT)
        if self._template is not None and self._template.alive:
            try:
                return self._fork(self._template)
            except JudgeError:
                self._drop_template()
        else:
            self._drop_template()
        try:
            return self._fork(self._load())
        except JudgeError as error:
            loading = isinstance(error, NoReasonError) and self._first_look_below > 0
            if not (self._looks_first or loading):
                raise
        # A quicker network that cannot be shut in, or whose library breaks or hangs as it loads,
        # after an upgrade perhaps, is left out: f32 can do without it.
        self._drop_template()
        self._first_look_below = 0.0
        return self._fork(self._load())

    def _load(self) -> Template:
        if self._closed:
            raise JudgeError("the judge is closed", HINT)
        template = Template(self._bundle, self._worker, first_look_below=self._first_look_below)
        self._template, self._looks_first = template, template.looks_first
        kernel.trim_heap()  # what reading and handing over the bundle took and gave back
        kernel.forget_code()  # reading policies, manifests, signatures
        return template

    def _fork(self, template: Template) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ring: Ring | None = None
        handle = -1
        try:
            ring = Ring()
            with theirs:
                pid = template.fork(ring.handle, theirs)
            handle = os.pidfd_open(pid)
            ours.settimeout(FORK_S)
            sealed = layers_of(heard(ours.recv(MAX_CONTROL_BYTES)))
            ours.settimeout(None)
            self._refuse_weak((*template.layers, *sealed), pid)
            sandbox.renew_cpu(pid, CPU_S)
        except BaseException as error:
            ours.close()
            if ring is not None:
                ring.close()
            if handle >= 0:
                _kill(handle)
                os.close(handle)
            if isinstance(error, OSError):
                raise JudgeError("the judge does not start", HINT) from error
            raise
        exchange = Exchange(ring, ours, (*self.every, *self.in_turn))
        with self._lock:
            self._judge, self._broken = _Judge(pid, handle, exchange), None
            self._renew_at_s = 0.0
            self._renew(self._judge)
            if self._closed:
                self._dismiss()

    def _refuse_weak(self, layers: tuple[Layer, ...], pid: int) -> None:
        self.layers = layers
        # What the judge says of itself is not believed: the kernel has to show it too.
        unproved = set(sandbox.REQUIRED) - sandbox.observed(pid)
        lacking = sorted(unproved.union(sandbox.missing(layers)))
        if lacking and not self._allow_weak:
            what = f"the judge cannot be isolated here (no {', '.join(lacking)})"
            raise JudgeError(what, "see safelight doctor, or allow it with --allow-weak-sandbox")

    def _dismiss(self) -> None:
        """Kill the judge: from now on nothing that it says counts."""
        judge, self._judge, self._broken = self._judge, None, None
        if judge is not None:
            _kill(judge.handle)
            self._cpu_before += _cpu_s(judge.pid)
            os.close(judge.handle)
            judge.exchange.close()

    def _drop_template(self) -> None:
        with self._lock:
            template, self._template = self._template, None
            if template is not None:
                self._cpu_before += _cpu_s(template.pid)
        if template is not None:
            template.close()

    def _end(self) -> None:
        self._drop_template()
        with self._lock:
            self._finished = True
        self._wake.close()
        self._sleep.close()
        self._ended.set()


def _wait_for(sockets: list[socket.socket]) -> list[socket.socket]:
    """Return those that something came to, or that have ended; none after a while."""
    # Not select(), which cannot watch descriptors above 1023 (a host may have many).
    poll = select.poll()
    by_handle = {one.fileno(): one for one in sockets if one.fileno() >= 0}
    for handle in by_handle:
        poll.register(handle, select.POLLIN)
    return [by_handle[handle] for handle, _ in poll.poll(RENEW_S * 1000)]


def _kill(handle: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


def _cpu_s(pid: int) -> float:
    """Return a process's CPU time in seconds; 0 when it is gone."""
    try:
        return sandbox.cpu_seconds(pid)
    except (OSError, ValueError):
        return 0.0
