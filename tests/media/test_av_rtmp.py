"""RTMP in both directions on loopback: every wait has a limit, every end is told apart."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from tests.media.helpers import picture, safe, tone

from safelight.errors import EndOfStream, SinkError, SinkLostError, SourceError, SourceLostError
from safelight.media.address import parse_sink, parse_source
from safelight.media.av_sink import AvSink
from safelight.media.av_source import AvSource
from safelight.media.decoding import Decodes
from safelight.media.interface import SourceInfo
from safelight.types import Frame, Gap, Picture, PictureFormat, Sound

INFO = SourceInfo(True, PictureFormat(64, 48), 30.0, 48000, 1)
needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is the peer; not installed"
)
Start = Callable[[list[str]], subprocess.Popen[bytes]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def url() -> str:
    return f"rtmp://127.0.0.1:{free_port()}/live/SECRET"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program; whatever still runs at the end of the test is ended, by its own pid."""
    started: list[subprocess.Popen[bytes]] = []

    def run(command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)


class Listening:
    """A listening source that is read in a thread of its own."""

    def __init__(
        self,
        url: str,
        comeback_s: float = 1.0,
        decodes: Decodes | None = None,
        stall_s: float = 10.0,
    ) -> None:
        self.source = AvSource(
            parse_source(url + "?listen=1"),
            comeback_s=comeback_s,
            decodes=decodes,
            stall_s=stall_s,
        )
        self.frames: list[Frame] = []
        self.end: BaseException | None = None
        self.info: SourceInfo | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.info = self.source.open()
            while True:
                self.frames.append(self.source.read())
        except (EndOfStream, SourceError, SourceLostError) as end:
            self.end = end

    def wait(self) -> None:
        self._thread.join(60)
        self.source.close()
        assert not self._thread.is_alive()

    @property
    def pictures(self) -> list[Frame]:
        return [f for f in self.frames if isinstance(f.content, Picture)]


def publish(url: str, count: int = 45, first: int = 0, pause_s: float = 0.0) -> None:
    """Publish ``count`` pictures and their sound with a sink of ours; ``pause_s`` between."""
    sink = AvSink(parse_sink(url))
    deadline = time.monotonic() + 20
    while True:
        try:
            sink.open(INFO)
            break
        except SinkError:
            # The listener may not be there yet.
            assert time.monotonic() < deadline
            sink = AvSink(parse_sink(url))
            time.sleep(0.05)
    for number in range(count):
        sink.write(safe(picture(number), first + 33 * number))
        sound = Sound(48000, tone(0.033, 48000))
        sink.write(safe(sound, (first + 33 * number) * 48, Fraction(1, 48000)))
        time.sleep(pause_s)
    sink.close(whole=True)


def test_what_is_published_is_read(url: str) -> None:
    listening = Listening(url)
    publish(url)
    listening.wait()
    assert isinstance(listening.end, EndOfStream)
    assert len(listening.pictures) == 45
    steps = {
        b.pts - a.pts for a, b in zip(listening.pictures, listening.pictures[1:], strict=False)
    }
    assert steps == {33}
    assert listening.info is not None
    assert listening.info.live
    assert (listening.info.sound_rate, listening.info.sound_channels) == (48000, 1)
    assert any(isinstance(f.content, Sound) for f in listening.frames)


def test_a_publisher_that_comes_back_is_another_source(url: str) -> None:
    """The engine has to start closed again: the first picture says so."""
    listening = Listening(url, comeback_s=10)
    publish(url, 30)
    publish(url, 30)
    time.sleep(0.5)
    listening.source.close()
    listening.wait()
    gaps = [(i, f.gap) for i, f in enumerate(listening.frames) if f.gap]
    assert [gap for _, gap in gaps] == [Gap.SOURCE]
    first_back = listening.frames[gaps[0][0]]
    assert isinstance(first_back.content, Picture)
    assert [f.seq for f in listening.frames] == list(range(len(listening.frames)))
    assert len(listening.pictures) == 60


@pytest.mark.slow
def test_strangers_at_the_door_change_nothing(url: str) -> None:
    listening = Listening(url)
    port = parse_source(url).port or 0
    time.sleep(0.3)
    for greeting in (b"", b"GET / HTTP/1.1\r\n\r\n" * 100):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(greeting)
        time.sleep(0.3)
    publish(url, 30)
    listening.wait()
    assert isinstance(listening.end, EndOfStream)
    assert len(listening.pictures) == 30


def test_close_ends_a_wait_for_a_publisher(url: str) -> None:
    listening = Listening(url)
    time.sleep(0.3)
    listening.source.close()
    listening.wait()
    assert isinstance(listening.end, EndOfStream)
    # The port is free again: nothing of ours listens on.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", parse_source(url).port or 0))


