"""When what a peer sends was taken, by that peer's own sender reports.

How long a frame takes to get here says little of when it was taken: aiortc hands sound on when
four more packets have come and a picture when the next one begins, so sound seems up to a
twentieth of a second later than its picture.
"""

from __future__ import annotations

from typing import Final

from safelight.media.webrtc_extra import missing
from safelight.media.webrtc_track import PassingTrack
from safelight.types import NS_PER_S

try:
    from aiortc import MediaStreamTrack, RTCRtpReceiver
    from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket
except ImportError as error:
    raise missing() from error

_RATES: Final = {"video": 90_000, "audio": 48_000}
_TURN: Final = 1 << 32  # where RTP's clock starts over
_MAPPER: Final = "_RTCRtpReceiver__timestamp_mapper"  # where aiortc's pts begin to count


class HeardTrack(PassingTrack):
    """A received track that knows what its sender said of the time."""

    def __init__(self, track: MediaStreamTrack, receiver: RTCRtpReceiver) -> None:
        super().__init__(track)
        self._receiver = receiver
        self._ahead_ns: int | None = None
        self._report = receiver._handle_rtcp_packet
        setattr(receiver, "_handle_rtcp_packet", self._heard)  # noqa: B010

    @property
    def ahead_ns(self) -> int | None:
        """How far its sender's clock is ahead of its pts, in ns; None while it said nothing."""
        return self._ahead_ns

    async def _heard(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            said = packet.sender_info
            pts = self._pts(said.rtp_timestamp)
            if pts is not None and said.ntp_timestamp:
                taken_ns = said.ntp_timestamp * NS_PER_S >> 32
                self._ahead_ns = taken_ns - pts * NS_PER_S // _RATES[self.kind]
        await self._report(packet)

    def _pts(self, timestamp: int) -> int | None:
        mapper = getattr(self._receiver, _MAPPER, None)
        last, origin = getattr(mapper, "_last", None), getattr(mapper, "_origin", None)
        if last is None or origin is None:
            return None
        since = (timestamp - last + _TURN // 2) % _TURN - _TURN // 2
        return int(last - origin + since)
