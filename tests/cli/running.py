"""Runs the command line for tests: in this process, or as the program that a user starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from safelight.testing import scenes
from safelight.testing.film import Film, read_back

PROGRAM = [sys.executable, "-m", "safelight"]
# A live source that needs no other program.
LIVE = "lavfi:testsrc2=size=320x240:rate=30,realtime"


def environment(folder: Path) -> dict[str, str]:
    """An environment whose cool-down is the test's own."""
    return {**os.environ, "XDG_STATE_HOME": str(folder / "state-home"), "TERM": "xterm"}


def run(
    *arguments: str, cwd: Path, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment(cwd),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=before,
    )


@contextlib.contextmanager
def started(
    *arguments: str, cwd: Path, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Start it, and make sure that it does not outlive the test."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment(cwd),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(true: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about")
        time.sleep(0.05)


def film(path: Path, *, pictures: int = 30, size: tuple[int, int] = (320, 180)) -> Path:
    """A short drawn film."""
    with Film(path, size) as out:
        for index in range(pictures):
            out.add(scenes.scene(index / 30, size))
    return path


def pictures_in(path: Path) -> int:
    return sum(1 for _ in read_back(path))


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]
