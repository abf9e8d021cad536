"""Films written and read back with libav: for demos, tests and benches, never for guarding."""

from __future__ import annotations

import contextlib
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from safelight.errors import SinkError, SourceError
from safelight.testing.drawings import Rgb
from safelight.types import Picture, Plane

_HINT = "name a place that can be written"


class Film:
    """Writes drawings to an MP4. The file has its name only once it is whole.

    ``key_every``: a key frame at least every so many pictures; x264's own choice when None.

    Raises:
        SinkError: it cannot be written, on entering or on leaving.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        *,
        rate: int = 30,
        lossless: bool = False,
        key_every: int | None = None,
    ) -> None:
        self._path = path
        self._options: dict[str, object] = (
            {"preset": "ultrafast", "qp": "0"} if lossless else {"preset": "veryfast", "crf": "20"}
        )
        if key_every is not None:
            self._options["g"] = str(key_every)
        self._part = path.with_name(path.name + ".part")
        self._size = size
        self._rate = rate
        self._count = 0

    def __enter__(self) -> Self:
        try:
            self._container = av.open(str(self._part), "w", format="mp4")
        except (FFmpegError, OSError) as error:
            raise _cannot(self._path, error) from None
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = self._options
        return self

    def add(self, rgb: Rgb) -> None:
        """Append one picture: uint8 (height, width, 3) at the film's size.

        Raises:
            SinkError: it cannot be written.
        """
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, self._rate)
        self._count += 1
        try:
            self._container.mux(self._stream.encode(frame))
        except (FFmpegError, OSError) as error:
            raise _cannot(self._path, error) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
            self._container.close()
            if kind is None:
                self._part.replace(self._path)
        except (FFmpegError, OSError) as broken:
            if kind is None:
                raise _cannot(self._path, broken) from None
        finally:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)


def write_png(path: Path, rgb: Rgb) -> None:
    """Write one picture, whole or not at all.

    Raises:
        SinkError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        Image.fromarray(rgb).save(part, format="png")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _cannot(path, error) from None


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One picture of a film: when, its luma as stored, uint8 (height, width), and in colour."""

    at_s: float
    luma: Plane = field(repr=False)
    rgb: Rgb = field(repr=False)


def read_back(path: Path) -> Iterator[Shown]:
    """Yield every picture of a film.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with av.open(str(path)) as film:
            for frame in film.decode(video=0):
                yield Shown(float(frame.time or 0.0), _luma(frame), _rgb(frame))
    except (FFmpegError, OSError, IndexError) as error:
        raise SourceError(f"{path} cannot be read back", "see whether it is whole") from error


def streams(path: Path) -> Counter[str]:
    """Return how many streams of each kind a film holds; empty when it is none."""
    try:
        with av.open(str(path)) as film:
            return Counter(stream.type for stream in film.streams)
    except (FFmpegError, OSError):
        return Counter()


def loudness(path: Path, step_s: float = 0.1) -> list[float]:
    """Return how loud each ``step_s`` of a film is: root mean square, 0.0 to 1.0.

    Raises:
        SourceError: it cannot be read.
    """
    chunks: list[np.ndarray] = []
    rate = 0
    try:
        with av.open(str(path)) as film:
            if not film.streams.audio:
                return []
            for frame in film.decode(audio=0):
                rate = frame.sample_rate
                samples = frame.to_ndarray().astype(np.float32)
                chunks.append(samples.mean(axis=0))
    except (FFmpegError, OSError) as error:
        raise SourceError(f"{path} cannot be read back", "see whether it is whole") from error
    if not chunks:
        return []
    whole = np.concatenate(chunks)
    step = max(1, round(rate * step_s))
    parts = [whole[i : i + step] for i in range(0, len(whole), step)]
    return [math.sqrt(float(np.mean(part**2))) for part in parts]


def rgb_of(picture: Picture) -> Rgb:
    """Turn planes into uint8 (height, width, 3), quickly: libav does it."""
    form = picture.format
    planes = [plane.reshape(-1) for plane in (picture.y, picture.u, picture.v)]
    stacked = np.concatenate(planes).reshape(form.height * 3 // 2, form.width)
    frame = av.VideoFrame.from_ndarray(stacked, format="yuv420p")
    return _rgb(frame)


def _rgb(frame: av.VideoFrame) -> Rgb:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _luma(frame: av.VideoFrame) -> Plane:
    # As stored: libav's own conversion to grey would stretch its range.
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return np.array(rows[: frame.height, : frame.width])


def _cannot(path: Path, error: BaseException) -> SinkError:
    why = (getattr(error, "strerror", None) or type(error).__name__).lower()
    return SinkError(f"cannot write {path} ({why})", _HINT)


def recoded(film: Sequence[Rgb], *, quantiser: int) -> list[Rgb]:
    """Send pictures through H.264 and back, in memory.

    Args:
        film: uint8 (height, width, 3), all of one size with even sides.
        quantiser: 0 (lossless) to 51 (worst).

    Raises:
        SinkError: they cannot be coded, or not all of them come back.
    """
    if not film:
        return []
    height, width = film[0].shape[:2]
    held = io.BytesIO()
    try:
        with av.open(held, "w", format="matroska") as out:
            stream = out.add_stream("libx264", rate=30)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "veryfast", "qp": str(quantiser), "threads": "1"}
            for rgb in film:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            out.mux(stream.encode())
        held.seek(0)
        with av.open(held, "r") as back:
            made = [_rgb(frame) for frame in back.decode(video=0)]
    except (FFmpegError, OSError) as error:
        raise SinkError("the pictures cannot be coded", "see whether libx264 is there") from error
    if len(made) != len(film):
        raise SinkError(f"{len(made)} pictures came back of {len(film)}", "report it")
    return made
