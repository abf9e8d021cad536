"""Sinks: only what is safe leaves, spaced as it came, and nothing half done looks whole."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from tests.media.helpers import (
    MS,
    content,
    pass_through,
    picture,
    psnr,
    read,
    safe,
    tone,
    write,
    write_video,
)

from safelight.errors import SinkError, SinkLostError
from safelight.media.address import parse_sink
from safelight.media.av_sink import AvSink
from safelight.media.interface import SourceInfo
from safelight.media.null_sink import NullSink
from safelight.types import Frame, PictureFormat, SafeFrame, Sound

SUFFIXES = ["mp4", "m4v", "mov", "mkv", "flv", "ts"]
INFO = SourceInfo(False, PictureFormat(64, 48), 30.0)


def sink_at(path: Path | str) -> AvSink:
    return AvSink(parse_sink(str(path)))


def refusal(path: Path | str) -> str:
    with pytest.raises(SinkError) as caught:
        sink_at(path).open(INFO)
    assert "\n" not in str(caught.value)
    return caught.value.what


# --- only what is safe -------------------------------------------------------------------------


@pytest.mark.parametrize("sink", [NullSink(), AvSink(parse_sink("never.mp4"))])
def test_nothing_but_a_safe_frame_is_taken(sink: NullSink | AvSink) -> None:
    """Promise 1: not a frame, not a picture, not something that looks like a SafeFrame."""
    frame = Frame(0, 0, MS, 0, picture(0))

    class Lookalike(SafeFrame):
        pass

    for offered in (frame, picture(0), None, object.__new__(Lookalike)):
        with pytest.raises(TypeError, match="SafeFrame"):
            sink.write(cast(Any, offered))


def test_a_null_sink_counts() -> None:
    sink = NullSink()
    sink.open(INFO)
    sink.write(safe(picture(0), 0))
    sink.write(safe(Sound(48000, tone(0.01, 48000)), 0))
    sink.close(whole=True)
    assert (sink.pictures, sink.sounds) == (1, 1)


# --- what leaves is what came -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_leave_as_they_came(tmp_path: Path, suffix: str) -> None:
    clip = write_video(tmp_path / "in.mkv", range(40), size=(160, 120), options={"crf": "10"})
    came, left = pass_through(clip, tmp_path / f"out.{suffix}")
    assert len(left.pictures) == len(came.pictures) == 40
    for a, b in zip(came.pictures, left.pictures, strict=True):
        assert psnr(content(a).y, content(b).y) > 36
        assert content(a).format == content(b).format


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        (Fraction(1, 30), list(range(12))),
        (Fraction(1001, 30000), list(range(12))),
        (Fraction(1, 90000), [0, 3003, 6006, 9100, 12000, 99000]),
        (Fraction(1, 1000), [0, 1, 33, 67, 500, 9000]),
        (Fraction(1, 25), [100, 101, 102, 105, 110]),
        (Fraction(1, 1_000_000_000), [33_333_333 * i for i in range(12)]),
    ],
)
def test_spacing_is_kept(tmp_path: Path, suffix: str, time_base: Fraction, pts: list[int]) -> None:
    path = tmp_path / f"out.{suffix}"
    write(path, [safe(picture(i), at, time_base) for i, at in enumerate(pts)])
    left = read(path)
    came = [at * time_base - pts[0] * time_base for at in pts]
    out = [t - left.times[0] for t in left.times]
    # Matroska and FLV count whole milliseconds, MPEG-TS 1/90000 s; the others are exact.
    grain = {"mkv": Fraction(1, 1000), "flv": Fraction(1, 1000), "ts": Fraction(1, 90_000)}
    allowed = grain.get(suffix, Fraction(1, 90_000) if time_base.denominator > 10**6 else 0)
    assert len(out) == len(came)
    assert all(abs(a - b) <= allowed for a, b in zip(out, came, strict=True))
    assert left.times[0] < Fraction(1, 5)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "flv", "ts"])
@pytest.mark.parametrize("full", [False, True])
def test_colour_and_aspect_leave_too(tmp_path: Path, suffix: str, full: bool) -> None:
    form = PictureFormat(64, 48, full, 9, 9, 14, Fraction(4, 3))
    path = tmp_path / f"out.{suffix}"
    write(path, [safe(picture(i, form=form), 33 * i) for i in range(8)])
    left = read(path)
    assert left.info.format == form
    assert psnr(content(left.pictures[4]).y, picture(4).y) > 36


def test_full_range_clips_stay_full_range(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "in.mp4", range(8), kind="yuvj420p")
    came, left = pass_through(clip, tmp_path / "out.mp4")
    assert came.info.format.full_range
    assert left.info.format.full_range
    assert psnr(content(came.pictures[3]).y, content(left.pictures[3]).y) > 36


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv", "ts"])
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_stays_with_its_picture(tmp_path: Path, suffix: str, channels: int) -> None:
    """A click at 0.5 s of sound that starts with the first picture must stay there."""
    path = tmp_path / f"out.{suffix}"
    samples = np.zeros((channels, 48000), dtype=np.float32)
    samples[:, 24000:24200] = 0.9
    info = SourceInfo(False, PictureFormat(64, 48), 30.0, 48000, channels)
    frames = [safe(picture(i), 10_000 + 33 * i) for i in range(30)]
    chunks = [
        safe(
            Sound(48000, np.ascontiguousarray(samples[:, at : at + 1024])),
            10 * 48000 + at,
            Fraction(1, 48000),
        )
        for at in range(0, 48000, 1024)
    ]
    write(path, [frames[0], *chunks, *frames[1:]], info)
    left = read(path)
    heard = [
        (f.pts * f.time_base + Fraction(i, 48000))
        for f in left.sounds
        for i in np.flatnonzero(np.abs(cast(Sound, f.content).samples[0]) > 0.4)[:1]
    ]
    offset = min(heard) - left.times[0]
    assert float(offset) == pytest.approx(0.5, abs=0.03)
    assert left.info.sound_channels == channels


def test_sound_before_the_first_picture_does_not_leave(tmp_path: Path) -> None:
    info = SourceInfo(False, PictureFormat(64, 48), 30.0, 48000, 1)
    early = [safe(Sound(48000, tone(0.02, 48000)), i * 960, Fraction(1, 48000)) for i in range(20)]
    frames = [safe(picture(i), 1000 + 33 * i) for i in range(10)]
    write(tmp_path / "out.mkv", [*early, *frames], info)
    assert read(tmp_path / "out.mkv").sounds == []


def test_no_trace_of_the_source_or_the_encoder(tmp_path: Path) -> None:
    """Promise 4: no title, no date, no library's name, and not even x264's settings."""
    for suffix in ("mp4", "mov", "flv", "ts"):
        path = tmp_path / f"out.{suffix}"
        info = SourceInfo(False, PictureFormat(64, 48), 30.0, 48000, 1)
        sound = safe(Sound(48000, tone(0.5, 48000)), 0, Fraction(1, 48000))
        write(path, [safe(picture(0), 0), sound, safe(picture(1), 400)], info)
        data = path.read_bytes()
        for trace in (b"x264", b"Lavf", b"Lavc", b"libx264", str(tmp_path).encode()):
            assert trace not in data
        with av.open(str(path)) as container:
            assert "creation_time" not in container.metadata


# --- changes in the middle ------------------------------------------------------------------------


def test_another_size_is_fitted_in(tmp_path: Path) -> None:
    frames = [safe(picture(i), 33 * i) for i in range(5)]
    frames += [safe(picture(i, 96, 96), 33 * i) for i in range(5, 10)]
    write(tmp_path / "out.mp4", frames)
    left = read(tmp_path / "out.mp4")
    assert {content(f).format for f in left.pictures} == {PictureFormat(64, 48)}
    fitted = content(left.pictures[7]).y
    assert fitted[:, :6].mean() < 24
    assert fitted[:, 12:52].mean() > 60


def test_time_that_starts_over_goes_on(tmp_path: Path) -> None:
    """A publisher that came back starts at zero; the file goes on."""
    frames = [safe(picture(i), 5000 + 40 * i) for i in range(5)]
    frames += [safe(picture(i), 40 * i) for i in range(5)]
    write(tmp_path / "out.mp4", frames)
    steps = read(tmp_path / "out.mp4").steps
    assert len(steps) == 9
    assert all(0 < step <= Fraction(1, 20) for step in steps)


# --- nothing half done looks whole ---


@pytest.mark.parametrize("name", ["a.webm", "a.avi", "a", "a.txt", "a.mp4.gz", "a.m3u8"])
def test_a_container_that_is_not_known_is_refused(tmp_path: Path, name: str) -> None:
    refusal(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_webm_cannot_carry_it(tmp_path: Path) -> None:
    assert "cannot carry H.264" in refusal(tmp_path / "a.webm")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    assert "folder" in refusal(tmp_path / "missing" / "a.mp4")
    assert "folder" in refusal(tmp_path / "file" / "a.mp4")
    assert "directory" in refusal(tmp_path / "folder.mp4")
    refusal("/proc/a.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "permission" in refusal(tmp_path / "a.mp4")


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setattr(secrets, "token_hex", lambda _size: "0")
    (tmp_path / "a.mp4.0.part").symlink_to(victim)
    refusal(tmp_path / "a.mp4")
    assert victim.read_text() == "mine"
    assert (tmp_path / "a.mp4.0.part").is_symlink()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", ["a.mp4.part", "a.mp4.0.part"])
def test_an_unfinished_file_is_never_one_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, whole: bool
) -> None:
    """It may be the very source, or the only copy of something."""
    (tmp_path / name).write_text("mine")
    monkeypatch.setattr(secrets, "token_hex", lambda _size: "0")
    if name == "a.mp4.0.part":
        refusal(tmp_path / "a.mp4")
    else:
        sink = sink_at(tmp_path / "a.mp4")
        sink.open(INFO)
        sink.write(safe(picture(0), 0))
        sink.close(whole=whole)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("whole", [True, False])
def test_only_what_was_made_here_is_moved_or_removed(tmp_path: Path, whole: bool) -> None:
    sink = sink_at(tmp_path / "a.mp4")
    sink.open(INFO)
    sink.write(safe(picture(0), 0))
    part = next(tmp_path.iterdir())
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "mine").replace(part)
    with pytest.raises(SinkLostError) if whole else contextlib.nullcontext():
        sink.close(whole=whole)
    assert part.read_text() == "mine"
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_nothing_is_left_when_opening_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def cut_short(*_args: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr(av, "open", cut_short)
    with pytest.raises(error):
        sink_at(tmp_path / "a.mp4").open(INFO)
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_has_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    sink = sink_at(tmp_path / "a.mp4")
    sink.open(INFO)
    sink.write(safe(picture(0), 0))
    sink.close(whole=True)
    assert (tmp_path / "a.mp4").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "a.mp4")
    sink.open(INFO)
    assert [p.suffix for p in tmp_path.iterdir()] == [".part"]
    sink.write(safe(picture(0), 0))
    assert [p.suffix for p in tmp_path.iterdir()] == [".part"]
    sink.close(whole=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    sink.close(whole=True)


@pytest.mark.parametrize("written", [0, 1, 50])
def test_a_file_that_is_not_whole_is_gone(tmp_path: Path, written: int) -> None:
    (tmp_path / "a.mp4").write_text("of an earlier run, and its user's")
    sink = sink_at(tmp_path / "a.mp4")
    sink.open(INFO)
    for number in range(written):
        sink.write(safe(picture(number), 33 * number))
    sink.close(whole=False)
    sink.close(whole=False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text().startswith("of an earlier")


def test_a_file_without_a_picture_is_no_file(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "a.mp4")
    sink.open(INFO)
    sink.close(whole=True)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_sink_takes_nothing(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "a.mp4")
    with pytest.raises(SinkLostError):
        sink.write(safe(picture(0), 0))
    sink.open(INFO)
    with pytest.raises(SinkError):
        sink.open(INFO)
    sink.close(whole=True)
    with pytest.raises(SinkLostError):
        sink.write(safe(picture(0), 0))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB: a full disk, as far as writing goes."""
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, was[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, was)
    signal.signal(signal.SIGXFSZ, handler)


