"""Sources: what is left out is counted, changes are told, nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import deque
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.video.stream import VideoStream
from tests.media.helpers import (
    MS,
    Later,
    add_cover,
    content,
    picture,
    psnr,
    read,
    refusal,
    sound_frame,
    video_frame,
    write_video,
)

from safelight.errors import EndOfStream, SourceLostError
from safelight.media import av_decode, av_source
from safelight.media.address import parse_source
from safelight.media.av_picture import to_picture
from safelight.media.av_source import AvSource
from safelight.types import Gap, Picture

# --- what is left out ------------------------------------------------------------------------


def _everything(container: OutputContainer, _: VideoStream) -> Later:
    container.metadata["title"] = "SECRET-TITLE"
    container.add_attachment("SECRET.txt", "text/plain", b"SECRET-ATTACHMENT")
    container.set_chapters(
        [{"id": 1, "start": 0, "end": 9, "time_base": MS, "metadata": {"title": "X"}}]
    )
    second = container.add_stream("libx264", rate=30)
    second.width, second.height, second.pix_fmt = 32, 32, "yuv420p"
    sounds = [container.add_stream("aac", rate=44100, layout="stereo") for _ in range(2)]

    def later() -> None:
        for number in range(3):
            made = video_frame(picture(number, 32, 32), number, Fraction(1, 30))
            container.mux(second.encode(made))
        container.mux(second.encode(None))
        for sound in sounds:
            container.mux(sound.encode(sound_frame(0.3)))
            container.mux(sound.encode(None))

    return later


def test_what_is_not_passed_on_is_counted(tmp_path: Path) -> None:
    made = read(write_video(tmp_path / "all.mkv", range(10), extra=_everything))
    counts = made.counts()
    assert counts["video", "h264"] == 1
    assert counts["audio", "aac"] == 1
    assert counts["chapters", "chapter"] == 1
    assert any(kind == "attachment" for kind, _ in counts)
    assert counts["metadata", "tag"] >= 3
    assert {content(f).format.width for f in made.pictures} == {64}
    assert "SECRET" not in repr(made.dropped)


def test_cover_art_is_not_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "c.mp4", extra=lambda container, _: add_cover(container))
    made = read(path)
    assert made.counts()["video", "cover art"] == 1
    assert len(made.pictures) == 10


# --- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv", "mov", "ts", "avi"])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_every_picture_comes_once_and_in_order(tmp_path: Path, suffix: str, b_frames: int) -> None:
    path = write_video(tmp_path / f"b.{suffix}", range(40), options={"bf": str(b_frames)})
    made = read(path)
    assert len(made.pictures) == 40
    assert all(step > 0 for step in made.steps)
    assert [f.seq for f in made.frames] == list(range(len(made.frames)))
    for number in (0, 13, 39):
        assert psnr(content(made.pictures[number]).y, picture(number).y) > 30
    assert all(f.gap is None for f in made.frames)


def test_uneven_spacing_is_kept(tmp_path: Path) -> None:
    at = [0, 100, 150, 700, 733, 1400, 1401]
    made = read(write_video(tmp_path / "vfr.mp4", at, time_base=Fraction(1, 1000)))
    assert [round((t - made.times[0]) * 1000) for t in made.times] == at


def test_a_jump_in_time_is_told(tmp_path: Path) -> None:
    made = read(write_video(tmp_path / "j.mkv", [0, 33, 67, 2000], time_base=Fraction(1, 1000)))
    assert [f.gap for f in made.pictures] == [None, None, None, Gap.TIME]


def test_missing_times_are_made_up(tmp_path: Path) -> None:
    """A raw stream has no times; pictures must still follow each other."""
    path = write_video(tmp_path / "raw.h264", range(20), options={"bf": "0"})
    made = read(path)
    assert len(made.pictures) == 20
    assert all(step > 0 for step in made.steps)
    assert len(set(made.steps)) == 1


def test_an_edit_list_is_applied(tmp_path: Path) -> None:
    """Only what a player shows is judged and passed on, not what an edit list hides."""
    clip = write_video(tmp_path / "long.mp4", range(60), options={"g": "20", "bf": "0"})
    cut = tmp_path / "cut.mp4"
    with av.open(str(clip)) as source, av.open(str(cut), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            # What lies before zero is hidden by an edit list.
            packet.pts = (packet.pts or 0) - 15 * 512
            packet.dts -= 15 * 512
            packet.stream = stream
            sink.mux(packet)
    with av.open(str(cut)) as back:
        packets = sum(1 for p in back.demux(video=0) if p.size)
    made = read(cut)
    assert packets > 45
    assert len(made.pictures) == 45
    assert made.times[0] == 0
    assert psnr(content(made.pictures[0]).y, picture(15).y) > 30


# --- changes and damage -------------------------------------------------------------------------


def test_a_size_change_is_told(tmp_path: Path) -> None:
    first = write_video(tmp_path / "1.h264", range(10), options={"bf": "0"})
    second = write_video(tmp_path / "2.h264", range(10), size=(96, 64), options={"bf": "0"})
    joined = tmp_path / "joined.h264"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    made = read(joined)
    gaps = [(i, f.gap) for i, f in enumerate(made.pictures) if f.gap]
    assert gaps == [(10, Gap.FORMAT)]
    assert content(made.pictures[-1]).format.width == 96
    assert made.info.format.width == 64


def test_flipped_bits_end_nothing(tmp_path: Path) -> None:
    """What still decodes is judged as it is; what does not is left out; nothing crashes."""
    path = write_video(tmp_path / "good.ts", range(60), size=(160, 120), options={"g": "15"})
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(5)
    for at in random.integers(2000, len(data), 60):
        data[at] ^= 1 << int(random.integers(8))
    (tmp_path / "bad.ts").write_bytes(data)
    made = read(tmp_path / "bad.ts")
    assert 20 < len(made.pictures) <= 70
    assert all(isinstance(f.content, Picture) for f in made.pictures)


def test_a_stream_that_turns_to_noise_is_lost(tmp_path: Path) -> None:
    """Never an endless wait and never a clean end: too many undecodable packets are a loss."""
    good = write_video(tmp_path / "good.mkv", range(600), options={"g": "600", "bf": "0"})
    data = bytearray(good.read_bytes())
    third = len(data) // 20
    noise = np.random.default_rng(2).bytes(len(data) - third)
    data[third:] = noise
    (tmp_path / "bad.mkv").write_bytes(data)
    source = AvSource(parse_source(str(tmp_path / "bad.mkv")))
    source.open()
    frames = iter(source.read, None)
    with pytest.raises((SourceLostError, EndOfStream)):
        deque(frames, maxlen=0)
    source.close()


# --- graphs, closing ------------------------------------------------------------------------------


def test_a_graph_is_a_source() -> None:
    made = read("lavfi:testsrc2=size=64x48:rate=30:duration=0.5[out0];sine=d=0.5[out1]")
    assert len(made.pictures) == 15
    assert made.sounds
    assert not made.info.live
    assert "option" in refusal("lavfi:testsrc2=nonesuch=1")


def test_a_device_that_is_not_there() -> None:
    assert "no such" in refusal("device:/dev/video-none")


def test_info_is_told(tmp_path: Path) -> None:
    info = read(write_video(tmp_path / "i.mp4", range(30), sound_s=1.0)).info
    assert (info.live, info.frame_rate, info.frames) == (False, 30.0, 30)
    assert info.duration_s == pytest.approx(1.0, abs=0.05)
    assert (info.sound_rate, info.sound_channels) == (44100, 2)


def test_time_of_arrival_is_the_clocks() -> None:
    ticks = iter(range(1000, 9999))
    source = AvSource(
        parse_source("lavfi:testsrc2=size=64x48:duration=0.2"), clock=lambda: next(ticks)
    )
    source.open()
    assert [source.read().arrived_ns for _ in range(3)] == [1000, 1001, 1002]
    source.close()


@pytest.mark.parametrize("wait_for_it", [False, True])
def test_close_ends_a_read_in_another_thread(wait_for_it: bool) -> None:
    """A realtime graph of one picture in 20 s: ``read`` blocks until ``close``."""
    source = AvSource(parse_source("lavfi:testsrc2=size=64x48:rate=1/20,realtime"))
    source.open()
    source.read()
    ended: list[BaseException] = []

    def reading() -> None:
        try:
            while True:
                source.read()
        except EndOfStream as end:
            ended.append(end)

    thread = threading.Thread(target=reading, daemon=True)
    thread.start()
    if wait_for_it:
        time.sleep(0.2)
    source.close()
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(ended) == 1


def test_read_after_the_end_still_says_end(tmp_path: Path) -> None:
    source = AvSource(parse_source(str(write_video(tmp_path / "e.mp4", range(2)))))
    source.open()
    source.read()
    source.read()
    for _ in range(3):
        with pytest.raises(EndOfStream):
            source.read()
    source.close()


def test_a_defect_of_ours_is_no_end_of_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 2: an exception that nobody foresaw must not look like a clean end."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("safelight.media.av_decode.to_picture", broken)
    source = AvSource(parse_source("lavfi:testsrc2=size=64x48:duration=0.2"))
    with pytest.raises(ZeroDivisionError):
        source.open()
    source.close()


def test_libav_says_nothing_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(50_000))
    refusal(tmp_path / "noise.mp4")
    refusal("rtmp://127.0.0.1:1/app/key")
    assert capfd.readouterr() == ("", "")


def test_an_unreachable_server_is_refused_without_its_key() -> None:
    what = refusal("rtmp://127.0.0.1:1/app/SECRET")
    assert "nobody listens there" in what
    assert "SECRET" not in what


@pytest.mark.slow
def test_the_clips_come_whole(media: Path) -> None:
    for clip in sorted(media.glob("*.m*")):
        if clip.suffix not in (".mkv", ".mp4"):
            continue
        with av.open(str(clip)) as container:
            frames = [(f.pts, f.to_ndarray(format="yuvj420p")) for f in container.decode(video=0)]
        made = read(clip)
        assert [f.pts for f in made.pictures] == [pts for pts, _ in frames]
        assert all(f.gap is None for f in made.pictures)
        height = made.info.format.height
        for number in (0, len(frames) // 2, len(frames) - 1):
            if made.info.format.full_range:
                assert np.array_equal(content(made.pictures[number]).y, frames[number][1][:height])


@pytest.mark.parametrize(("large", "ahead"), [(False, 16), (True, 2)])
def test_large_pictures_do_not_fill_memory(
    monkeypatch: pytest.MonkeyPatch, large: bool, ahead: int
) -> None:
    if large:
        monkeypatch.setattr(av_source, "_AHEAD_BYTES", 64 * 48)
    source = AvSource(parse_source("lavfi:testsrc2=size=64x48:rate=30:duration=2"))
    most = 0
    source.open()
    with contextlib.suppress(EndOfStream):
        while True:
            with source._changed:
                source._changed.wait_for(
                    lambda: len(source._queue) >= ahead or source._end is not None, 20
                )
            most = max(most, len(source._queue))
            source.read()
    source.close()
    assert most == ahead


@pytest.mark.parametrize("changed", [{"matrix": 5}, {"primaries": 9}, {"transfer": 4}])
def test_colours_that_change_end_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    """A sink says once which colours it holds: others would be shown as another picture."""
    made = itertools.count()

    def later_others(frame: av.VideoFrame, aspect: Fraction | None = None) -> Picture:
        picture = to_picture(frame, aspect)
        form = picture.format if next(made) < 3 else replace(picture.format, **changed)
        return Picture(form, picture.y, picture.u, picture.v)

    monkeypatch.setattr(av_decode, "to_picture", later_others)
    source = AvSource(parse_source(str(write_video(tmp_path / "a.mkv"))))
    source.open()
    for _ in range(3):
        source.read()
    with pytest.raises(SourceLostError, match="colour space"):
        source.read()
    source.close()
