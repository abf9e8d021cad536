"""A guarded call over a network that loses and delays: python -m tests.media.rough_call SECONDS

Two processes: one calls, another one, which it starts, is called and watches. With ``linked``,
each is in a network namespace of its own, and what is between them loses and delays
(tests/media/rough_link.py); with ``injected``, both do it themselves where they send. With
``plain``, the same call without a guard. The receiver of pictures is the one that the guard has
for incoming ones, which asks until what is missing comes; with ``once``, aiortc's own.
Prints one JSON object: what arrived, and how much memory the guard's process used when.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aioice
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from tests.media.rough_link import DELAY_S, JITTER_S, LOSS, NoLinkError, rough_link

import safelight
from safelight.media.webrtc_asking import AskingReceiver
from safelight.testing.fakes import FakeJudge, Reply, Says, scores
from safelight.testing.webrtc_peers import Camera, Microphone, Watcher, prefer, until
from safelight.types import Picture, State, Token

BENIGN, BRIGHT, SEEN, CARD = 110, 220, 165, 80
ROUND_S, BRIGHT_S = 10.0, 0.4
NO_LINK = 77  # exit status: this machine makes no such network


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


async def called(given: argparse.Namespace) -> None:
    """Answer the offer on standard input, watch until that is closed, print what came."""
    seen = Watcher()
    there = _peer()

    def watch(track: MediaStreamTrack) -> None:
        parts = [part.receiver for part in there.getTransceivers()]
        if "once" not in given.how:
            AskingReceiver(next(part for part in parts if part.track is track))
        seen.watch(track)

    there.on("track", watch)
    offer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    await there.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await there.setLocalDescription(await there.createAnswer())
    print(json.dumps(there.localDescription.sdp), flush=True)  # noqa: T201
    hung_up = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    await until(lambda: bool(seen.pictures), 60)
    bright = scenes = cards = sounds = waits = 0
    longest, last_s = 0.0, time.monotonic()
    while not hung_up.done():
        await asyncio.wait([hung_up], timeout=1.0)
        came, seen.pictures = seen.pictures, []
        for one in came:
            waits += one.at_s - last_s > 1.0
            longest, last_s = max(longest, one.at_s - last_s), one.at_s
            bright += one.luma > SEEN
            cards += one.luma < CARD
            scenes += CARD <= one.luma <= SEEN
        sounds += len(seen.loud)
        seen.loud, seen.pitches = [], []
    said = {
        "bright": bright,
        "cards": cards,
        "pictures": scenes,
        "sounds": sounds,
        "longest_gap_s": round(longest, 2),
        "gaps_over_1_s": waits,
        "connected": there.connectionState == "connected",
    }
    await there.close()
    print(json.dumps(said))  # noqa: T201


async def talk(given: argparse.Namespace, state: Path) -> dict[str, object]:
    """Call whoever is there, for so long."""
    here = _peer()
    memory: list[int] = []
    judge = FakeJudge(plan)
    with safelight.Call(state=state, make_judge=lambda: judge) as call:
        for track in (Camera(draw, 15), Microphone()):
            here.addTrack(track if "plain" in given.how else call.guarded(track))
        prefer(here, "VP8")
        await here.setLocalDescription(await here.createOffer())
        async with _somebody(given) as (ask, hang_up):
            answer = await ask(here.localDescription.sdp)
            await here.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await until(lambda: here.connectionState == "connected", 60)
            end = time.monotonic() + float(given.seconds)
            while time.monotonic() < end:
                await asyncio.sleep(1.0)
                judge.asked.clear()  # what only tests ask for, and what only they would keep
                if round(end - time.monotonic()) % 30 == 0:
                    memory.append(used_kb())
            live = call.state is not State.INTERRUPTED
            came = await hang_up()
        await here.close()
        call.close()
        await asyncio.to_thread(call.wait, 20)
    reports = call.reports.values()
    return {
        **came,
        "ended_well": live and came["connected"],
        "unjudged_released": sum(report.frames.unjudged_released for report in reports),
        "memory_kb_every_30_s": memory,
    }


def _peer() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


Ask = Callable[[str], Awaitable[str]]
HangUp = Callable[[], Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def _somebody(given: argparse.Namespace) -> AsyncIterator[tuple[Ask, HangUp]]:
    """Another process that is called; it is gone afterwards."""
    command = [*given.there.split(), sys.executable, "-m", "tests.media.rough_call", "called"]
    process = await asyncio.create_subprocess_exec(
        *command, *given.how, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, back = process.stdin, process.stdout
    assert out is not None
    assert back is not None

    async def ask(offer: str) -> str:
        out.write(json.dumps(offer).encode() + b"\n")
        return str(json.loads(await asyncio.wait_for(back.readline(), 60)))

    async def hang_up() -> dict[str, Any]:
        out.close()
        said: dict[str, Any] = json.loads(await asyncio.wait_for(back.readline(), 60))
        return said

    try:
        yield ask, hang_up
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def lose_and_delay() -> None:
    """Have every packet of media and control lost by chance, or sent later and out of order."""
    send = aioice.Connection.send
    dice = random.Random(1)  # noqa: S311
    under_way: set[asyncio.Task[None]] = set()

    async def late(self: aioice.Connection, data: bytes) -> None:
        await asyncio.sleep(max(0.0, DELAY_S + dice.uniform(-JITTER_S, JITTER_S)))
        with contextlib.suppress(ConnectionError):
            await send(self, data)

    async def rough(self: aioice.Connection, data: bytes) -> None:
        if dice.random() >= LOSS:
            under_way.add(task := asyncio.ensure_future(late(self, data)))
            task.add_done_callback(under_way.discard)

    aioice.Connection.send = rough  # type: ignore[method-assign]


def linked(given: argparse.Namespace) -> int:
    """Make a call over a rough link; return the exit status."""
    how = [word for word in given.how if word != "linked"]
    try:
        with rough_link() as link:
            command = [*link.inside(link.here), sys.executable, "-m", "tests.media.rough_call"]
            command += [given.seconds, *how, "--there", " ".join(link.inside(link.there))]
            ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except NoLinkError as why:
        print(why)  # noqa: T201
        return NO_LINK
    if ran.returncode == 0:
        print(json.dumps({**json.loads(ran.stdout), "link": link.kind, **link.did}))  # noqa: T201
    return ran.returncode


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", help="how long; or: called")
    parser.add_argument("how", nargs="*", help="linked, injected, plain, once")
    parser.add_argument("--there", default="", help="what starts a program where the other one is")
    given = parser.parse_args()
    if "linked" in given.how:
        return linked(given)
    if "injected" in given.how:
        lose_and_delay()
    if given.seconds == "called":
        asyncio.run(called(given))
        return 0
    with tempfile.TemporaryDirectory() as state:
        said = asyncio.run(talk(given, Path(state)))
    print(json.dumps(said))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
