"""Promise 1 over time: which frames are judged cannot be foretold.

Were it so, somebody who knows the rules would show what must not leave in all the others, for
as long as they like. With the audit on still frames only, that film left whole.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from tests.core.simulate import Stream, arrivals

from safelight import policies
from safelight.core.engine import Engine
from safelight.core.held import Views
from safelight.core.limits import Limits
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import CLOSE, ScriptedGate, name_of, symbol
from safelight.types import NS_PER_MS, NS_PER_S, Action, Binding, Calibration, Frame, Verdict

PRIOR = Calibration("flat", ((0, 0), (1000, 0)))
# More names than a bracket is long: no frame is still.
CLEAN, SENSITIVE = "ABCDEFGHIJ", "Q"
GATE = ScriptedGate(dict.fromkeys(itertools.combinations(CLEAN + SENSITIVE, 2), CLOSE))
RATE = 30
SECONDS = 20


def shown(
    names: list[str], secret: bytes, *, rate: int = RATE, judge_ms: int | None = None
) -> list[Verdict | None]:
    """Play a film to an engine whose judge is never wrong; return each frame's verdict, None
    for one that was dropped. ``judge_ms``: live, with a judge that takes so long."""
    patient = judge_ms is None
    engine = Engine(
        Limits(patient=patient), policies.load("protect"), PRIOR, Views((VIEW,), ()), GATE, secret
    )
    stream = Stream(
        engine,
        lambda picture: scores(0.9 if name_of(picture) == SENSITIVE else 0.0),
        service_ns=(judge_ms or 0) * NS_PER_MS,
    )
    frames = [
        Frame(seq, seq, Fraction(1, rate), NS_PER_S // rate * seq, symbol(name))
        for seq, name in enumerate(names)
    ]
    log = stream.patient(arrivals(frames)) if patient else stream.live(arrivals(frames))
    return [log.verdicts.get(seq) for seq in range(len(names))]


def attacked(number: int, rate: int, judge_ms: int | None) -> tuple[int, int]:
    """Show what must not leave wherever a first run, with another secret, bracketed; return in
    how many frames that was, and how many of them left."""
    clean = list(itertools.islice(itertools.cycle(CLEAN), SECONDS * rate))
    foretold = shown(clean, b"the attacker's own secret", rate=rate, judge_ms=judge_ms)
    between = [each is not None and each.binding is Binding.BRACKETED for each in foretold]
    film = [SENSITIVE if hidden else name for hidden, name in zip(between, clean, strict=True)]
    seen = shown(film, b"the guard's secret %d" % number, rate=rate, judge_ms=judge_ms)
    left = sum(
        hidden and each is not None and each.action is Action.RELEASE
        for hidden, each in zip(between, seen, strict=True)
    )
    return sum(between), left


@pytest.mark.parametrize("number", range(8))
def test_a_film_made_for_the_frames_that_nobody_judges_is_caught(number: int) -> None:
    hidden, left = attacked(number, RATE, None)
    assert hidden > SECONDS * RATE // 2, "the attack is none"
    # One frame in 16 is audited: getting by for so long takes the luck of one in 2,000.
    assert left < hidden // 4


@pytest.mark.parametrize(("rate", "judge_ms"), [(60, 120), (60, 140), (30, 160)])
@pytest.mark.parametrize("number", range(4))
def test_a_judge_that_is_too_slow_for_its_audits_does_not_leave_them_out(
    number: int, rate: int, judge_ms: int
) -> None:
    """At the first of these each audit comes too late to be asked about, and each right end does
    not: left out, they let 784 to 799 of 840 such frames leave."""
    hidden, left = attacked(number, rate, judge_ms)
    assert hidden > 100, "the attack is none"
    assert left < 100
