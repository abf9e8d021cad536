"""What a receiver is told of sound and picture: which belong together, however each was sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpSrPacket

from safelight.media.webrtc import GuardedTrack
from safelight.media.webrtc_heard import HeardTrack
from safelight.media.webrtc_peer import Peer
from safelight.types import NS_PER_MS

LATE_S = 0.3  # how much later than its picture sound leaves here
FROM_S = 7


class Told:
    """The RTP time of a receiver's first packet, and when that was by the last report."""

    def __init__(self, receiver: Any, rate: int) -> None:
        self.rate = rate
        self.first: int | None = None
        self.report: tuple[int, int] | None = None
        self._packet, self._report = receiver._handle_rtp_packet, receiver._handle_rtcp_packet
        receiver._handle_rtp_packet, receiver._handle_rtcp_packet = self.packet, self.said

    async def packet(self, packet: Any, arrival_time_ms: int) -> None:
        if self.first is None:
            self.first = packet.timestamp
        await self._packet(packet, arrival_time_ms=arrival_time_ms)

    async def said(self, packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.sender_info.packet_count:
            self.report = packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp
        await self._report(packet)

    def first_s(self) -> float:
        assert self.first is not None
        assert self.report is not None
        ntp, rtp = self.report
        back = (rtp - self.first) & 0xFFFFFFFF
        return (ntp & 0xFFFF_FFFFFFFF) / (1 << 32) - back / self.rate


def picture(number: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.full((96, 64), 90, np.uint8), format="yuv420p")
    frame.pts, frame.time_base = (FROM_S * 20 + number) * 4500, Fraction(1, 90_000)
    return frame


def chunk(number: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), "s16", "stereo")
    frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
    frame.pts = FROM_S * 48_000 + number * 960
    return frame


async def speak(tracks: list[GuardedTrack], still: Callable[[], bool]) -> None:
    """Let pictures leave, and sound later than its picture and in bursts, as a guard does."""
    number, late = 0, round(LATE_S * 20)
    while still():
        tracks[0].put(picture(number))
        for more in range(5 if number >= late else 0):
            tracks[1].put(chunk((number - late) * 5 // 2 + more))
        number += 2
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("offers", ["guard", "watcher"])
def test_reports_pair_sound_with_its_picture_however_late_it_leaves(offers: str) -> None:
    async def story() -> None:
        tracks = [GuardedTrack(kind, lambda: None) for kind in ("video", "audio")]
        peer, watcher = Peer(lambda: None), RTCPeerConnection()
        watcher.on("track", lambda _: None)
        if offers == "guard":
            said = RTCSessionDescription(await peer.offer(tracks), "offer")
            await watcher.setRemoteDescription(said)
            await watcher.setLocalDescription(await watcher.createAnswer())
            await peer.answered(watcher.localDescription.sdp)
        else:
            for kind in ("video", "audio"):
                watcher.addTransceiver(kind, direction="recvonly")
            await watcher.setLocalDescription(await watcher.createOffer())
            answer = await peer.give_out(watcher.localDescription.sdp, tracks)
            await watcher.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        parts = {part.kind: part.receiver for part in watcher.getTransceivers()}
        video, audio = Told(parts["video"], 90_000), Told(parts["audio"], 48_000)
        while peer.state != "connected" or watcher.connectionState != "connected":
            await asyncio.sleep(0.02)
        await speak(tracks, lambda: video.report is None or audio.report is None)
        assert video.first_s() == pytest.approx(audio.first_s(), abs=0.005)
        await peer.close()
        await watcher.close()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_publishers_reports_say_where_its_sound_belongs() -> None:
    """Sound comes 300 ms after its picture here: by arrival it would go with a later one."""

    async def story() -> None:
        tracks = [GuardedTrack(kind, lambda: None) for kind in ("video", "audio")]
        publisher, guard = Peer(lambda: None), Peer(lambda: None)
        heard: dict[str, HeardTrack] = {}
        pulls: list[asyncio.Task[None]] = []

        def take(track: MediaStreamTrack) -> None:
            assert isinstance(track, HeardTrack)
            heard[track.kind] = track
            pulls.append(asyncio.ensure_future(pull(track)))

        async def pull(track: HeardTrack) -> None:
            with contextlib.suppress(MediaStreamError):
                while True:
                    await track.recv()

        answer = await guard.take_in(await publisher.offer(tracks), take)
        await publisher.answered(answer)
        while publisher.state != "connected" or guard.state != "connected":
            await asyncio.sleep(0.02)
        await speak(tracks, lambda: None in [track.ahead_ns for track in heard.values()])
        video, audio = heard["video"].ahead_ns, heard["audio"].ahead_ns
        assert video is not None
        assert audio is not None
        assert abs(video - audio) < 5 * NS_PER_MS
        await publisher.close()
        await guard.close()
        await asyncio.gather(*pulls)

    asyncio.run(asyncio.wait_for(story(), 30))
