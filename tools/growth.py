"""What a guard's memory and descriptors do over many frames.

    .venv/bin/python tools/growth.py [FRAMES]

A drawn scene of 320x240 through a whole guard, its judge in its own process, as fast as it
goes, into nothing. Prints memory (of this process and of those it started) and open
descriptors at the first tenth and at the end. 100,000 frames take a quarter of an hour.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator

import safelight
from safelight.cli.processes import memory_bytes
from safelight.testing import scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.types import Picture

SIZE = (320, 240)
LOOP = 240


def main() -> None:
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    drawn = [scenes.picture_from_rgb(scenes.scene(at / 30, SIZE)) for at in range(LOOP)]
    seen: list[tuple[int, int, int]] = []

    def pictures() -> Iterator[Picture]:
        turn = [*range(LOOP), *range(LOOP - 2, 0, -1)]
        for index in range(frames):
            if index and index % max(1, frames // 10) == 0:
                seen.append(look(index))
            yield drawn[turn[index % len(turn)]]

    with tempfile.TemporaryDirectory() as state:
        source = DrawnSource(pictures())
        with safelight.open(source, "null:", state=state) as session:
            report = session.wait()
    if report is None or len(seen) < 2:
        raise SystemExit("it did not run")
    for index, memory, handles in seen:
        print(f"{index:8} frames: {memory / 1e6:8.1f} MB, {handles} descriptors")
    grew = (seen[-1][1] - seen[0][1]) / 1e6
    print(f"growth from the first tenth on: {grew:.1f} MB, {seen[-1][2] - seen[0][2]} descriptors")
    print(f"system leaks: {report.frames.unjudged_released}; judged {report.frames.judged}")


def look(index: int) -> tuple[int, int, int]:
    gc.collect()
    return index, memory_bytes(os.getpid()), len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    main()
