"""A lost packet comes though the first request for it is lost as well."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

from safelight.media.webrtc_peer import Peer
from safelight.testing.webrtc_peers import Camera, Watcher, until

LOST = 20  # which of the packets of pictures


class Losses:
    """Loses one packet of pictures, and the first request for it; no more after that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.packets = 0
        self.requests = 0
        handle = RTCRtpReceiver._handle_rtp_packet
        ask = RTCRtpReceiver._send_rtcp_nack

        async def came(receiver: RTCRtpReceiver, packet: Any, arrival_time_ms: int) -> None:
            self.packets += 1
            if self.packets != LOST:
                await handle(receiver, packet, arrival_time_ms=arrival_time_ms)

        async def asked(receiver: RTCRtpReceiver, *about: Any) -> None:
            self.requests += 1
            if self.requests > 1:
                await ask(receiver, *about)

        monkeypatch.setattr(RTCRtpReceiver, "_handle_rtp_packet", came)
        monkeypatch.setattr(RTCRtpReceiver, "_send_rtcp_nack", asked)


def draw(_: float) -> np.ndarray:
    return np.full((96, 64, 3), 90, np.uint8)


def test_a_picture_does_not_stand_still_for_one_lost_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = Losses(monkeypatch)

    async def run() -> None:
        seen = Watcher()
        ours, theirs = Peer(lambda: None), RTCPeerConnection()
        theirs.addTrack(Camera(draw, 20))
        try:
            offer = await ours.ask(seen.watch)
            await theirs.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await theirs.setLocalDescription(await theirs.createAnswer())
            await ours.answered(theirs.localDescription.sdp)
            # Three seconds more; aiortc's buffer would be full after 25.
            await until(lambda: len(seen.pictures) >= LOST + 60, 15)
        finally:
            await theirs.close()
            await ours.close()

    asyncio.run(run())
    assert 2 <= losses.requests < 10
