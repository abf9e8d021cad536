"""Promise 2 at the judge: a break is a fault, never an answer; what is past stays past."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from safelight.detect.runtime import InferenceError
from safelight.errors import BundleError, JudgeError
from safelight.judge.inprocess import InProcessJudge
from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.types import Evidence, Picture, PictureFormat, Scores, Token, VerifiedBundle

CLEAR = Scores(0.01, None, ("frame",))
WAIT = 10.0


@pytest.fixture
def picture() -> Picture:
    planes = [np.full(shape, 128, np.uint8) for shape in ((240, 320), (120, 160), (120, 160))]
    return Picture(PictureFormat(320, 240), *planes)


class Fake:
    """Detectors that wait for the test's leave before each answer."""

    def __init__(self, bundle: VerifiedBundle) -> None:
        self.leave = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self.breaks: BaseException | None = None
        self.self_test_breaks: Exception | None = None
        self.threads: set[int] = set()

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:
        self.threads.add(threading.get_ident())
        self.began.release()
        assert self.leave.acquire(timeout=WAIT)
        if self.breaks is not None:
            raise self.breaks
        return CLEAR

    def self_test(self) -> None:
        if self.self_test_breaks is not None:
            raise self.self_test_breaks


Made = tuple[InProcessJudge, list[Fake], "queue.Queue[Answer | JudgeFault]"]


@pytest.fixture
def started(bundle: VerifiedBundle) -> Iterator[Made]:
    fakes: list[Fake] = []

    def make(given: VerifiedBundle) -> Fake:
        fakes.append(Fake(given))
        return fakes[-1]

    judge = InProcessJudge(bundle, detectors=make)
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    judge.start(said.put)
    yield judge, fakes, said
    for fake in fakes:
        fake.leave.release(1000)
    judge.close()


def token(seq: int) -> Token:
    return Token(1, seq, seq * 7)


def test_it_is_a_judge(bundle: VerifiedBundle) -> None:
    judge: Judge = InProcessJudge(bundle)
    assert judge.every == ("frame",)
    assert judge.in_turn == ("left_square", "right_square")


def test_answers_carry_their_tokens_in_order_from_one_thread(
    started: Made, picture: Picture
) -> None:
    judge, (fake,), said = started
    for seq in range(5):
        judge.ask(token(seq), picture, ("frame",))
    fake.leave.release(5)
    assert [said.get(timeout=WAIT) for _ in range(5)] == [
        Answer(token(seq), CLEAR) for seq in range(5)
    ]
    assert len(fake.threads) == 1
    assert threading.get_ident() not in fake.threads


@pytest.mark.parametrize(
    "error",
    [ValueError("pixel 3 was 200"), MemoryError(), InferenceError("network x failed"), OSError(5)],
)
def test_a_break_is_a_fault_and_the_rest_is_not_answered(
    started: Made, picture: Picture, error: Exception
) -> None:
    judge, (fake,), said = started
    fake.breaks = error
    for seq in range(3):
        judge.ask(token(seq), picture, ("frame",))
    fake.leave.release(10)
    fault = said.get(timeout=WAIT)
    assert isinstance(fault, JudgeFault)
    assert "pixel" not in fault.what
    judge.ask(token(4), picture, ("frame",))
    judge.close()
    assert said.empty()


def test_after_a_fault_a_restart_answers_again(started: Made, picture: Picture) -> None:
    judge, fakes, said = started
    fakes[0].breaks = ValueError()
    fakes[0].leave.release()
    judge.ask(token(0), picture, ("frame",))
    assert isinstance(said.get(timeout=WAIT), JudgeFault)
    judge.restart()
    fakes[1].leave.release()
    judge.ask(token(1), picture, ("frame",))
    assert said.get(timeout=WAIT) == Answer(token(1), CLEAR)


def test_what_was_asked_before_a_restart_is_never_answered(started: Made, picture: Picture) -> None:
    judge, fakes, said = started
    for seq in range(3):
        judge.ask(token(seq), picture, ("frame",))
    assert fakes[0].began.acquire(timeout=WAIT)  # the first is being looked at right now
    judge.restart()
    fakes[0].leave.release(100)
    fakes[1].leave.release(100)
    judge.ask(token(9), picture, ("frame",))
    assert said.get(timeout=WAIT) == Answer(token(9), CLEAR)
    judge.close()
    assert said.empty()


def test_a_fault_of_before_a_restart_is_never_delivered(started: Made, picture: Picture) -> None:
    judge, fakes, said = started
    fakes[0].breaks = ValueError()
    judge.ask(token(0), picture, ("frame",))
    assert fakes[0].began.acquire(timeout=WAIT)
    judge.restart()
    fakes[0].leave.release(100)
    fakes[1].leave.release(100)
    judge.ask(token(1), picture, ("frame",))
    assert said.get(timeout=WAIT) == Answer(token(1), CLEAR)


