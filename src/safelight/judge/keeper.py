"""Keeps a judge going: passes questions on, restarts it after a fault, notices when it hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from safelight.errors import JudgeError
from safelight.judge.judge import Judge, JudgeFault, MayBeShared
from safelight.types import Picture, Token

HUNG_S: Final = 2.0  # no answer for so long while questions are open: it hangs
BACK_OFF_S: Final = 0.5  # before the second restart in a row; the first is at once


@dataclass(frozen=True, slots=True)
class Restarted:
    """The restart is over; ``error`` is None when the judge is back."""

    error: JudgeError | None


class Keeper:
    """One judge's keeper. Only the session's thread calls it; ``tell`` takes what happens."""

    def __init__(self, judge: Judge, tell: Callable[[object], None]) -> None:
        self._judge = judge
        self._shared = judge if isinstance(judge, MayBeShared) else None
        self._tell = tell
        self._open: set[Token] = set()
        self._heard_s = time.monotonic()
        self._faults = 0
        self._restarting = False
        self._waiting: list[tuple[Token, Picture, tuple[str, ...]]] = []

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        """Pass a question on, now or when the judge is back."""
        if self._restarting:
            self._waiting = [*self._waiting[-31:], (token, picture, views)]
            return
        if not self._open:
            self._heard_s = time.monotonic()
        self._open.add(token)
        self._judge.ask(token, picture, views)

    def answered(self, token: Token) -> None:
        """Note an answer, whatever it says; one to no question is no sign of life."""
        if token in self._open:
            self._open.discard(token)
            self._heard_s = time.monotonic()
            self._faults = 0

    def overdue(self) -> JudgeFault | None:
        """Return a fault when the judge hangs."""
        if self._restarting or not self._open or self._silent_s() < HUNG_S:
            return None
        return JudgeFault("the judge hangs")

    def _silent_s(self) -> float:
        if self._shared is not None:
            return self._shared.silent_s()
        return time.monotonic() - self._heard_s

    def restart(self) -> None:
        """Begin a restart on a thread of its own; ``Restarted`` is told when it is over."""
        if self._restarting:
            return
        self._restarting = True
        self._faults += 1
        pause = 0.0 if self._faults == 1 else BACK_OFF_S
        threading.Thread(
            target=self._restart, args=(pause,), name="safelight-restart", daemon=True
        ).start()

    def _restart(self, pause: float) -> None:
        time.sleep(pause)
        try:
            self._judge.restart()
        except JudgeError as error:
            self._tell(Restarted(error))
        except Exception as error:  # noqa: BLE001  (fails closed: the stream ends, not waits)
            what = f"the judge cannot be restarted ({type(error).__name__})"
            self._tell(Restarted(JudgeError(what, "nothing more was released")))
        else:
            self._tell(Restarted(None))

    def restarted(self) -> None:
        """Pass on the questions that came up meanwhile."""
        self._restarting = False
        self._open.clear()
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            self.ask(*question)

    def close(self) -> None:
        """End the judge."""
        self._judge.close()
