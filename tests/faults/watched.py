"""A judge that is overheard, and hurt from outside."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tests.faults.kinds import Outside
from tests.faults.ledger import Ledger

from safelight.errors import JudgeError
from safelight.judge.judge import Answer, JudgeFault
from safelight.judge.supervisor import ProcessJudge
from safelight.types import Picture, Token

LATE_S: Final = 0.82  # a stopped judge goes on: later than any deadline
_SIGNALS: Final = {
    Outside.SIGKILL: signal.SIGKILL,
    Outside.SIGSTOP: signal.SIGSTOP,
    Outside.STOP_THEN_CONTINUE: signal.SIGSTOP,
    Outside.SIGTERM: signal.SIGTERM,
    Outside.SIGSEGV: signal.SIGSEGV,
    Outside.CPU_LIMIT: signal.SIGXCPU,
    Outside.TEMPLATE_STOPPED: signal.SIGKILL,
    Outside.SLOW_RESTART: signal.SIGKILL,
    Outside.KILLED_AGAIN: signal.SIGKILL,
    Outside.NO_RESTART: signal.SIGKILL,
}


class WatchedJudge:
    """A ``Judge``: the real supervisor with everything that passes written down."""

    def __init__(self, inner: ProcessJudge, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger
        self._listener: Callable[[Answer | JudgeFault], None] | None = None
        self._next: Outside | None = None  # what the next restart meets
        self.on_asked: Callable[[int], None] = lambda _: None
        self.restarts = 0
        self.faults = 0

    @property
    def every(self) -> tuple[str, ...]:
        return self._inner.every

    @property
    def in_turn(self) -> tuple[str, ...]:
        return self._inner.in_turn

    @property
    def pid(self) -> int | None:
        return self._inner.pid

    @property
    def template_pid(self) -> int | None:
        template = self._inner._template
        return None if template is None else template.pid

    def start(self, listener: Callable[[Answer | JudgeFault], None]) -> None:
        self._listener = listener
        self._inner.start(self._hear)

    def _hear(self, message: Answer | JudgeFault) -> None:
        if isinstance(message, Answer):
            self._ledger.hears(message)
        else:
            self.faults += 1
            self._ledger.voids()
        if self._listener is not None:
            self._listener(message)

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        number = self._ledger.asks(token, picture)
        self._inner.ask(token, picture, views)
        if number is not None:
            self.on_asked(number)

    def restart(self) -> None:
        self.restarts += 1
        self._ledger.voids()
        meets, self._next = self._next, None
        if meets is Outside.NO_RESTART:
            raise JudgeError("the judge was told not to come back", "nothing is released")
        if meets is Outside.SLOW_RESTART:
            time.sleep(0.3)
        self._inner.restart()
        if meets is Outside.KILLED_AGAIN:
            self.send(signal.SIGKILL)
        else:
            self._ledger.judge_is_back()

    def cpu_seconds(self) -> float:
        return self._inner.cpu_seconds()

    def close(self) -> None:
        self._inner.close()

    # --- hurting it -----------------------------------------------------------------------

    def hurt(self, how: Outside) -> bool:
        """Do it; False when there was no judge to do it to."""
        if how is Outside.CHANNEL_SHUT:
            judge = self._inner._judge
            if judge is None:
                return False
            with suppress(OSError):
                judge.exchange.channel.shutdown(socket.SHUT_RDWR)
            return True
        if how in (Outside.TEMPLATE_KILLED, Outside.TEMPLATE_STOPPED):
            template = self.template_pid
            if template is None or self.pid is None:
                return False
            killed = how is Outside.TEMPLATE_KILLED
            with suppress(ProcessLookupError):
                os.kill(template, signal.SIGKILL if killed else signal.SIGSTOP)
            if killed:
                return True
        if how in (Outside.SLOW_RESTART, Outside.KILLED_AGAIN, Outside.NO_RESTART):
            self._next = how
        return self.send(_SIGNALS[how], continue_s=self._continue_s(how))

    @staticmethod
    def _continue_s(how: Outside) -> float | None:
        return LATE_S if how is Outside.STOP_THEN_CONTINUE else None

    def send(self, number: signal.Signals, continue_s: float | None = None) -> bool:
        """Send a signal to the judge, and SIGCONT after so many seconds."""
        pid = self.pid
        if pid is None:
            return False
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            os.close(handle)
            return False
        if continue_s is None:
            os.close(handle)
            return True

        def go_on() -> None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGCONT)
            os.close(handle)

        timer = threading.Timer(continue_s, go_on)
        timer.daemon = True
        timer.start()
        return True
