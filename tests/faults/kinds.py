"""What can go wrong, kind by kind: ordered by a picture, done from outside, or in the flow."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from tests.judge.stub_judge import Order


class Outside(enum.Enum):
    """Done to the judge's processes by somebody else."""

    SIGKILL = "SIGKILL"
    SIGSTOP = "SIGSTOP"
    STOP_THEN_CONTINUE = "SIGSTOP, SIGCONT when it is too late"
    SIGTERM = "SIGTERM"
    SIGSEGV = "SIGSEGV from outside"
    CPU_LIMIT = "CPU limit (SIGXCPU)"
    CHANNEL_SHUT = "its channel is shut"
    TEMPLATE_KILLED = "the template is killed"
    TEMPLATE_STOPPED = "the template is stopped, the judge killed"
    SLOW_RESTART = "killed; the restart takes 0.3 s"
    KILLED_AGAIN = "killed; its successor killed too"
    NO_RESTART = "killed; it does not come back"


class Flow(enum.Enum):
    """Of the stream, while the judge is killed with questions open."""

    STALL = "killed; the source stalls"
    JUMP = "killed; pts jump ahead"
    BACK = "killed; pts fall back"
    FORMAT = "killed; the format changes"
    RESUME = "killed; somebody presses resume"
    SLOW_SINK = "killed; the sink is too slow"


What = Order | Outside | Flow

# After these the judge is not restarted: the answer, not the judge, is refused.
REFUSED: Final = frozenset(
    {
        Order.SEXUAL,
        Order.NAN,
        Order.TOO_LARGE,
        Order.NEGATIVE,
        Order.INFINITE,
        Order.ABSENT,
        Order.NO_VIEWS,
        Order.MINOR_NAN,
        Order.FEWER_VIEWS,
    }
)
# Their first answer is a good one, so their picture may leave.
FIRST_IS_GOOD: Final = frozenset({Order.TWICE, Order.TWICE_OTHERWISE, Order.FLOOD})
ENDS_THE_STREAM: Final = frozenset({Outside.NO_RESTART})
HANGS: Final = frozenset({Order.HANG, Outside.SIGSTOP})

# A sensitive picture that is honestly judged is no fault.
ORDERS: Final = tuple(o for o in Order if o not in (Order.CLEAR, Order.BUSY, Order.SEXUAL))
COMMON: Final[tuple[What, ...]] = (
    *ORDERS,
    *(o for o in Outside if o not in ENDS_THE_STREAM),
    *Flow,
)
ALL: Final[tuple[What, ...]] = (*COMMON, *ENDS_THE_STREAM)

_SAID: Final = {
    Order.NAN: "a score that is NaN",
    Order.TOO_LARGE: "a score above 1",
    Order.NEGATIVE: "a score below 0",
    Order.INFINITE: "a score of -infinity",
    Order.ABSENT: "no evidence",
    Order.NO_VIEWS: "a score through no view",
    Order.NETWORK_BREAKS: "the network breaks",
    Order.EXCEPTION: "an exception",
    Order.OUT_OF_MEMORY: "out of memory (one huge array)",
    Order.HANG: "a hung inference",
    Order.CRASH: "a crash (SIGSEGV)",
    Order.SYSTEM_CALL: "opens a file",
    Order.ENDS: "ends quietly",
    Order.WRONG_TOKEN: "clear, under a wrong token",
    Order.TWICE: "the answer twice",
    Order.TWICE_OTHERWISE: "two answers that differ",
    Order.GARBAGE: "garbage",
    Order.CUT_SHORT: "an answer cut short",
    Order.EARLY: "clear, for the next picture (too early)",
    Order.UNKNOWN_VIEW: "a view that does not exist",
    Order.REPLAYED: "an earlier clear answer again",
    Order.SEXUAL_THEN_CLEAR: "sexual, then clear",
    Order.ABSENT_THEN_CLEAR: "no evidence, then clear",
    Order.MINOR_NAN: "P(<18) estimate that is NaN",
    Order.FEWER_VIEWS: "without the view that is required",
    Order.FLOOD: "the answer 65 times",
    Order.EMPTY: "an empty message",
    Order.TOO_LONG: "an answer too long",
    Order.BROKE_THEN_CLEAR: "gives up, then clear",
    Order.FORKS: "starts a process",
    Order.CONNECTS: "opens a socket",
    Order.MEMORY_LIMIT: "out of memory (its limit)",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a stream: ``gap`` clear pictures, then ``burst`` marked ones.

    ``when_asked``: what is done from outside is done when the judge has been asked about the
    first marked picture, and otherwise before that picture arrives. ``after``: what the
    marked pictures behind the first make the stub say; never anything that permits.
    """

    what: What
    gap: int
    burst: int
    when_asked: bool
    after: Order


def name(what: What) -> str:
    """Return how a table calls a kind."""
    return _SAID[what] if isinstance(what, Order) else str(what.value)
