"""What guarding costs a call: latency from the camera to the other peer's screen, and back again.

    .venv/bin/python tools/bench_call.py [SECONDS]

Two peers on this machine, pictures of 320x180 at 15 a second in VP8, each with its number drawn
into it. First without a guard, then with one and its real judge, in one run. Prints milliseconds
from the moment a picture is drawn until it has been decoded, how long a card takes once the judge
was killed, and how long the picture takes after a resume. The pictures are drawn.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.media.webrtc_peers import Camera, Watcher, connect, prefer, until  # noqa: E402

import safelight  # noqa: E402
from safelight.judge.supervisor import ProcessJudge  # noqa: E402
from safelight.testing.scenes import scene  # noqa: E402
from safelight.types import State  # noqa: E402

SIZE: Final = (320, 180)
RATE: Final = 15
BITS: Final = 12
BLOCK: Final = 16
KILLS: Final = 5


class Numbered:
    """Draws a scene with its number in black and white blocks, and knows when it drew which."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def draw(self, at_s: float) -> np.ndarray:
        number = len(self.drawn)
        rgb = np.array(scene(at_s, SIZE))
        for bit in range(BITS):
            rgb[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 20
        self.drawn.append(time.monotonic())
        return rgb

    def number(self, frame: av.VideoFrame) -> int | None:
        grey = frame.to_ndarray(format="gray")
        found = 0
        for bit in range(BITS):
            level = grey[4 : BLOCK - 4, bit * BLOCK + 4 : (bit + 1) * BLOCK - 4].mean()
            if 90 < level < 160:
                return None
            found |= int(level > 128) << bit
        # A card is dark where the number is: 0, which no picture but the first has.
        return found if 0 < found < len(self.drawn) else None


async def latencies(numbered: Numbered, track: MediaStreamTrack, seconds: float) -> list[float]:
    here, there = RTCPeerConnection(), RTCPeerConnection()
    watcher = Watcher(keep=True)
    there.on("track", watcher.watch)
    try:
        here.addTrack(track)
        prefer(here, "VP8")
        await connect(here, there)
        await until(lambda: bool(watcher.pictures), 60)
        await asyncio.sleep(seconds)
    finally:
        await here.close()
        await there.close()
    took = []
    for seen in watcher.pictures[RATE:]:
        number = None if seen.frame is None else numbered.number(seen.frame)
        if number is not None:
            took.append((seen.at_s - numbered.drawn[number]) * 1000)
    return took


def say(what: str, times: list[float]) -> None:
    if not times:
        print(f"{what:<44} nothing came")
        return
    p50, p99, most = (float(np.percentile(times, q)) for q in (50, 99, 100))
    print(f"{what:<44} {p50:7.1f} {p99:7.1f} {most:7.1f}   {len(times)}")


async def measure(seconds: float, state: Path) -> None:
    print(f"{'milliseconds':<44} {'p50':>7} {'p99':>7} {'max':>7}   of")
    numbered = Numbered()
    plain = await latencies(numbered, Camera(numbered.draw, RATE), seconds)
    say("camera to screen, no guard", plain)
    judge = ProcessJudge(safelight.verify_bundle())
    with safelight.Call(state=state, make_judge=lambda: judge) as call:
        numbered = Numbered()
        guarded = await latencies(
            numbered, call.guarded(Camera(numbered.draw, RATE), stream="one"), seconds
        )
    say("camera to screen, guarded", guarded)
    if plain and guarded:
        p50, p99 = (float(np.percentile(guarded, q) - np.percentile(plain, q)) for q in (50, 99))
        print(f"{'difference':<44} {p50:7.1f} {p99:7.1f}")
    await asyncio.to_thread(call.ended, 20)
    report = call.reports["outgoing", "one"]
    print(f"guarded: {report.frames}")
    await killed(state)


async def killed(state: Path) -> None:
    """How long until a card, and until the picture is back, when the judge is killed."""
    judge = ProcessJudge(safelight.verify_bundle())
    with safelight.Call(state=state, make_judge=lambda: judge) as call:
        watcher = Watcher()
        watcher.watch(call.guarded(Camera(lambda at: scene(at, SIZE), RATE)))
        await until(lambda: call.state is State.LIVE, 60)
        cards, back, resumed = [], [], []
        for _ in range(KILLS):
            if call.state is State.INTERRUPTED:  # three in a minute
                at = time.monotonic()
                call.resume()
                resumed.append(await first(watcher, at, dark=False))
            await until(lambda: call.state is State.LIVE, 60)
            await asyncio.sleep(1.0)
            if judge.pid is not None:
                os.kill(judge.pid, signal.SIGKILL)
            at = time.monotonic()
            cards.append(await first(watcher, at, dark=True))
            await asyncio.sleep(0.5)
            if call.state is not State.INTERRUPTED:
                back.append(await first(watcher, at, dark=False, after=cards[-1] / 1000))
    say("judge killed, to the card", cards)
    say("judge killed, to the picture again", back)
    say("resume, to the picture", resumed)
    await asyncio.to_thread(call.ended, 20)
    report = call.reports["outgoing", "camera"]
    print(f"killed: {report.frames}")


async def first(watcher: Watcher, at_s: float, *, dark: bool, after: float = 0.0) -> float:
    """Milliseconds from ``at_s`` to the first card (dark), or the first picture."""

    def found() -> float | None:
        for seen in watcher.pictures:
            if seen.at_s > at_s + after and (seen.luma < 80) is dark:
                return seen.at_s
        return None

    await until(lambda: found() is not None, 60)
    came = found()
    return 0.0 if came is None else (came - at_s) * 1000


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as state:
        asyncio.run(measure(seconds, Path(state)))


if __name__ == "__main__":
    main()
