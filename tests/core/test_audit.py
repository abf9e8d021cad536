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
from safelight.types import NS_PER_S, Action, Binding, Calibration, Frame, Verdict

PRIOR = Calibration("flat", ((0, 0), (1000, 0)))
# More names than a bracket is long: no frame is still.
CLEAN, SENSITIVE = "ABCDEFGHIJ", "Q"
GATE = ScriptedGate(dict.fromkeys(itertools.combinations(CLEAN + SENSITIVE, 2), CLOSE))
RATE = 30
COUNT = 20 * RATE


def shown(names: list[str], secret: bytes) -> list[Verdict]:
    """Play a film to an engine whose judge is never wrong; return each frame's verdict."""
    engine = Engine(
        Limits(patient=True), policies.load("protect"), PRIOR, Views((VIEW,), ()), GATE, secret
    )
    stream = Stream(
        engine, lambda picture: scores(0.9 if name_of(picture) == SENSITIVE else 0.0), service_ns=0
    )
    frames = [
        Frame(seq, seq, Fraction(1, RATE), NS_PER_S // RATE * seq, symbol(name))
        for seq, name in enumerate(names)
    ]
    verdicts = stream.patient(arrivals(frames)).verdicts
    return [verdicts[seq] for seq in range(len(names))]


@pytest.mark.parametrize("number", range(8))
def test_a_film_made_for_the_frames_that_nobody_judges_is_caught(number: int) -> None:
    clean = list(itertools.islice(itertools.cycle(CLEAN), COUNT))
    foretold = shown(clean, b"the attacker's own secret")
    between = [verdict.binding is Binding.BRACKETED for verdict in foretold]
    assert sum(between) > COUNT // 2, "the attack is none"
    film = [SENSITIVE if hidden else name for hidden, name in zip(between, clean, strict=True)]
    left = [
        hidden and verdict.action is Action.RELEASE
        for hidden, verdict in zip(
            between, shown(film, b"the guard's secret %d" % number), strict=True
        )
    ]
    # One frame in 16 is audited: getting by for so long takes the luck of one in 2,000.
    assert sum(left) < sum(between) // 4
