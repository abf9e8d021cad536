"""The judge as the guard sees it: questions go in with a token, answers come out with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from safelight.types import Evidence, Picture, Token


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a token. It counts only if the token is outstanding."""

    token: Token
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class JudgeFault:
    """The judge broke; whatever was outstanding will not be answered."""

    what: str


@runtime_checkable
class MayLookFirst(Protocol):
    """A judge of which a quicker network may answer where it is near enough."""

    @property
    def looks_first(self) -> bool:
        """Whether it does, since it started."""
        ...


def looks_first(judge: object) -> bool:
    """Whether a quicker network answers where it may."""
    return isinstance(judge, MayLookFirst) and judge.looks_first


class Judge(Protocol):
    """Looks at pictures. Knows nothing of streams, states or policies."""

    @property
    def every(self) -> tuple[str, ...]:
        """Names of the views run on every picture that is judged."""
        ...

    @property
    def in_turn(self) -> tuple[str, ...]:
        """Names of further views, run one at a time, in turn."""
        ...

    def start(self, listener: Callable[[Answer | JudgeFault], None]) -> None:
        """Load, self-test, get ready. ``listener`` is called from the judge's own thread.

        Raises:
            JudgeError: it does not load or fails its self-test; nothing may be released.
        """
        ...

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        """Have it look. Returns at once; the answer comes to the listener."""
        ...

    def restart(self) -> None:
        """After a fault: forget what is outstanding and get ready again.

        Raises:
            JudgeError: it does not come back.
        """
        ...

    def cpu_seconds(self) -> float:
        """CPU time it used so far, in seconds."""
        ...

    def close(self) -> None:
        """End it. Safe to call twice."""
        ...


@runtime_checkable
class MayBeShared(Protocol):
    """What a judge offers besides, if others wait for it too: to wait for a turn is no hang."""

    def silent_s(self) -> float:
        """For how many seconds it has owed an answer, to anybody, and given none."""
        ...
