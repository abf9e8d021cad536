"""Surfaces that run as programs of their own: RTMP, a GStreamer pipeline, the guarded camera.

Each chain is a camera that draws a time code, a guard or none, and a screen that reads the code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from safelight.cli import surfaces
from safelight.cli.bench_runs import free_port
from safelight.errors import LostError
from safelight.media.camera_sink import NODE, pipeline
from safelight.media.interface import SourceInfo
from safelight.testing import desktop
from safelight.testing.timecode import WARM_UP_S
from safelight.types import PictureFormat

SIZE: Final = (640, 360)
RATE: Final = 15
_START_S: Final = 60.0
_SPARE_S: Final = 25.0  # a judge may start meanwhile
_CAPS: Final = "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96"
_RAW: Final = f"video/x-raw,format=I420,width={SIZE[0]},height={SIZE[1]}"


class NotHereError(Exception):
    """This machine lacks something; the text says what."""


def rtmp(scratch: Path, seconds: float, *, guarded: bool) -> dict[str, Any]:
    """Publisher, guard with its hold of 250 ms, and a player that listens."""
    out = f"rtmp://127.0.0.1:{free_port()}/live/clock"
    into = f"rtmp://127.0.0.1:{free_port()}/live/clock" if guarded else out
    report = scratch / "rtmp.json"
    with _Chain() as chain:
        screen = chain.screen(out, seconds)
        if guarded:
            flags = ["--report", str(report), "--state", str(scratch), "--quiet"]
            guard = chain.start(_safelight("guard", f"{into}?listen=1", out, *flags))
        chain.camera(into, seconds)
        found = chain.seen(screen, seconds)
        if guarded:
            guard.terminate()
            guard.wait(_START_S)
            found["unjudged_released"] = _unjudged(report)
    return found


def gstreamer(
    scratch: Path, seconds: float, *, guarded: bool, hold_ms: int = 250
) -> dict[str, Any]:
    """A live pipeline: H.264 over RTP in, raw pictures out when they are due."""
    if not surfaces.gst_has("safelight") or not surfaces.gst_has("avdec_h264"):
        raise NotHereError("GStreamer does not load the element, or lacks avdec_h264")
    port = free_port()
    element = f"! safelight hold-ms={hold_ms} state-folder={scratch}" if guarded else ""
    reading, writing = os.pipe()
    line = (
        f"udpsrc port={port} caps={_CAPS} ! rtph264depay ! avdec_h264 max-threads=1 ! {_RAW}"
        f" {element} ! fdsink fd={writing} sync=true"
    )
    with _Chain() as chain:
        chain.start(
            ["gst-launch-1.0", "-q", *line.split()],
            env=surfaces.gst_environment(scratch),
            pass_fds=[writing],
        )
        os.close(writing)
        screen = chain.screen("-", seconds, stdin=reading)
        os.close(reading)
        time.sleep(3.0 if guarded else 1.0)  # the judge starts meanwhile; what comes is dropped
        chain.camera(f"rtp://127.0.0.1:{port}", seconds)
        return chain.seen(screen, seconds)


def camera(scratch: Path, seconds: float, *, guarded: bool) -> dict[str, Any]:
    """The guarded camera of a desktop of this bench's own, read as another app would."""
    missing = desktop.missing()
    if missing is not None or not surfaces.gst_has("pipewiresink"):
        raise NotHereError(missing or "GStreamer has no pipewiresink: gstreamer1.0-pipewire")
    folder = scratch / f"desktop-{int(guarded)}"
    folder.mkdir()
    report = scratch / "camera.json"
    with desktop.desktop(folder) as desk, _Chain() as chain:
        if guarded:
            job = ["-m", "safelight.cli.surface_camera_job", str(report), str(seconds + 20)]
            offering = chain.start([sys.executable, *job], env=desk.env)
        else:
            form = PictureFormat(*SIZE, matrix=6)
            told = pipeline(SourceInfo(True, form, float(RATE)), None)
            drawn = chain.camera("-", seconds + 20)
            offering = chain.start(
                ["gst-launch-1.0", *told],
                env=desk.env,
                stdin=drawn.stdout.fileno(),  # type: ignore[union-attr]
            )
        desktop.until(lambda: desk.offers(NODE) or offering.poll() is not None, _START_S)
        line = f"pipewiresrc target-object={NODE} ! videoconvert ! {_RAW} ! fdsink fd=1 sync=false"
        app = chain.start(
            ["gst-launch-1.0", "-q", *line.split()], env=desk.env, stdout=subprocess.PIPE
        )
        screen = chain.screen("-", seconds, stdin=app.stdout.fileno())  # type: ignore[union-attr]
        found = chain.seen(screen, seconds)
        if guarded:
            offering.terminate()
            offering.wait(_START_S)
            found["unjudged_released"] = _unjudged(report)
    return found


class _Chain:
    """Programs that belong together; whatever still runs at the end is ended by its number."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> _Chain:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stdin):
                if pipe is not None:
                    pipe.close()

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            pass_fds=pass_fds,
        )
        self._started.append(process)
        return process

    def camera(self, to: str, seconds: float) -> subprocess.Popen[bytes]:
        words = [to, *map(str, SIZE), str(RATE), str(seconds + _SPARE_S)]
        command = [sys.executable, "-m", "safelight.testing.clock_camera", *words]
        return self.start(command, stdout=subprocess.PIPE if to == "-" else subprocess.DEVNULL)

    def screen(
        self, what: str, seconds: float, *, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        words = [what, *map(str, SIZE), str(seconds + WARM_UP_S)]
        command = [sys.executable, "-m", "safelight.testing.clock_viewer", *words]
        return self.start(command, stdin=stdin, stdout=subprocess.PIPE)

    def seen(self, screen: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
        """Wait until the screen has watched, and return its figures."""
        try:
            said, _ = screen.communicate(timeout=seconds + 2 * _START_S)
            found: dict[str, Any] = json.loads(said)
        except (subprocess.TimeoutExpired, ValueError):
            raise LostError("nothing came out at the other end", "see `safelight doctor`") from None
        return found


def _safelight(*words: str) -> list[str]:
    return [sys.executable, "-m", "safelight", *words]


def _unjudged(report: Path) -> int:
    found: int = json.loads(report.read_text("utf-8"))["frames"]["unjudged_released"]
    return found
