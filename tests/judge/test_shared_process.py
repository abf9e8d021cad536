"""A judge process that several streams share: broken, hung, killed, and who then pays."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from tests.judge.seats import (
    SAME,
    SOON,
    STUB,
    SWAPPING,
    VIEWS,
    WAIT,
    Said,
    pid_of,
    process_of,
    seated,
    until,
)
from tests.judge.stub_judge import Order, drawn
from tests.programs import is_running

from safelight.judge import keeper, rota
from safelight.judge.judge import Answer, JudgeFault
from safelight.judge.seat import Seat
from safelight.judge.shared import SUSPECT_FAULTS, SharedJudge
from safelight.judge.supervisor import ProcessJudge
from safelight.types import (
    Scores,
    Token,
    VerifiedBundle,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the judge is isolated on Linux")


@pytest.fixture
def stubbed(bundle: VerifiedBundle) -> Iterator[tuple[SharedJudge, list[Seat], list[Said]]]:
    with SharedJudge(bundle, make=lambda: ProcessJudge(bundle, worker=STUB)) as shared:
        seats, said = seated(shared, 3)
        yield shared, seats, said
        for seat in seats:
            seat.close()


def test_swapped_tokens_are_a_fault_for_all_and_unlock_nobody(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rota, "IN_HAND", 2)  # else there is nothing to swap with
    with SharedJudge(bundle, make=lambda: ProcessJudge(bundle, worker=SWAPPING)) as shared:
        seats, said = seated(shared, 3)
        seats[0].ask(SAME, drawn(Order.BUSY), VIEWS)
        seats[1].ask(SAME, drawn(Order.SEXUAL), VIEWS)
        for heard in said:
            assert heard.get(timeout=WAIT) == JudgeFault("the judge answered out of turn")
        time.sleep(SOON)
        assert all(heard.empty() for heard in said)


Stubbed = tuple[SharedJudge, list[Seat], list[Said]]


def test_one_process_judges_for_all_and_ends_with_the_last(stubbed: Stubbed) -> None:
    _, seats, said = stubbed
    pid = pid_of(seats[0])
    assert {pid_of(seat) for seat in seats} == {pid}
    for seat, heard, order in zip(seats, said, (Order.CLEAR, Order.SEXUAL, Order.NAN), strict=True):
        seat.ask(SAME, drawn(order), VIEWS)
        answer = heard.get(timeout=WAIT)
        assert isinstance(answer, Answer)
        assert isinstance(answer.evidence, Scores)
        assert (answer.evidence.sexual == 0.01) == (order is Order.CLEAR)
    shared_cpu = [seat.cpu_seconds() for seat in seats]
    assert sum(shared_cpu) == pytest.approx(process_of(seats[0]).cpu_seconds(), abs=0.2)
    for seat in seats[:2]:
        seat.close()
    assert is_running(pid)
    seats[2].ask(SAME, drawn(Order.CLEAR), VIEWS)
    assert isinstance(said[2].get(timeout=WAIT), Answer)
    seats[2].close()
    assert until(lambda: not is_running(pid))
    assert [seat.cpu_seconds() for seat in seats] >= shared_cpu


def test_it_starts_anew_for_who_comes_after_the_last(stubbed: Stubbed) -> None:
    shared, seats, _ = stubbed
    for seat in seats:
        seat.close()
    (seat,), (said,) = seated(shared, 1)
    seat.ask(SAME, drawn(Order.CLEAR), VIEWS)
    assert isinstance(said.get(timeout=WAIT), Answer)
    seat.close()


def test_the_memory_between_is_wiped_after_each_answer(stubbed: Stubbed) -> None:
    _, seats, said = stubbed
    judge = process_of(seats[0])._judge
    assert judge is not None
    ring = judge.exchange._ring
    for seq in range(20):
        for seat in seats:
            seat.ask(Token(1, seq, 1), drawn(Order.CLEAR), VIEWS)
    assert ring.in_use <= rota.IN_HAND
    for heard in said:
        for _ in range(20):
            heard.get(timeout=WAIT)
    assert ring.in_use == 0
    assert not ring._bytes[: 320 * 240 * 3 // 2 * rota.IN_HAND].any()


BREAKS = (Order.CRASH, Order.EXCEPTION, Order.SYSTEM_CALL, Order.WRONG_TOKEN, Order.TWICE)


@pytest.mark.parametrize("order", BREAKS, ids=lambda order: order.name)
def test_who_breaks_it_again_and_again_breaks_only_its_own(stubbed: Stubbed, order: Order) -> None:
    _, (enemy, honest, other), (fault, said, others) = stubbed
    for time_ in range(SUSPECT_FAULTS + 2):
        alone = time_ >= SUSPECT_FAULTS
        enemy.ask(SAME, drawn(order), VIEWS)
        while not isinstance(fault.get(timeout=WAIT), JudgeFault):
            continue
        for seat, heard in ((honest, said), (other, others)):
            if not alone:
                assert isinstance(heard.get(timeout=WAIT), JudgeFault)
                seat.restart()
            seat.ask(SAME, drawn(Order.CLEAR), VIEWS)
            assert heard.get(timeout=WAIT) == Answer(SAME, Scores(0.01, None, VIEWS))
        enemy.restart()
    assert pid_of(enemy) != pid_of(honest) == pid_of(other)
    enemy.ask(SAME, drawn(Order.CLEAR), VIEWS)
    assert fault.get(timeout=WAIT) == Answer(SAME, Scores(0.01, None, VIEWS))
    own = pid_of(enemy)
    enemy.close()
    assert until(lambda: not is_running(own))
    assert said.empty()
    assert others.empty()


@pytest.mark.parametrize("notices", ["who hangs it", "another"])
def test_who_hangs_it_again_and_again_hangs_only_its_own(
    stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch, notices: str
) -> None:
    monkeypatch.setattr(keeper, "HUNG_S", 0.4)
    _, (enemy, honest, _), (fault, said, _) = stubbed
    common = pid_of(honest)
    for _ in range(SUSPECT_FAULTS):
        enemy.ask(SAME, drawn(Order.HANG), VIEWS)
        assert until(lambda: enemy.silent_s() >= 0.4)
        first, second = (enemy, honest) if notices == "who hangs it" else (honest, enemy)
        first.restart()
        heard = said if first is enemy else fault
        assert heard.get(timeout=WAIT) == JudgeFault("the judge hangs")
        second.restart()
    assert not is_running(common)
    common = pid_of(honest)
    assert pid_of(enemy) != common, "not a third time: that would interrupt the others"
    enemy.ask(SAME, drawn(Order.HANG), VIEWS)
    honest.ask(SAME, drawn(Order.CLEAR), VIEWS)
    assert said.get(timeout=WAIT) == Answer(SAME, Scores(0.01, None, VIEWS))
    assert honest.silent_s() == 0.0
    assert pid_of(honest) == common


def test_large_pictures_are_judged_apart_and_nobody_waits_for_them(stubbed: Stubbed) -> None:
    _, (large, honest, other), (fault, said, others) = stubbed
    large.ask(SAME, drawn(Order.CLEAR, 3840, 2160), VIEWS)
    assert isinstance(fault.get(timeout=WAIT), JudgeFault)
    large.restart()
    large.ask(SAME, drawn(Order.CLEAR, 3840, 2160), VIEWS)
    assert fault.get(timeout=WAIT) == Answer(SAME, Scores(0.01, None, VIEWS))
    assert pid_of(large) != pid_of(honest) == pid_of(other)
    honest.ask(SAME, drawn(Order.CLEAR, 1920, 1080), VIEWS)
    assert said.get(timeout=WAIT) == Answer(SAME, Scores(0.01, None, VIEWS))
    assert said.empty()
    assert others.empty()


def test_who_is_alone_has_nobody_to_be_moved_away_from(bundle: VerifiedBundle) -> None:
    with SharedJudge(bundle, make=lambda: ProcessJudge(bundle, worker=STUB)) as shared:
        (seat,), (said,) = seated(shared, 1)
        for _ in range(SUSPECT_FAULTS + 1):
            seat.ask(SAME, drawn(Order.CRASH), VIEWS)
            assert isinstance(said.get(timeout=WAIT), JudgeFault)
            seat.restart()
        assert seat._desk is shared._common
        seat.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_stopped_from_outside_all_are_told_and_come_back(
    stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(keeper, "HUNG_S", 0.5)
    _, seats, said = stubbed
    os.kill(pid_of(seats[0]), number)
    if number is signal.SIGSTOP:
        seats[1].ask(SAME, drawn(Order.CLEAR), VIEWS)
        assert until(lambda: seats[1].silent_s() >= 0.5)
        seats[1].restart()
    for n, (seat, heard) in enumerate(zip(seats, said, strict=True)):
        if number is signal.SIGKILL or n != 1:
            assert isinstance(heard.get(timeout=WAIT), JudgeFault)
            seat.restart()
    for seat, heard in zip(seats, said, strict=True):
        seat.ask(SAME, drawn(Order.CLEAR), VIEWS)
        assert heard.get(timeout=WAIT) == Answer(SAME, Scores(0.01, None, VIEWS))
        assert heard.empty()


def test_nothing_is_left_behind(bundle: VerifiedBundle) -> None:
    def once() -> None:
        with SharedJudge(bundle, make=lambda: ProcessJudge(bundle, worker=STUB)) as shared:
            seats, said = seated(shared, 3)
            for _ in range(SUSPECT_FAULTS):
                seats[0].ask(SAME, drawn(Order.CRASH), VIEWS)
                for seat, heard in zip(seats, said, strict=True):
                    assert isinstance(heard.get(timeout=WAIT), JudgeFault)
                    seat.restart()
            for seat in seats[:2]:
                seat.close()
        seats[2].close()

    once()
    handles, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    once()
    assert len(os.listdir("/proc/self/fd")) == handles
    assert until(lambda: threading.active_count() <= threads)
