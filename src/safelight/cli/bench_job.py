"""One measurement of ``safelight bench``, in a process of its own: JSON in, JSON out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import safelight
from safelight.testing import scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.film import read_back
from safelight.testing.passthrough import passthrough
from safelight.types import Picture

# Pictures of a live run, played to and fro: nothing jumps, and little memory is needed.
LOOP = 60
# After its publisher has left, a listener is given this long to let go of what it holds.
_TAIL_S = 1.5


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure. ``folder`` is a scratch folder; ``seconds`` the length of a live run."""

    kind: Literal["file", "plain", "memory", "rtmp"]
    film: str
    folder: str
    seconds: float = 0.0
    port: int = 0

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out. Times in seconds; start-up is kept apart from the run."""

    start_s: float
    wall_s: float
    cpu_s: float
    pictures: int
    report: dict[str, Any] | None

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def measure(job: Job) -> Measured:
    """Carry out one job.

    Raises:
        SafelightError: it could not be run.
    """
    folder = Path(job.folder)
    if job.kind == "plain":
        began, cpu = time.monotonic(), time.process_time()
        count = passthrough(Path(job.film), folder / "plain.mp4")
        return Measured(0.0, time.monotonic() - began, time.process_time() - cpu, count, None)
    address = f"rtmp://127.0.0.1:{job.port}/live/bench"
    source: str | DrawnSource
    match job.kind:
        case "file":
            source = job.film
        case "memory":
            source = DrawnSource(_to_and_fro(Path(job.film), job.seconds), live=True)
        case "rtmp":
            source = f"{address}?listen=1"
    sink = str(folder / "guarded.mp4") if job.kind == "file" else "null:"
    before = time.monotonic()
    with safelight.open(source, sink, state=folder) as session:
        began, cpu = time.monotonic(), time.process_time()
        if job.kind == "rtmp":
            command = [sys.executable, "-m", "safelight.testing.publish", job.film, address]
            subprocess.run(command, check=True)
            time.sleep(_TAIL_S)
            session.close()
        report = session.wait()
    ended, cpu_end = time.monotonic(), time.process_time()
    if report is None:
        raise RuntimeError("there is no report")
    return Measured(
        start_s=began - before,
        wall_s=ended - began,
        cpu_s=cpu_end - cpu,
        pictures=report.frames.in_,
        report=report.model_dump(mode="json", by_alias=True),
    )


def _to_and_fro(film: Path, seconds: float) -> Iterator[Picture]:
    pictures: list[Picture] = []
    for shown in read_back(film):
        pictures.append(scenes.picture_from_rgb(shown.rgb))
        if len(pictures) == LOOP:
            break
    turn = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    for index in range(round(seconds * 30)):
        yield pictures[turn[index % len(turn)]]


if __name__ == "__main__":
    sys.stdout.write(measure(Job(**json.loads(sys.argv[1]))).as_text() + "\n")
