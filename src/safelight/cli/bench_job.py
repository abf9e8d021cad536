"""One measurement of ``safelight bench``, in a process of its own: JSON in, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

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
READY: Final = "ready\n"
# After its publisher has left, a listener is given this long to let go of what it holds.
_TAIL_S: Final = 1.5
# Looking at memory takes 30 ms of a core's time, which several live streams would miss. A short
# run is looked at a few times all the same: once may be while it starts.
_MEMORY_EVERY_S: Final = 0.5
_MEMORY_EVERY_LIVE_S: Final = 3.0
_LEAST_LOOKS: Final = 4

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
    "shared",
    "shared copy",
]


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure. ``folder`` is a scratch folder; ``seconds`` the length of a live run.

    ``ports``: where each of the streams that share a judge is published to; zeros if they
    come from memory. ``together``: say ``ready`` when everything has been started, and begin at
    the next line that comes in.
    """

    kind: Kind
    film: str
    folder: str
    seconds: float = 0.0
    port: int = 0
    hold_ms: int = 250
    ports: tuple[int, ...] = ()
    together: bool = False

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out. Times in seconds; start-up is kept apart from the run.

    ``cpu_s``: of this process and of every other that it started, the judge's among them.
    ``left``: numbers of the frames that left as they were, where they were asked for.
    ``reports``: one a stream, where several share a judge.
    """

    start_s: float
    wall_s: float
    cpu_s: float
    pictures: int
    report: dict[str, Any] | None = None
    memory_bytes: int = 0
    left: list[int] | None = None
    reports: list[dict[str, Any]] | None = None

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


class _Peak(threading.Thread):
    """Watches how much memory this process and those it started have together."""

    def __init__(self, every_s: float) -> None:
        super().__init__(daemon=True)
        self._every_s = every_s
        self.publishers: list[int] = []  # processes that are not the guard's
        self.bytes = 0
        self.cpu_s = 0.0  # what looking costs, which is nobody's
        self._enough = threading.Event()

    def run(self) -> None:
        """Look now and then, until ``stop``."""
        while not self._enough.wait(self._every_s):
            self.bytes = max(self.bytes, memory_bytes(os.getpid(), self.publishers))
            self.cpu_s = time.thread_time()  # of the start too: taken away where it was spent

    def cpu_of_others(self) -> float:
        """CPU seconds of this process so far, without what looking took."""
        return time.process_time() - self.cpu_s

    def stop(self) -> int:
        """Return the most that was seen."""
        self._enough.set()
        self.join()
        return self.bytes


class _Publisher:
    """Another process that sends a film to a port: there from the start, as it would be on a
    machine of its own, and neither its time nor its memory is the guard's."""

    def __init__(self, film: str, port: int, peak: _Peak) -> None:
        command = [sys.executable, "-m", "safelight.testing.publish", film, _published_at(port)]
        self._process = subprocess.Popen([*command, "15", "on-line"], stdin=subprocess.PIPE)
        peak.publishers.append(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self) -> None:
        """Have it send."""
        pipe = self._process.stdin
        if pipe is not None:
            with suppress(BrokenPipeError):  # it has ended: wait() says so
                pipe.write(b"\n")
                pipe.flush()

    def wait(self) -> None:
        """Wait until all is sent.

        Raises:
            RuntimeError: it failed.
        """
        if self._process.wait() != 0:
            raise RuntimeError("the publisher failed")


def measure(job: Job) -> Measured:
    """Carry out one job.

    Raises:
        SafelightError: it could not be run.
    """
    every_s = min(_MEMORY_EVERY_LIVE_S, job.seconds / _LEAST_LOOKS) or _MEMORY_EVERY_S
    peak = _Peak(every_s)
    peak.start()
    if job.kind in _ALONE:
        measured = _alone(job, peak)
    elif job.ports:
        measured = _sharing(job, peak)
    else:
        measured = _guarded(job, peak)
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
    source: str | DrawnSource | IdleSource
    match job.kind:
        case "memory":
            source = DrawnSource(_to_and_fro(Path(job.film), job.seconds), live=True)
        case "rtmp" | "rtmp copy":
            source = f"{_published_at(job.port)}?listen=1"
        case "idle":
            source = IdleSource()
        case _:
            source = job.film
    counting = CountingSink() if job.kind == "leaks" else None
    sink = counting or (str(folder / _SINKS[job.kind]) if job.kind in _SINKS else "null:")
    copies = job.kind in _COPIES
    publisher: _Publisher | None = None
    with ExitStack() as opened:
        if job.kind.startswith("rtmp"):
            publisher = opened.enter_context(_Publisher(job.film, job.port, peak))
        before = time.monotonic()
        session = opened.enter_context(
            safelight.open(source, sink, state=folder, hold_ms=job.hold_ms, copy=copies)
        )
        if job.together:
            sys.stdout.write(READY)
            sys.stdout.flush()
            sys.stdin.readline()
        # Of judge and source: what starting them took.
        others = cpu_seconds(os.getpid(), peak.publishers)
        began, cpu = time.monotonic(), peak.cpu_of_others()
        if publisher is not None:
            publisher.begin()
            publisher.wait()
            time.sleep(_TAIL_S)
            session.close()
        if job.kind == "idle":
            time.sleep(job.seconds)
            others_idle = cpu_seconds(os.getpid(), peak.publishers) - others
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


def _sharing(job: Job, peak: _Peak) -> Measured:
    """Guard several streams in this process, which share one judge."""
    before = time.monotonic()
    with ExitStack() as opened:
        judge = opened.enter_context(safelight.shared_judge())
        place = judge.seat()  # so that what it takes to start is not a stream's
        place.start(lambda _: None)
        opened.callback(place.close)
        others = judge.cpu_seconds()
        sources: list[str | DrawnSource] = [
            f"{_published_at(port)}?listen=1"
            if port
            else DrawnSource(list(_to_and_fro(Path(job.film), job.seconds)), live=True)
            for port in job.ports
        ]
        publishers = [
            opened.enter_context(_Publisher(job.film, port, peak)) for port in job.ports if port
        ]
        began, cpu = time.monotonic(), peak.cpu_of_others()
        sessions = []
        for index, (source, port) in enumerate(zip(sources, job.ports, strict=True)):
            folder = Path(job.folder) / str(index)
            folder.mkdir()
            sink = str(folder / "guarded.flv") if port else "null:"
            session = safelight.open(
                source, sink, state=folder, hold_ms=job.hold_ms, copy=port > 0, judge=judge
            )
            sessions.append(opened.enter_context(session))
        for publisher in publishers:
            publisher.begin()
        for publisher in publishers:
            publisher.wait()
        if publishers:
            time.sleep(_TAIL_S)
            for session in sessions:
                session.close()
        reports = [session.wait() for session in sessions]
        ended, cpu_end = time.monotonic(), peak.cpu_of_others()
        judge_s = judge.cpu_seconds() - others
    done = [report for report in reports if report is not None]
    return Measured(
        start_s=began - before,
        wall_s=ended - began,
        cpu_s=max(0.0, cpu_end - cpu) + judge_s + sum(report.cpu_s.source for report in done),
        pictures=sum(report.frames.in_ for report in done),
        reports=[report.model_dump(mode="json", by_alias=True) for report in done],
    )


def _published_at(port: int) -> str:
    return f"rtmp://127.0.0.1:{port}/live/bench"


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
