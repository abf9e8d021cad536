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
from safelight.media.h264 import AccessUnit, ParameterSets, access_unit, parameter_sets
from safelight.media.h264_sets import NotCopyableError
from safelight.media.tally import Tally
from safelight.types import Picture

# Packets whose picture has not come out yet; a decoder holds 16 back at most, and its threads.
_MOST_WAITING: Final = 64
# What a decoder is told: a packet with an error in it is no picture. What it conceals all the
# same it marks as corrupt. (Without concealment, "ec=0", it marks sound pictures so.)
STRICT: Final = {"err_detect": "explode+bitstream+buffer+crccheck"}
_PLAIN: Final = frozenset({"yuv420p", "yuvj420p"})


class CodedReader:
    """One video stream's. Everything that is not plain counts against copying.

    The decoder gets of a packet what would leave of it, and nothing else: what it makes of
    that is what a receiver's makes. The first packet that cannot be reduced so may have changed
    the decoder for good (a parameter set, film grain), and ends copying for this connection.
    """

    def __init__(self, stream: VideoStream, coded: CodedPictures, tally: Tally) -> None:
        self._coded = coded
        self._tally = tally
        # A number left out: no packet of this connection follows one of the last.
        coded.count_packet()
        self._waiting: OrderedDict[int, CodedPicture | None] = OrderedDict()
        self._time_base = stream.time_base or Fraction(1, 1000)
        # When the last picture is shown that was one packet's, and that packet's number.
        self._made: tuple[int | None, int] = (None, 0)
        # The last reference picture's count since an IDR picture; None: nothing to go on from.
        self._frame_num: int | None = None
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
        coded.copying = self._sets is not None

    def packet(self, packet: Packet[Any] | None) -> None:
        """Look at a packet on its way to the decoder, and leave of it what may leave."""
        if packet is None or not packet.size:
            return
        index = self._coded.count_packet()
        unit, sets = self._plain(packet), self._sets
        if unit is None or sets is None:
            self._end()
            if packet.pts is not None and packet.pts in self._waiting:
                self._waiting[packet.pts] = None
            return
        packet.update(unit.blanked)
        self._tally.add("side_data", "sei", unit.sei)
        pts = packet.pts
        follows = self._follows(unit, sets)
        if pts is None:
            return
        coded = None
        if follows and packet.dts is not None and not packet.is_discard:
            coded = CodedPicture(
                index=index,
                idr=unit.idr,
                is_reference=unit.is_reference,
                pts=pts,
                dts=packet.dts,
                duration=max(0, packet.duration or 0),
                time_base=packet.time_base or self._time_base,
                data=unit.data,
                sets=sets,
            )
        # Two packets at one time: which one a picture came from cannot be told.
        self._waiting[pts] = None if pts in self._waiting else coded
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def picture(self, frame: av.VideoFrame, picture: Picture) -> None:
        """Note how ``picture`` came, if it is its packet's very picture."""
        if frame.pts is None:
            return
        if frame.pts == self._made[0]:
            # A second one of the packet, which then is not what either of them is.
            self._coded.withdraw(self._made[1])
            self._end()
            return
        coded = self._waiting.pop(frame.pts, None)
        if coded is None:
            return
        self._made = frame.pts, coded.index
        untouched = (
            frame.format.name in _PLAIN
            and (frame.width, frame.height) == (picture.format.width, picture.format.height)
            and coded.sets.sequence.describes(picture.format)
            and not frame.is_corrupt
            and is_upright(frame)
        )
        if untouched and frame.time_base == coded.time_base:
            self._coded.note(picture, coded)

    def _end(self) -> None:
        """Copy nothing any more."""
        self._sets = None
        self._coded.copying = False

    def _follows(self, unit: AccessUnit, sets: ParameterSets) -> bool:
        """Whether no picture is missing before this one: decoders guess each in its own way."""
        last = -1 if unit.idr else self._frame_num
        if last is None or unit.frame_num != (last + 1) % (1 << sets.sequence.frame_num_bits):
            self._frame_num = None
            return False
        if unit.is_reference:
            self._frame_num = unit.frame_num
        return True

    def _plain(self, packet: Packet[Any]) -> AccessUnit | None:
        if self._sets is None or packet.is_corrupt or packet.has_sidedata("new_extradata"):
            return None
        try:
            return access_unit(bytes(packet), self._sets)
        except NotCopyableError:
            return None
