"""A judge that does not keep up is left alone, longer each time; an honest one is asked at once."""

from __future__ import annotations

import dataclasses

from tests.core.oracle import Oracle
from tests.core.simulate import Log, Stream, arrivals
from tests.core.test_engine_dialogues import GATE, POLICY, PRIOR, SECRET, VIEWS, film, honest

from safelight.core.backoff import Backoff
from safelight.core.engine import Engine
from safelight.core.limits import Limits
from safelight.types import NS_PER_MS, NS_PER_S, Reason, State

LIMITS = Limits(grace_ns=100 * NS_PER_MS)  # which a judge that hangs for 0.6 s oversteps
S = NS_PER_S


def test_the_first_time_nothing_is_waited_for() -> None:
    backoff = Backoff(LIMITS)
    backoff.covered(20 * S)
    assert not backoff.waits(20 * S)


def test_what_comes_again_soon_waits_longer_each_time_and_not_for_ever() -> None:
    backoff = Backoff(LIMITS)
    now_ns, waits = 20 * S, []
    for _ in range(7):
        backoff.covered(now_ns)
        end_ns = now_ns
        while backoff.waits(end_ns):
            end_ns += S // 4
        waits.append((end_ns - now_ns) / S)
        now_ns = end_ns + S
    assert waits == [0, 0.5, 1, 1, 1, 1, 1]


def test_after_a_time_without_it_begins_anew() -> None:
    backoff = Backoff(LIMITS)
    for at in (20, 21, 22, 33, 44):
        backoff.covered(at * S)
    assert not backoff.waits(44 * S)


def test_a_file_waits_for_its_judge_and_never_leaves_it_alone() -> None:
    backoff = Backoff(dataclasses.replace(LIMITS, patient=True))
    for at in range(20, 25):
        backoff.covered(at * S)
        assert not backoff.waits(at * S)


def busy(limits: Limits, seconds: int = 12) -> tuple[Log, int]:
    """Play a moving scene whose judge hangs for 0.6 s of each; return also what was asked."""
    engine = Engine(limits, POLICY, PRIOR, VIEWS, GATE, SECRET)
    oracle = Oracle(limits, POLICY, VIEWS.every, GATE)
    names = "".join("AT"[index % 2] for index in range(30 * seconds)).replace("T", "B")
    stream = Hanging(engine, honest, service_ns=8 * NS_PER_MS, oracle=oracle)
    log = stream.live(arrivals(film(names)))
    return log, log.asked


class Hanging(Stream):
    """Its judge answers nothing in the last 0.6 s of every second, then all of it."""

    def _answer(self, at_ns: int) -> None:
        within = at_ns % S
        if within > 400 * NS_PER_MS and at_ns - self.now_ns < S:
            self._busy_until_ns = at_ns - within + S
            return
        super()._answer(at_ns)


def test_a_stream_whose_judge_is_late_again_and_again_asks_less_and_flaps_less() -> None:
    patience, asked = busy(LIMITS)
    restless, asked_more = busy(dataclasses.replace(LIMITS, retry_ns=(0,)))
    assert asked < asked_more * 0.7

    def opened(log: Log) -> int:
        return sum(one.state is State.LIVE for one in log.states)

    assert 0 < opened(patience) < opened(restless)
    late = [one for one in patience.states if one.reason is Reason.NO_VERDICT]
    assert late, "the judge was late"


def test_an_answer_to_what_was_asked_before_does_not_open_it_meanwhile() -> None:
    patience, _ = busy(LIMITS)
    covered_ns: int | None = None
    level = compared = 0
    for one in patience.states:
        if one.state is State.COVERED and one.reason is Reason.NO_VERDICT:
            covered_ns = one.now_ns
            level += 1
        elif one.state is State.LIVE and covered_ns is not None and level > 1:
            wait_ns = LIMITS.retry_ns[min(level - 1, len(LIMITS.retry_ns) - 1)]
            assert one.now_ns - covered_ns >= wait_ns
            compared += 1
    assert compared >= 2
