"""A decoded libav picture in, one upright 8-bit I420 ``Picture`` out.

Only planes and a few numbers are copied out, so nothing that hangs on a libav frame
(captions, SEI, metadata) can travel any further.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray

from safelight.media.fitness import UnfitPictureError, check_matrix, check_size, check_transfer
from safelight.media.libav import LIBAV_ERRORS
from safelight.types import Picture, PictureFormat, Plane

_LIMITED: Final = 1  # AVCOL_RANGE_MPEG
_FULL: Final = 2  # AVCOL_RANGE_JPEG
_UNSPECIFIED: Final = 2  # of H.273's matrix, primaries and transfer
_BT709: Final = 1  # H.273's and swscale's number alike

# Above are 32-bit numbers, whole and floating: pictures on their way to be graded.
_MAX_BITS: Final = 16

# planes as they are, then how to turn them
_Turn = Callable[[Plane], Plane]


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """A picture that still lies in libav's memory: views of uint8, not copied yet."""

    format: PictureFormat
    y: Plane = field(repr=False)
    u: Plane = field(repr=False)
    v: Plane = field(repr=False)


def to_picture(frame: av.VideoFrame, sample_aspect: Fraction | None = None) -> Picture:
    """Copy a decoded picture out of libav.

    8-bit 4:2:0 planes are copied once, byte for byte; anything else is converted to it at
    the same range and matrix (RGB to limited-range BT.709). Alpha is flattened onto black.
    An odd last row or column is cut off. The display matrix is applied.

    Raises:
        UnfitPictureError: too small, too large, or stored in a way that is not taken.
    """
    seen = to_upright(frame, sample_aspect)
    planes = (seen.y, seen.u, seen.v)
    # The one copy: nothing may stay a view into a buffer that the decoder uses again.
    return Picture(seen.format, *(np.array(p, dtype=np.uint8, order="C") for p in planes))


