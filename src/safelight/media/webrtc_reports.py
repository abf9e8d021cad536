"""Sender reports of a call that say which sound goes with which picture.

A report pairs a track's RTP time with a clock that all tracks share; from two of them a receiver
knows what belongs together (RFC 3550, 6.4.1). aiortc pairs it with the moment of sending. Here
sound leaves later than its picture, so by that clock lips would move too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av

from safelight.media.webrtc_extra import missing
from safelight.media.webrtc_track import PassingTrack

try:
    from aiortc import MediaStreamTrack, RTCRtpSender, clock
    from aiortc.rtcrtpparameters import RTCRtpCodecParameters
    from aiortc.rtcrtpsender import RTCEncodedFrame
    from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket
except ImportError as error:
    raise missing() from error


class SharedClock:
    """The clock of one peer's tracks: stream time, begun at the moment a first frame was taken."""

    def __init__(self) -> None:
        self._began: tuple[int, Fraction] | None = None

    def begin(self, at: Fraction) -> None:
        """Note that a frame of stream time ``at`` (s) is taken now; the first one counts."""
        if self._began is None:
            self._began = clock.current_ntp_time(), at

    def ntp(self, at: Fraction) -> int:
        """Return stream time ``at`` (s) as an NTP timestamp: 1/2**32 s."""
        if self._began is None:
            return 0
        ntp, began = self._began
        return (ntp + round((at - began) * (1 << 32))) & 0xFFFFFFFF_FFFFFFFF


class NotedTrack(PassingTrack):
    """A track that notes the stream time of the first frame that was taken from it."""

    def __init__(self, track: MediaStreamTrack, shared: SharedClock) -> None:
        super().__init__(track)
        self.first: Fraction | None = None
        self._shared = shared

    async def recv(self) -> av.VideoFrame | av.AudioFrame:
        """Return the next frame; raises what ``PassingTrack.recv`` does."""
        frame = await super().recv()
        if self.first is None and frame.pts is not None and frame.time_base is not None:
            self.first = frame.pts * frame.time_base
            self._shared.begin(self.first)
        return frame


class Reports:
    """Corrects the reports of one sender from now on; its track has to be a ``NotedTrack``."""

    def __init__(self, sender: RTCRtpSender, track: NotedTrack, shared: SharedClock) -> None:
        self._track = track
        self._shared = shared
        self._first: int | None = None
        self._sent: Fraction | None = None  # stream time of what was sent last
        self._encoded = sender._next_encoded_frame
        self._send = sender._send_rtcp
        setattr(sender, "_next_encoded_frame", self._next)  # noqa: B010  (a method of its own)
        setattr(sender, "_send_rtcp", self._report)  # noqa: B010

    async def _next(self, codec: RTCRtpCodecParameters) -> RTCEncodedFrame | None:
        frame: RTCEncodedFrame | None = await self._encoded(codec)
        if frame is not None and self._track.first is not None:
            # Encoders begin where they like; the first frame in is the first one out.
            self._first = frame.timestamp if self._first is None else self._first
            since = Fraction(frame.timestamp - self._first, codec.clockRate)
            self._sent = self._track.first + since
        return frame

    async def _report(self, packets: Sequence[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket) and self._sent is not None:
                packet.sender_info.ntp_timestamp = self._shared.ntp(self._sent)
        await self._send(list(packets))
