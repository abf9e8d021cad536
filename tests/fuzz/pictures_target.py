"""What PyAV hands over as a picture, in every format and with any claim of its colours."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, cast

import av
import numpy as np
from av.video import format as formats
from tests.fuzz.target import Target, check

from safelight.media.av_picture import side_data_of, to_picture
from safelight.media.fitness import UnfitPictureError

_HEAD: Final = 9
_FORMATS: Final = tuple(sorted(cast(Any, formats).names))
_UNTOUCHED: Final = frozenset({"yuv420p", "yuvj420p"})


def run(data: bytes) -> None:
    head, rest = data[:_HEAD].ljust(_HEAD, b"\0"), data[_HEAD:] or b"\x80"
    name = _FORMATS[int.from_bytes(head[:2], "big") % len(_FORMATS)]
    try:
        frame = av.VideoFrame(head[2] % 80, head[3] % 80, name)
    except (ValueError, av.error.FFmpegError):
        return  # no such picture comes out of libav
    for stored in frame.planes:
        size = stored.buffer_size
        stored.update((rest * (size // len(rest) + 1))[:size])
    frame.color_range, frame.colorspace = head[4], head[5]
    frame.color_trc, frame.color_primaries = head[6], head[7]
    before = [bytes(plane) for plane in frame.planes] if name in _UNTOUCHED else []
    aspect = Fraction(head[8] - 3, max(1, rest[0])) if head[8] else None
    try:
        made = to_picture(frame, aspect)
    except UnfitPictureError as error:
        check(str(error).isprintable(), "an error that is no line")
        return
    side_data_of(frame)
    form = made.format
    check((form.width, form.height) == (frame.width & ~1, frame.height & ~1), "another size")
    check(made.y.shape == (form.height, form.width), "luma disagrees with its format")
    check(made.u.shape == made.v.shape == (form.height // 2, form.width // 2), "so does chroma")
    strides = [cast(Any, stored).line_size for stored in frame.planes]
    for stride, plane, kept in zip(strides, (made.y, made.u, made.v), before, strict=False):
        rows = np.frombuffer(kept, np.uint8).reshape(-1, stride)
        same = np.array_equal(rows[: plane.shape[0], : plane.shape[1]], plane)
        check(same, "planes that need no conversion were touched")


def seeds() -> tuple[bytes, ...]:
    shades = bytes(range(0, 256, 5))
    heads = [n.to_bytes(2, "big") + bytes([32, 24, 1, 1, 1, 1, 0]) for n in range(len(_FORMATS))]
    odd = [n.to_bytes(2, "big") + bytes([33, 19, 2, 2, 2, 2, 4]) for n in range(len(_FORMATS))]
    return tuple(head + shades for head in (*heads, *odd))


TARGET = Target(run, seeds, text=False, pieces=1500, max_len=512, rss_mb=2048)
