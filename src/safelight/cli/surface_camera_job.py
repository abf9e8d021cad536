"""Guards a drawn camera into the virtual one, for ``safelight bench --surfaces``.

``python -m safelight.cli.surface_camera_job REPORT SECONDS``
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import safelight
from safelight.cli.stopping import Stop
from safelight.cli.surface_chains import RATE, SIZE
from safelight.testing import scenes, timecode
from safelight.testing.drawn_source import DrawnSource


def run(report: Path, seconds: float) -> None:
    """Guard until it is asked to stop, and write the report."""
    pictures = map(scenes.picture_from_rgb, timecode.paced(SIZE, RATE, seconds))
    drawn = DrawnSource(pictures, rate=RATE, live=True)
    with Stop() as stop, tempfile.TemporaryDirectory() as state:
        session = safelight.open(drawn, "camera:", state=state)
        stop.opened(session.close)
        found = session.wait()
    if found is not None:
        report.write_text(found.model_dump_json(by_alias=True), "utf-8")


if __name__ == "__main__":
    run(Path(sys.argv[1]), float(sys.argv[2]))
