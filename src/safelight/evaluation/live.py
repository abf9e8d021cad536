"""What a guard adds to a live stream on this machine: a drawn scene at the pace of the world."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import safelight
from safelight.errors import LostError
from safelight.evaluation import figures
from safelight.evaluation.figures import Figure
from safelight.testing import scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.types import Picture

RATE = 30
_SIZE = (640, 360)
_LOOP = 60


def measure(seconds: float) -> tuple[Figure, ...]:
    """Guard a live drawn scene into nothing and return its latency and what became of it.

    Raises:
        SafelightError: it cannot be run.
    """
    # Drawn beforehand: drawing is slower than a camera.
    drawn = [scenes.picture_from_rgb(scenes.scene(i / RATE, _SIZE)) for i in range(_LOOP)]
    turn = [*range(_LOOP), *range(_LOOP - 2, 0, -1)]

    def pictures() -> Iterator[Picture]:
        for index in range(round(seconds * RATE)):
            yield drawn[turn[index % len(turn)]]

    source = DrawnSource(pictures(), live=True)
    with (
        tempfile.TemporaryDirectory(prefix="safelight-evaluation-") as state,
        safelight.open(source, "null:", state=state) as session,
    ):
        report = session.wait()
    if report is None:
        raise LostError("the live run gave no report", "run it again")
    frames, latency = report.frames, report.added_latency_ms
    arrived = frames.in_
    return (
        *(
            figures.plain(
                f"added_latency_{name}_ms",
                f"added latency, {name}, the hold of 250 ms included",
                getattr(latency, name),
                arrived,
                "pictures",
                unit="ms",
            )
            for name in ("p50", "p99", "max")
        ),
        *(
            figures.plain(f"live_{name}", f"{name}, of {arrived}", value, arrived, "pictures")
            for name, value in (
                ("released", frames.released),
                ("covered", frames.covered),
                ("dropped", frames.dropped),
            )
        ),
        figures.plain(
            "live_system_leaks", "system leaks", frames.unjudged_released, arrived, "pictures"
        ),
    )
