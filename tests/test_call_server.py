"""The page and endpoints of ``safelight call``: who may ask, what is published on, who is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from aiohttp import web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from tests.test_call import BENIGN, BRIGHT, CARD, SEEN, honest, shown

import safelight
from safelight.call_server import MOST_CONNECTIONS, CallServer
from safelight.errors import SinkError, UsageError
from safelight.media import whip
from safelight.testing.fakes import FakeJudge
from safelight.testing.webrtc_peers import Camera, Microphone, Watcher, until

SDP = {"Content-Type": "application/sdp"}
HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
TOKEN = "a-token-that-nobody-may-see"  # noqa: S105  (of a test)


class Served:
    """A server that runs in this test's loop."""

    def __init__(self, state: Path, **more: str) -> None:
        call = safelight.Call(state=state, make_judge=lambda: FakeJudge(honest), region="GB")
        self.told: list[safelight.CallEvent] = []
        self.stop = False
        self.server = CallServer(call, told=self.told.append, **more)  # type: ignore[arg-type]
        self.call = call
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        ready = asyncio.Event()
        self.task = asyncio.ensure_future(self.server.run(ready.set, lambda: self.stop))
        await asyncio.wait(
            {self.task, asyncio.ensure_future(ready.wait())}, return_when="FIRST_COMPLETED"
        )
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self.stop = True
        if self.task is not None and (kind is None or not self.task.done()):
            await self.task

    async def ask(self, method: str, path: str, **more: object) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.server.address + path, **more) as response,  # type: ignore[arg-type]
        ):
            return response.status, await response.text()


@contextlib.asynccontextmanager
async def peer(served: Served, where: str, *tracks: MediaStreamTrack) -> AsyncIterator[Watcher]:
    """Publish these tracks, or watch when there are none."""
    pc, watcher = RTCPeerConnection(), Watcher()
    pc.on("track", watcher.watch)
    for track in tracks:
        pc.addTransceiver(track, direction="sendonly")
    if not tracks:
        pc.addTransceiver("video", direction="recvonly")
        pc.addTransceiver("audio", direction="recvonly")
    try:
        await pc.setLocalDescription(await pc.createOffer())
        status, said = await served.ask("POST", where, data=pc.localDescription.sdp, headers=SDP)
        assert status == 201, said
        await pc.setRemoteDescription(RTCSessionDescription(said, "answer"))
        yield watcher
    finally:
        await pc.close()


