"""Notes, while a stream is decoded, which packet became which picture, and only that."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction
from typing import Any, Final

import av
from av.packet import Packet
from av.video.stream import VideoStream

from safelight.media.av_picture import is_upright
from safelight.media.coded import CodedPicture, CodedPictures
from safelight.media.h264 import AccessUnit, NotCopyableError, access_unit, parameter_sets
from safelight.types import Picture

# Packets whose picture has not come out yet; a decoder holds 16 back at most, and its threads.
_MOST_WAITING: Final = 64
# What a decoder is told: a packet with an error in it is no picture. What it conceals all the
# same it marks as corrupt. (Without concealment, "ec=0", it marks sound pictures so.)
STRICT: Final = {"err_detect": "explode+bitstream+buffer+crccheck"}
_PLAIN: Final = frozenset({"yuv420p", "yuvj420p"})


class CodedReader:
    """One video stream's. Everything that is not plain counts against copying."""

    def __init__(self, stream: VideoStream, coded: CodedPictures) -> None:
        self._coded = coded
        # A number left out: no packet of this connection follows one of the last.
        coded.count_packet()
        self._waiting: OrderedDict[int, CodedPicture | None] = OrderedDict()
        self._time_base = stream.time_base or Fraction(1, 1000)
        context = stream.codec_context
        context.options = {**context.options, **STRICT}
        try:
            is_h264 = context.name == "h264"
            self._sets = parameter_sets(context.extradata) if is_h264 else None
        except NotCopyableError:
            self._sets = None
        # A second connection may bring others; a sink is opened with the first.
        if coded.sets is None:
            coded.sets = self._sets
        elif coded.sets != self._sets:
            self._sets = None

    def packet(self, packet: Packet[Any] | None) -> None:
        """Look at a packet on its way to the decoder."""
        if packet is None or not packet.size:
            return
        index = self._coded.count_packet()
        if packet.has_sidedata("new_extradata"):
            self._sets = None
        pts = packet.pts
        if pts is None:
            return
        unit = self._plain(packet)
        coded = None
        if unit is not None and packet.dts is not None and self._sets is not None:
            coded = CodedPicture(
                index=index,
                idr=unit.idr,
                pts=pts,
                dts=packet.dts,
                duration=max(0, packet.duration or 0),
                time_base=packet.time_base or self._time_base,
                data=unit.data,
                sets=self._sets,
            )
        # Two packets at one time: which one a picture came from cannot be told.
        self._waiting[pts] = None if pts in self._waiting else coded
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def picture(self, frame: av.VideoFrame, picture: Picture) -> None:
        """Note how ``picture`` came, if it is its packet's very picture."""
        coded = None if frame.pts is None else self._waiting.pop(frame.pts, None)
        untouched = (
            frame.format.name in _PLAIN
            and (frame.width, frame.height) == (picture.format.width, picture.format.height)
            and not frame.is_corrupt
            and is_upright(frame)
        )
        if coded is not None and untouched and frame.time_base == coded.time_base:
            self._coded.note(picture, coded)

    def _plain(self, packet: Packet[Any]) -> AccessUnit | None:
        if self._sets is None or packet.is_corrupt or packet.is_discard:
            return None
        try:
            return access_unit(bytes(packet), self._sets)
        except NotCopyableError:
            return None
