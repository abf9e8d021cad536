"""Drawn inputs, and the way from a source to a sink with everything let through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.video.stream import VideoStream

from safelight.errors import EndOfStream, SourceError
from safelight.media.address import parse_sink, parse_source
from safelight.media.av_sink import AvSink
from safelight.media.av_source import AvSource
from safelight.media.decoding import Decodes
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.types import (
    RELEASE_MINT,
    Frame,
    Picture,
    PictureFormat,
    Plane,
    SafeFrame,
    Sound,
)

MS = Fraction(1, 1000)
Later = Callable[[], None]


def picture(
    number: int = 0, width: int = 64, height: int = 48, form: PictureFormat | None = None
) -> Picture:
    """A smooth pattern that moves with ``number`` and has no symmetry."""
    form = form or PictureFormat(width, height)
    rows, columns = np.mgrid[0 : form.height, 0 : form.width]
    y = 40 + rows * 100 / form.height + columns * 60 / form.width + (number * 7) % 40
    half_rows, half_columns = rows[::2, ::2], columns[::2, ::2]
    u = 90 + half_rows * 60 / form.height
    v = 170 - half_columns * 60 / form.width
    return Picture(form, *(plane.astype(np.uint8) for plane in (y, u, v)))


def video_frame(
    made: Picture, pts: int, time_base: Fraction, kind: str = "yuv420p"
) -> av.VideoFrame:
    frame = av.VideoFrame(made.format.width, made.format.height, "yuv420p")
    for plane, values in zip(frame.planes, (made.y, made.u, made.v), strict=True):
        fill(plane, values)
    if kind != "yuv420p":
        frame = frame.reformat(format=kind, threads=1)
    frame.pts, frame.time_base = pts, time_base
    return frame


def fill(plane: object, values: Plane) -> None:
    memory = memoryview(cast(Any, plane))
    rows = np.frombuffer(memory, dtype=np.uint8).reshape(-1, cast(Any, plane).line_size)
    rows[: values.shape[0], : values.shape[1]] = values


def write_video(
    path: Path,
    pts: Iterable[int] = range(10),
    *,
    time_base: Fraction = Fraction(1, 30),
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    kind: str = "yuv420p",
    options: dict[str, str] | None = None,
    extra: Callable[[OutputContainer, VideoStream], Later | None] | None = None,
    sound_s: float = 0.0,
) -> Path:
    """Draw a clip with a picture at each of ``pts``.

    ``extra`` may add streams, and return what writes into them once the header is there.
    """
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=30, options=options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, kind
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        audio = container.add_stream("aac", rate=44100, layout="stereo") if sound_s else None
        later = extra(container, stream) if extra is not None else None
        container.start_encoding()
        for number, at in enumerate(pts):
            frame = video_frame(picture(number, *size), at, time_base, kind)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if later is not None:
            later()
        if audio is not None:
            container.mux(audio.encode(sound_frame(sound_s)))
            container.mux(audio.encode(None))
    return path


def sound_frame(
    seconds: float, rate: int = 44100, layout: str = "stereo", kind: str = "fltp"
) -> av.AudioFrame:
    made = tone(seconds, rate)
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    frame = av.AudioFrame.from_ndarray(np.repeat(made, channels, axis=0), "fltp", layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    if kind != "fltp":
        frame = av.AudioResampler(format=kind, layout=layout, rate=rate).resample(frame)[0]
    return frame


def tone(seconds: float, rate: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    at = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)[None, :]


def safe(content: Picture | Sound, pts: int, time_base: Fraction = MS) -> SafeFrame:
    """Mint what only core/release.py may mint, to try a sink without an engine."""
    return SafeFrame(pts, time_base, content, None, True, RELEASE_MINT)


@dataclass(frozen=True)
class Read:
    info: SourceInfo
    frames: list[Frame]
    dropped: tuple[DroppedStream, ...]

    @property
    def pictures(self) -> list[Frame]:
        return [f for f in self.frames if isinstance(f.content, Picture)]

    @property
    def sounds(self) -> list[Frame]:
        return [f for f in self.frames if isinstance(f.content, Sound)]

    @property
    def times(self) -> list[Fraction]:
        return [f.pts * f.time_base for f in self.pictures]

    @property
    def steps(self) -> list[Fraction]:
        return [b - a for a, b in zip(self.times, self.times[1:], strict=False)]

    def counts(self) -> dict[tuple[str, str], int]:
        return {(d.kind, d.what): d.count for d in self.dropped}


def content(frame: Frame) -> Picture:
    assert isinstance(frame.content, Picture)
    return frame.content


def read(path: Path | str, decodes: Decodes | None = None) -> Read:
    """Read a source to its end."""
    source = AvSource(parse_source(str(path)), decodes=decodes)
    frames: list[Frame] = []
    try:
        info = source.open()
        while True:
            frames.append(source.read())
    except EndOfStream:
        pass
    finally:
        source.close()
    return Read(info, frames, source.dropped)


def write(path: Path | str, frames: Sequence[SafeFrame], info: SourceInfo | None = None) -> None:
    """Write frames to a sink and close it whole."""
    first = next((f.content.format for f in frames if isinstance(f.content, Picture)), None)
    info = info or SourceInfo(False, first or PictureFormat(64, 48), 30.0)
    sink = AvSink(parse_sink(str(path)))
    sink.open(info)
    for frame in frames:
        sink.write(frame)
    sink.close(whole=True)


def pass_through(source: Path | str, sink: Path) -> tuple[Read, Read]:
    """Let everything through, and read back what left: (what came in, what left)."""
    came = read(source)
    frames = [safe(f.content, f.pts, f.time_base) for f in came.frames]
    write(sink, frames, came.info)
    return came, read(sink)


def psnr(a: Plane, b: Plane) -> float:
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def add_cover(container: OutputContainer) -> Later:
    cover = container.add_stream("png", rate=1)
    cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
    cover.disposition = av.stream.Disposition.attached_pic

    def later() -> None:
        frame = av.VideoFrame(64, 64, "rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        container.mux(cover.encode(frame))

    return later


def refusal(path: Path | str) -> str:
    source = AvSource(parse_source(str(path)))
    with pytest.raises(SourceError) as caught:
        source.open()
    source.close()
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value.what
