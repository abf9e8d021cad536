"""Pictures of a GStreamer pipeline: what caps and bytes say, as a ``Picture``, and back.

Only planes and a few numbers cross over, so nothing that hangs on a buffer (captions, regions
of interest, overlays, crops) can travel any further. Knows no GStreamer itself: what is needed
of it is handed in as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from safelight.media.fitness import check_matrix, check_transfer
from safelight.types import Picture, PictureFormat, Plane

I420: Final = "I420"
NV12: Final = "NV12"
LAYOUTS: Final = (I420, NV12)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where planes lie in a buffer of ``size`` bytes: ``offsets`` and ``strides`` in bytes.

    I420 has three planes, NV12 two, the second with u and v side by side.
    """

    name: str
    offsets: tuple[int, ...]
    strides: tuple[int, ...]
    size: int

    def __post_init__(self) -> None:
        planes = {I420: 3, NV12: 2}.get(self.name)
        if planes is None:
            raise ValueError(f"{self.name} is neither I420 nor NV12")
        if len(self.offsets) < planes or len(self.strides) < planes:
            raise ValueError("a plane lies nowhere")


def picture_format(
    width: int,
    height: int,
    *,
    full_range: bool,
    iso: tuple[int, int, int],
    aspect: Fraction,
) -> PictureFormat:
    """Return the format; ``iso`` is matrix, primaries and transfer as H.273 numbers.

    Raises:
        UnfitPictureError: the judge would not see what a person sees.
        ValueError: an odd or too small side.
    """
    matrix, primaries, transfer = (2 if number == 0 else number for number in iso)
    return PictureFormat(
        width,
        height,
        full_range,
        check_matrix(matrix),
        primaries,
        check_transfer(transfer),
        aspect,
    )


def to_picture(data: bytes, form: PictureFormat, layout: Layout) -> Picture:
    """Copy a picture out of a buffer.

    Raises:
        ValueError: the buffer is too short for what it is said to hold.
    """
    whole = np.frombuffer(data, dtype=np.uint8)
    width, height = form.width, form.height
    y = _plane(whole, layout, 0, width, height)
    if layout.name == NV12:
        pairs = _plane(whole, layout, 1, width, height // 2)
        u, v = pairs[:, 0::2], pairs[:, 1::2]
    else:
        u, v = (_plane(whole, layout, n, width // 2, height // 2) for n in (1, 2))
    # The one copy: these arrays are the picture's own.
    return Picture(form, *(np.array(plane, dtype=np.uint8, order="C") for plane in (y, u, v)))


def to_bytes(picture: Picture, layout: Layout) -> bytes:
    """Return a buffer's bytes; what lies between rows is zero."""
    whole = np.zeros(layout.size, dtype=np.uint8)
    width, height = picture.format.width, picture.format.height
    _plane(whole, layout, 0, width, height)[:] = picture.y
    if layout.name == NV12:
        pairs = _plane(whole, layout, 1, width, height // 2)
        pairs[:, 0::2], pairs[:, 1::2] = picture.u, picture.v
    else:
        _plane(whole, layout, 1, width // 2, height // 2)[:] = picture.u
        _plane(whole, layout, 2, width // 2, height // 2)[:] = picture.v
    return whole.tobytes()


def _plane(whole: Plane, layout: Layout, index: int, width: int, height: int) -> Plane:
    """View one plane as uint8 ``(height, width)`` without copying."""
    start, stride = layout.offsets[index], layout.strides[index]
    if start < 0 or stride < width:
        raise ValueError("rows overlap, or lie before the buffer")
    # The last row need not be padded.
    if start + stride * (height - 1) + width > whole.size:
        raise ValueError("a buffer is shorter than its picture")
    return np.ndarray((height, width), np.uint8, whole.data, start, (stride, 1))