def to_upright(frame: av.VideoFrame, sample_aspect: Fraction | None = None) -> Upright:
    """Return what ``to_picture`` does, to be copied by the caller while it holds ``frame``.

    Raises:
        UnfitPictureError: too small, too large, or stored in a way that is not taken.
    """
    width, height = frame.width, frame.height
    check_size(width, height)
    transfer = _transfer(frame)
    turn, swaps = _turn(_display_matrix(frame))
    planes, full, matrix = _planes(frame)
    even_w, even_h = width & ~1, height & ~1
    y = turn(planes[0][:even_h, :even_w])
    u, v = (turn(plane[: even_h // 2, : even_w // 2]) for plane in planes[1:])
    aspect = _aspect(sample_aspect)
    described = PictureFormat(
        width=y.shape[1],
        height=y.shape[0],
        full_range=full,
        matrix=matrix,
        primaries=_code_point(frame.color_primaries),
        transfer=transfer,
        sample_aspect=1 / aspect if swaps else aspect,
    )
    return Upright(described, y, u, v)


# --- colour ---------------------------------------------------------------------------------


def _planes(frame: av.VideoFrame) -> tuple[tuple[Plane, Plane, Plane], bool, int]:
    """Return Y, U, V (views or conversions), whether full range, and the matrix."""
    name = frame.format.name
    full = name.startswith("yuvj") or frame.color_range == _FULL
    matrix = _matrix(frame)
    if name in ("yuv420p", "yuvj420p"):
        return _three(frame), full, matrix
    if name == "nv12":
        y, pairs = _rows(frame, 0), _rows(frame, 1)
        return (y, pairs[:, 0::2], pairs[:, 1::2]), full, matrix
    if name == "gray":
        y = _rows(frame, 0)
        grey = np.full(((y.shape[0] + 1) // 2, (y.shape[1] + 1) // 2), 128, dtype=np.uint8)
        return (y, grey, grey), full, matrix
    return _converted(frame, full, matrix)


def _converted(
    frame: av.VideoFrame, full: bool, matrix: int
) -> tuple[tuple[Plane, Plane, Plane], bool, int]:
    source = frame.format
    if any(component.bits > _MAX_BITS for component in source.components):
        # libav ends the whole process over some of them (seen with yaf32).
        raise _unusual(source.name)
    try:
        return _reformatted(frame, full, matrix)
    except LIBAV_ERRORS as error:
        raise _unusual(source.name) from error


def _unusual(name: str) -> UnfitPictureError:
    return UnfitPictureError(
        f"its pictures are stored in an unusual way ({name})", "re-encode it as 8-bit 4:2:0"
    )


def _reformatted(
    frame: av.VideoFrame, full: bool, matrix: int
) -> tuple[tuple[Plane, Plane, Plane], bool, int]:
    source = frame.format
    if source.has_palette:
        # Its alpha sits in the palette, where no component shows it.
        frame = frame.reformat(format="rgba", threads=1)
        source = frame.format
    alpha = any(component.is_alpha for component in source.components)
    target = "yuva420p" if alpha else "yuv420p"
    if source.is_rgb or source.is_bayer:
        full, matrix = False, _BT709
        made = frame.reformat(
            format=target, dst_colorspace=_BT709, dst_color_range=_LIMITED, threads=1
        )
    else:
        mono = source.name.startswith("mono")
        # swscale takes every grey to be full range and would squeeze it: ask for full, so
        # that the numbers stay, and label them as the source did.
        grey = mono or source.name.startswith(("gray", "ya"))
        wanted = _FULL if full or grey else _LIMITED
        made = frame.reformat(
            format=target, src_color_range=wanted, dst_color_range=wanted, threads=1
        )
        full = full or mono
    planes = _three(made)
    return (_flattened(planes, _rows(made, 3), full) if alpha else planes), full, matrix


def _flattened(
    planes: tuple[Plane, Plane, Plane], alpha: Plane, full: bool
) -> tuple[Plane, Plane, Plane]:
    """Lay the picture onto black, weighing every pixel by its alpha."""
    y, u, v = planes
    # Chroma takes the largest alpha of its four pixels, so no visible colour is lost.
    half = np.zeros(u.shape, dtype=np.uint8)
    for row in (0, 1):
        for column in (0, 1):
            part = alpha[row::2, column::2]
            view = half[: part.shape[0], : part.shape[1]]
            np.maximum(view, part, out=view)
    black = 0 if full else 16
    return _blend(y, alpha, black), _blend(u, half, 128), _blend(v, half, 128)


def _blend(plane: Plane, alpha: Plane, background: int) -> Plane:
    weighed = (plane.astype(np.int32) - background) * alpha
    # Rounded to nearest: alpha 255 keeps every value as it is.
    return (background + (2 * weighed + 255) // 510).astype(np.uint8)


def _three(frame: av.VideoFrame) -> tuple[Plane, Plane, Plane]:
    return _rows(frame, 0), _rows(frame, 1), _rows(frame, 2)


def _rows(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    """View plane ``index`` as ``(rows, bytes)`` uint8, line padding cut off."""
    plane = frame.planes[index]
    stride = plane.line_size
    if stride == 0:
        raise UnfitPictureError("a picture has no rows", "re-encode the source")
    # The binding's stubs do not say that a plane is a buffer.
    memory = memoryview(cast(Any, plane))
    rows = np.frombuffer(memory, dtype=np.uint8).reshape(plane.height, abs(stride))
    if stride < 0:
        # Stored bottom row first.
        rows = rows[::-1]
    pair = 2 if frame.format.name == "nv12" and index == 1 else 1
    return rows[:, : plane.width * pair]


def _matrix(frame: av.VideoFrame) -> int:
    return check_matrix(_code_point(frame.colorspace))


def _transfer(frame: av.VideoFrame) -> int:
    # Not by way of _code_point: libav's own numbers beyond 255 are camera logs.
    return check_transfer(_UNSPECIFIED if frame.color_trc in (0, 3) else int(frame.color_trc))


def _code_point(value: int) -> int:
    """Return an H.273 number; 0 and 3 are reserved or mean RGB, so they say nothing of YUV."""
    return _UNSPECIFIED if value in (0, 3) or not 0 < value < 256 else int(value)


def _aspect(value: Fraction | None) -> Fraction:
    if value is None or value <= 0:
        return Fraction(1)
    # What H.264 can carry: two 16-bit numbers.
    fitted = value.limit_denominator(65535)
    return fitted if 0 < fitted.numerator <= 65535 else Fraction(1)


# --- upright ----------------------------------------------------------------------------------


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return the display matrix's a, b, c, d as units in -1, 0, 1; None when there is none."""
    try:
        data = bytes(_side_data(frame)["DISPLAYMATRIX"])
    except KeyError:
        return None
    except ValueError:
        # The binding knows fewer kinds of side data than the library and gives up on the
        # whole list (seen with EXIF); the angle alone can still be had.
        half = (-1, 0, 0, -1)
        quarters = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), -90: (0, 1, -1, 0), 180: half, -180: half}
        return quarters.get(frame.rotation, (0, 0, 0, 0))
    values = struct.unpack("=9i", data[:36])
    scaled = [value / 65536 for value in (values[0], values[1], values[3], values[4])]
    units = [round(value) for value in scaled]
    if any(abs(value - unit) > 0.01 for value, unit in zip(scaled, units, strict=True)):
        units = [0, 0, 0, 0]
    a, b, c, d = units
    return a, b, c, d


def _turn(matrix: tuple[int, int, int, int] | None) -> tuple[_Turn, bool]:
    """Return what sets a plane upright, and whether it swaps width and height.

    A pixel stored at (p, q) is shown at (a·p + c·q, b·p + d·q).
    """
    if matrix is None:
        return (lambda plane: plane), False
    a, b, c, d = matrix
    if b == c == 0 and abs(a) == abs(d) == 1:
        return (lambda plane: plane[::d, ::a]), False
    if a == d == 0 and abs(b) == abs(c) == 1:
        return (lambda plane: plane.T[::b, ::c]), True
    raise UnfitPictureError(
        "its display matrix is not a quarter turn or a flip", "re-encode it upright"
    )


def is_upright(frame: av.VideoFrame) -> bool:
    """Whether a frame is stored as it is shown."""
    return _display_matrix(frame) in (None, (1, 0, 0, 1))


def side_data_of(frame: av.VideoFrame) -> list[str]:
    """Name what hangs on a frame and is left behind: everything but the display matrix."""
    try:
        kinds = [item.type for item in _side_data(frame)]
    except ValueError:
        return ["unknown"]
    return [kind.name.lower() for kind in kinds if kind is not SideDataType.DISPLAYMATRIX]


def _side_data(frame: av.VideoFrame) -> Any:
    """What hangs on a frame, by number and by name.

    Not ``frame.side_data``, which the frame remembers and which remembers the frame: pictures
    would stay in memory until Python looks for such rings, hundreds of megabytes of them.

    Raises:
        ValueError: a kind that the binding does not know.
    """
    return cast(Any, SideDataContainer)(frame)
