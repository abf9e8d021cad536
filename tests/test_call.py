"""A guarded call between two real WebRTC peers on loopback: promises 1 to 3 and 7.

Bright pictures stand for what must not be seen; a fake judge says so, or fails to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from tests.media.webrtc_peers import (
    Camera,
    Microphone,
    Watcher,
    connect,
    prefer,
    until,
)

import safelight
from safelight.testing.fakes import Breaks, FakeJudge, Reply, Says, Silent, scores
from safelight.types import Picture, State, Token

BENIGN, BRIGHT = 110, 220
SIZE = (144, 192, 3)
SEEN = 165  # brighter than this is the bright picture, whatever a codec made of it
CARD = 80  # darker than this is a card


def shown(level: int, at_s: float) -> np.ndarray:
    rgb = np.full(SIZE, level, np.uint8)
    rgb[:, int(at_s * 40) % 180 :][:, :8] -= 20  # something moves
    return rgb


def honest(_: int, __: Token, picture: Picture) -> Reply:
    return Says(scores(0.99 if picture.y.mean() > SEEN else 0.01))


class Room:
    """Two peers, and the guard of the first one's camera and microphone."""

    def __init__(self, state: Path, plan: Any = honest) -> None:
        self.level = BENIGN
        self.judges: list[FakeJudge] = []
        self.here, self.there = RTCPeerConnection(), RTCPeerConnection()
        self.seen = Watcher()
        self.there.on("track", self.seen.watch)

        def make() -> FakeJudge:
            self.judges.append(FakeJudge(plan))
            return self.judges[-1]

        self.call = safelight.Call(state=state, make_judge=make, region="GB")
        self.camera = Camera(lambda at: shown(self.level, at))
        self.out = self.call.guarded(self.camera)
        self.sound = self.call.guarded(Microphone())
        self.here.addTrack(self.out)
        self.here.addTrack(self.sound)

    async def begin(self, codec: str = "VP8") -> None:
        prefer(self.here, codec)
        await connect(self.here, self.there)
        await until(lambda: self.benign_since(0.0))

    def benign_since(self, since_s: float) -> bool:
        return any(CARD < luma < SEEN for luma in self.seen.between(since_s, 1e12))

    def bright(self) -> int:
        return sum(seen.luma > SEEN for seen in self.seen.pictures)

    async def end(self) -> None:
        self.call.close()
        await self.here.close()
        await self.there.close()
        assert await asyncio.to_thread(self.call.wait, 20)


def talk(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_what_is_covered_never_arrives_and_the_rest_comes_back(codec: str, tmp_path: Path) -> None:
    async def story() -> None:
        room = Room(tmp_path)
        await room.begin(codec)
        await asyncio.sleep(0.5)
        room.level = BRIGHT
        began_s = time.monotonic()
        await asyncio.sleep(0.4)
        room.level = BENIGN
        await until(lambda: room.call.state is State.LIVE)
        back_s = time.monotonic()
        await until(lambda: room.benign_since(back_s))
        await room.end()
        assert room.bright() == 0
        cards = [s for s in room.seen.pictures if s.at_s > began_s and s.luma < CARD]
        assert cards
        # Sound: silent while cards came, there before and after. Opus fades within a frame.
        first, last = cards[0].at_s, cards[-1].at_s
        inside = [loud for at, loud in room.seen.loud if first + 0.1 < at < last - 0.1]
        assert inside
        assert max(inside) < 50
        assert max(loud for at, loud in room.seen.loud if at < began_s) > 1000
        report = room.call.reports["outgoing", "camera"]
        assert report.frames.unjudged_released == 0
        assert report.frames.covered > 0

    talk(story)
