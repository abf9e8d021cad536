"""What apps get of a virtual camera when one of them stops taking pictures, or crashes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from tests import desktop
from tests.cli.running import until

from safelight.core import release
from safelight.media.camera_sink import NODE, CameraSink
from safelight.media.interface import SourceInfo
from safelight.types import CardText, PictureFormat

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.xdist_group("desktop")]

INFO: Final = SourceInfo(True, PictureFormat(64, 36), 30.0)
BYTES: Final = 64 * 36 * 3 // 2
SOME: Final = 40 * BYTES  # more pictures than the camera has buffers


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A desktop where the camera is offered, and shows cards at 30 a second."""
    desktop.need_pipewire()
    with desktop.desktop(tmp_path) as made:
        for name, value in made.env.items():
            monkeypatch.setenv(name, value)
        sink = CameraSink()
        sink.open(INFO)
        over = threading.Event()

        def show() -> None:
            card = release.lone_card(INFO.format, 0, CardText("card", "Video paused"))
            while not over.wait(1 / 30):
                sink.write(card)

        showing = threading.Thread(target=show)
        showing.start()
        try:
            until(made.offers_camera)
            yield made.env
        finally:
            over.set()
            showing.join()
            sink.close(whole=False)


@contextlib.contextmanager
def app(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """An app that has chosen the camera."""
    process = subprocess.Popen(
        ["gst-launch-1.0", "-q", "pipewiresrc", f"target-object={NODE}", "!", "videoconvert", "!",
         "video/x-raw,format=I420,width=64,height=36", "!", "fdsink", "fd=1", "sync=false"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def taken(process: subprocess.Popen[bytes], within_s: float = 20.0) -> int:
    """Take pictures from an app until there are some; return how many bytes came."""
    assert process.stdout is not None
    came = 0
    end = time.monotonic() + within_s
    while came < SOME and time.monotonic() < end:
        if select.select([process.stdout], [], [], 0.1)[0]:
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                break
            came += len(part)
    return came


def test_an_app_that_stood_still_gets_pictures_again(env: dict[str, str]) -> None:
    with app(env) as process:
        assert taken(process) >= SOME
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        process.send_signal(signal.SIGCONT)
        # What it had before it stood still is in the pipe, and no proof.
        assert taken(process) >= SOME
        assert taken(process) >= SOME


def test_after_an_app_that_crashed_the_next_gets_pictures(env: dict[str, str]) -> None:
    for _ in range(3):
        with app(env) as process:
            assert taken(process) >= SOME


def test_two_apps_have_it_at_once(env: dict[str, str]) -> None:
    with app(env) as one, app(env) as other, ThreadPoolExecutor() as both:
        # Each takes its pictures all the time: one that does not holds up the other (docs).
        for came in both.map(taken, (one, other)):
            assert came >= SOME
