"""RTMP end to end on loopback: a real publisher, the guard, a real server that reads it back.

Timing is not asserted: a busy machine may cover or drop. What must hold on any machine is
that nothing leaves unjudged and that every end is clean.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

import safelight
from safelight.errors import SinkLostError

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is the peer; not installed"),
]

Processes = list[subprocess.Popen[bytes]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Programs a test starts; what still runs at its end is ended, by its own pid."""
    started: Processes = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def publish(
    processes: Processes, url: str, *, seconds: int, size: str = "1280x720"
) -> subprocess.Popen[bytes]:
    command = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=30"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440", "-t", str(seconds)]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30"]
    command += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processes.append(process)
    return process


def serve(processes: Processes, url: str, out: Path) -> subprocess.Popen[bytes]:
    command = ["ffmpeg", "-v", "error", "-listen", "1", "-f", "flv", "-i", url]
    command += ["-c", "copy", "-y", str(out)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processes.append(process)
    time.sleep(0.7)  # it has no way to say that it listens
    return process


def wait_for(condition: object, seconds: float) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def decoded(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(frame.width, frame.height) for frame in container.decode(video=0)]


def publish_when_listening(processes: Processes, url: str, seconds: int, **more: str) -> None:
    for _ in range(20):
        publisher = publish(processes, url, seconds=seconds, **more)
        try:
            publisher.wait(1.0)
        except subprocess.TimeoutExpired:
            return  # it is connected: it would have ended at once
        time.sleep(0.2)
    pytest.fail("nobody listens")


def test_a_publisher_goes_through_the_guard_to_a_server(
    processes: Processes, tmp_path: Path
) -> None:
    inlet = f"rtmp://127.0.0.1:{free_port()}/live/in"
    outlet = f"rtmp://127.0.0.1:{free_port()}/live/out"
    out = tmp_path / "out.mkv"
    server = serve(processes, outlet, out)
    with safelight.open(f"{inlet}?listen=1", outlet, state=tmp_path) as session:
        publish_when_listening(processes, inlet, 6)
        wait_for(lambda: session.frames_in >= 120, 30)
        session.close()
        report = session.wait()
    assert report is not None
    frames = report.frames
    assert frames.unjudged_released == 0
    assert frames.in_ == frames.released + frames.covered + frames.interrupted + frames.dropped
    server.wait(20)
    pictures = decoded(out)
    assert 0 < len(pictures) == frames.released + frames.covered, report.faults
    assert set(pictures) == {(1280, 720)}
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.has_b_frames is False
        assert container.streams.audio


def test_a_publisher_that_is_killed_may_come_back_in_another_size(
    processes: Processes, tmp_path: Path
) -> None:
    inlet = f"rtmp://127.0.0.1:{free_port()}/live/in"
    out = tmp_path / "out.mkv"
    with safelight.open(f"{inlet}?listen=1", str(out), state=tmp_path) as session:
        publish_when_listening(processes, inlet, 60)
        wait_for(lambda: session.frames_in >= 45, 30)
        processes[-1].send_signal(signal.SIGKILL)
        before = session.frames_in
        time.sleep(1.0)
        publish_when_listening(processes, inlet, 60, size="640x480")
        wait_for(lambda: session.frames_in >= before + 90, 40)
        session.close()
        report = session.wait()
        events = list(session.events())
    assert report is not None
    assert report.frames.unjudged_released == 0
    left, back = (
        next(e for e in events if e.kind == kind) for kind in ("source_left", "source_back")
    )
    assert 0.0 < left.wait_s <= 30.0
    assert left.at_s <= back.at_s
    times = [event.at_s for event in events]
    assert times == sorted(times), "stream time went back with the publisher's clock"
    bounds = [at for span in report.states for at in (span.from_pts_s, span.to_pts_s)]
    assert bounds == sorted(bounds)
    assert "discontinuity" in {span.reason for span in report.states}
    assert set(decoded(out)) == {(1280, 720)}


def test_a_server_that_goes_away_ends_the_stream(processes: Processes, tmp_path: Path) -> None:
    inlet = f"rtmp://127.0.0.1:{free_port()}/live/in"
    outlet = f"rtmp://127.0.0.1:{free_port()}/live/out"
    server = serve(processes, outlet, tmp_path / "out.mkv")
    session = safelight.open(f"{inlet}?listen=1", outlet, state=tmp_path)
    publish_when_listening(processes, inlet, 60)
    wait_for(lambda: session.frames_in >= 45, 30)
    server.kill()
    with pytest.raises(SinkLostError) as caught:
        session.wait(60)
    assert caught.value.exit_status == 4
    assert session.report is not None
    assert session.report.outcome == "fault"
    assert session.report.frames.unjudged_released == 0


def test_a_listener_that_nobody_publishes_to_closes_cleanly(tmp_path: Path) -> None:
    inlet = f"rtmp://127.0.0.1:{free_port()}/live/in?listen=1"
    session = safelight.open(inlet, "null:", state=tmp_path)
    closer = threading.Timer(0.5, session.close)
    closer.start()
    report = session.wait(30)
    closer.cancel()
    assert report is not None
    assert report.outcome == "closed"
    assert report.frames.in_ == 0
