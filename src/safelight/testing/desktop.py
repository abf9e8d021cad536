"""A desktop of one's own: a session bus, PipeWire and its session manager, in one folder.

For tests and benches. Nothing of the user's desktop is touched, and every process is ended by
its own number.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

# What it takes, and which system package each program comes from.
NEEDS: Final = (
    ("pipewire", "pipewire"),
    ("wireplumber", "wireplumber"),
    ("pw-cli", "pipewire-bin"),
    ("dbus-daemon", "dbus"),
    ("gst-launch-1.0", "gstreamer1.0-tools and gstreamer1.0-pipewire"),
    ("setpriv", "util-linux"),
)
_START_S: Final = 30.0


class Desktop:
    """What is started, and the environment in which it is reached."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is empty, and this desktop's alone."""
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

    def start(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a program of it; what it says goes to a file of its name in the folder."""
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**self.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def bus(self) -> None:
        """Start a session bus."""
        place = self.folder / "run" / "bus"
        self.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={place}"
        self.start("dbus-daemon", "--session", "--nofork", f"--address=unix:path={place}")
        until(place.exists)

    def pipewire(self) -> None:
        """Start PipeWire and its session manager."""
        self.start("pipewire")
        until((self.folder / "run" / "pipewire-0").exists)
        self.start("wireplumber")

    def offers(self, node: str) -> bool:
        """Return whether apps can choose this camera."""
        done = subprocess.run(
            ["pw-cli", "ls", "Node"], env=self.env, capture_output=True, text=True, check=False
        )
        return node in done.stdout

    def end(self) -> None:
        """End everything that was started, the last first."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def missing() -> str | None:
    """Return what is not there of what it takes, as a sentence; None when all is."""
    for program, package in NEEDS:
        if shutil.which(program) is None:
            return f"{program} is absent: install {package}"
    return None


def until(what: Callable[[], bool], within_s: float = _START_S) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it never did.
    """
    end = time.monotonic() + within_s
    while not what():
        if time.monotonic() > end:
            raise TimeoutError("it never came to that")
        time.sleep(0.05)


@contextlib.contextmanager
def desktop(folder: Path) -> Iterator[Desktop]:
    """Start a session bus and PipeWire; end everything that was started."""
    made = Desktop(folder)
    try:
        made.bus()
        made.pipewire()
        yield made
    finally:
        made.end()