def noise(number: int) -> SafeFrame:
    random = np.random.default_rng(number)
    form = PictureFormat(320, 240)
    shapes = ((240, 320), (120, 160), (120, 160))
    planes = [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    return safe(type(picture(0))(form, *planes), 33 * number)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv"])
@pytest.mark.parametrize("frames", [1, 60])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, small_disk: None, suffix: str, frames: int
) -> None:
    """Found while writing, or only when the last of it goes out: either way no file is left."""
    sink = sink_at(tmp_path / f"a.{suffix}")
    sink.open(SourceInfo(False, PictureFormat(320, 240), 30.0))

    def all_of_it() -> None:
        for number in range(frames):
            sink.write(noise(number))
        for number in range(frames, frames + 3):
            sink.write(noise(number))
        sink.close(whole=True)

    with pytest.raises(SinkLostError) as caught:
        all_of_it()
    assert "\n" not in str(caught.value)
    assert "grow no further" in caught.value.what
    sink.close(whole=False)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_refused_without_its_key() -> None:
    what = refusal("rtmp://127.0.0.1:1/app/SECRET")
    assert "nobody listens there" in what
    assert "SECRET" not in what


@pytest.mark.slow
def test_the_clips_leave_as_they_came(media: Path, tmp_path: Path) -> None:
    for clip in sorted(media.glob("*.mkv")):
        came, left = pass_through(clip, tmp_path / "out.mp4")
        assert len(left.pictures) == len(came.pictures)
        assert left.steps == came.steps
        assert left.info.format.full_range
        for a, b in zip(came.pictures[::9], left.pictures[::9], strict=True):
            assert psnr(content(a).y, content(b).y) > 36
