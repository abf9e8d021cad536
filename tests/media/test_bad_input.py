"""Bad input: one line that says what and what to do, and nothing else is opened."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.video.stream import VideoStream
from tests.media.helpers import (
    add_cover,
    picture,
    read,
    refusal,
    sound_frame,
    video_frame,
    write_video,
)

from safelight.errors import SinkError
from safelight.media import av_open, decoding
from safelight.media.address import parse_sink, parse_source
from safelight.media.av_sink import AvSink
from safelight.media.interface import SourceInfo
from safelight.types import PictureFormat


def test_no_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.mp4")


def test_a_directory(tmp_path: Path) -> None:
    assert "directory" in refusal(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty" in refusal(tmp_path / "empty.mp4")


def test_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("Dear Sir or Madam,\n" * 50)
    assert "text file" in refusal(tmp_path / "text.mp4")


def test_not_an_ordinary_file() -> None:
    assert "ordinary" in refusal("/dev/null")


def test_noise(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(100_000))
    assert "not a kind of video file" in refusal(tmp_path / "noise.mp4")


def test_a_truncated_mp4(tmp_path: Path) -> None:
    """Its index comes last, so half of it has none."""
    whole = write_video(tmp_path / "whole.mp4", range(30)).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    assert "breaks off" in refusal(tmp_path / "half.mp4")


def test_sound_alone(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="stereo")
        container.mux(stream.encode(sound_frame(0.5)))
        container.mux(stream.encode(None))
    assert "no video" in refusal(tmp_path / "sound.mp4")


def test_sound_with_cover_art_is_sound_alone(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="stereo")
        later = add_cover(container)
        container.mux(stream.encode(sound_frame(0.5)))
        container.mux(stream.encode(None))
        later()
    assert "no video" in refusal(tmp_path / "song.mp4")


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_video_without_pictures(tmp_path: Path, suffix: str) -> None:
    what = refusal(write_video(tmp_path / f"none.{suffix}", ()))
    assert any(word in what for word in ("no picture", "no video", "first picture"))


def test_pictures_too_small(tmp_path: Path) -> None:
    assert "too small" in refusal("lavfi:testsrc2=size=64x8:duration=1")


PLAYLISTS: dict[str, str] = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n",
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{clip}'\n",
    "list.mpd": '<?xml version="1.0"?>\n<MPD><BaseURL>{clip}</BaseURL></MPD>\n',
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "list.pls": "[playlist]\nFile1={clip}\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_refused_by_name(tmp_path: Path, name: str) -> None:
    clip = write_video(tmp_path / "clip.mp4")
    (tmp_path / name).write_text(PLAYLISTS[name].format(clip=clip))
    assert "names another file" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_that_is_not_recognised_opens_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 5: it is the list of formats that keeps the guard in, not the marks of a few."""
    asked: list[str] = []

    def refuse(url: str, _flags: int, _options: dict[str, str]) -> object:
        asked.append(url)
        raise PermissionError

    monkeypatch.setattr("safelight.media.av_open._MARKS", ())
    monkeypatch.setattr("safelight.media.av_open._refuse_other", refuse)
    clip = write_video(tmp_path / "clip.mp4")
    (tmp_path / name).write_text(PLAYLISTS[name].format(clip=clip))
    refusal(tmp_path / name)
    assert asked == []


def test_only_listed_formats_are_read(tmp_path: Path) -> None:
    """A format that was not looked at may name other files: it is not tried."""
    with av.open(str(tmp_path / "odd"), "w", format="smjpeg") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(5):
            made = video_frame(picture(number), number, Fraction(1, 30), "yuvj420p")
            container.mux(stream.encode(made))
    with av.open(str(tmp_path / "odd")) as container:
        assert container.format.name == "smjpeg"
    assert "not a kind" in refusal(tmp_path / "odd")


def test_a_pattern_in_a_name_is_a_name(tmp_path: Path) -> None:
    """libav takes %d in a name for a sequence of pictures: it would open the other files."""
    for number in (1, 2, 3):
        write_video(tmp_path / f"p{number}.png", [0], codec="png", kind="rgb24")
    refusal(tmp_path / "p%d.png")
    (tmp_path / "p1.png").rename(tmp_path / "p%d.png")
    assert len(read(tmp_path / "p%d.png").pictures) == 1


@pytest.mark.parametrize("suffix", ["mkv", "flv", "avi"])
def test_a_tag_that_is_no_utf_8_is_only_a_tag(tmp_path: Path, suffix: str) -> None:
    """Old programs write titles in other encodings, and whoever publishes writes anything."""
    path = tmp_path / f"a.{suffix}"

    def tagged(container: OutputContainer, _stream: VideoStream) -> None:
        container.metadata["title"] = "TITLETAG"

    data = write_video(path, extra=tagged).read_bytes()
    assert b"TITLETAG" in data
    path.write_bytes(data.replace(b"TITLETAG", b"\xff\xfe\xc3(\xe9\xe9\xe9 "))
    assert len(read(path).pictures) == 10


@pytest.mark.parametrize("error", [ValueError("bad"), UnicodeDecodeError("utf-8", b"x", 0, 1, "y")])
def test_trouble_of_the_bindings_own_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: ValueError
) -> None:
    path = write_video(tmp_path / "a.mkv")

    def broken(*_args: object, **_more: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(av, "open", broken)
        assert "read" in refusal(path)
        assert "read" in refusal("rtmp://127.0.0.1/app/key")
        listening = parse_source("rtmp://127.0.0.1:1/app/key?listen=1")
        with pytest.raises(av_open.PublisherLeftError):
            av_open.open_container(listening, answer_s=1, stall_s=1)
    monkeypatch.setattr(decoding, "Decoder", broken)
    assert "read" in refusal(path)


def test_a_sink_does_not_replace_a_pipe(tmp_path: Path) -> None:
    """The file is put in place by renaming, which would take a device from everybody."""
    target = tmp_path / "out.mp4"
    os.mkfifo(target)
    sink = AvSink(parse_sink(str(target)))
    with pytest.raises(SinkError, match="ordinary file"):
        sink.open(SourceInfo(False, PictureFormat(64, 48), 30.0))
    assert target.is_fifo()
