"""A guarded call between two real WebRTC peers on loopback: promises 1 to 3 and 7.

Bright pictures stand for what must not be seen; a fake judge says so, or fails to.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from tests.media.browser_call import LIKE, Knower

import safelight
from safelight.judge.shared import SharedJudge
from safelight.judge.supervisor import ProcessJudge
from safelight.testing.canary import at_size, load
from safelight.testing.fakes import Breaks, FakeJudge, Reply, Says, Silent, scores
from safelight.testing.scenes import scene
from safelight.testing.webrtc_peers import (
    HUM_HZ,
    Camera,
    Microphone,
    Watcher,
    connect,
    prefer,
    until,
)
from safelight.types import Picture, State, Token

BENIGN, BRIGHT = 110, 220
SIZE = (144, 192, 3)
SEEN = 165  # brighter than this is the bright picture, whatever a codec made of it
SHRILL_HZ = 2000.0
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
        self.was_bright = False
        self.camera = Camera(self.draw)
        self.out = self.call.guarded(self.camera)
        self.sound = self.call.guarded(Microphone(self.pitch_hz))
        self.here.addTrack(self.out)
        self.here.addTrack(self.sound)

    def draw(self, at_s: float) -> np.ndarray:
        self.was_bright = self.level == BRIGHT
        return shown(self.level, at_s)

    def pitch_hz(self) -> float:
        """What goes with a bright picture sounds another way."""
        return SHRILL_HZ if self.was_bright else HUM_HZ

    async def begin(self, codec: str = "VP8") -> None:
        prefer(self.here, codec)
        await connect(self.here, self.there)
        await until(lambda: self.benign_since(0.0))

    def benign_since(self, since_s: float) -> bool:
        return any(CARD < luma < SEEN for luma in self.seen.between(since_s, 1e12))

    def bright(self) -> int:
        return sum(seen.luma > SEEN for seen in self.seen.pictures)

    async def __aenter__(self) -> Room:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Whatever a test found: nothing of it may go on, or wait for ever."""
        self.call.close()
        await self.here.close()
        await self.there.close()

    async def end(self) -> None:
        self.call.close()
        await self.here.close()
        await self.there.close()
        assert await asyncio.to_thread(self.call.wait, 20)


