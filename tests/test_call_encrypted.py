"""End-to-end encryption stays whole: encoded frames are encrypted after the guard, not by it.

A pair of peers encrypts every encoded picture by SFrame (RFC 9605). With the guard on or off
the receiver decrypts the same way, and the guard's process never holds the key.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import aiortc.rtcrtpreceiver
import aiortc.rtcrtpsender
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import get_decoder, get_encoder
from aiortc.codecs.vpx import Vp8Decoder, Vp8Encoder
from tests.media import browser_call
from tests.sframe import SUITES, Key, NotAuthenticError

import safelight
from safelight.testing.fakes import FakeJudge, Says, scores
from safelight.testing.scenes import scene
from safelight.testing.webrtc_peers import Camera, Watcher, connect, prefer, until


class Transform:
    """An encoded transform at both ends, for pictures in VP8."""

    def __init__(self) -> None:
        self.base_key = secrets.token_bytes(32)
        self._key = Key(SUITES[4], 7, self.base_key)
        self.encrypted = self.decrypted = self.refused = 0

    def encrypt(self, data: bytes) -> bytes:
        self.encrypted += 1
        return self._key.encrypt(self.encrypted, b"", data)

    def decrypt(self, data: bytes) -> bytes:
        try:
            plain = self._key.decrypt(b"", data)
        except NotAuthenticError:
            self.refused += 1
            raise
        self.decrypted += 1
        return plain


@pytest.fixture
def transform(monkeypatch: pytest.MonkeyPatch) -> Transform:
    made = Transform()

    class Encrypting(Vp8Encoder):
        @classmethod
        def _packetize(cls, buffer: bytes, picture_id: int) -> list[bytes]:
            return Vp8Encoder._packetize(made.encrypt(buffer), picture_id)

    class Decrypting(Vp8Decoder):
        def decode(self, encoded_frame: Any) -> Any:
            encoded_frame.data = made.decrypt(encoded_frame.data)
            return super().decode(encoded_frame)

    def encoder(codec: Any) -> Any:
        return Encrypting() if codec.name == "VP8" else get_encoder(codec)

    def decoder(codec: Any) -> Any:
        return Decrypting() if codec.name == "VP8" else get_decoder(codec)

    monkeypatch.setattr(aiortc.rtcrtpsender, "get_encoder", encoder)
    monkeypatch.setattr(aiortc.rtcrtpreceiver, "get_decoder", decoder)
    return made


def camera() -> Camera:
    """What stands still is judged now and then only."""
    return Camera(lambda _: scene(1.0, (192, 144)), rate=12)


async def sent_encrypted(track: MediaStreamTrack) -> Watcher:
    """Send it through an encrypting pair until pictures of the scene come out."""
    here, there = RTCPeerConnection(), RTCPeerConnection()
    watcher = Watcher()
    there.on("track", watcher.watch)
    try:
        here.addTrack(track)
        prefer(here, "VP8")
        await connect(here, there)
        await until(lambda: sum(seen.luma > 80 for seen in watcher.pictures) > 15, 40)
    finally:
        await here.close()
        await there.close()
    return watcher


@pytest.mark.parametrize("guard", ["off", "on"])
def test_the_receiver_decrypts_the_same_way(
    guard: str, transform: Transform, tmp_path: Path
) -> None:
    async def story() -> None:
        honest = FakeJudge(lambda *_: Says(scores(0.01)))
        with safelight.Call(state=tmp_path, make_judge=lambda: honest) as call:
            await sent_encrypted(call.guarded(camera()) if guard == "on" else camera())

    asyncio.run(asyncio.wait_for(story(), 60))
    assert transform.refused == 0
    assert transform.decrypted > 15


@pytest.mark.e2e
@pytest.mark.slow
def test_no_key_is_in_the_guards_process_and_killing_it_stops_all(
    transform: Transform, tmp_path: Path
) -> None:
    """The program guards what goes into the call, the call's own process encrypts it."""

    async def story() -> None:
        with browser_call.serving(tmp_path) as (address, process):
            async with (
                published(address, camera()),
                watched(address) as track,
                watched(address) as another,
            ):
                await sent_encrypted(track)
                assert holds("self", transform.base_key), "the search finds what is there"
                assert not holds(str(process.pid), transform.base_key)
                # The guard is killed: nothing more comes out of it.
                seen = Watcher()
                seen.watch(another)
                await until(lambda: len(seen.pictures) > 3)
                process.kill()
                process.wait()
                await asyncio.sleep(0.3)
                came = len(seen.pictures)
                await asyncio.sleep(0.7)
                assert len(seen.pictures) == came

    asyncio.run(asyncio.wait_for(story(), 120))
    assert transform.refused == 0
    assert transform.decrypted > 15


def holds(process: str, key: bytes) -> bool:
    """Whether a process has these bytes anywhere in its memory."""
    return any(key in part for part in memory(process))


def memory(process: str) -> Iterator[bytes]:
    try:
        maps = Path(f"/proc/{process}/maps").read_text()
        with Path(f"/proc/{process}/mem").open("rb", buffering=0) as mem:
            for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
                mem.seek(int(start, 16))
                left = int(end, 16) - int(start, 16)
                with contextlib.suppress(OSError):  # a hole
                    while left > 0 and (part := mem.read(min(left, 1 << 24))):
                        left -= len(part)
                        yield part
    except PermissionError:
        pytest.skip("nobody but root may look into the guard's memory")


@contextlib.asynccontextmanager
async def published(address: str, track: MediaStreamTrack) -> AsyncIterator[None]:
    """A peer publishes by WHIP, in H.264: that hop is within this machine and not encrypted."""
    pc = RTCPeerConnection()
    pc.addTransceiver(track, direction="sendonly")
    try:
        await exchange(pc, address + "whip")
        await browser_call.until_said(address, "state", "live")
        yield
    finally:
        await pc.close()


@contextlib.asynccontextmanager
async def watched(address: str) -> AsyncIterator[MediaStreamTrack]:
    """What left the guard, by WHEP, in H.264."""
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    tracks: list[MediaStreamTrack] = []
    pc.on("track", tracks.append)
    try:
        await exchange(pc, address + "whep")
        yield tracks[0]
    finally:
        await pc.close()


async def exchange(pc: RTCPeerConnection, address: str) -> None:
    prefer(pc, "H264")
    await pc.setLocalDescription(await pc.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, data=pc.localDescription.sdp, headers=headers) as response,
    ):
        answer = await response.text()
        assert response.status == 201, answer
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
