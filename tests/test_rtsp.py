"""RTSP on loopback: a real server's camera, as a network camera serves it, through the guard.

As with RTMP no timing is asserted: what must hold on any machine is that nothing leaves
unjudged and that every end is clean.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest
from tests import programs
from tests.test_rtmp import wait_for

import safelight
from safelight.errors import SourceError
from safelight.testing.fakes import FakeJudge, Reply, Says, scores
from safelight.types import Picture, Token

pytestmark = pytest.mark.e2e

SERVER = Path(__file__).parent / "media" / "rtsp_server.py"
NEEDED = "import gi; gi.require_version('GstRtspServer', '1.0')"
PACKAGES = "gir1.2-gst-rtsp-server-1.0 and python3-gi (make setup-peers)"


@dataclass
class Camera:
    process: subprocess.Popen[str]
    port: int

    def address(self, path: str = "cam", user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    environment = programs.need_gstreamer(str(tmp_path / "registry"))
    python = programs.SYSTEM_PYTHON
    if subprocess.run([python, "-c", NEEDED], capture_output=True, check=False).returncode:
        programs.absent(f"there is no RTSP server: install {PACKAGES}")
    process = subprocess.Popen(
        [python, str(SERVER)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Camera(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait(10)


def clear(_: int, __: Token, ___: Picture) -> Reply:
    return Says(scores(0.01))


def test_a_network_cameras_picture_and_sound_go_through_the_guard(
    camera: Camera, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    with safelight.open(camera.address(), str(out), state=tmp_path, judge=FakeJudge(clear)) as one:
        wait_for(lambda: one.frames_in >= 45, 60)
        one.close()
        report = one.wait(60)
    assert report is not None
    assert report.outcome == "closed"
    frames = report.frames
    assert frames.unjudged_released == 0
    assert frames.released > 0
    with av.open(str(out)) as container:
        pictures = [(frame.width, frame.height) for frame in container.decode(video=0)]
        assert container.streams.audio
    assert pictures == [(320, 240)] * (frames.released + frames.covered)


def test_a_network_camera_that_must_be_covered_sends_no_picture(
    camera: Camera, tmp_path: Path
) -> None:
    def covers(_: int, __: Token, ___: Picture) -> Reply:
        return Says(scores(0.99))

    with safelight.open(camera.address(), "null:", state=tmp_path, judge=FakeJudge(covers)) as one:
        wait_for(lambda: one.frames_in >= 30, 60)
        one.close()
        report = one.wait(60)
    assert report is not None
    assert report.frames.released == report.frames.unjudged_released == 0
    assert report.frames.covered + report.frames.interrupted > 0


def test_a_network_camera_that_is_switched_off_ends_the_stream(
    camera: Camera, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    session = safelight.open(camera.address(), str(out), state=tmp_path, judge=FakeJudge(clear))
    wait_for(lambda: session.frames_in >= 30, 60)
    camera.process.kill()
    # A connection that is closed looks the same whether the stream had an end or the camera was
    # unplugged: it is an end, and what was released is playable.
    report = session.wait(60)
    assert report is not None
    assert report.outcome == "ended"
    assert report.frames.unjudged_released == 0
    with av.open(str(out)) as container:
        assert (
            len(list(container.decode(video=0))) == report.frames.released + report.frames.covered
        )


def test_an_address_that_is_no_camera_is_one_line_without_its_password(
    camera: Camera, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        safelight.open(camera.address("none", "admin:SECRET@"), "null:", state=tmp_path)
    said = str(caught.value)
    assert caught.value.exit_status == 2
    assert "SECRET" not in said
    assert "\n" not in said
    assert "check the address, and that the camera is on" in said