def test_a_port_in_use_is_refused(url: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", parse_source(url).port or 0))
        other.listen()
        with pytest.raises(SourceError, match="another program listens"):
            AvSource(parse_source(url + "?listen=1")).open()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes the connection and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/SECRET"


def test_a_silent_server_is_no_sink(silent: str) -> None:
    with pytest.raises(SinkError, match="does not answer") as caught:
        AvSink(parse_sink(silent), answer_s=0.3).open(INFO)
    assert "SECRET" not in str(caught.value)


def test_a_silent_server_is_no_source(silent: str) -> None:
    source = AvSource(parse_source(silent), answer_s=0.3)
    with pytest.raises(SourceError, match="does not answer") as caught:
        source.open()
    source.close()
    assert "SECRET" not in str(caught.value)


def test_a_server_that_speaks_something_else_is_refused() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            with server.accept()[0] as peer:
                peer.recv(2000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 200)
                time.sleep(0.3)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        address = parse_sink(f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/k")
        with pytest.raises(SinkError, match="RTMP"):
            AvSink(address, answer_s=5).open(INFO)
        thread.join(5)


def test_encryption_that_cannot_be_trusted_is_refused(silent: str) -> None:
    """rtmps:// to something that is not TLS: an error, never a fall back to plain text."""
    with pytest.raises(SinkError):
        AvSink(parse_sink(silent.replace("rtmp:", "rtmps:")), answer_s=0.3).open(INFO)


# --- with ffmpeg at the other end ---------------------------------------------------------------


def receiver(start: Start, url: str, out: Path) -> subprocess.Popen[bytes]:
    process = start(
        ["ffmpeg", "-v", "error", "-y", "-listen", "1", "-i", url, "-c", "copy", str(out)]
    )
    time.sleep(1)
    return process


@pytest.mark.e2e
@needs_ffmpeg
def test_ffmpeg_reads_what_we_publish(url: str, start: Start, tmp_path: Path) -> None:
    process = receiver(start, url, tmp_path / "got.flv")
    publish(url, 60)
    assert process.wait(20) == 0
    with av.open(str(tmp_path / "got.flv")) as container:
        kinds = [s.type for s in container.streams]
        pts = [f.pts for f in container.decode(video=0)]
    assert sorted(kinds) == ["audio", "video"]
    assert len(pts) == 60
    assert {b - a for a, b in pairwise(pts) if a is not None and b} == {33}


@pytest.mark.e2e
@needs_ffmpeg
def test_we_read_what_ffmpeg_publishes(url: str, start: Start) -> None:
    listening = Listening(url)
    time.sleep(0.5)
    command = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=30"]
    command += ["-t", "3", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt"]
    command += ["yuv420p", "-f", "flv", url]
    start(command)
    listening.wait()
    assert isinstance(listening.end, EndOfStream)
    assert len(listening.pictures) == 90
    assert listening.info is not None
    assert listening.info.frame_rate == 30


def lost(url: str, seconds: float, stall_s: float) -> SinkLostError:
    """Write noise, a second apart so that it gets many bits, until the sink is lost."""
    sink = AvSink(parse_sink(url), stall_s=stall_s)
    form = PictureFormat(640, 480)
    info = SourceInfo(True, form, 30.0)
    random = np.random.default_rng(1)
    half = np.full((240, 320), 128, dtype=np.uint8)
    sink.open(info)
    until = time.monotonic() + seconds
    number = 0
    try:
        while time.monotonic() < until:
            y = random.integers(0, 256, (480, 640), dtype=np.uint8)
            sink.write(safe(Picture(form, y, half, half), 1000 * number))
            number += 1
            time.sleep(0.005)
    except SinkLostError as error:
        return error
    finally:
        sink.close(whole=False)
    raise AssertionError("the sink was never lost")


@pytest.mark.e2e
@needs_ffmpeg
def test_a_server_that_goes_away_is_a_loss(url: str, start: Start, tmp_path: Path) -> None:
    process = receiver(start, url, tmp_path / "got.flv")
    threading.Timer(1, process.kill).start()
    error = lost(url, 30, 10)
    assert error.exit_status == 4
    assert "hung up" in error.what
    assert "SECRET" not in str(error)


@pytest.mark.slow
@pytest.mark.e2e
@needs_ffmpeg
def test_a_server_that_stalls_is_a_loss(url: str, start: Start, tmp_path: Path) -> None:
    process = receiver(start, url, tmp_path / "got.flv")
    threading.Timer(0.5, process.send_signal, [signal.SIGSTOP]).start()
    what = lost(url, 120, 1).what
    assert "takes no more data" in what or "does not answer" in what
