"""A library's threads do not keep the judge from being shut in, and nothing outlives the guard."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.judge.stub_judge import CLEAR, Order, drawn
from tests.judge.test_supervisor import WAIT, Made, ends, pid_of, running, token

from safelight.judge import sandbox
from safelight.judge.judge import Answer, JudgeFault
from safelight.types import VerifiedBundle

THREADED = "tests.judge.threaded_stub"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the judge is isolated on Linux")


@pytest.fixture
def started(bundle: VerifiedBundle) -> Iterator[Made]:
    yield from running(bundle, THREADED)


def above(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def named(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_the_judge_has_one_thread_and_every_layer_holds(started: Made) -> None:
    judge, said = started
    judge.ask(token(1), drawn(Order.CLEAR), (*judge.every, *judge.in_turn))
    assert said.get(timeout=WAIT) == Answer(token(1), CLEAR)
    assert len(os.listdir(f"/proc/{pid_of(judge)}/task")) == 1
    assert set(sandbox.REQUIRED) <= sandbox.observed(pid_of(judge))
    assert not sandbox.missing(judge.layers)


def test_who_waits_with_the_threads_is_told_apart(started: Made) -> None:
    judge, _ = started
    template = above(pid_of(judge))
    waiting = above(template)
    assert [named(pid) for pid in (pid_of(judge), template, waiting)] == [
        "safelight-judge",
        "safelight-judge",
        "safelight-load",
    ]
    assert above(waiting) == os.getpid()


def test_who_waits_can_do_nothing_else(started: Made) -> None:
    judge, _ = started
    waiting = above(above(pid_of(judge)))
    threads = list(Path(f"/proc/{waiting}/task").iterdir())
    assert len(threads) > 1
    for thread in threads:
        status = (thread / "status").read_text()
        assert "\nSeccomp:\t2\n" in status
        assert "\nNoNewPrivs:\t1\n" in status
    assert {os.readlink(one) for one in Path(f"/proc/{waiting}/fd").iterdir()} == {os.devnull}


@pytest.mark.parametrize("whose", ["the waiting", "the template"])
def test_a_killed_ancestor_takes_the_judge_with_it_and_another_comes(
    started: Made, whose: str
) -> None:
    judge, said = started
    first = pid_of(judge)
    template = above(first)
    waiting = above(template)
    assert named(waiting) == "safelight-load"  # and not who runs the tests
    os.kill(waiting if whose == "the waiting" else template, signal.SIGKILL)
    assert isinstance(said.get(timeout=WAIT), JudgeFault)
    assert ends(first)
    assert ends(template)
    judge.restart()
    assert pid_of(judge) != first
    judge.ask(token(2), drawn(Order.SEXUAL), judge.every)
    assert isinstance(said.get(timeout=WAIT), Answer)


def test_closing_ends_them_all(started: Made) -> None:
    judge, _ = started
    pids = [pid_of(judge)]
    pids += [above(pids[0]), above(above(pids[0]))]
    assert os.getpid() not in pids
    judge.close()
    assert all(ends(pid) for pid in pids)
