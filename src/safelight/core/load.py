"""How far behind the judge is: whether a live frame's answer can still be hoped for.

A question with a further view takes longer than one without, and one in several has one: so
each counts by its views. It is not to make others, of which a burst may come, look as slow.

A question that was given up is still in the judge's own queue, so it counts until its
answer comes: otherwise a slow judge would be asked ever more, and answer ever later.
And whether as much is held as may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from safelight.core.entry import Entry
from safelight.core.limits import Limits
from safelight.types import NS_PER_S, Token

_REMEMBERED: Final = 256
_LOST: Final = -(1 << 62)


class Load:
    """One judge's time per question, and the questions that were given up.

    ``usual``: how many views a question has at least.
    """

    def __init__(self, limits: Limits, usual: int) -> None:
        self._usual = usual
        self._lost_after_ns = limits.stall_ns
        self._service_ns = limits.service_guess_ns
        self._last_answer_ns = 0
        self._given_up: dict[Token, tuple[int, int]] = {}  # token -> when it was asked, looks

    def answered(self, now_ns: int, asked_ns: int, looks: int) -> None:
        """Learn from an answer how long one takes, with the usual views."""
        took = min(max(now_ns - max(asked_ns, self._last_answer_ns), 1), NS_PER_S)
        took = took * self._usual // max(looks, self._usual)
        self._service_ns += (took - self._service_ns) // 4
        self._last_answer_ns = now_ns

    def give_up(self, token: Token, asked_ns: int, looks: int) -> None:
        """Note that nobody waits for this answer any more."""
        self._given_up[token] = asked_ns, looks
        if len(self._given_up) > _REMEMBERED:
            del self._given_up[next(iter(self._given_up))]

    def answered_in_vain(self, now_ns: int, token: Token) -> bool:
        """Take in an answer that nobody waits for; return whether it was ever asked for."""
        given_up = self._given_up.pop(token, None)
        if given_up is not None and given_up[0] != _LOST:
            self.answered(now_ns, *given_up)
        return given_up is not None

    def judge_gone(self) -> None:
        """Note that the judge forgot whatever it was asked."""
        self._given_up = dict.fromkeys(self._given_up, (_LOST, 0))

    def too_late(self, now_ns: int, asked: Sequence[int], looks: int, hoped_ns: int) -> bool:
        """Whether a question asked now would be answered after ``hoped_ns``.

        ``asked``: through how many views each is looked at that waits for its answer, in order;
        ``looks``: through how many this one would be. Never when the judge has nothing to do:
        that is how it is found to be fast again.
        """
        since = now_ns - self._lost_after_ns
        given_up = (many for when, many in self._given_up.values() if when > since)
        ahead = [*given_up, *asked]
        # What the judge has in hand may be nearly done: no more of it is counted than usual.
        views = self._usual + sum(ahead[1:]) + looks
        return bool(ahead) and now_ns + views * self._service_ns // self._usual > hoped_ns


def is_full(queue: Sequence[Entry], most: int, limits: Limits) -> bool:
    """Whether so many pictures are held, or so much of them, that no more may come."""
    if len(queue) <= limits.bracket_frames + 1:
        return len(queue) >= most  # a bracket has to fit, whatever the size
    form = queue[0].picture.format
    return len(queue) >= most or len(queue) * form.width * form.height * 3 // 2 >= limits.held_bytes