def talk(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_what_is_covered_never_arrives_and_the_rest_comes_back(codec: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with Room(tmp_path) as room:
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
            # Sound: none of what went with the bright pictures, but for 50 ms at most.
            shrill = [hz for hz in room.seen.pitches if abs(hz - SHRILL_HZ) < 200]
            assert len(shrill) * 20 <= 50
            assert [hz for hz in room.seen.pitches if abs(hz - HUM_HZ) < 100]
            first, last = cards[0].at_s, cards[-1].at_s
            inside = [loud for at, loud in room.seen.loud if first + 0.4 < at < last - 0.1]
            assert inside
            assert max(inside) < 50
            report = room.call.reports["outgoing", "camera"]
            assert report.frames.unjudged_released == 0
            assert report.frames.covered > 0

    talk(story)


def both_ways(room: Room) -> Watcher:
    """The other peer has a camera too; what is left of it here is watched."""
    room.there.addTrack(Camera(lambda at: shown(BENIGN, at)))
    here = Watcher()
    room.here.on("track", lambda track: here.watch(room.call.guarded(track, direction="incoming")))
    return here


def states(events: list[Any], direction: str) -> list[tuple[State, Any]]:
    return [
        (e.event.state, e.event.reason)
        for e in events
        if e.direction == direction and e.event.kind == "state"
    ]


def test_an_interruption_stops_both_directions_and_a_resume_starts_both(tmp_path: Path) -> None:
    broken = False

    def plan(n: int, token: Token, picture: Picture) -> Reply:
        return Breaks() if broken else honest(n, token, picture)

    async def story() -> None:
        nonlocal broken
        async with Room(tmp_path, plan) as room:
            here = both_ways(room)
            text: list[str] = []
            channel = room.here.createDataChannel("chat")
            room.there.on("datachannel", lambda c: c.on("message", text.append))
            await room.begin()
            await until(lambda: any(CARD < seen.luma < SEEN for seen in here.pictures))
            await until(lambda: len(room.judges) == 2)
            events: list[Any] = []
            listening = asyncio.ensure_future(asyncio.to_thread(events.extend, room.call.events()))
            # One direction breaks three times; the other one's judge is well.
            room.judges[1]._plan = honest
            broken = True
            await until(lambda: room.call.state is State.INTERRUPTED)
            broken = False
            stopped_s = time.monotonic()
            await asyncio.sleep(1.0)
            for watcher in (room.seen, here):
                after = watcher.between(stopped_s + 0.5, 1e12)
                assert len(after) > 3, "the connection stays, and shows cards"
                assert max(after) < CARD
            silent = [loud for at, loud in room.seen.loud if at > stopped_s + 0.5]
            assert silent
            assert max(silent) < 50
            channel.send("still here")
            await until(lambda: text == ["still here"])
            room.call.resume()
            back_s = time.monotonic()
            await until(lambda: room.benign_since(back_s))
            await until(lambda: any(CARD < luma < SEEN for luma in here.between(back_s, 1e12)))
            await room.end()
            await listening
            told = safelight.Reason.OTHER_DIRECTION
            assert [reason for _, reason in states(events, "incoming")].count(told) == 1
            assert told not in [reason for _, reason in states(events, "outgoing")]
            assert room.bright() == 0

    talk(story)


def test_content_interrupts_both_and_one_cool_down_holds_for_both(tmp_path: Path) -> None:
    async def story() -> None:
        async with Room(tmp_path) as room:
            here = both_ways(room)
            await room.begin()
            await until(lambda: any(CARD < seen.luma < SEEN for seen in here.pictures))
            room.level = BRIGHT
            await until(lambda: room.call.state is State.INTERRUPTED)
            stopped_s = time.monotonic()
            assert safelight.cool_down(tmp_path)[0] == 1
            room.level = BENIGN
            room.call.resume()
            await asyncio.sleep(1.5)
            assert room.call.state is State.INTERRUPTED
            assert max(here.between(stopped_s + 0.5, 1e12)) < CARD
            assert max(room.seen.between(stopped_s + 0.5, 1e12)) < CARD
            assert safelight.cool_down(tmp_path)[0] == 1, "one interruption, one cool-down"
            await room.end()
            assert room.bright() == 0
            assert {d for d, _ in room.call.reports} == {"outgoing", "incoming"}

    talk(story)


def test_a_stream_that_joins_an_interrupted_call_begins_interrupted(tmp_path: Path) -> None:
    """Not only by way of the file of cool-downs: a fault leaves none."""
    broken = True

    def plan(n: int, token: Token, picture: Picture) -> Reply:
        return Breaks() if broken else honest(n, token, picture)

    async def story() -> None:
        nonlocal broken
        async with Room(tmp_path, plan) as room:
            await connect(room.here, room.there)
            await until(lambda: room.call.state is State.INTERRUPTED)
            assert safelight.cool_down(tmp_path)[0] == 0
            broken = False
            screen = room.call.guarded(Camera(lambda at: shown(BENIGN, at)), stream="screen")
            watcher = Watcher()
            watcher.watch(screen)
            await until(lambda: len(watcher.pictures) > 20)
            assert max(seen.luma for seen in watcher.pictures) < CARD
            await room.end()

    talk(story)


@pytest.mark.parametrize("reply", [Silent(), Breaks()], ids=["silent", "broken"])
def test_a_judge_that_fails_covers_and_the_call_goes_on(reply: Reply, tmp_path: Path) -> None:
    failing = False

    def plan(n: int, token: Token, picture: Picture) -> Reply:
        nonlocal failing
        if not failing:
            return honest(n, token, picture)
        if isinstance(reply, Breaks):
            failing = False
        return reply

    async def story() -> None:
        nonlocal failing
        async with Room(tmp_path, plan) as room:
            await room.begin()
            failing = True
            failed_s = time.monotonic()
            await until(
                lambda: (
                    any(luma < CARD for luma in room.seen.between(failed_s, 1e12))
                    or room.call.state is not State.LIVE
                )
            )
            failing = False
            await asyncio.sleep(0.3)
            back_s = time.monotonic()
            await until(lambda: room.benign_since(back_s))
            assert room.there.connectionState == "connected"
            await room.end()
            report = room.call.reports["outgoing", "camera"]
            assert report.frames.unjudged_released == 0

    talk(story)


def test_when_the_guard_stops_recv_raises_and_nothing_more_arrives(tmp_path: Path) -> None:
    async def story() -> None:
        async with Room(tmp_path) as room:
            await room.begin()
            room.call.close()
            assert await asyncio.to_thread(room.call.wait, 20)
            with pytest.raises(MediaStreamError):
                await room.out.recv()
            with pytest.raises(MediaStreamError):
                await room.sound.recv()
            await asyncio.sleep(0.3)
            came = len(room.seen.pictures), len(room.seen.loud)
            await asyncio.sleep(0.7)
            assert (len(room.seen.pictures), len(room.seen.loud)) == came
            await room.end()

    talk(story)


class Encoded(Camera):
    """A track that gives packets, as aiortc's media players can."""

    async def recv(self) -> Any:
        import av

        await asyncio.sleep(0.01)
        return av.Packet(b"nothing")


def test_what_cannot_be_judged_does_not_pass(tmp_path: Path) -> None:
    async def story() -> None:
        call = safelight.Call(state=tmp_path, make_judge=lambda: FakeJudge(honest))
        out = call.guarded(Encoded(lambda at: shown(BENIGN, at)))
        with pytest.raises(MediaStreamError):
            await asyncio.wait_for(out.recv(), 20)
        with pytest.raises(safelight.SafelightError, match="encoded"):
            await asyncio.to_thread(call.wait, 20)
        call.close()

    talk(story)


def test_sound_without_a_picture_does_not_leave(tmp_path: Path) -> None:
    async def story() -> None:
        call = safelight.Call(state=tmp_path, make_judge=lambda: FakeJudge(honest))
        out = call.guarded(Microphone())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(out.recv(), 1.0)
        call.close()
        assert await asyncio.to_thread(call.wait, 20)
        with pytest.raises(MediaStreamError):
            await out.recv()

    talk(story)


def test_a_second_track_of_a_kind_and_a_strange_direction_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        call = safelight.Call(state=tmp_path, make_judge=lambda: FakeJudge(honest))
        call.guarded(Camera(lambda at: shown(BENIGN, at)))
        with pytest.raises(safelight.SafelightError, match="already"):
            call.guarded(Camera(lambda at: shown(BENIGN, at)))
        with pytest.raises(safelight.SafelightError, match="direction"):
            call.guarded(Camera(lambda at: shown(BENIGN, at)), direction="both")
        call.close()
        with pytest.raises(safelight.SafelightError, match="over"):
            call.guarded(Camera(lambda at: shown(BENIGN, at)), stream="late")

    talk(story)


def test_a_judge_that_does_not_start_lets_nothing_leave(tmp_path: Path) -> None:
    async def story() -> None:
        call = safelight.Call(state=tmp_path, make_judge=lambda: FakeJudge(honest, starts=False))
        out = call.guarded(Camera(lambda at: shown(BENIGN, at)))
        with pytest.raises(MediaStreamError):
            await asyncio.wait_for(out.recv(), 20)
        with pytest.raises(safelight.SafelightError):
            await asyncio.to_thread(call.wait, 20)
        call.close()

    talk(story)


@pytest.mark.slow
@pytest.mark.parametrize("shares", [False, True], ids=["its own", "shared"])
def test_the_real_judge_is_killed_and_the_call_goes_on(tmp_path: Path, *, shares: bool) -> None:
    """Real judge, real canary: no frame unjudged, the card, then the picture again."""
    judges: list[ProcessJudge] = []
    canary = load("cup")
    bundle = safelight.verify_bundle()

    def make() -> ProcessJudge:
        judges.append(ProcessJudge(bundle))
        return judges[-1]

    make_judge = SharedJudge(bundle, make=make).seat if shares else make

    async def story() -> None:
        shows_canary = False

        def draw(_: float) -> np.ndarray:
            return at_size(canary, (320, 180)) if shows_canary else scene(1.0, (320, 180))

        with safelight.Call(state=tmp_path, make_judge=make_judge) as call:
            out = call.guarded(Camera(draw, rate=8))
            seen = Watcher(keep=True)
            seen.watch(out)
            await until(lambda: call.state is State.LIVE, 60)
            killed = judges[0].pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            await until(lambda: call.state is not State.LIVE)
            shows_canary = True
            await until(lambda: call.state is State.COVERED, 60)
            shows_canary = False
            await until(lambda: call.state is State.LIVE, 60)
            assert judges[0].pid not in {None, killed}
            call.close()
            assert await asyncio.to_thread(call.wait, 20)
            report = call.reports["outgoing", "camera"]
            assert report.frames.unjudged_released == 0
            assert any(fault.what for fault in report.faults)
            knower = Knower()
            assert all(knower.like(s.frame) < LIKE for s in seen.pictures if s.frame is not None)

    talk(story)
