"""What a guard's memory and descriptors do over many frames.

    .venv/bin/python tools/growth.py [FRAMES [FILM]]

A drawn scene of 320x240 through a whole guard, its judge in its own process, as fast as it
goes, into nothing; or FILM, at least so many frames long, which is also decoded in a process
of its own. Prints memory (of this process and of those it started) and open descriptors at
every tenth. 100,000 frames take a quarter of an hour.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator

import safelight
from safelight.cli.processes import memory_bytes
from safelight.media.interface import SourceInfo
from safelight.testing import scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.types import Picture, SafeFrame

SIZE = (320, 240)
LOOP = 240


class Looking:
    """A sink that keeps nothing and looks at memory after every ``step`` pictures."""

    def __init__(self, step: int) -> None:
        self.seen: list[tuple[int, int, int]] = []
        self._step = step
        self._count = 0

    def open(self, info: SourceInfo) -> None:
        """Take anything."""

    def write(self, frame: SafeFrame) -> None:
        """Count a picture."""
        if isinstance(frame.content, Picture):
            self._count += 1
            if self._count % self._step == 0:
                gc.collect()
                handles = len(os.listdir("/proc/self/fd"))
                self.seen.append((self._count, memory_bytes(os.getpid()), handles))

    def close(self, *, whole: bool) -> None:
        """Nothing is left to do."""


def drawn(frames: int) -> Iterator[Picture]:
    """Play eight seconds to and fro: nothing jumps."""
    pictures = [scenes.picture_from_rgb(scenes.scene(at / 30, SIZE)) for at in range(LOOP)]
    turn = [*range(LOOP), *range(LOOP - 2, 0, -1)]
    for index in range(frames):
        yield pictures[turn[index % len(turn)]]


def main() -> None:
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    sink = Looking(max(1, frames // 10))
    source = sys.argv[2] if len(sys.argv) > 2 else DrawnSource(drawn(frames))
    with (
        tempfile.TemporaryDirectory() as state,
        safelight.open(source, sink, state=state) as session,
    ):
        report = session.wait()
    if report is None or len(sink.seen) < 2:
        raise SystemExit("it did not run")
    for index, memory, handles in sink.seen:
        print(f"{index:8} frames: {memory / 1e6:8.1f} MB, {handles} descriptors")
    first, last = sink.seen[0], sink.seen[-1]
    grew = (last[1] - first[1]) / 1e6
    print(f"growth from the first tenth on: {grew:.1f} MB, {last[2] - first[2]} descriptors")
    print(f"system leaks: {report.frames.unjudged_released}; judged {report.frames.judged}")


if __name__ == "__main__":
    main()
