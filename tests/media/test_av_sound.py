"""Sound of any kind becomes what a sink can carry, unbroken and in its place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from tests.fuzz import clips
from tests.media.helpers import (
    Later,
    read,
    sound_frame,
    tone,
    write_video,
)

from safelight.media.av_sound import SoundReader
from safelight.types import Picture, Sound


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ((44100, "stereo", "s16"), (44100, 2)),
        ((48000, "mono", "s16"), (48000, 1)),
        ((8000, "mono", "u8"), (8000, 1)),
        ((37800, "stereo", "s32"), (48000, 2)),
        ((96000, "stereo", "flt"), (96000, 2)),
        ((48000, "5.1", "s16"), (48000, 2)),
        ((192000, "mono", "s16"), (48000, 1)),
    ],
)
def test_any_sound_becomes_what_aac_carries(
    tmp_path: Path, given: tuple[int, str, str], becomes: tuple[int, int]
) -> None:
    rate, layout, kind = given
    out_rate, channels = becomes
    codec = {"s16": "pcm_s16le", "u8": "pcm_u8", "s32": "pcm_s32le", "flt": "pcm_f32le"}[kind]

    def with_sound(container: OutputContainer, _: VideoStream) -> Later:
        sound = cast(AudioStream, container.add_stream(codec, rate=rate, layout=layout))

        def later() -> None:
            container.mux(sound.encode(sound_frame(0.5, rate, layout, kind)))
            container.mux(sound.encode(None))

        return later

    made = read(write_video(tmp_path / "s.mkv", range(15), extra=with_sound))
    assert (made.info.sound_rate, made.info.sound_channels) == (out_rate, channels)
    chunks = [(f.pts, f.content) for f in made.sounds if isinstance(f.content, Sound)]
    assert all(s.samples.shape[1] <= 1024 for _, s in chunks)
    assert all(s.samples.shape[0] == channels and s.rate == out_rate for _, s in chunks)
    expected = chunks[0][0]
    for pts, chunk in chunks:
        assert pts == expected
        expected += chunk.samples.shape[1]
    heard = np.concatenate([s.samples for _, s in chunks], axis=1)[0]
    assert len(heard) == pytest.approx(0.5 * out_rate, rel=0.01)
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) * out_rate / len(heard) == pytest.approx(440, abs=5)


def test_sound_that_is_not_a_number_is_silence(tmp_path: Path) -> None:
    def with_sound(container: OutputContainer, _: VideoStream) -> Later:
        sound = container.add_stream("pcm_f32le", rate=48000, layout="mono")
        samples = tone(0.2, 48000)
        samples[0, ::7], samples[0, 1::7], samples[0, 2::7] = np.nan, np.inf, 40.0
        frame = av.AudioFrame.from_ndarray(samples, "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        return lambda: container.mux(sound.encode(frame))

    made = read(write_video(tmp_path / "s.mkv", range(8), extra=with_sound))
    for frame in made.sounds:
        assert isinstance(frame.content, Sound)
        assert np.isfinite(frame.content.samples).all()
        assert np.abs(frame.content.samples).max() <= 1


def test_the_first_frame_is_a_picture(tmp_path: Path) -> None:
    """Sound leaves only up to the latest picture, so a picture has to come first."""
    made = read(write_video(tmp_path / "s.mp4", range(30), sound_s=1.0))
    assert isinstance(made.frames[0].content, Picture)
    assert made.frames[0].seq == 0
    assert all(f.pts_ns >= made.frames[0].pts_ns for f in made.sounds)
    assert sum(cast(Sound, f.content).samples.shape[1] for f in made.sounds) >= 43_000


def test_sound_begins_with_the_first_picture_not_a_chunk_later(tmp_path: Path) -> None:
    """Where a picture begins within a chunk, as after a sound codec's own delay (Matroska)."""
    path = write_video(
        tmp_path / "s.mov", range(5, 1000, 33), time_base=Fraction(1, 1000),
        extra=lambda container, _: _pcm(container),
    )  # fmt: skip
    made = read(path)
    (first, *_) = made.sounds
    behind_ns = first.pts_ns - made.frames[0].pts_ns
    assert 0 <= behind_ns < 1_000_000
    heard = sum(cast(Sound, f.content).samples.shape[1] for f in made.sounds)
    assert heard == pytest.approx(0.995 * 48_000, abs=48)


def _pcm(container: OutputContainer) -> Later:
    sound = container.add_stream("pcm_s16le", rate=48000, layout="mono")

    def later() -> None:
        container.mux(sound.encode(sound_frame(1.0, 48000, "mono", "s16")))
        container.mux(sound.encode(None))

    return later


@pytest.mark.parametrize("rate", [1, 50, 3999])
def test_sound_that_would_grow_without_end_is_left_behind(tmp_path: Path, rate: int) -> None:
    """Found by fuzzing: 5 kB at 1 Hz took 5.3 GB to bring to 48 kHz."""
    path = tmp_path / "slow.mkv"
    path.write_bytes(clips.with_slow_sound(rate))
    came = read(path)
    assert len(came.pictures) == 2
    assert came.sounds == []
    assert came.counts()["audio", "pcm_u8"] == 1


def test_a_rate_that_changes_under_way_is_not_taken_either() -> None:
    frame = sound_frame(0.1)
    frame.sample_rate = 1
    assert list(SoundReader(44100, 2).read(frame)) == []
