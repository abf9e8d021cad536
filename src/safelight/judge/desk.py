"""One judge and those who wait before it: sends what is next, leads answers back, replaces it.

Whatever the judge does wrong is a fault for every seat, since nobody knows whom else it has
judged wrongly; one restart serves all of them. A seat that asks for a restart while the judge
is well gets none: so nobody can take it from the others.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from safelight.errors import JudgeError
from safelight.judge import keeper
from safelight.judge.exchange import LyingError
from safelight.judge.judge import Answer, Judge, JudgeFault, looks_first
from safelight.judge.rota import Rota
from safelight.types import Absent, AbsentReason, Picture, Token

HINT: Final = "nothing more was released; open the stream again"


@dataclass(frozen=True, slots=True)
class Question:
    """What a seat asks, under the token that its stream knows; ``epoch``: its restarts so far."""

    token: Token
    picture: Picture
    views: tuple[str, ...]
    epoch: int


class Sitter(Protocol):
    """A seat, as the desk knows it."""

    def hear(self, message: Answer | JudgeFault, epoch: int | None = None) -> None:
        """Take in a fault, or the answer to a question of an epoch. Returns at once, whatever
        its listener does."""
        ...

    def suspected(self) -> None:
        """Note that the judge broke, or hung, over its question."""
        ...


class Desk:
    """One process that judges for several seats. Any thread may call it."""

    def __init__(self, make: Callable[[], Judge]) -> None:
        """Make a desk without a judge: the first seat brings one, the last takes it away."""
        self._make = make
        # Held over whatever takes long: starting, replacing, ending. Never taken while the
        # other is held, nor by the judge's own thread.
        self._process = threading.Lock()
        # Guards what follows, and is held for moments only.
        self._lock = threading.Condition()
        self._rota: Rota[Question] = Rota(_fresh_token)
        self._seats: dict[int, Sitter] = {}
        self._numbers: dict[Sitter, int] = {}
        # Told of a fault, and not restarted since; since when, in seconds.
        self._down: dict[int, float] = {}
        self._judge: Judge | None = None
        self._broken: str | None = "not started"
        self._replacing = False
        self._missed: list[str] = []  # faults of the one that was just being made ready
        self._sending = False
        self._looks_first = False
        self._cpu_before_s = 0.0
        self._closed = False

    @property
    def seats(self) -> int:
        """How many are seated."""
        return len(self._seats)

    @property
    def looks_first(self) -> bool:
        """Whether a quicker network has answered where it may, since a judge was last begun."""
        return self._looks_first

    # --- seats ----------------------------------------------------------------------------

    def join(self, seat: Sitter) -> None:
        """Seat one more; have a judge that is ready.

        Raises:
            JudgeError: there is none to be had.
        """
        with self._process:
            self._have_judge(None)
            with self._lock:
                number = self._rota.join()
                self._seats[number] = seat
                self._numbers[seat] = number
                if self._broken is not None:
                    # Broke since it was made ready, which nobody has told this one yet.
                    self._down[number] = time.monotonic()
                    seat.hear(JudgeFault(self._broken))

    def leave(self, seat: Sitter) -> float:
        """Unseat one; nothing is said to it any more. Return its CPU seconds, 0 if it had left."""
        cpu_s = self.cpu_s(seat)
        with self._lock:
            number = self._numbers.pop(seat, None)
            if number is None:
                return 0.0
            del self._seats[number]
            self._down.pop(number, None)
            self._rota.leave(number)
        if not self._seats:
            with self._process:
                if not self._seats:
                    self._end()
        return cpu_s

    def ask(self, seat: Sitter, question: Question) -> None:
        """Let a question wait for its turn. Whoever is told of a fault is not heard until
        ``restart``."""
        with self._lock:
            number = self._numbers.get(seat)
            if number is None or number in self._down or self._broken is not None:
                return
            old = self._rota.ask(number, question, time.monotonic())
        if old is not None:
            # It is answered, so that nobody waits for it: with nothing that permits.
            seat.hear(Answer(old.token, Absent(AbsentReason.LATE)), old.epoch)
        self._send()

    def refuse(self, seat: Sitter, what: str) -> None:
        """Have a fault of one seat alone: what it asked cannot be asked."""
        with self._lock:
            number = self._numbers.get(seat)
            if number is None or number in self._down:
                return
            self._down[number] = time.monotonic()
            self._rota.withdraw(number)
        seat.hear(JudgeFault(what))

    def withdraw(self, seat: Sitter) -> None:
        """Forget what a seat asked, and hear it no more until ``restart``. If the judge hangs,
        that is noticed here.

        Raises:
            JudgeError: it does not sit at this desk.
        """
        with self._lock:
            number = self._numbers.get(seat)
            if number is None:
                raise JudgeError("the judge is closed", HINT)
            # While its question is known: whoever hangs the judge is suspect.
            hangs = self._judge_silent_s() >= keeper.HUNG_S
            self._rota.withdraw(number)
            self._down[number] = time.monotonic()  # it knows: it need not be told
            if hangs:
                self._break("the judge hangs")

    def restart(self, seat: Sitter) -> None:
        """Hear a seat again; replace the judge if it broke or hangs, and only then.

        Raises:
            JudgeError: it does not come back, or the desk is closed.
        """
        self.withdraw(seat)
        with self._process:
            with self._lock:
                number = self._numbers.get(seat)
            if number is None:  # it left meanwhile: a judge for nobody would never end
                raise JudgeError("the judge is closed", HINT)
            self._have_judge(number)

    def is_down(self, seat: Sitter) -> bool:
        """Whether a seat was told of a fault and has not restarted since."""
        with self._lock:
            return self._numbers.get(seat) in self._down

    def silent_s(self, seat: Sitter) -> float:
        """For how many seconds the judge has owed an answer, to anybody, and given none; to a
        seat that is not heard, for how long it has not been."""
        with self._lock:
            number = self._numbers.get(seat)
            if number in self._down:
                return time.monotonic() - self._down[number]
            return self._judge_silent_s()

    def cpu_s(self, seat: Sitter) -> float:
        """Return a seat's share of the CPU seconds used so far, by the time it was served."""
        with self._lock:
            number = self._numbers.get(seat)
            share = 0.0 if number is None else self._rota.share(number)
        return share * self.all_cpu_s()

    def all_cpu_s(self) -> float:
        """Return the CPU seconds used so far, for all seats."""
        judge = self._judge
        return self._cpu_before_s + (0.0 if judge is None else judge.cpu_seconds())

    def close(self) -> None:
        """End the judge; every seat is told. Safe to call twice."""
        with self._process:
            self._closed = True
            with self._lock:
                self._rota.broke(time.monotonic())  # nobody is to blame for this
            self._break("the judge was closed")
            self._end()

    # --- the judge ------------------------------------------------------------------------

    def _judge_silent_s(self) -> float:
        """Called with ``_lock`` held."""
        return 0.0 if self._broken is not None else self._rota.silent_s(time.monotonic())

    def _have_judge(self, number: int | None) -> None:
        """Have a judge that is well, and a seat that is heard. Called with ``_process`` held.

        Raises:
            JudgeError: there is none to be had.
        """
        if self._closed:
            raise JudgeError("the judge is closed", HINT)
        with self._lock:
            if self._broken is None:
                self._heard_again(number)
                return
            self._replacing = True
            self._missed.clear()
            judge = self._judge
        self._wait_for_sender()
        try:
            if judge is None:
                judge = self._begin()
            else:
                judge.restart()
        except BaseException:
            with self._lock:
                self._replacing = False
            raise
        with self._lock:
            self._judge, self._broken, self._replacing = judge, None, False
            self._looks_first = looks_first(judge)
            self._heard_again(number)
            if self._missed:
                self._break(self._missed[0])

    def _heard_again(self, number: int | None) -> None:
        if number is not None:
            self._down.pop(number, None)

    def _begin(self) -> Judge:
        judge = self._make()
        try:
            judge.start(self._hear)
        except BaseException:
            judge.close()
            raise
        return judge

    def _end(self) -> None:
        """End the judge, if there is one. Called with ``_process`` held."""
        with self._lock:
            self._broken = self._broken or "not started"
            judge, self._judge = self._judge, None
        self._wait_for_sender()
        if judge is not None:
            self._cpu_before_s += judge.cpu_seconds()
            judge.close()
        with self._lock:
            self._rota.broke(time.monotonic())

    def _wait_for_sender(self) -> None:
        """Wait until no question is on its way: it must not reach the judge's successor."""
        with self._lock:
            while self._sending:
                self._lock.wait()

    def _send(self) -> None:
        """Ask what is next, while the judge takes anything."""
        with self._lock:
            if self._sending:
                return  # whoever does it sees to this too: one at a time, in the order of turns
            self._sending = True
        while (sent := self._next()) is not None:
            judge, token, question = sent
            try:
                judge.ask(token, question.picture, question.views)
            except Exception as error:  # noqa: BLE001  (a fault; never a question left open)
                self._break(f"the judge cannot be asked ({type(error).__name__})")

    def _next(self) -> tuple[Judge, Token, Question] | None:
        """Return what is to be asked now; if nothing is, sending is over."""
        with self._lock:
            if self._judge is not None and self._broken is None:
                sent = self._rota.next(time.monotonic())
                if sent is not None:
                    return (self._judge, *sent)
            self._sending = False
            self._lock.notify_all()
            return None

    def _hear(self, message: Answer | JudgeFault) -> None:
        """Called from the judge's own thread."""
        if isinstance(message, JudgeFault):
            return self._break(message.what)
        with self._lock:
            if self._broken is not None:
                return None
            try:
                asked = self._rota.answered(message.token, time.monotonic())
            except LyingError as error:
                return self._break(str(error))
            if asked is not None:
                number, question = asked
                answer = Answer(question.token, message.evidence)
                self._seats[number].hear(answer, question.epoch)
        return self._send()

    def _break(self, what: str) -> None:
        """Tell every seat of a fault; nothing that the judge says counts until it is replaced."""
        with self._lock:
            if self._broken is not None:
                if self._replacing:
                    self._missed.append(what)
                return
            self._broken = what
            suspect = self._rota.broke(time.monotonic())
            told = [seat for number, seat in self._seats.items() if number not in self._down]
            for number in self._seats:
                self._down.setdefault(number, time.monotonic())
            blamed = None if suspect is None else self._seats.get(suspect)
        if blamed is not None:
            blamed.suspected()
        for seat in told:
            seat.hear(JudgeFault(what))


def _fresh_token(number: int) -> Token:
    # Chance alone, so that no stream can know what another's, or its own next, will be.
    return Token(number, secrets.randbits(63), secrets.randbits(64))
