"""A judge that the stream shares with a neighbour, which asks all the time and means no harm."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final
from unittest import mock

import numpy as np
from tests.judge.stub_judge import Order

from safelight.errors import JudgeError
from safelight.judge import shared
from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.judge.seat import Seat
from safelight.judge.shared import SharedJudge
from safelight.types import Picture, PictureFormat, Token, VerifiedBundle

EVERY_S: Final = 0.05


@contextlib.contextmanager
def beside_a_neighbour(bundle: VerifiedBundle, make: Callable[[], Judge]) -> Iterator[Seat]:
    """Give a seat beside a neighbour's. Nobody is moved away: the faults stay where they are."""
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    over = threading.Event()
    with (
        mock.patch.object(shared, "SUSPECT_FAULTS", 1 << 20),
        SharedJudge(bundle, make=make) as judge,
    ):
        neighbour = judge.seat()
        neighbour.start(said.put)
        thread = threading.Thread(target=_ask_on, args=(neighbour, said, over), daemon=True)
        thread.start()
        try:
            yield judge.seat()
        finally:
            over.set()
            thread.join(10.0)
            neighbour.close()


def _ask_on(seat: Seat, said: queue.Queue[Answer | JudgeFault], over: threading.Event) -> None:
    luma, half = np.full((32, 32), 90, np.uint8), np.full((16, 16), 128, np.uint8)
    luma[0, 0] = Order.CLEAR
    picture = Picture(PictureFormat(32, 32), luma, half, half.copy())
    seq = 0
    while not over.wait(EVERY_S):
        seq += 1
        seat.ask(Token(1, seq, seq), picture, seat.every)
        while not said.empty():
            if isinstance(said.get(), JudgeFault):
                with contextlib.suppress(JudgeError, RuntimeError):
                    seat.restart()
