"""One measurement of ``safelight bench``, in a process of its own: JSON in, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import safelight
from safelight.cli.processes import cpu_seconds, memory_bytes
from safelight.testing import scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.film import read_back
from safelight.testing.idle_source import IdleSource
from safelight.testing.passthrough import decode, passthrough, sample
from safelight.testing.sinks import CountingSink
from safelight.types import Picture

# Pictures of a live run, played to and fro: nothing jumps, and little memory is needed.
LOOP: Final = 60
# After its publisher has left, a listener is given this long to let go of what it holds.
_TAIL_S: Final = 1.5
_MEMORY_EVERY_S: Final = 0.5

Kind = Literal[
    "decode",
    "encode",
    "plain",
    "guard",
    "copy",
    "every",
    "sampled",
    "leaks",
    "memory",
    "rtmp",
    "rtmp copy",
    "idle",
]


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure. ``folder`` is a scratch folder; ``seconds`` the length of a live run."""

    kind: Kind
    film: str
    folder: str
    seconds: float = 0.0
    port: int = 0
    hold_ms: int = 250

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out. Times in seconds; start-up is kept apart from the run.

    ``cpu_s``: of this process and of every other that it started, the judge's among them.
    ``left``: numbers of the frames that left as they were, where they were asked for.
    """

    start_s: float
    wall_s: float
    cpu_s: float
    pictures: int
    report: dict[str, Any] | None = None
    memory_bytes: int = 0
    left: list[int] | None = None

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


class _Peak(threading.Thread):
    """Watches how much memory this process and those it started have together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self.cpu_s = 0.0  # what looking costs, which is nobody's
        self._enough = threading.Event()

    def run(self) -> None:
        """Look now and then, until ``stop``."""
        while not self._enough.wait(_MEMORY_EVERY_S):
            self.bytes = max(self.bytes, memory_bytes(os.getpid()))
            self.cpu_s = time.thread_time()  # of the start too: taken away where it was spent

    def cpu_of_others(self) -> float:
        """CPU seconds of this process so far, without what looking took."""
        return time.process_time() - self.cpu_s

    def stop(self) -> int:
        """Return the most that was seen."""
        self._enough.set()
        self.join()
        return self.bytes


def measure(job: Job) -> Measured:
    """Carry out one job.

    Raises:
        SafelightError: it could not be run.
    """
    peak = _Peak()
    peak.start()
    measured = _alone(job, peak) if job.kind in _ALONE else _guarded(job, peak)
    most = peak.stop()
    return replace(measured, memory_bytes=most)


_ALONE: Final = ("decode", "encode", "plain", "every", "sampled")
_SINKS: Final = {"guard": "guarded.mp4", "copy": "guarded.mp4", "rtmp copy": "guarded.flv"}
_COPIES: Final = ("copy", "rtmp copy")


def _alone(job: Job, peak: _Peak) -> Measured:
    film, out = Path(job.film), Path(job.folder) / f"{job.kind}.mp4"
    classify = None
    if job.kind in {"every", "sampled"}:
        from safelight.testing.peer import opennsfw  # noqa: PLC0415  (loads a network)

        classify = opennsfw()
    left: list[int] = []
    began, cpu = time.monotonic(), peak.cpu_of_others()
    match job.kind:
        case "decode":
            count = decode(film)
        case "encode":
            # The yardstick: constant quality 23, one thread.
            count = passthrough(film, out, crf=23, threads=1)
        case "plain":
            count = passthrough(film, out)
        case _:
            count, left = sample(film, out, classify, every=1 if job.kind == "every" else 30)
    spent = max(0.0, peak.cpu_of_others() - cpu)
    return Measured(0.0, time.monotonic() - began, spent, count, left=left or None)


def _guarded(job: Job, peak: _Peak) -> Measured:
    folder = Path(job.folder)
    address = f"rtmp://127.0.0.1:{job.port}/live/bench"
    source: str | DrawnSource | IdleSource
    match job.kind:
        case "memory":
            source = DrawnSource(_to_and_fro(Path(job.film), job.seconds), live=True)
        case "rtmp" | "rtmp copy":
            source = f"{address}?listen=1"
        case "idle":
            source = IdleSource()
        case _:
            source = job.film
    counting = CountingSink() if job.kind == "leaks" else None
    sink = counting or (str(folder / _SINKS[job.kind]) if job.kind in _SINKS else "null:")
    copies = job.kind in _COPIES
    before = time.monotonic()
    with safelight.open(source, sink, state=folder, hold_ms=job.hold_ms, copy=copies) as session:
        others = cpu_seconds(os.getpid())  # of judge and source: what starting them took
        began, cpu = time.monotonic(), peak.cpu_of_others()
        if job.kind.startswith("rtmp"):
            command = [sys.executable, "-m", "safelight.testing.publish", job.film, address]
            subprocess.run(command, check=True)
            time.sleep(_TAIL_S)
            session.close()
        if job.kind == "idle":
            time.sleep(job.seconds)
            others_idle = cpu_seconds(os.getpid()) - others
            own_idle = peak.cpu_of_others() - cpu
            session.close()
        report = session.wait()
    ended, cpu_end = time.monotonic(), peak.cpu_of_others()
    if report is None:
        raise RuntimeError("there is no report")
    apart_s = report.cpu_s.judge + report.cpu_s.source
    spent = max(0.0, cpu_end - cpu) + max(0.0, apart_s - others)
    return Measured(
        start_s=began - before,
        wall_s=ended - began,
        cpu_s=own_idle + others_idle if job.kind == "idle" else spent,
        pictures=report.frames.in_,
        report=report.model_dump(mode="json", by_alias=True),
        left=counting.released if counting is not None else None,
    )


def _to_and_fro(film: Path, seconds: float) -> Iterator[Picture]:
    pictures: list[Picture] = []
    for shown in read_back(film):
        pictures.append(scenes.picture_from_rgb(shown.rgb))
        if len(pictures) == LOOP:
            break
    turn = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)] or [0]
    for index in range(round(seconds * 30)):
        yield pictures[turn[index % len(turn)]]


if __name__ == "__main__":
    sys.stdout.write(measure(Job(**json.loads(sys.argv[1]))).as_text() + "\n")
