"""The virtual camera: only safe frames go in, and it goes when the guard goes."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import pytest
from tests.cli.running import until
from tests.programs import is_running

from safelight.core import release
from safelight.errors import SinkError, SinkLostError, UsageError
from safelight.media.address import Kind, parse_sink, parse_source
from safelight.media.camera_sink import CameraSink, pipeline
from safelight.media.interface import SourceInfo
from safelight.testing import scenes
from safelight.types import CardText, PictureFormat

INFO = SourceInfo(True, PictureFormat(64, 36, full_range=True, matrix=1), 29.97)


def stand_in(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "gst-launch-1.0"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_camera_is_an_address_of_a_sink_only() -> None:
    assert parse_sink("camera:").kind is Kind.CAMERA
    assert parse_sink("camera:/dev/video10").target == "/dev/video10"
    assert parse_sink("camera:/dev/video10").shown == "camera:/dev/video10"
    for text in (
        "camera:x",
        "camera:/dev/sda",
        "camera:/dev/video1/../sda",
        "camera:/dev/video1 !",
    ):
        with pytest.raises(UsageError):
            parse_sink(text)
    with pytest.raises(UsageError):
        parse_source("camera:")


def test_the_pictures_are_described_as_they_are() -> None:
    said = pipeline(INFO, None)
    for word in ("width=64", "height=36", "framerate=29970/1000", "colorimetry=1:3:0:0"):
        assert word in said
    assert f"blocksize={64 * 36 * 3 // 2}" in said
    assert "pipewiresink" in said
    into = pipeline(INFO, "/dev/video10")
    assert "device=/dev/video10" in into
    assert "pipewiresink" not in into


def test_only_safe_frames_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "exec cat >/dev/null", monkeypatch)
    sink = CameraSink()
    sink.open(INFO)
    with pytest.raises(TypeError):
        sink.write(cast(Any, scenes.picture_from_rgb(scenes.scene(0.0, (64, 36)))))
    sink.close(whole=True)
    sink.close(whole=True)


def test_nothing_of_the_users_environment_goes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_KEY", "secret")
    stand_in(tmp_path, f"env >{tmp_path}/env; exec cat >/dev/null", monkeypatch)
    sink = CameraSink()
    sink.open(INFO)
    sink.close(whole=True)
    assert "secret" not in (tmp_path / "env").read_text()


def test_no_program_and_no_desktop_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "exit 1", monkeypatch)
    with pytest.raises(SinkError, match="PipeWire does not answer"):
        CameraSink().open(INFO)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SinkError, match="is missing"):
        CameraSink().open(INFO)


def test_a_camera_that_breaks_ends_the_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "sleep 1; exit 1", monkeypatch)
    sink = CameraSink()
    sink.open(INFO)
    safe = release.lone_card(INFO.format, 0, CardText("card", "Video paused"))
    assert safe.time_base == Fraction(1, 10**9)

    def show() -> None:
        for _ in range(100_000):
            sink.write(safe)

    with pytest.raises(SinkLostError, match="gone"):
        show()
    sink.close(whole=False)


OPEN_AND_STAY = """
import sys, threading, time
sys.path[:0] = {path!r}
from safelight.media.camera_sink import CameraSink
from tests.media.test_camera_sink import INFO
sink = CameraSink()
opening = threading.Thread(target=sink.open, args=[INFO])
opening.start()
opening.join()
time.sleep(0.5)  # by now the kernel has done what it does to children of a thread that ended
print("open", flush=True)
time.sleep(60)
"""


def test_the_camera_is_killed_with_its_guard_and_not_with_the_thread_that_opened_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where an app stopped taking pictures: the end of its input does not end it.
    stand_in(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 60", monkeypatch)
    guard = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_STAY.format(path=sys.path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert guard.stdout is not None
        assert guard.stdout.readline() == "open\n"
        camera = int((tmp_path / "pid").read_text())
        assert Path(f"/proc/{camera}/comm").read_text() == "sleep\n"
        assert is_running(camera), "the thread that opened it has ended, the guard has not"
    finally:
        guard.kill()
        guard.wait()
    until(lambda: not is_running(camera), within_s=20)
