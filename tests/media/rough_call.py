"""A guarded call over a network that loses and delays: python -m tests.media.rough_call SECONDS

With ``injected`` after it, packets are lost and delayed where they are sent; without, by netem,
in a network namespace of its own (tests/test_call_rough.py). With ``plain``, the same call
without a guard. With ``asking``, the receiver asks every 100 ms for what is missing; aiortc's
asks again only when it notices that something else is.
Prints one JSON object: what arrived, and how much memory was used when.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aioice
import numpy as np
from aiortc import RTCPeerConnection, RTCRtpReceiver

import safelight
from safelight.testing.fakes import FakeJudge, Reply, Says, scores
from safelight.testing.webrtc_peers import Camera, Microphone, Watcher, connect, prefer, until
from safelight.types import Picture, State, Token

BENIGN, BRIGHT, SEEN, CARD = 110, 220, 165, 80
ROUND_S, BRIGHT_S = 10.0, 0.4


def plan(_: int, __: Token, picture: Picture) -> Reply:
    # Covered, and never often enough to interrupt.
    return Says(scores(0.6 if picture.y.mean() > SEEN else 0.01))


def draw(at_s: float) -> np.ndarray:
    level = BRIGHT if at_s % ROUND_S > ROUND_S - BRIGHT_S else BENIGN
    rgb = np.full((144, 192, 3), level, np.uint8)
    rgb[:, int(at_s * 40) % 180 :][:, :8] -= 20
    return rgb


def used_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


async def talk(seconds: float, state: Path, *, guarded: bool) -> dict[str, object]:
    seen = Watcher()
    here, there = RTCPeerConnection(), RTCPeerConnection()
    there.on("track", seen.watch)
    memory: list[int] = []
    bright = scenes = cards = sounds = waits = 0
    judge = FakeJudge(plan)
    with safelight.Call(state=state, make_judge=lambda: judge) as call:
        for track in (Camera(draw, 15), Microphone()):
            here.addTrack(call.guarded(track) if guarded else track)
        prefer(here, "VP8")
        await connect(here, there)
        await until(lambda: bool(seen.pictures), 60)
        end = time.monotonic() + seconds
        longest, last_s = 0.0, time.monotonic()
        while time.monotonic() < end:
            await asyncio.sleep(1.0)
            came, seen.pictures = seen.pictures, []
            for one in came:
                waits += one.at_s - last_s > 1.0
                longest, last_s = max(longest, one.at_s - last_s), one.at_s
                bright += one.luma > SEEN
                cards += one.luma < CARD
                scenes += CARD <= one.luma <= SEEN
            sounds += len(seen.loud)
            seen.loud, seen.pitches = [], []
            judge.asked.clear()  # what only tests ask for, and what only they would keep
            if round(end - time.monotonic()) % 30 == 0:
                memory.append(used_kb())
        live = call.state is not State.INTERRUPTED and there.connectionState == "connected"
        await here.close()
        await there.close()
        call.close()
        await asyncio.to_thread(call.wait, 20)
    reports = call.reports.values()
    return {
        "bright": bright,
        "cards": cards,
        "pictures": scenes,
        "sounds": sounds,
        "longest_gap_s": round(longest, 2),
        "gaps_over_1_s": waits,
        "ended_well": live,
        "unjudged_released": sum(report.frames.unjudged_released for report in reports),
        "memory_kb_every_30_s": memory,
    }


def lose_and_delay(loss: float = 0.03, delay_s: float = 0.04, jitter_s: float = 0.015) -> None:
    """Have every packet of media and control lost by chance, or sent later and out of order."""
    send = aioice.Connection.send
    dice = random.Random(1)  # noqa: S311
    under_way: set[asyncio.Task[None]] = set()

    async def late(self: aioice.Connection, data: bytes) -> None:
        await asyncio.sleep(max(0.0, delay_s + dice.uniform(-jitter_s, jitter_s)))
        with contextlib.suppress(ConnectionError):
            await send(self, data)

    async def rough(self: aioice.Connection, data: bytes) -> None:
        if dice.random() >= loss:
            under_way.add(task := asyncio.ensure_future(late(self, data)))
            task.add_done_callback(under_way.discard)

    aioice.Connection.send = rough  # type: ignore[method-assign]


def ask_again(every_s: float = 0.1) -> None:
    """Have receivers of pictures ask for lost packets until they come."""
    handle = RTCRtpReceiver._handle_rtp_packet
    asked: dict[int, float] = {}

    async def asking(self: Any, packet: Any, arrival_time_ms: int) -> None:
        await handle(self, packet, arrival_time_ms)
        lost, now_s = self._RTCRtpReceiver__nack_generator, time.monotonic()
        if lost is not None and lost.missing and now_s - asked.get(id(self), 0.0) > every_s:
            asked[id(self)] = now_s
            await self._send_rtcp_nack(packet.ssrc, sorted(lost.missing))

    RTCRtpReceiver._handle_rtp_packet = asking  # type: ignore[method-assign]


def main() -> None:
    if "injected" in sys.argv[2:]:
        lose_and_delay()
    if "asking" in sys.argv[2:]:
        ask_again()
    guarded = "plain" not in sys.argv[2:]
    with tempfile.TemporaryDirectory() as state:
        said = asyncio.run(talk(float(sys.argv[1]), Path(state), guarded=guarded))
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main()