class Service:
    """A service that takes WHIP, if the token is right."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.seen = Watcher()
        self.goodbyes = 0
        self._pc = RTCPeerConnection()
        self._pc.on("track", self.seen.watch)
        self.address = ""

    async def _take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPForbidden
        await self._pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        where = {"Location": "/live/secret-key/1"}
        return web.Response(status=201, text=self._pc.localDescription.sdp, headers=where)

    async def _goodbye(self, _request: web.Request) -> web.Response:
        self.goodbyes += 1
        return web.Response()

    async def __aenter__(self) -> Service:
        app = web.Application()
        app.add_routes([web.post("/live/secret-key", self._take)])
        app.add_routes([web.delete("/live/secret-key/1", self._goodbye)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}/live/secret-key"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pc.close()
        await self._runner.cleanup()


def test_nobody_else_gets_in(tmp_path: Path) -> None:
    async def story() -> None:
        async with Served(tmp_path) as served:
            assert (await served.ask("GET", ""))[0] == 200
            for headers in (
                {"Host": "rebound.example"},
                {"Host": "127.0.0.1:1"},
                {"Origin": "http://elsewhere.example"},
                {"Origin": "null"},
            ):
                for method, path in (("GET", "state"), ("POST", "resume"), ("POST", "whip")):
                    assert (await served.ask(method, path, headers=headers))[0] == 403
            for path in ("../", "../guessed/", "../guessed/state"):
                assert (await served.ask("GET", path))[0] == 404
            assert served.server.address.startswith("http://127.0.0.1:")

    asyncio.run(asyncio.wait_for(story(), 60))


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            Served(tmp_path) as served,
            aiohttp.ClientSession() as session,
            session.get(served.server.address) as response,
        ):
            text = await response.text()
            policy = response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "http://" not in text
            assert "https://" not in text
            assert response.headers["Cache-Control"] == "no-store"

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "hello",
        "v=0\r\n",
        "\x00" * 100,
        "m=video 9 X 96\r\n",
        f"{HEAD}m=video x y z",
        b"\xff\xfe",
    ],
    ids=["empty", "words", "head", "zeros", "part", "asserted", "no text"],
)
def test_what_is_no_offer_is_refused_and_the_next_one_is_taken(
    offer: str | bytes, tmp_path: Path
) -> None:
    async def story() -> None:
        async with Served(tmp_path) as served:
            assert (await served.ask("POST", "whip", data=offer, headers=SDP))[0] == 400
            assert (await served.ask("POST", "whep", data=offer, headers=SDP))[0] == 409
            async with peer(served, "whip", Camera(lambda at: shown(BENIGN, at))):
                assert (await served.ask("POST", "whep", data=offer, headers=SDP))[0] == 400
                await until(lambda: served.call.state is safelight.State.LIVE)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n Cookie: theirs\r\n\r\n",
        b"POST /SECRET/whip HTTP/1.1\r\nHost: HOST\r\nContent-Length: 9\r\n"
        b"Content-Type: application/sdp; charset=none\r\n\r\nv=0\r\no=me",
        b"POST /SECRET/whip HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99\r\n\r\nv=0",
    ],
    ids=["no header", "no charset", "breaks off"],
)
def test_what_somebody_sends_is_in_no_log(
    said: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 5: whoever finds the port could fill a log, with what others sent in it."""

    async def story() -> None:
        async with Served(tmp_path) as served:
            host, secret = served.server.address.removeprefix("http://").split("/")[:2]
            reader, writer = await asyncio.open_connection(*host.split(":"))
            writer.write(said.replace(b"SECRET", secret.encode()).replace(b"HOST", host.encode()))
            if b"99" in said:
                await writer.drain()
                await asyncio.sleep(0.3)
            else:
                assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            await asyncio.sleep(0.3)

    asyncio.run(asyncio.wait_for(story(), 60))
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_who_holds_connections_open_keeps_nobody_out(tmp_path: Path) -> None:
    """Promise 7: the port is open to every user of this machine, the address is not."""

    async def story() -> None:
        async with Served(tmp_path) as served:
            host, port = served.server.address.removeprefix("http://").split("/")[0].split(":")
            held = [await asyncio.open_connection(host, port) for _ in range(MOST_CONNECTIONS + 20)]
            for reader, _ in held[:20]:
                assert await asyncio.wait_for(reader.read(), 10) == b""
            assert (await served.ask("GET", "state"))[0] == 200
            assert not held[-1][0].at_eof()
            for _, writer in held:
                writer.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_may_leave_is_published_on_and_watched(tmp_path: Path) -> None:
    async def story() -> None:
        level = BENIGN
        async with Service() as service:
            async with Served(tmp_path, to=service.address, token=TOKEN) as served:
                tracks = (Camera(lambda at: shown(level, at)), Microphone())
                async with peer(served, "whip", *tracks), peer(served, "whep") as viewer:
                    both = (service.seen, viewer)
                    for watcher in both:
                        await until(lambda w=watcher: any(s.luma > CARD for s in w.pictures))  # type: ignore[misc]
                    level = BRIGHT
                    await asyncio.sleep(0.6)
                    level = BENIGN
                    await asyncio.sleep(0.4)
                    said = await served.ask("GET", "state")
                    assert '"state": "live"' in said[1] or '"card": ["' in said[1]
                for watcher in both:
                    assert not [s for s in watcher.pictures if s.luma > SEEN]
                    assert [s for s in watcher.pictures if s.luma < CARD]
            assert service.goodbyes == 1
            assert {event.direction for event in served.told} == {"outgoing"}

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_service_that_refuses_ends_it_and_neither_key_nor_token_is_said(tmp_path: Path) -> None:
    async def story() -> None:
        async with Service("another") as service:
            served = Served(tmp_path, to=service.address, token=TOKEN)
            with pytest.raises(SinkError) as caught:
                async with served, peer(served, "whip", Camera(lambda at: shown(BENIGN, at))):
                    await until(lambda: served.task is not None and served.task.done())
            assert "secret-key" not in str(caught.value)
            assert TOKEN not in str(caught.value)
            assert caught.value.exit_status == 2
            assert not service.seen.pictures

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_publisher_that_is_back_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            Served(tmp_path) as served,
            peer(served, "whip", Camera(lambda at: shown(BENIGN, at))),
        ):
            await until(lambda: served.call.state is safelight.State.LIVE)
            async with peer(served, "whip", Camera(lambda at: shown(BENIGN, at))):
                await until(lambda: ("outgoing", "camera-1") in served.call.reports)
                await until(lambda: served.call.state is safelight.State.LIVE)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize(
    "address",
    [
        "rtmp://127.0.0.1/app/key",
        "http://service.example/live/key",
        "https://user:password@service.example/live",
        "https:///live/key",
        "https://service.example:port/live",
        "key",
        "",
    ],
)
def test_nothing_is_published_where_others_could_listen(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        whip.check(address)
    assert "key" not in str(caught.value)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://service.example/live", "http://127.0.0.1:8080/whip", "http://[::1]/whip"]
)
def test_encrypted_or_on_this_machine_is_fine(address: str) -> None:
    whip.check(address)
