"""SIGINT, SIGTERM and a closed terminal end a guard cleanly: what was released stays."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Final, Self

PATIENCE_S: Final = 15.0  # for a sink that has to write what was released
PATIENCE_AFTER_SECOND_S: Final = 10.0


class Stopped(BaseException):
    """Raised while things are being opened: there is nothing to close yet.

    Asked for, so no error; and it must pass every handler of errors.
    """


class Stop:
    """Listens for being asked to stop. Only the main thread may use it.

    Until ``opened`` is called a signal raises ``Stopped`` where the main thread is; from then
    on it sets ``asked`` and closes what was opened.
    """

    def __init__(self) -> None:
        self._before: list[tuple[int, object]] = []
        self._opening = True
        self._close: Callable[[], None] | None = None
        self._deadline: float | None = None
        self.asked = 0

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if number is signal.SIGHUP and before is signal.SIG_IGN:
                continue  # nohup
            self._before.append((number, before))
            signal.signal(number, self._caught)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.asked:
            # Nobody asks for more than an end: whoever asks again, while this is on its way
            # out, must not cut short what is being finished.
            for number, _ in self._before:
                signal.signal(number, _heard)
            return
        for number, before in self._before:
            if before is None or callable(before) or isinstance(before, signal.Handlers | int):
                signal.signal(number, before or signal.SIG_DFL)

    def opened(self, close: Callable[[], None]) -> None:
        """From now on there is something to close; ``close`` must return at once."""
        self._close = close
        self._opening = False

    @property
    def overdue(self) -> bool:
        """Whether closing takes longer than anybody should wait."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def _caught(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1
        now = time.monotonic()
        if self.asked == 1:
            self._deadline = now + PATIENCE_S
            if self._opening:
                raise Stopped
            if self._close is not None:
                self._close()
        elif self.asked == 2 and self._deadline is not None:
            self._deadline = min(self._deadline, now + PATIENCE_AFTER_SECOND_S)


def _heard(_number: int, _frame: FrameType | None) -> None:
    return
