"""``safelight camera test``: the test card through the running guard, and what came out."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import typer

from safelight.cli import camera_running
from safelight.cli.camera_run import SHOW_TEST_CARD
from safelight.errors import LostError, SinkError, UsageError
from safelight.testing import canary, scenes

_SIZE: Final = (320, 180)
_BYTES: Final = _SIZE[0] * _SIZE[1] * 3 // 2
_NODE: Final = "safelight-camera"
# Mean absolute difference of luma below which a picture is the test card; cards and rooms are
# far above it.
_ALIKE: Final = 12.0
_WAIT_S: Final = 10.0
_LOOK_S: Final = 4.0


def test() -> int:
    """Carry it out.

    Raises:
        UsageError: no guarded camera runs.
        SinkError: it cannot be looked at.
        LostError: the test card came out, or nothing was covered.
    """
    running = camera_running.find()
    if running is None:
        raise UsageError("the guarded camera is off", "safelight camera on")
    program = shutil.which("gst-launch-1.0")
    if program is None:
        raise SinkError("gst-launch-1.0 is missing", "see safelight doctor: PipeWire")
    reader = subprocess.Popen(
        [program, *_pipeline()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        pictures, shown, covered = _look(reader, running.pid)
    finally:
        reader.kill()
        reader.communicate()
    typer.echo(
        f"The test card was shown to the guard. Of {pictures} pictures that came out of the"
        f" guarded camera, {shown} showed it."
    )
    if shown:
        raise LostError("the test card came out", "do not rely on it, and please report it")
    if not covered:
        raise LostError("nothing was covered", "is the state paused? safelight camera status")
    typer.echo("It was covered. (This shows the system, not what the network finds.)")
    return 0


def _pipeline() -> list[str]:
    width, height = _SIZE
    caps = f"video/x-raw,format=I420,width={width},height={height}"
    return [
        "-q", "--no-fault", "pipewiresrc", f"target-object={_NODE}", "!", "videoconvert", "!",
        "videoscale", "!", caps, "!", "fdsink", "fd=1", "sync=false",
    ]  # fmt: skip


def _look(reader: subprocess.Popen[bytes], pid: int) -> tuple[int, int, bool]:
    """Return how many pictures came, how many were the test card, and whether it covered."""
    card = scenes.picture_from_rgb(canary.at_size(canary.load("card"), _SIZE)).y.astype(np.int16)
    came = _pictures(reader, _WAIT_S)
    if next(came, None) is None:
        raise SinkError("nothing comes out of the guarded camera", "safelight camera status")
    os.kill(pid, SHOW_TEST_CARD)
    pictures = shown = 0
    covered = False
    end_s = time.monotonic() + _LOOK_S
    for luma in came:
        pictures += 1
        shown += bool(np.abs(luma.astype(np.int16) - card).mean() < _ALIKE)
        if pictures % 5 == 0 and not covered:
            now = camera_running.find()
            covered = now is not None and now.state in ("covered", "interrupted")
        if time.monotonic() > end_s:
            break
    return pictures, shown, covered


def _pictures(reader: subprocess.Popen[bytes], wait_s: float) -> Iterator[np.ndarray]:
    """Yield luma, uint8 (height, width), until nothing came for ``wait_s``."""
    if reader.stdout is None:
        return
    handle, data = reader.stdout.fileno(), bytearray()
    end_s = time.monotonic() + wait_s
    while time.monotonic() < end_s:
        if not select.select([handle], [], [], 0.2)[0]:
            continue
        part = os.read(handle, 1 << 20)
        if not part:
            return
        data += part
        while len(data) >= _BYTES:
            luma = np.frombuffer(bytes(data[: _SIZE[0] * _SIZE[1]]), np.uint8)
            del data[:_BYTES]
            end_s = time.monotonic() + wait_s
            yield luma.reshape(_SIZE[1], _SIZE[0])
