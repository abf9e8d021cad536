"""One held picture and what it has come to."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.core.gate import Likeness
from safelight.types import Action, Binding, Evidence, Frame, Picture, Reason, Scores, Token


@dataclass(slots=True, eq=False)
class Entry:
    """One picture on its way. ``shut``: it is covered whatever anyone says of it; ``clock``
    counts the breaks of the stream's flow before it; ``audited``: the secret has it judged,
    even if that is late; ``looks``: through how many views it was asked about; ``like``: which
    judged frame it was compared with when it came, and how alike they are."""

    frame: Frame
    picture: Picture
    token: Token
    ordinal: int
    due_ns: int
    deadline_ns: int | None
    clock: int
    barrier: Reason | None = None
    audited: bool = False
    asked_ns: int | None = None
    looks: int = 0
    evidence: Evidence | None = None
    shut: Reason | None = None
    still_of: Entry | None = None
    left: Entry | None = None
    right: Entry | None = None
    like: tuple[Entry, Likeness] | None = None

    @property
    def is_open(self) -> bool:
        """Neither asked about nor tied on both sides: waits for a right end."""
        return self.left is not None and self.right is None and self.asked_ns is None

    def is_late(self, now_ns: int) -> bool:
        """Whether its deadline has come; a file's frames have none."""
        return self.deadline_ns is not None and now_ns >= self.deadline_ns

    def is_surely_close_to(self, other: Entry) -> bool:
        """Whether two that were compared with one and the same frame must be close."""
        if self.like is None or other.like is None or self.like[0] is not other.like[0]:
            return False
        return self.like[1].proves_close(other.like[1])

    def untie(self) -> None:
        """Let it rest on nothing but itself."""
        self.still_of = self.left = self.right = self.like = None

    def close(self, reason: Reason) -> None:
        """Have it covered, whatever anyone says of it from now on."""
        self.shut = reason
        self.untie()


@dataclass(frozen=True, slots=True)
class Result:
    """What a frame has come to by itself; the state of the stream may still cover it.

    ``scores``: what evidence over time goes by; its own, or those that it inherits.
    """

    action: Action
    reason: Reason
    binding: Binding | None
    rests_on: tuple[tuple[Token, Evidence], ...]
    scores: Scores | None
