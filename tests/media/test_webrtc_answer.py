"""A service refuses a part of what is offered: the sound goes missing, never the whole call."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from tests.test_call import BENIGN, shown

from safelight.errors import UsageError
from safelight.media import webrtc_answer
from safelight.media.webrtc_peer import Peer
from safelight.testing.webrtc_peers import Camera, Microphone, Watcher, until


def refusing(answer: str, kind: str) -> str:
    """Return an answer as others write it: of what is refused nothing but its place."""
    head, *parts = answer.split("m=")
    (part,) = (part for part in parts if part.startswith(kind))
    (mid,) = (line for line in part.splitlines() if line.startswith("a=mid:"))
    said = f"{kind} 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n{mid}\r\n"
    (group,) = (line for line in head.splitlines() if line.startswith("a=group:BUNDLE"))
    left = " ".join(word for word in group.split() if word != mid.removeprefix("a=mid:"))
    kept = [said if part.startswith(kind) else part for part in parts]
    return "m=".join([head.replace(group, left), *kept])


async def answered(offer: str, watcher: Watcher) -> tuple[RTCPeerConnection, str]:
    pc = RTCPeerConnection()
    pc.on("track", watcher.watch)
    await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await pc.setLocalDescription(await pc.createAnswer())
    return pc, pc.localDescription.sdp


@pytest.mark.slow
def test_where_the_sound_is_refused_the_picture_arrives() -> None:
    async def story() -> None:
        watcher = Watcher()
        peer = Peer(lambda: None)
        offer = await peer.offer([Camera(lambda at: shown(BENIGN, at)), Microphone()])
        other, answer = await answered(offer, watcher)
        try:
            await peer.answered(refusing(answer, "audio"))
            await until(lambda: len(watcher.pictures) > 5)
            assert not watcher.loud
        finally:
            await peer.close()
            await other.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_where_the_picture_is_refused_nothing_begins() -> None:
    async def story() -> None:
        peer = Peer(lambda: None)
        offer = await peer.offer([Camera(lambda at: shown(BENIGN, at)), Microphone()])
        other, answer = await answered(offer, Watcher())
        try:
            with pytest.raises(UsageError, match="no picture"):
                await peer.answered(refusing(answer, "video"))
            assert peer.state == "new"
        finally:
            await peer.close()
            await other.close()

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("said", ["a=sendrecv", "a=sendonly", "a=x"])
def test_a_service_that_wants_to_send_too_sends_nothing(said: str) -> None:
    async def story() -> None:
        peer = Peer(lambda: None)
        offer = await peer.offer([Camera(lambda at: shown(BENIGN, at)), Microphone()])
        other, answer = await answered(offer, Watcher())
        try:
            await peer.answered(answer.replace("a=recvonly", said))
            for way in peer._pc.getTransceivers():
                assert way.currentDirection == ("inactive" if said == "a=sendonly" else "sendonly")
                assert way.receiver.track is None
        finally:
            await peer.close()
            await other.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_service_that_is_watched_is_sent_nothing() -> None:
    async def story() -> None:
        peer = Peer(lambda: None)
        offer = await peer.ask(lambda _: None)
        other = RTCPeerConnection()
        other.addTrack(Camera(lambda at: shown(BENIGN, at)))
        await other.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await other.setLocalDescription(await other.createAnswer())
        try:
            answer = str(other.localDescription.sdp).replace("a=sendonly", "a=sendrecv")
            await peer.answered(answer)
            assert {way.currentDirection for way in peer._pc.getTransceivers()} == {
                "recvonly",
                "inactive",
            }
        finally:
            await peer.close()
            await other.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_from_who_watches_nothing_is_taken() -> None:
    async def story() -> None:
        watching, peer = RTCPeerConnection(), Peer(lambda: None)
        for _ in range(2):  # one more than there is to watch
            watching.addTrack(Camera(lambda at: shown(BENIGN, at)))
        await watching.setLocalDescription(await watching.createOffer())
        try:
            await peer.give_out(
                str(watching.localDescription.sdp), [Camera(lambda at: shown(BENIGN, at))]
            )
            ways = [way.currentDirection for way in peer._pc.getTransceivers()]
            assert ways == ["sendonly", "sendonly"]
        finally:
            await peer.close()
            await watching.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_an_answer_that_refuses_nothing_stays_as_it_is() -> None:
    async def story() -> None:
        peer = Peer(lambda: None)
        offer = await peer.offer([Camera(lambda at: shown(BENIGN, at)), Microphone()])
        other, answer = await answered(offer, Watcher())
        await peer.close()
        await other.close()
        assert webrtc_answer.taken(answer, offer) == answer

    asyncio.run(asyncio.wait_for(story(), 60))
