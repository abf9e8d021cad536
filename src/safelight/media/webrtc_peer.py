"""Peers of a call by WHIP and WHEP (RFC 9725): one offer, one answer, nothing after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from safelight.errors import UsageError
from safelight.media import webrtc_answer
from safelight.media.webrtc_asking import AskingReceiver
from safelight.media.webrtc_extra import missing
from safelight.media.webrtc_heard import HeardTrack
from safelight.media.webrtc_reports import NotedTrack, Reports, SharedClock

try:
    from aiortc import (
        MediaStreamTrack,
        RTCConfiguration,
        RTCPeerConnection,
        RTCSessionDescription,
    )
    from aiortc.contrib.media import MediaRelay
except ImportError as error:
    raise missing() from error


_GONE: Final = ("failed", "closed", "disconnected")
_MOST_SDP: Final = 100_000


class Peer:
    """One peer connection. ``gone`` is called once, when it is over."""

    def __init__(self, gone: Callable[[], None]) -> None:
        # No server of anybody's is asked for this machine's address.
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._gone = gone
        self._is_gone = False
        self._clock = SharedClock()
        self._pc.on("connectionstatechange", self._changed)

    @property
    def state(self) -> str:
        """What the connection is like: "new", "connecting", "connected", …"""
        return str(self._pc.connectionState)

    async def take_in(self, offer: str, on_track: Callable[[MediaStreamTrack], None]) -> str:
        """Answer somebody who publishes; each of the tracks goes to ``on_track``.

        Raises:
            UsageError: this is no offer that can be answered.
        """
        self._hear(on_track)
        return await self._answer(offer, "recvonly")

    async def give_out(self, offer: str, tracks: Sequence[MediaStreamTrack]) -> str:
        """Answer somebody who watches.

        Raises:
            UsageError: this is no offer that can be answered.
        """
        for track in tracks:
            noted = NotedTrack(track, self._clock)
            Reports(self._pc.addTrack(noted), noted, self._clock)
        return await self._answer(offer, "sendonly")

    async def _answer(self, offer: str, way: str) -> str:
        if len(offer) > _MOST_SDP:
            raise UsageError("this offer is too long", "send SDP")
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            # Whatever was offered: what nobody reads would be decoded, and kept.
            for part in self._pc.getTransceivers():
                part.direction = way
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except Exception as error:
            # aiortc's parser has no error of its own: it asserts, and lets any other through.
            await self.close()
            raise UsageError("this offer cannot be answered", "send SDP") from error
        return str(self._pc.localDescription.sdp)

    async def offer(self, tracks: Sequence[MediaStreamTrack]) -> str:
        """Return the offer with which to publish these tracks."""
        for track in tracks:
            noted = NotedTrack(track, self._clock)
            made = self._pc.addTransceiver(noted, direction="sendonly")
            Reports(made.sender, noted, self._clock)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return str(self._pc.localDescription.sdp)

    async def ask(self, on_track: Callable[[MediaStreamTrack], None]) -> str:
        """Return the offer with which to watch somebody; each track goes to ``on_track``."""
        self._hear(on_track)
        for kind in ("video", "audio"):
            self._pc.addTransceiver(kind, direction="recvonly")
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return str(self._pc.localDescription.sdp)

    def _hear(self, on_track: Callable[[MediaStreamTrack], None]) -> None:
        def came(track: MediaStreamTrack) -> None:
            parts = [part.receiver for part in self._pc.getTransceivers()]
            receiver = next(part for part in parts if part.track is track)
            AskingReceiver(receiver)
            on_track(HeardTrack(track, receiver))

        self._pc.on("track", came)

    async def answered(self, answer: str) -> None:
        """Take in the answer to ``offer`` or ``ask``.

        Raises:
            UsageError: it is none, or has no place for a picture.
        """
        try:
            said = webrtc_answer.taken(answer, str(self._pc.localDescription.sdp))
            await self._pc.setRemoteDescription(RTCSessionDescription(said, "answer"))
        except UsageError:
            raise
        except Exception as error:  # as in _answer
            raise UsageError("the answer cannot be read", "check the address") from error

    async def close(self) -> None:
        """Hang up. Safe to call twice."""
        await self._pc.close()
        self._over()

    async def _changed(self) -> None:
        if self._pc.connectionState in _GONE:
            await self.close()

    def _over(self) -> None:
        if not self._is_gone:
            self._is_gone = True
            self._gone()


class Fan:
    """Guarded tracks that several peers watch: each gets what may leave, or drops it."""

    def __init__(self) -> None:
        self._relay = MediaRelay()
        self._tracks: dict[str, MediaStreamTrack] = {}

    def add(self, track: MediaStreamTrack) -> None:
        """Offer a track from now on."""
        self._tracks[track.kind] = track

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which kinds of track there are."""
        return tuple(self._tracks)

    def tracks(self) -> list[MediaStreamTrack]:
        """Return tracks of its own for one more peer."""
        order = sorted(self._tracks.items(), reverse=True)  # the picture first
        # Pictures wait for nobody: the newest counts. Sound leaves in bursts, as soon as the
        # picture after it is settled, and most of a burst would be lost.
        return [self._relay.subscribe(track, buffered=kind == "audio") for kind, track in order]
