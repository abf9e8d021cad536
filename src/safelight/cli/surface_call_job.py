"""A call between two peers of this process, guarded and not, for ``safelight bench --surfaces``.

``python -m safelight.cli.surface_call_job CODEC SECONDS``; prints JSON. What is measured: how old
a picture is when the other peer has decoded it; how long a card takes once the judge was killed;
how long the picture takes after that, and after a resume.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

import safelight
from safelight.cli.processes import judges_of
from safelight.cli.surface_chains import RATE, SIZE
from safelight.testing.timecode import WARM_UP_S, Ages, Scene
from safelight.testing.webrtc_peers import Camera, Watcher, first_ms, until, watched
from safelight.types import State

_KILLS: Final = 4  # the third in a minute interrupts, so that there is something to resume
_START_S: Final = 60.0


async def measure(codec: str, seconds: float, state: Path) -> dict[str, Any]:
    """Return the figures without a guard, and with one."""
    plain = await _aged(Camera(_camera(), RATE), codec, seconds)
    with safelight.Call(state=state) as call:
        out = call.guarded(Camera(_camera(), RATE))
        guarded = await _aged(out, codec, seconds)
    await asyncio.to_thread(call.ended, 20)
    guarded["unjudged_released"] = _unjudged(call)
    return {"plain": plain, "guarded": guarded, "judge_killed": await _killed(codec, state)}


def _camera() -> Any:
    drawn = Scene(SIZE, RATE)
    return lambda _at_s: drawn.now()


async def _aged(track: Any, codec: str, seconds: float) -> dict[str, Any]:
    ages = Ages()
    watcher = Watcher(
        shown=lambda frame: ages.note(np.asarray(frame.to_ndarray(format="gray"), np.uint8))
    )
    async with watched(track, watcher, codec):
        await until(lambda: bool(ages.ages_ms), _START_S)
        await asyncio.sleep(seconds)
    return ages.figures()


async def _killed(codec: str, state: Path) -> dict[str, Any]:
    watcher = Watcher()
    cards: list[float] = []
    back: list[float] = []
    resumed: list[float] = []
    with safelight.Call(state=state) as call:
        async with watched(call.guarded(Camera(_camera(), RATE)), watcher, codec):
            for _ in range(_KILLS):
                if call.state is State.INTERRUPTED:
                    at_s = time.monotonic()
                    call.resume()
                    resumed.append(await first_ms(watcher, at_s, dark=False))
                await until(lambda: call.state is State.LIVE, _START_S)
                await asyncio.sleep(WARM_UP_S)
                at_s = time.monotonic()
                for judge in judges_of(os.getpid()):
                    os.kill(judge, signal.SIGKILL)
                cards.append(await first_ms(watcher, at_s, dark=True))
                await asyncio.sleep(0.5)
                if call.state is not State.INTERRUPTED:
                    back.append(await first_ms(watcher, at_s + cards[-1] / 1000, dark=False))
    await asyncio.to_thread(call.ended, 20)
    return {
        "to_card_ms": [round(ms) for ms in cards],
        "to_picture_ms": [round(ms) for ms in back],
        "resume_to_picture_ms": [round(ms) for ms in resumed],
        "unjudged_released": _unjudged(call),
    }


def _unjudged(call: safelight.Call) -> int:
    return sum(report.frames.unjudged_released for report in call.reports.values())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(measure(sys.argv[1], float(sys.argv[2]), Path(folder)))
    sys.stdout.write(json.dumps(told) + "\n")
