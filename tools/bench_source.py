"""What decoding apart costs: one 720p file, in the guard's process and apart, in turn in one run.

``python tools/bench_source.py [TURNS]`` prints pictures a second and CPU time a picture (of
both processes together, the start of the other one included and shown), and their ratios.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
from av.video.stream import VideoStream

from safelight.errors import EndOfStream
from safelight.media.address import parse_source
from safelight.media.apart import Apart
from safelight.media.av_source import AvSource
from safelight.types import Picture

PICTURES: Final = 600
WARM: Final = 60  # pictures before the clocks start: both ways are open and have their threads


@dataclass(frozen=True, slots=True)
class Run:
    """One reading of the file."""

    rate: float  # pictures a second, once warm
    cpu_ms: float  # a picture, of every process, once warm
    first_s: float  # to the first picture


def film(path: Path) -> None:
    """Draw it: moving, with noise, as a camera's pictures have."""
    graph = "testsrc2=size=1280x720:rate=30,noise=alls=6:allf=t"
    with (
        av.open(graph, format="lavfi") as drawn,
        av.open(str(path), "w") as container,
    ):
        stream = cast(VideoStream, container.add_stream("libx264", rate=30))
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "veryfast", "b": "4000000", "tune": "zerolatency"}
        for number, frame in enumerate(drawn.decode(video=0)):
            if number == PICTURES:
                break
            made = frame.reformat(format="yuv420p")
            made.pts, made.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))


def cpu_s(apart: Apart | None) -> float:
    """CPU time of this process and of the one that decodes, in seconds."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime + (apart.cpu_seconds() if apart else 0.0)


def read(path: Path, apart: Apart | None) -> Run:
    """Read it to its end."""
    source = AvSource(parse_source(str(path)), decodes=apart)
    begun = time.perf_counter()
    first_s = warm_at = warm_cpu = last_cpu = 0.0
    count = 0
    source.open()
    try:
        while True:
            if not isinstance(source.read().content, Picture):
                continue
            count += 1
            if count == 1:
                first_s = time.perf_counter() - begun
            if count == WARM:
                warm_at, warm_cpu = time.perf_counter(), cpu_s(apart)
            if count == PICTURES - 20:  # before the other process ends
                last_cpu, last_at, last = cpu_s(apart), time.perf_counter(), count
    except EndOfStream:
        pass
    finally:
        source.close()
    many = last - WARM
    return Run(many / (last_at - warm_at), 1000 * (last_cpu - warm_cpu) / many, first_s)


def main() -> None:
    """Run both ways in turn and print."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mkv"
        film(path)
        pairs = [(read(path, None), read(path, Apart())) for _ in range(turns)]
    for name, unit in (("rate", "pictures/s"), ("cpu_ms", "ms CPU/picture"), ("first_s", "s")):
        inside = [getattr(one, name) for one, _ in pairs]
        apart = [getattr(other, name) for _, other in pairs]
        ratios = [b / a for a, b in zip(inside, apart, strict=True)]
        print(
            f"{name:8} inside {statistics.median(inside):8.3f}  apart"
            f" {statistics.median(apart):8.3f} {unit}; ratio {statistics.median(ratios):.2f}"
            f" ({min(ratios):.2f}-{max(ratios):.2f})"
        )
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
