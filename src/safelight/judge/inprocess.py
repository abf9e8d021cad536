"""A judge in a thread of this process: for tests, files and hosts that cannot start another.

It keeps the ``Judge`` contract, but not its isolation: it shares memory with the guard, and an
inference that hangs cannot be killed, only abandoned (nothing it says later is delivered).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from safelight.detect.detectors import Detectors
from safelight.detect.runtime import InferenceError
from safelight.errors import JudgeError, SafelightError
from safelight.judge.judge import Answer, JudgeFault
from safelight.types import Evidence, Picture, Token, VerifiedBundle

Listener = Callable[[Answer | JudgeFault], None]

_MAX_WAITING: Final = 256  # pictures; a guard that asks for more has lost count
_START_SECONDS: Final = 60.0
_HINT: Final = "nothing was released; use another bundle, or reinstall safelight"


class Looking(Protocol):
    """What the judge needs of its detectors."""

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:
        """Look at a picture through the named views."""
        ...

    def self_test(self) -> None:
        """Raise JudgeError unless the answers to the bundle's own pictures are right."""
        ...


class InProcessJudge:
    """One bundle, one worker thread, one queue.

    The listener is called from the worker's thread. It may call ``ask``, ``restart`` and
    ``close``, and must not wait for a thread that does.
    """

    def __init__(
        self,
        bundle: VerifiedBundle,
        *,
        detectors: Callable[[VerifiedBundle], Looking] = Detectors,
    ) -> None:
        self._bundle = bundle
        self._detectors = detectors
        self._listener: Listener | None = None
        # Reentrant, because the listener is called under it: so an answer is either
        # delivered before restart() or close() returns, or never.
        self._lock = threading.RLock()
        self._worker: _Worker | None = None
        self._cpu_before = 0.0
        self._closed = False

    @property
    def every(self) -> tuple[str, ...]:
        """Names of the views run on every picture that is judged."""
        return tuple(view.name for view in self._bundle.every)

    @property
    def in_turn(self) -> tuple[str, ...]:
        """Names of further views, run one at a time, in turn."""
        return tuple(view.name for view in self._bundle.in_turn)

    def start(self, listener: Listener) -> None:
        """Load, self-test, get ready.

        Raises:
            JudgeError: it does not load or fails its self-test; nothing may be released.
            RuntimeError: it was started before, or is closed.
        """
        with self._lock:
            if self._listener is not None or self._closed:
                raise RuntimeError("a judge is started once")
            self._listener = listener
        self._begin()

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        """Have it look. Returns at once; the answer comes to the listener.

        Between a fault and ``restart``, and after ``close``, no answer comes.

        Raises:
            RuntimeError: it was never started.
        """
        with self._lock:
            if self._listener is None:
                raise RuntimeError("a judge is started before it is asked")
            if self._worker is not None:
                self._worker.put(token, picture, views)

    def restart(self) -> None:
        """Forget what is outstanding and get ready again, in a new thread.

        No answer to what was asked before is delivered once this has been called.

        Raises:
            JudgeError: it does not come back.
            RuntimeError: it was never started, or is closed.
        """
        with self._lock:
            if self._listener is None or self._closed:
                raise RuntimeError("a judge that does not run cannot be restarted")
            self._dismiss()
        self._begin()

    def cpu_seconds(self) -> float:
        """CPU time that its worker threads used so far, in seconds."""
        with self._lock:
            return self._cpu_before + (self._worker.cpu if self._worker is not None else 0.0)

    def close(self) -> None:
        """End it and wait for its thread. Safe to call twice, and from the listener."""
        with self._lock:
            self._closed = True
            worker = self._dismiss()
        if worker is not None and worker.thread is not threading.current_thread():
            worker.thread.join()

    def _begin(self) -> None:
        worker = _Worker(lambda: self._detectors(self._bundle), self._deliver)
        with self._lock:
            self._worker = worker
        worker.thread.start()
        if not worker.ready.wait(_START_SECONDS):
            failure: SafelightError = JudgeError("the judge was not ready in time", _HINT)
        elif worker.failure is not None:
            failure = worker.failure
        else:
            return
        with self._lock:
            if self._worker is worker:
                self._dismiss()
        raise failure

    def _dismiss(self) -> _Worker | None:
        """Let the worker go: from now on nothing that it says counts."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
            self._cpu_before += worker.cpu
        return worker

    def _deliver(self, worker: _Worker, message: Answer | JudgeFault) -> None:
        with self._lock:
            if worker is self._worker and self._listener is not None:
                self._listener(message)


class _Worker:
    """One generation of the judge: its thread, its queue, its detectors."""

    def __init__(
        self,
        load: Callable[[], Looking],
        deliver: Callable[[_Worker, Answer | JudgeFault], None],
    ) -> None:
        self._load = load
        self._deliver = deliver
        self._waiting: deque[tuple[Token, Picture, tuple[str, ...]]] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._overrun = False
        self.failure: SafelightError | None = None
        self.cpu = 0.0
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="safelight-judge", daemon=True)

    def put(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        with self._changed:
            if self._ended:
                return
            if len(self._waiting) >= _MAX_WAITING:
                self._overrun = True
            else:
                self._waiting.append((token, picture, views))
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify()

    def _run(self) -> None:
        try:
            detectors = self._load()
            detectors.self_test()
        except SafelightError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001  (whatever broke: no start, so closed)
            self.failure = JudgeError(f"the judge does not load ({type(error).__name__})", _HINT)
        self.cpu = time.thread_time()
        self.ready.set()
        if self.failure is None:
            self._serve(detectors)

    def _serve(self, detectors: Looking) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._ended or self._overrun):
                    self._changed.wait()
                if self._ended:
                    return
                if self._overrun:
                    broke = "the judge was asked faster than it can answer"
                    break
                token, picture, views = self._waiting.popleft()
            try:
                evidence = detectors.infer(picture, views)
            except InferenceError as error:
                broke = str(error)
                break
            except Exception as error:  # noqa: BLE001  (whatever broke is a fault, never an answer)
                # Only its type: another library's text could hold something of the picture.
                broke = f"the judge broke ({type(error).__name__})"
                break
            self.cpu = time.thread_time()
            self._deliver(self, Answer(token, evidence))
        self._fail(broke)

    def _fail(self, what: str) -> None:
        self.cpu = time.thread_time()
        self.stop()
        self._deliver(self, JudgeFault(what))
