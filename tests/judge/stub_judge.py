"""A judge process whose answers the picture itself orders: for tests of the guard around it.

The first luma pixel of a picture says what to do, so a test decides fault by fault. Run in
place of ``safelight.judge.worker``; everything else of the process is the real one.
"""

from __future__ import annotations

import enum
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from safelight.detect.runtime import InferenceError
from safelight.errors import JudgeError
from safelight.judge import sandbox, worker
from safelight.judge.sandbox import Layer
from safelight.judge.wire import Broke, pack_broke
from safelight.judge.wire import pack_answer as pack
from safelight.types import (
    Absent,
    AbsentReason,
    Evidence,
    Picture,
    PictureFormat,
    Scores,
    Token,
    VerifiedBundle,
)


class Order(enum.IntEnum):
    """What a picture makes the stub do. Everything but CLEAR and BUSY must keep it from leaving."""

    CLEAR = 1
    SEXUAL = 2
    NAN = 3
    TOO_LARGE = 4
    NEGATIVE = 5
    INFINITE = 6
    ABSENT = 7
    NO_VIEWS = 8
    NETWORK_BREAKS = 9
    EXCEPTION = 10
    OUT_OF_MEMORY = 11
    HANG = 12
    CRASH = 13
    SYSTEM_CALL = 14
    ENDS = 15
    WRONG_TOKEN = 16
    TWICE = 17
    TWICE_OTHERWISE = 18
    GARBAGE = 19
    CUT_SHORT = 20
    EARLY = 21
    UNKNOWN_VIEW = 22
    BUSY = 23  # honest, after a fifth of a second of computing
    REPLAYED = 35
    SEXUAL_THEN_CLEAR = 24
    ABSENT_THEN_CLEAR = 25
    MINOR_NAN = 26
    FEWER_VIEWS = 27
    FLOOD = 28
    EMPTY = 29
    TOO_LONG = 30
    BROKE_THEN_CLEAR = 31
    FORKS = 32
    CONNECTS = 33
    MEMORY_LIMIT = 34


CLEAR = Scores(0.01, None, ("frame", "left_square", "right_square"))
_last = Order.CLEAR
_channel = 0
_hoard: list[object] = []
_before = b""  # the last answer that was honest


class Stub:
    def __init__(self, bundle: VerifiedBundle) -> None:
        self.bundle = bundle

    def self_test(self, *, quick: bool = False) -> None:
        if "refuse" in sys.argv:
            raise JudgeError("self-test got a wrong answer", "use another bundle")

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:  # noqa: PLR0912
        global _last  # noqa: PLW0603  (what is packed below must know)
        _last = order = Order(int(picture.y[0, 0]))
        numbers = {
            Order.SEXUAL: 0.95,
            Order.SEXUAL_THEN_CLEAR: 0.95,
            Order.NAN: float("nan"),
            Order.TOO_LARGE: 1.5,
            Order.NEGATIVE: -0.5,
            Order.INFINITE: float("-inf"),
        }
        match order:
            case Order.ABSENT | Order.ABSENT_THEN_CLEAR:
                return Absent(AbsentReason.FAULT)
            case Order.NETWORK_BREAKS:
                raise InferenceError("network broke")
            case Order.EXCEPTION:
                raise KeyError("a secret of the picture")
            case Order.OUT_OF_MEMORY:
                np.ones(1 << 40, np.uint8)
            case Order.BUSY:
                until = time.process_time() + 0.2
                while time.process_time() < until:
                    continue
            case Order.HANG:
                while True:
                    continue
            case Order.CRASH:
                signal.raise_signal(signal.SIGSEGV)
            case Order.SYSTEM_CALL:
                os.open("/etc/hostname", os.O_RDONLY)
            case Order.ENDS:
                os._exit(0)
            case Order.FORKS:
                os.fork()
            case Order.CONNECTS:
                socket.socket()
            case Order.MEMORY_LIMIT:  # reserved and never touched: it counts all the same
                _hoard.extend(np.empty(1 << 26, np.uint8) for _ in range(64))
            case Order.MINOR_NAN:
                return Scores(0.01, float("nan"), views)
        return Scores(numbers.get(order, 0.01), None, views)


def lying_pack(  # noqa: PLR0912
    token: Token, evidence: Evidence, views: Sequence[str]
) -> bytes:
    global _before  # noqa: PLW0603
    honest = pack(token, evidence, views)
    clear = pack(token, Scores(0.01, None, tuple(views)), views)
    match _last:
        case Order.CLEAR:
            _before = honest
        case Order.REPLAYED:
            return _before or bytes(len(honest))
        case Order.SEXUAL_THEN_CLEAR | Order.ABSENT_THEN_CLEAR:
            os.write(_channel, honest)
            return clear
        case Order.BROKE_THEN_CLEAR:
            os.write(_channel, pack_broke(Broke.NETWORK))
            return clear
        case Order.FEWER_VIEWS:
            return pack(token, Scores(0.01, None, tuple(views)[-1:]), views)
        case Order.FLOOD:
            for _ in range(64):
                os.write(_channel, honest)
        case Order.EMPTY:
            return b""
        case Order.TOO_LONG:
            return honest + bytes(1)
        case Order.WRONG_TOKEN:
            return pack(Token(token.stream, token.seq, token.nonce ^ 1), evidence, views)
        case Order.EARLY:
            return pack(Token(token.stream, token.seq + 1, token.nonce), evidence, views)
        case Order.TWICE | Order.TWICE_OTHERWISE:
            os.write(_channel, honest)
            if _last is Order.TWICE_OTHERWISE:
                return pack(token, Scores(0.02, None, tuple(views)), views)
        case Order.NO_VIEWS:
            return honest[:30] + bytes(2) + honest[32:]  # the bits of the views that were run
        case Order.GARBAGE:
            return bytes(range(len(honest)))
        case Order.CUT_SHORT:
            return honest[:-1]
        case Order.UNKNOWN_VIEW:
            return pack(token, Scores(0.01, None, ("more",)), (*["spare"] * 15, "more"))
    return honest


def _seal(*, read_from: int | None = None, write_to: int | None = None) -> tuple[Layer, ...]:
    """Seal as the real judge does, and remember where answers go."""
    global _channel  # noqa: PLW0603
    _channel = write_to or 0
    return seal(read_from=read_from, write_to=write_to)


def drawn(order: Order, width: int = 320, height: int = 240, level: int = 128) -> Picture:
    """Return a picture that makes the stub do ``order``."""
    y = np.full((height, width), level, np.uint8)
    y[0, 0] = order
    u, v = (np.full((height // 2, width // 2), 128, np.uint8) for _ in "uv")
    return Picture(PictureFormat(width, height), y, u, v)


def run(load: worker.Load) -> NoReturn:
    """Be a template whose judges do as the picture orders."""
    worker.pack_answer = lying_pack  # type: ignore[attr-defined]
    sandbox.seal = _seal
    worker.main(load)


seal = sandbox.seal
if __name__ == "__main__":
    run(Stub)
