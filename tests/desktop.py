"""A desktop of a test's own: a session bus, PipeWire and its session manager, in one folder.

Nothing of the user's desktop is touched. Every process is ended by its own number.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cli.running import until
from tests.programs import need

from safelight.cli import camera_running
from safelight.media.camera_sink import NODE


def need_pipewire() -> None:
    """Skip, or fail in CI, where there is no PipeWire."""
    for program, package in (
        ("pipewire", "pipewire"),
        ("wireplumber", "wireplumber"),
        ("pw-cli", "pipewire-bin"),
        ("dbus-daemon", "dbus"),
        ("gst-launch-1.0", "gstreamer1.0-tools and gstreamer1.0-pipewire"),
    ):
        need(program, package)


class Desktop:
    """What is started, and the environment in which it is reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = dict(os.environ)
        self.processes: list[subprocess.Popen[bytes]] = []
        run = folder / "run"
        run.mkdir(mode=0o700)
        self.env |= {
            "XDG_RUNTIME_DIR": str(run),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "data"),
            "HOME": str(folder),
        }
        self.env.pop("DBUS_SESSION_BUS_ADDRESS", None)
        self.python = sys.executable

    def start(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{Path(command[0]).name}.log").open("ab"),
        )
        self.processes.append(process)
        return process

    def bus(self) -> None:
        place = self.folder / "run" / "bus"
        self.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={place}"
        self.start("dbus-daemon", "--session", "--nofork", f"--address=unix:path={place}")
        until(place.exists)

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

    def pipewire(self) -> None:
        self.start("pipewire")
        until((self.folder / "run" / "pipewire-0").exists)
        self.start("wireplumber")

    def nodes(self) -> str:
        done = subprocess.run(
            ["pw-cli", "ls", "Node"], env=self.env, capture_output=True, text=True, check=False
        )
        return done.stdout

    def offers_camera(self) -> bool:
        return NODE in self.nodes()

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
        for process in reversed(made.processes):
            process.kill()
            process.wait()
