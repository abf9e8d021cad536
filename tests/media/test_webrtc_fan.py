"""What may leave, handed to several peers: sound whole, pictures as fast as each takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from fractions import Fraction

import av
import numpy as np

from safelight.media.webrtc import GuardedTrack
from safelight.media.webrtc_peer import Fan

STEP = 960


def chunk(number: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * STEP), np.int16), "s16", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, number * STEP, Fraction(1, 48_000)
    return frame


def picture(number: int) -> av.VideoFrame:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, 30)
    return frame


def talk(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story(), 20)

    asyncio.run(bounded())


def test_sound_that_leaves_in_bursts_reaches_every_peer_whole() -> None:
    """It waits for its picture, so five chunks leave at once: a peer that hears one of them
    hears a fifth of what is said."""

    async def story() -> None:
        guarded, fan = GuardedTrack("audio", lambda: None), Fan()
        fan.add(guarded)
        heard: list[list[int]] = [[], []]

        async def listen(peer: int) -> None:
            (track,) = fan.tracks()
            while len(heard[peer]) < 20:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                assert frame.pts is not None
                heard[peer].append(frame.pts // STEP)

        both = [asyncio.ensure_future(listen(peer)) for peer in range(2)]
        await asyncio.sleep(0.05)
        for burst in range(4):
            for number in range(5):
                guarded.put(chunk(5 * burst + number))
            await asyncio.sleep(0.05)
        await asyncio.wait_for(asyncio.gather(*both), 5)
        assert heard == [list(range(20))] * 2

    talk(story)


def test_a_peer_that_is_slow_gets_the_newest_picture_and_makes_nobody_wait() -> None:
    async def story() -> None:
        guarded, fan = GuardedTrack("video", lambda: None), Fan()
        fan.add(guarded)
        (track,) = fan.tracks()
        first = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0.05)
        for number in range(6):
            guarded.put(picture(number))
            await asyncio.sleep(0.01)
        assert (await first).pts == 0
        assert (await track.recv()).pts == 5
        assert guarded.left_behind == 0

    talk(story)
