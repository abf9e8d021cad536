"""Seats at a shared judge, of fakes or of a stub process: what the tests of both need."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

import numpy as np

from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.judge.seat import Seat
from safelight.judge.shared import SharedJudge
from safelight.judge.supervisor import ProcessJudge
from safelight.testing.fakes import FakeJudge, Reply, Says
from safelight.types import Picture, PictureFormat, Scores, Token, VerifiedBundle

STUB = "tests.judge.stub_judge"
SWAPPING = "tests.judge.swapping_judge"
WAIT = 20.0
SOON = 0.3  # long enough for what must not come to have come
SAME = Token(1, 1, 1)  # what two sessions may well have alike
VIEWS = ("frame",)
Said = queue.Queue[Answer | JudgeFault]
Plan = Callable[[int, Token, Picture], Reply]


def faked(bundle: VerifiedBundle, plan: Plan) -> tuple[SharedJudge, list[FakeJudge]]:
    """A shared judge whose processes are fakes, which are listed as they are made."""
    made: list[FakeJudge] = []

    def make() -> Judge:
        made.append(FakeJudge(plan, every=VIEWS))
        return made[-1]

    return SharedJudge(bundle, make=make), made


def seated(shared: SharedJudge, count: int) -> tuple[list[Seat], list[Said]]:
    seats, said = [shared.seat() for _ in range(count)], [Said() for _ in range(count)]
    for seat, heard in zip(seats, said, strict=True):
        seat.start(heard.put)
    return seats, said


def by_luma(_: int, __: Token, shown: Picture) -> Reply:
    """Say of each picture what it is: its luma, in hundredths."""
    return Says(Scores(int(shown.y[0, 0]) / 100, None, VIEWS))


def plain(luma: int) -> Picture:
    half = np.full((8, 8), 128, np.uint8)
    return Picture(PictureFormat(16, 16), np.full((16, 16), luma, np.uint8), half, half.copy())


def process_of(seat: Seat) -> ProcessJudge:
    assert seat._desk is not None
    judge = seat._desk._judge
    assert isinstance(judge, ProcessJudge)
    return judge


def pid_of(seat: Seat) -> int:
    pid = process_of(seat).pid
    assert pid is not None
    return pid


def until(happens: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + WAIT
    while not happens():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True
