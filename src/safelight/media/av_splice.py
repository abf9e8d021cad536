"""Copy mode: pictures leave coded as they came where that is safe, and re-encoded elsewhere.

See docs/adr/0021-copy-mode.md for what has to hold before one does.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import av
from av.codec.context import Flags as CodecFlags
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from safelight.media.av_encode import (
    Put,
    Quality,
    SoundEncoder,
    add_video,
    usual_rate,
    video_frame,
)
from safelight.media.coded import CodedPicture, CodedPictures
from safelight.media.fit import fit
from safelight.media.h264 import (
    ParameterSets,
    from_byte_stream,
    slices_of_ours,
)
from safelight.media.h264_sets import NotCopyableError
from safelight.media.interface import SourceInfo
from safelight.media.splicing import Shown, Splicer
from safelight.media.timeline import Timeline
from safelight.types import Picture, PictureFormat, Sound

_LONGEST_DELAY: Final = Fraction(1)
# A live cover is one card, again and again, each of which would cost 5 ms at 720p.
_AGAIN_AFTER: Final = Fraction(1, 5)


class SplicingEncoder:
    """What ``Encoder`` is, for a stream of which most is passed on as it came.

    Raises:
        NotCopyableError: the stream's parameter sets and ours cannot stand side by side.
    """

    def __init__(  # noqa: PLR0917
        self,
        container: OutputContainer,
        info: SourceInfo,
        form: PictureFormat,
        quality: Quality,
        time_base: Fraction,
        coded: CodedPictures,
    ) -> None:
        if coded.sets is None or not coded.sets.leaves_room:
            raise NotCopyableError("what came is not stored in a way that can be passed on")
        self._form = form
        self._time_base = time_base
        self._coded = coded
        self._sets = coded.sets
        rate = usual_rate(info)
        self._timeline = Timeline(1 / rate)
        self._video = add_video(container, form, quality, rate, time_base)
        self._video.codec_context.extradata = _both_sets(self._video, self._sets)
        self._sound = SoundEncoder(container, info)
        self._splicer = Splicer(self._copy, self._encode, coded.place)
        self._put: Put | None = None
        self._last_dts: int | None = None
        self._last_pts: int | None = None
        self._live = info.live
        self._encoded: Shown | None = None  # what was encoded last
        self.copied = 0

    def picture(self, picture: Picture, at: Fraction, put: Put, *, late: bool = False) -> bool:
        """Let a picture leave that is shown at stream time ``at``, in seconds.

        ``late``: one that would have to be encoded may be left out. Returns whether it left.
        """
        self._put = put
        out = self._timeline.of_picture(at)
        coded = self._coded.of(picture)
        if coded is not None and coded.sets != self._sets:
            coded = None
        return self._splicer.push(Shown(picture, out, out - at, coded), late=late)

    def sound(self, sound: Sound, at: Fraction, put: Put) -> None:
        """Encode sound that starts at stream time ``at``; before a first picture it is left out."""
        self._sound.encode(sound, self._timeline.of_sound(at), put)

    def finish(self, put: Put) -> None:
        """Let leave what still waits."""
        self._put = put
        self._splicer.settle()
        self._sound.finish(put)

    def _copy(self, shown: Shown, coded: CodedPicture) -> None:
        packet = av.Packet(coded.data)
        packet.is_keyframe = coded.idr
        packet.duration = round(coded.duration * coded.time_base / self._time_base)
        dts = coded.dts * coded.time_base + shown.shift
        self._send(packet, round(shown.out / self._time_base), dts)
        self.copied += 1

    def _encode(self, shown: Shown, fresh: bool) -> None:
        if not fresh and self._is_shown_already(shown):
            return
        self._encoded = shown
        frame = video_frame(fit(shown.picture, self._form), self._form)
        pts = round(shown.out / self._time_base)
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
        self._last_pts = pts
        frame.pts = pts
        frame.time_base = self._time_base
        if fresh:
            frame.pict_type = PictureType.I
        delay = min(self._coded.delay, _LONGEST_DELAY)
        for made in self._video.encode(frame):
            packet = av.Packet(slices_of_ours(bytes(made)))
            packet.is_keyframe = made.is_keyframe
            shown_at = made.pts if made.pts is not None else pts
            self._send(packet, shown_at, shown_at * self._time_base - delay)

    def _is_shown_already(self, shown: Shown) -> bool:
        last = self._encoded
        return (
            self._live
            and last is not None
            and last.picture is shown.picture
            and 0 <= shown.out - last.out < _AGAIN_AFTER
        )

    def _send(self, packet: Packet[Any], pts: int, dts_s: Fraction) -> None:
        dts = round(dts_s / self._time_base)
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + 1)
        self._last_dts = dts
        packet.dts = dts
        packet.pts = max(pts, dts)
        packet.time_base = self._time_base
        packet.stream = self._video
        if self._put is not None:
            self._put(packet)


def _both_sets(stream: VideoStream, theirs: ParameterSets) -> bytes:
    """Open our encoder, and return a record that holds its parameter sets beside ``theirs``."""
    context = stream.codec_context
    context.flags |= CodecFlags.global_header
    context.open()
    units = from_byte_stream(context.extradata or b"")
    ours = {unit[0] & 0x1F: unit for unit in units}
    return theirs.with_another(ours[7], ours[8])
