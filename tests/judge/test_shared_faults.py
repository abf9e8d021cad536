"""No fault of a shared judge leaves a stream waiting for ever, and no process is left behind."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import pytest
from tests.judge.seats import (
    SAME,
    SOON,
    VIEWS,
    WAIT,
    by_luma,
    faked,
    plain,
    seated,
    until,
)

from safelight.errors import JudgeError
from safelight.judge import keeper
from safelight.judge.judge import Answer, JudgeFault
from safelight.judge.keeper import Keeper, Restarted
from safelight.judge.shared import SharedJudge
from safelight.testing.fakes import Breaks, FakeJudge, Says, scores
from safelight.types import Token, VerifiedBundle


def test_who_sits_down_as_the_judge_breaks_is_told(bundle: VerifiedBundle) -> None:
    class Unlucky(FakeJudge):
        def start(self, listener: Callable[[Answer | JudgeFault], None]) -> None:
            super().start(listener)
            listener(JudgeFault("it broke at once"))

    judge = Unlucky(lambda *_: Says(scores(0.01)), every=VIEWS)
    shared = SharedJudge(bundle, make=lambda: judge)
    (seat,), (said,) = seated(shared, 1)
    assert said.get(timeout=WAIT) == JudgeFault("it broke at once")
    seat.restart()
    seat.ask(SAME, plain(1), VIEWS)
    assert said.get(timeout=WAIT) == Answer(SAME, scores(0.01))
    shared.close()


def test_a_fault_told_before_the_restart_is_over_does_not_leave_it_waiting(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "HUNG_S", SOON)

    class Unlucky(FakeJudge):
        def restart(self) -> None:
            super().restart()
            if self._restarts == 999 and self._listener is not None:
                self._listener(JudgeFault("it broke again"))

    judge = Unlucky(lambda n, *_: Breaks() if n == 0 else Says(scores(0.01)), every=VIEWS)
    shared = SharedJudge(bundle, make=lambda: judge)
    (seat,), (said,) = seated(shared, 1)
    told: queue.Queue[object] = queue.Queue()
    one = Keeper(seat, told.put)
    one.ask(SAME, plain(1), VIEWS)
    assert isinstance(said.get(timeout=WAIT), JudgeFault)
    one.restart()
    assert said.get(timeout=WAIT) == JudgeFault("it broke again")
    one.restart()  # as a session does, which has not been told yet that the first is over
    assert told.get(timeout=WAIT) == Restarted(None)
    one.restarted()
    one.ask(Token(1, 2, 2), plain(1), VIEWS)  # not heard
    assert one.overdue() is None
    assert until(lambda: one.overdue() is not None)
    one.restart()
    assert told.get(timeout=WAIT) == Restarted(None)
    one.restarted()
    one.ask(SAME, plain(1), VIEWS)
    assert said.get(timeout=WAIT) == Answer(SAME, scores(0.01))
    shared.close()


def test_a_stream_that_is_closed_as_it_restarts_leaves_no_judge_behind(
    bundle: VerifiedBundle,
) -> None:
    shared, made = faked(bundle, by_luma)
    (seat,), _ = seated(shared, 1)
    desk = seat._desk
    assert desk is not None
    failed: queue.Queue[JudgeError] = queue.Queue()

    def restart() -> None:
        try:
            seat.restart()
        except JudgeError as error:
            failed.put(error)

    with desk._process:  # as if another stream were being seated
        restarting = threading.Thread(target=restart)
        restarting.start()
        assert until(lambda: desk.is_down(seat))
        closing = threading.Thread(target=seat.close)
        closing.start()
        assert until(lambda: desk.seats == 0)
        time.sleep(SOON)
    restarting.join(WAIT)
    closing.join(WAIT)
    assert failed.get(timeout=WAIT)
    assert all(judge._closed.is_set() for judge in made)
    shared.close()
