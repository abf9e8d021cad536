"""What the caps of a GStreamer stream say of its pictures, and the caps that leave again.

Caps that leave are written anew from what was understood: no field travels unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from safelight.media.fitness import (
    MAX_LONG_SIDE,
    MIN_SIDE,
    UnfitPictureError,
    check_size,
)
from safelight.media.gst import Gst, GstVideo
from safelight.media.gst_pictures import LAYOUTS, Layout, picture_format
from safelight.types import PictureFormat

TEMPLATE: Final = (
    f"video/x-raw, format={{ {', '.join(LAYOUTS)} }},"
    f" width=[ {MIN_SIDE}, {MAX_LONG_SIDE}, 2 ], height=[ {MIN_SIDE}, {MAX_LONG_SIDE}, 2 ],"
    " framerate=[ 0/1, 1000/1 ]"
)


@dataclass(frozen=True, slots=True)
class Understood:
    """What caps say: how pictures look, where their planes lie, how many come a second."""

    form: PictureFormat
    layout: Layout
    rate: Fraction  # 0: unknown or varying


def understand(caps: Any) -> Understood:
    """Read fixed caps.

    Raises:
        UnfitPictureError: pictures like that cannot be guarded.
    """
    try:
        info = GstVideo.VideoInfo.new_from_caps(caps)
    except TypeError:
        info = None
    if info is None:
        raise UnfitPictureError("its format is not understood", "put videoconvert before it")
    if info.interlace_mode != GstVideo.VideoInterlaceMode.PROGRESSIVE:
        raise UnfitPictureError("interlaced video is not taken", "put deinterlace before it")
    check_size(info.width, info.height)
    colours = info.colorimetry
    iso = (
        GstVideo.VideoColorMatrix.to_iso(colours.matrix),
        GstVideo.VideoColorPrimaries.to_iso(colours.primaries),
        GstVideo.VideoTransferFunction.to_iso(colours.transfer),
    )
    try:
        form = picture_format(
            info.width,
            info.height,
            full_range=getattr(colours.range, "value_nick", "") == "0-255",
            iso=iso,
            aspect=Fraction(info.par_n, info.par_d) if info.par_n > 0 < info.par_d else Fraction(1),
        )
        layout = layout_of(info)
    except UnfitPictureError:
        raise
    except ValueError as error:
        raise UnfitPictureError(str(error), "put videoscale and videoconvert before it") from None
    rate = Fraction(info.fps_n, info.fps_d) if info.fps_n > 0 < info.fps_d else Fraction(0)
    return Understood(form, layout, rate)


def layout_of(info: Any) -> Layout:
    """Return where planes lie by default.

    Raises:
        ValueError: it is neither I420 nor NV12.
    """
    return Layout(info.finfo.name, tuple(info.offset), tuple(info.stride), info.size)


def layout_in(buffer: Any, usual: Layout) -> Layout:
    """Return where planes lie in this very buffer; ``usual`` if it does not say."""
    meta = GstVideo.buffer_get_video_meta(buffer)
    if meta is None:
        return usual
    return Layout(usual.name, tuple(meta.offset), tuple(meta.stride), usual.size)


def told(caps: Any, layout_name: str) -> Any:
    """Return the caps to send on: the fields that were understood, and no other."""
    info = GstVideo.VideoInfo.new_from_caps(caps)
    fields = [
        "video/x-raw",
        f"format=(string){layout_name}",
        f"width=(int){info.width}",
        f"height=(int){info.height}",
        "interlace-mode=(string)progressive",
        f"pixel-aspect-ratio=(fraction){info.par_n}/{info.par_d}",
        f"framerate=(fraction){info.fps_n}/{info.fps_d}",
    ]
    colorimetry = info.colorimetry.to_string()
    if colorimetry:
        fields.append(f"colorimetry=(string){colorimetry}")
    if info.chroma_site:
        site = GstVideo.VideoChromaSite.to_string(info.chroma_site)
        if site:
            fields.append(f"chroma-site=(string){site}")
    return Gst.Caps.from_string(", ".join(fields))
