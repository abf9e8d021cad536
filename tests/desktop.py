"""The guarded camera on a desktop of a test's own, with a screen in memory if asked for."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import programs
from tests.cli.running import until

from safelight.cli import camera_running
from safelight.media.camera_sink import NODE
from safelight.testing import desktop as private


def need_pipewire() -> None:
    """Skip, or fail in CI, where there is no PipeWire."""
    for program, package in private.NEEDS:
        programs.need(program, package)


class Desktop(private.Desktop):
    """A desktop, and the program on it."""

    python = sys.executable

    def screen(self) -> None:
        """A screen in memory, whose number is free; what the bus starts is shown there."""
        reading, writing = os.pipe()
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
            pass_fds=[writing],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        os.close(writing)
        with os.fdopen(reading) as said:
            number = said.readline().strip()
        self.env |= {"DISPLAY": f":{number}", "XDG_CURRENT_DESKTOP": "GNOME"}

    def offers_camera(self) -> bool:
        return self.offers(NODE)

    def state(self) -> str:
        """The state that the guarded camera says it is in; "" where none runs."""
        running = camera_running.find(self.folder / "run" / "safelight" / "camera")
        return "" if running is None else running.state

    def safelight(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "safelight", *arguments],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def camera(self, source: str, *more: str) -> subprocess.Popen[bytes]:
        """Start the guarded camera, and wait until other apps can choose it."""
        command = [sys.executable, "-m", "safelight", "camera", "run", *more, source]
        guard = self.start(*command)
        until(lambda: self.offers_camera() or guard.poll() is not None, within_s=90)
        assert guard.poll() is None, self.log(sys.executable)
        return guard

    def log(self, program: str) -> str:
        return (self.folder / f"{Path(program).name}.log").read_text(errors="replace")[-2000:]


@contextlib.contextmanager
def desktop(folder: Path, *, screen: bool = False) -> Iterator[Desktop]:
    """Start a session bus and PipeWire; end everything that was started."""
    made = Desktop(folder)
    try:
        if screen:
            made.screen()
        made.bus()
        made.pipewire()
        yield made
    finally:
        made.end()
