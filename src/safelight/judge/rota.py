"""Whose turn it is: several streams before one judge. No thread, no clock, no judge in here.

Each seat has a waiting line of its own. Who was served least comes first, by the time that
its answers took and not by their number; so little is in the judge's hands at once that who
comes next is decided late. Every question goes out under a token that is made for it and used
once: it leads back to the seat that asked, and to no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from safelight.judge.exchange import LyingError
from safelight.types import Token

IN_HAND: Final = 1  # a second one would save no time that was measured, and double the waits
WAITING: Final = 32  # questions of one seat; the oldest gives way
AFTERMATH_S: Final = 1.0  # a judge that breaks so soon after an answer may break over that one
GUESS_S: Final = 0.04  # what a seat's first question is charged, until its answer is there

Q = TypeVar("Q")


@dataclass(slots=True)
class _Seat(Generic[Q]):
    """One stream: what waits, and its time served, on the clock that all seats share."""

    at_s: float  # the shared clock's time up to which it has been served
    charge_s: float = GUESS_S  # what its next question is charged: what its last one took
    served_s: float = 0.0
    line: deque[tuple[Q, float]] = field(default_factory=deque)  # with when it was asked


@dataclass(slots=True)
class _InHand(Generic[Q]):
    token: Token
    seat: int
    question: Q
    sent_s: float
    charged_s: float
    wanted: bool = True  # whether anybody still waits for the answer; it is charged all the same


class Rota(Generic[Q]):
    """The lines of all seats, and what is in the judge's hands. One thread at a time calls it."""

    def __init__(self, make_token: Callable[[int], Token], *, waiting: int = WAITING) -> None:
        """Make a rota without a seat.

        ``make_token``: returns a token that was never used, and that nobody can guess, for a
        seat's number. ``waiting``: how many questions of a seat may wait, at least 1.
        """
        self._make_token = make_token
        self._waiting = waiting
        self._seats: dict[int, _Seat[Q]] = {}
        self._in_hand: deque[_InHand[Q]] = deque()
        self._clock_s = 0.0  # when, on the shared clock, what went out last began its turn
        self._heard_s = 0.0  # when the judge said something last
        self._heard_of: int | None = None  # and about whose question
        self._count = 0
        self._all_served_s = 0.0

    def join(self) -> int:
        """Add a seat, at the back: who leaves and joins again gains nothing. Return its number."""
        self._count += 1
        debt_s = max((seat.charge_s for seat in self._seats.values()), default=GUESS_S)
        self._seats[self._count] = _Seat(self._clock_s + debt_s)
        return self._count

    def leave(self, number: int) -> None:
        """Take a seat away, with whatever it asked."""
        self.withdraw(number)
        self._seats.pop(number, None)

    def ask(self, number: int, question: Q, now_s: float) -> Q | None:
        """Let a question wait. Return the one that gave way for it, if the line was full."""
        seat = self._seats[number]
        if not seat.line:
            # Time in which it wanted nothing cannot be saved up.
            seat.at_s = max(seat.at_s, self._clock_s)
        seat.line.append((question, now_s))
        return seat.line.popleft()[0] if len(seat.line) > self._waiting else None

    def next(self, now_s: float) -> tuple[Token, Q] | None:
        """Return what the judge is to be asked now, under which token; None for nothing."""
        if len(self._in_hand) >= IN_HAND:
            return None
        wanting = [(n, seat) for n, seat in self._seats.items() if seat.line]
        if not wanting:
            return None
        number, seat = min(wanting, key=lambda one: (one[1].at_s, one[1].line[0][1]))
        question, _ = seat.line.popleft()
        self._clock_s = max(self._clock_s, seat.at_s)
        seat.at_s += seat.charge_s
        sent = _InHand(self._make_token(number), number, question, now_s, seat.charge_s)
        self._in_hand.append(sent)
        return sent.token, question

    def answered(self, token: Token, now_s: float) -> tuple[int, Q] | None:
        """Take in an answer; return whose it is and to what, None if nobody waits for it.

        Raises:
            LyingError: the question that the judge was asked first has another token.
        """
        if not self._in_hand or self._in_hand[0].token != token:
            raise LyingError("the judge answered what it was not asked, or out of turn")
        answered = self._in_hand.popleft()
        took_s = self._charge(answered, now_s)
        if answered.seat in self._seats:
            self._seats[answered.seat].charge_s = took_s
        self._heard_s, self._heard_of = now_s, answered.seat
        return (answered.seat, answered.question) if answered.wanted else None

    def withdraw(self, number: int) -> None:
        """Forget what a seat asked; what the judge still says to it is nobody's."""
        seat = self._seats.get(number)
        if seat is not None:
            seat.line.clear()
        for one in self._in_hand:
            if one.seat == number:
                one.wanted = False

    def broke(self, now_s: float) -> int | None:
        """Forget every question; return the seat whose question the judge was at.

        If it was at none, that of the last one, if it was just now; None if nobody is suspect.
        """
        suspect = self._heard_of if now_s - self._heard_s <= AFTERMATH_S else None
        self._heard_of = None
        if self._in_hand:
            first = self._in_hand.popleft()
            suspect = first.seat
            self._charge(first, now_s)
        for one in self._in_hand:
            if one.seat in self._seats:  # it was never looked at
                self._seats[one.seat].at_s -= one.charged_s
        self._in_hand.clear()
        for seat in self._seats.values():
            seat.line.clear()
        self._heard_s = now_s
        return suspect

    def silent_s(self, now_s: float) -> float:
        """For how many seconds the judge has owed an answer, to anybody, and given none."""
        if self._in_hand:
            return now_s - max(self._heard_s, self._in_hand[0].sent_s)
        # Nothing in its hands although somebody waits: nobody's turn ever comes.
        first_s = min(
            (seat.line[0][1] for seat in self._seats.values() if seat.line), default=now_s
        )
        return now_s - max(self._heard_s, first_s)

    def share(self, number: int) -> float:
        """Return a seat's share, 0 to 1, of all the time that was served so far."""
        seat = self._seats.get(number)
        if seat is None or self._all_served_s <= 0.0:
            return 0.0
        return seat.served_s / self._all_served_s

    def _charge(self, one: _InHand[Q], now_s: float) -> float:
        """Charge what it took instead of what it was guessed to take; return that, in seconds."""
        took_s = max(0.0, now_s - max(one.sent_s, self._heard_s))
        self._all_served_s += took_s
        seat = self._seats.get(one.seat)
        if seat is not None:
            seat.at_s += took_s - one.charged_s
            seat.served_s += took_s
        return took_s
