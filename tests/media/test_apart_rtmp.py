"""Publishers whose video is decoded apart: they come, go, come back, and break things."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from tests.cli.running import until
from tests.media.test_av_rtmp import Listening, free_port, publish

from safelight.errors import EndOfStream, SafelightError, SourceError, SourceLostError
from safelight.media import apart
from safelight.media.address import Address, Kind, parse_source
from safelight.media.apart import Apart
from safelight.media.av_source import AvSource
from safelight.types import Gap, Sound

pytestmark = pytest.mark.skipif(
    not apart.decodes_apart(Address(Kind.LISTEN, "x")), reason="decoded apart on Linux only"
)


@pytest.fixture
def url() -> str:
    return f"rtmp://127.0.0.1:{free_port()}/live/SECRET"


def test_what_is_published_is_read(url: str) -> None:
    listening = Listening(url, decodes=Apart())
    publish(url)
    listening.wait()
    assert isinstance(listening.end, EndOfStream)
    assert len(listening.pictures) == 45
    assert listening.info is not None
    assert (listening.info.sound_rate, listening.info.sound_channels) == (48000, 1)
    assert any(isinstance(f.content, Sound) for f in listening.frames)


def test_a_publisher_that_comes_back_is_another_process(url: str) -> None:
    decodes = Apart()
    listening = Listening(url, comeback_s=20, decodes=decodes)
    publishing = threading.Thread(target=publish, args=(url, 30, 0, 0.02), daemon=True)
    publishing.start()
    # While it publishes: once it has gone, the next process may listen already.
    until(lambda: bool(listening.pictures))
    reads, *_ = decodes.pids()
    publishing.join(20)
    publish(url, 30)
    until(lambda: len(listening.pictures) == 60)
    assert decodes.pids()
    assert reads not in decodes.pids()
    listening.source.close()
    listening.wait()
    assert [f.gap for f in listening.frames if f.gap] == [Gap.SOURCE]
    assert [f.seq for f in listening.frames] == list(range(len(listening.frames)))
    assert len(listening.pictures) == 60


def _knock(port: int, greeting: bytes) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                return stranger.sendall(greeting)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_strangers_at_the_door_change_nothing(url: str) -> None:
    listening = Listening(url, decodes=Apart())
    for greeting in (b"", b"GET / HTTP/1.1\r\n\r\n" * 100):
        _knock(parse_source(url).port or 0, greeting)
    publish(url, 30)
    listening.wait()
    assert isinstance(listening.end, EndOfStream)
    assert len(listening.pictures) == 30


def test_close_ends_a_wait_for_a_publisher(url: str) -> None:
    decodes = Apart()
    listening = Listening(url, decodes=decodes)
    time.sleep(0.5)
    listening.source.close()
    listening.wait()
    assert isinstance(listening.end, EndOfStream)
    for child in decodes._running:
        assert child.ended


def test_a_port_in_use_is_refused_in_the_same_words(url: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", parse_source(url).port or 0))
        other.listen()
        source = AvSource(parse_source(url + "?listen=1"), decodes=Apart())
        with pytest.raises(SourceError, match="another program listens") as caught:
            source.open()
        source.close()
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_goes_or_stops_is_a_loss(
    url: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_GRACE_S", 1.0)
    decodes = Apart()
    listening = Listening(url, decodes=decodes, stall_s=2.0)

    def slowly() -> None:
        # So long that the process is in the middle of it, however late it is looked at.
        with contextlib.suppress(SafelightError):
            publish(url, 500, pause_s=0.02)

    threading.Thread(target=slowly, daemon=True).start()
    until(lambda: bool(listening.pictures))
    for pid in decodes.pids():
        os.kill(pid, number)
    listening.wait()
    assert isinstance(listening.end, SourceLostError)
    assert listening.end.exit_status == 4


def test_a_process_that_stops_while_a_publisher_is_away_is_not_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_GRACE_S", 0.5)
    decodes = Apart()
    listening = Listening(url, decodes=decodes, comeback_s=3.0)
    publish(url, 15)
    until(lambda: listening.source.back_within_s is not None)
    for pid in decodes.pids():
        os.kill(pid, signal.SIGSTOP)
    listening.wait()
    assert isinstance(listening.end, SourceLostError)
    assert listening.end.exit_status == 4


def test_an_unknown_server_is_said_in_the_same_words() -> None:
    address = f"rtmp://127.0.0.1:{free_port()}/live/SECRET"
    said = []
    for decodes in (None, Apart()):
        source = AvSource(parse_source(address), decodes=decodes)
        with pytest.raises(SourceError) as caught:
            source.open()
        source.close()
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "SECRET" not in said[0]
