"""Has a receiver of pictures ask for lost packets until they come.

aiortc asks when it notices a loss, and again only when it notices another one. Where the request
or the packet sent again is lost too, no picture is shown until then, which can be seconds, or
until its buffer is full, half a minute.
"""

from __future__ import annotations

import time
from typing import Final

from safelight.media.webrtc_extra import missing

try:
    from aiortc import RTCRtpReceiver
    from aiortc.rtp import RtpPacket
except ImportError as error:
    raise missing() from error

_EVERY_S: Final = 0.1
_LOSSES: Final = "_RTCRtpReceiver__nack_generator"  # what aiortc knows to be missing
_SENT_AGAIN: Final = "_RTCRtpReceiver__rtx_ssrc"  # of which stream a stream of repeats is


class AskingReceiver:
    """Asks again for one receiver from now on, every 100 ms while packets come."""

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        self._receiver = receiver
        self._asked_s = time.monotonic()
        self._handle = receiver._handle_rtp_packet
        setattr(receiver, "_handle_rtp_packet", self._came)  # noqa: B010  (a method of its own)

    async def _came(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        await self._handle(packet, arrival_time_ms=arrival_time_ms)
        lost = getattr(getattr(self._receiver, _LOSSES, None), "missing", None)
        now_s = time.monotonic()
        if not lost:
            self._asked_s = now_s
        elif now_s - self._asked_s >= _EVERY_S:
            self._asked_s = now_s
            repeats: dict[int, int] = getattr(self._receiver, _SENT_AGAIN, {})
            stream = repeats.get(packet.ssrc, packet.ssrc)
            await self._receiver._send_rtcp_nack(stream, sorted(lost))
