"""One stream's place before a judge that it shares: a ``Judge`` like any other to its session.

What is said to it goes through a queue and a thread of its own, so that a listener that waits,
or breaks, holds up nobody else.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from safelight.judge.desk import Desk, Question
from safelight.judge.judge import Answer, JudgeFault
from safelight.judge.ring import picture_bytes
from safelight.judge.wire import Question as OnWire
from safelight.judge.wire import pack_question, view_bits
from safelight.types import Picture, Token

if TYPE_CHECKING:
    from safelight.types import VerifiedBundle

Listener = Callable[[Answer | JudgeFault], None]


class Host(Protocol):
    """What a seat needs of those that gave it out."""

    @property
    def bundle(self) -> VerifiedBundle:
        """The bundle that judges."""
        ...

    @property
    def apart(self) -> bool:
        """Whether it judges in another process."""
        ...

    def place(self, seat: Seat) -> Desk:
        """Return the desk that a seat starts at.

        Raises:
            JudgeError: none takes anybody any more.
        """
        ...

    def takes(self, desk: Desk, size: int) -> bool:
        """Whether a picture of so many bytes is small enough for those who wait at a desk."""
        ...

    def move(self, seat: Seat, desk: Desk) -> Desk:
        """Return the desk that a seat goes on at after a fault: the one it is at, or its own."""
        ...

    def gone(self, seat: Seat, desk: Desk) -> None:
        """Note that a seat has left a desk."""
        ...


class Seat:
    """A ``Judge`` for one stream, one of several that share a process.

    The listener is called from the seat's own thread. It may call ``ask``, ``restart`` and
    ``close``, and must not wait for a thread that does.
    """

    def __init__(self, host: Host) -> None:
        """Make a seat that nobody sits in yet."""
        self._host = host
        # Reentrant, because the listener is called under it: so an answer is either delivered
        # before restart() or close() returns, or never.
        self._lock = threading.RLock()
        self._listener: Listener | None = None
        self._desk: Desk | None = None
        self._said: queue.SimpleQueue[tuple[int | None, Answer | JudgeFault] | None]
        self._said = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen, name="safelight-seat", daemon=True)
        self._epoch = 0
        self._cpu_before_s = 0.0
        self._closed = threading.Event()
        # Up to which score a quicker network may answer; set before it starts, by its policy.
        self.first_look_below = 0.0
        self.too_large = False  # it showed what others would have to wait for too long
        self.suspicions: deque[float] = deque(maxlen=8)  # when the judge broke over it, seconds

    @property
    def every(self) -> tuple[str, ...]:
        """Names of the views run on every picture that is judged."""
        return tuple(view.name for view in self.bundle.every)

    @property
    def in_turn(self) -> tuple[str, ...]:
        """Names of further views, run one at a time, in turn."""
        return tuple(view.name for view in self.bundle.in_turn)

    @property
    def bundle(self) -> VerifiedBundle:
        """The bundle that judges, for all seats."""
        return self._host.bundle

    @property
    def apart(self) -> bool:
        """Whether it judges in another process, whose CPU time is not this one's."""
        return self._host.apart

    @property
    def looks_first(self) -> bool:
        """Whether a quicker network answers where it may (detect/first_look.py)."""
        desk = self._desk
        return desk is not None and desk.looks_first

    def start(self, listener: Listener) -> None:
        """Sit down; the first has the judge started.

        Raises:
            JudgeError: it does not start, gives wrong answers, or cannot be isolated here.
            RuntimeError: it was started before, or is closed.
        """
        with self._lock:
            if self._listener is not None or self._closed.is_set():
                raise RuntimeError("a judge is started once")
            self._listener = listener
        desk = self._host.place(self)
        desk.join(self)
        with self._lock:
            self._desk = desk
            closed = self._closed.is_set()
        self._thread.start()
        if closed:
            self._leave()

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        """Have it look, when it is this seat's turn. Returns at once.

        Between a fault and ``restart``, and after ``close``, no answer comes.

        Raises:
            RuntimeError: it was never started.
        """
        if self._listener is None:
            raise RuntimeError("a judge is started before it is asked")
        desk = self._desk
        if desk is None or self._closed.is_set():
            return
        wrong = self._what_is_wrong(picture, views)
        if wrong is None and not self._host.takes(desk, picture_bytes(picture.format)):
            # A fault of this stream alone, from which it comes back with a judge of its own.
            wrong, self.too_large = "a picture too large for a judge that others share", True
        if wrong is not None:
            desk.refuse(self, wrong)
        else:
            desk.ask(self, Question(token, picture, views, self._epoch))

    def restart(self) -> None:
        """Forget what is outstanding, and be heard again. The judge itself is replaced if it
        broke or hangs, and left alone if it is well.

        No answer to what was asked before is delivered once this has been called.

        Raises:
            JudgeError: it does not come back.
            RuntimeError: it was never started, or is closed.
        """
        with self._lock:
            desk = self._desk
            if desk is None or self._closed.is_set():
                raise RuntimeError("a judge that does not run cannot be restarted")
            self._epoch += 1
        desk.withdraw(self)  # first: who hangs it is suspected of that from here on
        goes_on_at = self._host.move(self, desk)
        if goes_on_at is desk:
            desk.restart(self)
            return
        self._cpu_before_s += desk.leave(self)
        goes_on_at.join(self)
        with self._lock:
            self._desk = goes_on_at
            closed = self._closed.is_set()
        if closed:
            self._leave()

    def silent_s(self) -> float:
        """For how many seconds the judge has owed an answer, to anybody, and given none; while
        nothing that this seat asks is heard, for how long that is so."""
        desk = self._desk
        return 0.0 if desk is None else desk.silent_s(self)

    def cpu_seconds(self) -> float:
        """Return its share of the judge's CPU seconds so far, by the time it was served."""
        desk = self._desk
        return self._cpu_before_s + (0.0 if desk is None else desk.cpu_s(self))

    def close(self) -> None:
        """Withdraw whatever it asked and leave; nothing is delivered any more. The last to
        leave ends the process. Safe to call twice, and from the listener."""
        with self._lock:
            first = not self._closed.is_set()
            self._closed.set()
        if first and self._desk is not None:
            self._leave()
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    # --- as the desk knows it -------------------------------------------------------------

    def hear(self, message: Answer | JudgeFault, epoch: int | None = None) -> None:
        """Take in a fault, or the answer to a question of an epoch. Returns at once."""
        self._said.put((epoch, message))

    def suspected(self) -> None:
        """Note that the judge broke, or hung, over its question."""
        self.suspicions.append(time.monotonic())

    # --- inside ---------------------------------------------------------------------------

    def _what_is_wrong(self, picture: Picture, views: tuple[str, ...]) -> str | None:
        """Say why a question can never be asked: it would break the judge for all."""
        try:
            bits = view_bits(views, (*self.every, *self.in_turn))
            pack_question(OnWire(Token(0, 0, 0), 0, picture.format, bits))
        except Exception as error:  # noqa: BLE001  (whatever cannot be sent is refused)
            return f"a question that cannot be asked ({type(error).__name__})"
        return None

    def _listen(self) -> None:
        try:
            while (said := self._said.get()) is not None:
                self._deliver(*said)
        finally:
            # Its listener broke: it hears nothing more, and whoever asked gets no answer.
            if not self._closed.is_set():
                self.close()

    def _deliver(self, epoch: int | None, message: Answer | JudgeFault) -> None:
        with self._lock:
            if self._closed.is_set() or self._listener is None or self._desk is None:
                return
            if epoch is None and not self._desk.is_down(self):
                return  # a fault that it has restarted from since
            if epoch is None or epoch == self._epoch:
                self._listener(message)

    def _leave(self) -> None:
        desk = self._desk
        if desk is not None:
            self._cpu_before_s += desk.leave(self)
            self._host.gone(self, desk)
        self._said.put(None)
