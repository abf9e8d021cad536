"""Tiny drawn clips of many kinds, made in memory: what media targets begin with."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

_RATE: Final = 30


@dataclass(frozen=True, slots=True)
class Clip:
    """How one clip is made: ``container`` format, ``codec``, pixel format ``kind``."""

    container: str
    codec: str
    kind: str = "yuv420p"
    size: tuple[int, int] = (64, 64)
    pictures: int = 4
    sound: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    more: Callable[[OutputContainer, VideoStream], None] | None = None


def _turned(_container: OutputContainer, stream: VideoStream) -> None:
    cast(Any, stream).set_display_rotation(90)


def _tagged(container: OutputContainer, stream: VideoStream) -> None:
    container.metadata["title"] = "a title"
    stream.metadata["language"] = "eng"


_X264: Final = {"preset": "ultrafast", "bf": "1"}
CLIPS: Final = (
    Clip("mp4", "libx264", sound="aac", options=_X264),
    Clip("mp4", "libx264", size=(64, 48), options=_X264, more=_turned),
    Clip("mp4", "mpeg4", more=_tagged),
    Clip("mov", "png", kind="rgba", size=(33, 21), pictures=2),
    Clip("flv", "libx264", sound="aac", options=_X264),
    Clip("matroska", "libx264", kind="yuv420p10le", options=_X264),
    Clip("matroska", "ffv1", kind="yuva420p", size=(65, 47), pictures=2),
    Clip("matroska", "ffv1", kind="gray", pictures=2, sound="pcm_s16le"),
    Clip("nut", "rawvideo", kind="bgra", size=(18, 16), pictures=2, sound="flac"),
    Clip("avi", "huffyuv", kind="yuv422p", size=(32, 32), pictures=2),
    Clip("webm", "libvpx", size=(48, 64), sound="libopus", options={"deadline": "realtime"}),
    Clip("mpegts", "mpeg2video", sound="mp2"),
    Clip("avi", "mjpeg", kind="yuvj420p", pictures=2, sound="pcm_s16le"),
    Clip("gif", "gif", kind="rgb8", size=(32, 32), pictures=3),
    Clip("yuv4mpegpipe", "wrapped_avframe", size=(32, 18), pictures=2),
    Clip("h264", "libx264", options={**_X264, "a53cc": "1"}),
)


def make(clip: Clip) -> bytes:
    """Return the clip's bytes."""
    file = io.BytesIO()
    with av.open(file, "w", format=clip.container) as container:
        stream = cast(VideoStream, container.add_stream(clip.codec, rate=_RATE))
        stream.width, stream.height, stream.pix_fmt = *clip.size, clip.kind
        stream.codec_context.options = clip.options
        sound = container.add_stream(clip.sound, rate=48000, layout="mono") if clip.sound else None
        if clip.more is not None:
            clip.more(container, stream)
        container.start_encoding()
        for number in range(clip.pictures):
            container.mux(stream.encode(_picture(clip, number)))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(cast(Any, sound).encode(_tone(sound)))
            container.mux(cast(Any, sound).encode(None))
    return file.getvalue()


def with_slow_sound(rate: int = 1) -> bytes:
    """Return a clip whose sound claims ``rate`` samples a second; a sink wants 48,000."""
    clip = make(Clip("matroska", "ffv1", kind="gray", pictures=2, sound="pcm_u8"))
    told = b"\xb5\x88" + struct.pack(">d", 48000.0)  # Matroska's SamplingFrequency
    if told not in clip:
        raise ValueError("the rate is not where it was")
    return clip.replace(told, b"\xb5\x88" + struct.pack(">d", float(rate)))


def _picture(clip: Clip, number: int) -> av.VideoFrame:
    width, height = clip.size
    rows, columns = np.mgrid[0:height, 0:width]
    rgb = np.stack([rows * 3 + number * 9, columns * 3, rows + columns], axis=-1)
    frame = av.VideoFrame.from_ndarray((rgb % 256).astype(np.uint8), "rgb24")
    made = frame.reformat(format=clip.kind, threads=1)
    made.pts, made.time_base = number, Fraction(1, _RATE)
    return made


def _tone(stream: Any) -> av.AudioFrame:
    at = np.arange(4096) / 48000
    wave = (0.3 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)[None, :]
    frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    resampler = av.AudioResampler(format=stream.codec_context.format.name, layout="mono")
    return resampler.resample(frame)[0]