def test_the_listener_may_restart_and_close(bundle: VerifiedBundle, picture: Picture) -> None:
    fakes: list[Fake] = []

    def make(given: VerifiedBundle) -> Fake:
        fakes.append(Fake(given))
        fakes[-1].leave.release(10)
        return fakes[-1]

    judge = InProcessJudge(bundle, detectors=make)
    done = threading.Event()

    def listen(message: Answer | JudgeFault) -> None:
        if len(fakes) == 1:
            judge.restart()
            judge.ask(token(1), picture, ("frame",))
        else:
            judge.close()
            done.set()

    judge.start(listen)
    judge.ask(token(0), picture, ("frame",))
    assert done.wait(WAIT)


def _raises(error: Exception) -> Callable[[VerifiedBundle], Fake]:
    def make(given: VerifiedBundle) -> Fake:
        raise error

    return make


def _self_test_raises(error: Exception) -> Callable[[VerifiedBundle], Fake]:
    def make(given: VerifiedBundle) -> Fake:
        fake = Fake(given)
        fake.self_test_breaks = error
        return fake

    return make


@pytest.mark.parametrize("where", [_raises, _self_test_raises])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (JudgeError("no", "do"), JudgeError),
        (BundleError("no", "do"), BundleError),
        (ValueError("pixel"), JudgeError),
        (MemoryError(), JudgeError),
    ],
)
def test_what_does_not_load_or_fails_its_self_test_does_not_start(
    bundle: VerifiedBundle,
    picture: Picture,
    where: Callable[[Exception], Callable[[VerifiedBundle], Fake]],
    error: Exception,
    expected: type[JudgeError],
) -> None:
    judge = InProcessJudge(bundle, detectors=where(error))
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    with pytest.raises(expected) as caught:
        judge.start(said.put)
    assert "pixel" not in str(caught.value)
    judge.ask(token(0), picture, ("frame",))
    judge.close()
    assert said.empty()


def test_a_restart_that_fails_is_an_error_and_answers_nothing(
    bundle: VerifiedBundle, picture: Picture
) -> None:
    made: list[Fake] = []

    def make(given: VerifiedBundle) -> Fake:
        if made:
            raise JudgeError("it does not come back", "stop")
        made.append(Fake(given))
        return made[0]

    judge = InProcessJudge(bundle, detectors=make)
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    judge.start(said.put)
    with pytest.raises(JudgeError):
        judge.restart()
    judge.ask(token(0), picture, ("frame",))
    judge.close()
    assert said.empty()


def test_asked_without_end_it_faults(started: Made, picture: Picture) -> None:
    judge, (fake,), said = started
    judge.ask(token(0), picture, ("frame",))
    assert fake.began.acquire(timeout=WAIT)
    for seq in range(1, 300):
        judge.ask(token(seq), picture, ("frame",))
    fake.leave.release()
    messages = [said.get(timeout=WAIT), said.get(timeout=WAIT)]
    assert messages[0] == Answer(token(0), CLEAR)
    assert isinstance(messages[1], JudgeFault)


def test_before_the_start_and_after_the_end(bundle: VerifiedBundle, picture: Picture) -> None:
    judge = InProcessJudge(bundle, detectors=Fake)
    with pytest.raises(RuntimeError):
        judge.ask(token(0), picture, ("frame",))
    with pytest.raises(RuntimeError):
        judge.restart()
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    judge.start(said.put)
    with pytest.raises(RuntimeError):
        judge.start(said.put)
    judge.close()
    judge.close()
    judge.ask(token(0), picture, ("frame",))
    assert said.empty()
    with pytest.raises(RuntimeError):
        judge.restart()


def test_closing_ends_the_thread(started: Made) -> None:
    judge, (fake,), _ = started
    fake.leave.release(10)
    worker = judge._worker
    assert worker is not None
    judge.close()
    assert not worker.thread.is_alive()


def test_the_real_stand_in_judges_here(bundle: VerifiedBundle, picture: Picture) -> None:
    judge = InProcessJudge(bundle)
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    judge.start(said.put)
    judge.ask(token(0), picture, ("frame", "left_square"))
    assert said.get(timeout=WAIT) == Answer(
        token(0), Scores(0.0, None, ("frame", "left_square"), 0.0)
    )
    spent = judge.cpu_seconds()
    assert spent > 0
    judge.ask(token(1), picture, ("elsewhere",))
    assert isinstance(said.get(timeout=WAIT), JudgeFault)
    judge.restart()
    assert judge.cpu_seconds() >= spent
    judge.close()
    assert judge.cpu_seconds() >= spent
