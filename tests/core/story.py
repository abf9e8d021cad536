"""How the stories of the engine are told: a film of symbols, an honest judge, an oracle."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from tests.core.oracle import Oracle
from tests.core.simulate import Log, Stream, arrivals

from safelight import policies
from safelight.core.engine import Engine
from safelight.core.held import Views
from safelight.core.limits import Limits
from safelight.core.stream import CoolDown
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import CLOSE, ScriptedGate, name_of, symbol
from safelight.testing.playbook import Playbook, picture
from safelight.types import (
    NS_PER_MS,
    NS_PER_S,
    Calibration,
    Evidence,
    Frame,
    Picture,
    Reason,
    State,
    StreamStarted,
    Tick,
)

PROTECT = policies.load("protect")
PRIOR = Calibration(
    "uncalibrated prior", ((0, -2000), (200, -500), (500, 500), (800, 2000), (1000, 4000))
)
VIEWS = Views((VIEW,), ())
MOVING = "ABC"  # a person moving: each differs a little from the others
GATE = ScriptedGate({("A", "B"): CLOSE, ("B", "C"): CLOSE, ("A", "C"): CLOSE})
SECRET = b"sixteen bytes and more"
# The right end after five pictures of 40 ms; a short grace, so that stories are short.
LIVE = Limits(grace_ns=100 * NS_PER_MS, bracket_span_permille=800)
CALL, FILE = dataclasses.replace(LIVE, hold_ns=0), dataclasses.replace(LIVE, patient=True)
NEVER = 1 << 40  # for an audit, which would fall on any frame
FPS = 30
MS = Fraction(1, 1000)


def engine(limits: Limits = LIVE, cool_down: CoolDown | None = None) -> Engine:
    parts = (limits, PROTECT, PRIOR, VIEWS, GATE, SECRET)
    return Engine(*parts) if cool_down is None else Engine(*parts, cool_down=cool_down)


def watching(limits: Limits) -> Oracle:
    """What checks every command that an engine of these limits gives."""
    return Oracle(limits, PROTECT, VIEWS.every, GATE)


def moving(count: int) -> str:
    return (MOVING * (count // 3 + 1))[:count]


def film(names: str, first_seq: int = 0, start_s: float = 0.0) -> list[Frame]:
    out = []
    for index, name in enumerate(names):
        at = round(start_s * NS_PER_S) + index * NS_PER_S // FPS
        out.append(Frame(first_seq + index, at, Fraction(1, NS_PER_S), at, symbol(name)))
    return out


def say(shown: Picture) -> Evidence:
    return scores(0.9999 if name_of(shown) == "S" else 0.005)


def play(limits: Limits, names: str, service_ms: int = 8) -> Log:
    made = engine(limits)
    stream = Stream(made, say, service_ns=service_ms * NS_PER_MS, oracle=watching(limits))
    events = arrivals(film(names))
    return stream.patient(events) if limits.patient else stream.live(events)


def states(log: Log) -> list[tuple[State, Reason]]:
    return [(change.state, change.reason) for change in log.states]


def opened(limits: Limits = LIVE, count: int = 12, *, made: Engine | None = None) -> Playbook:
    """A stream of one frame every 40 ms that is LIVE; all that was asked is answered."""
    book = Playbook(made or engine(limits))
    book.feed(StreamStarted(0))
    for seq in range(count):
        show(book, seq)
    assert book.engine.state is State.LIVE
    return book


def show(book: Playbook, seq: int, name: str = "", *, answer: Evidence | None = None) -> None:
    """Frame ``seq`` at 40 ms each; what is asked is answered at once, and time goes by."""
    book.feed(picture(seq, name or MOVING[seq % 3], seq * 40))
    for asked in list(book.open):
        book.feed(book.answer(asked, answer or scores(0.0), now_ns=seq * 40 * NS_PER_MS))
    book.feed(Tick((seq * 40 + 39) * NS_PER_MS))


def interrupted() -> Playbook:
    book = opened()
    seq = 12
    while book.engine.state is not State.INTERRUPTED:
        show(book, seq, "S" if seq % 2 else "T", answer=scores(1.0))
        seq += 1
        assert seq < 200
    return book
