"""``safelight call --from``: what comes in is guarded too, and an interruption stops both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from tests.media import browser_call
from tests.media.chromium import browser, needs_chromium
from tests.test_call import BENIGN, BRIGHT, CARD, SEEN, honest, shown
from tests.test_call_server import TOKEN, Served, peer

import safelight
from safelight.call_incoming import Incoming
from safelight.call_server import CallServer
from safelight.errors import SinkError, UsageError
from safelight.testing.fakes import FakeJudge
from safelight.testing.webrtc_peers import Camera, Microphone, Watcher, until
from safelight.types import State


class Remote:
    """A service at which somebody else can be watched by WHEP, once they are there."""

    def __init__(self, level: Callable[[], int] = lambda: BENIGN, *, there: bool = True) -> None:
        self.there = there
        self.asked = self.goodbyes = 0
        self._level = level
        self._peers: list[RTCPeerConnection] = []
        self.address = ""

    async def _give(self, request: web.Request) -> web.Response:
        self.asked += 1
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPForbidden
        if not self.there:
            raise web.HTTPNotFound
        pc = RTCPeerConnection()
        self._peers.append(pc)
        pc.addTrack(Camera(lambda at: shown(self._level(), at)))
        pc.addTrack(Microphone())
        await pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        where = {"Location": "/live/secret-key/1"}
        return web.Response(status=201, text=pc.localDescription.sdp, headers=where)

    async def _goodbye(self, _request: web.Request) -> web.Response:
        self.goodbyes += 1
        return web.Response()

    async def hang_up(self) -> None:
        for pc in self._peers:
            await pc.close()
        self._peers.clear()

    async def __aenter__(self) -> Remote:
        app = web.Application()
        app.add_routes([web.post("/live/secret-key", self._give)])
        app.add_routes([web.delete("/live/secret-key/1", self._goodbye)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}/live/secret-key"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()
        await self._runner.cleanup()


class BothWays(Served):
    """A server whose other direction comes from a service."""

    def __init__(self, state: Path, remote: Remote, token: str = TOKEN) -> None:
        super().__init__(state)
        call = safelight.Call(state=state, make_judge=lambda: FakeJudge(honest), region="GB")
        incoming = Incoming(call, remote.address, token)
        self.call = call
        self.server = CallServer(call, told=self.told.append, incoming=incoming)

    async def until_it_comes(self) -> None:
        while '"incoming": true' not in (await self.ask("GET", "state"))[1]:
            await asyncio.sleep(0.05)


def lit(watcher: Watcher) -> bool:
    return any(CARD < seen.luma < SEEN for seen in watcher.pictures)


def test_an_interruption_of_what_comes_in_stops_both_ways(tmp_path: Path) -> None:
    async def story() -> None:
        level = BENIGN
        async with Remote(lambda: level) as remote, BothWays(tmp_path, remote) as served:
            await served.until_it_comes()
            mine = (Camera(lambda at: shown(BENIGN, at)), Microphone())
            async with (
                peer(served, "whip", *mine),
                peer(served, "whep") as leaves,
                peer(served, "incoming") as comes,
            ):
                await until(lambda: lit(leaves) and lit(comes))
                await until(lambda: bool(comes.loud))
                level = BRIGHT
                await until(lambda: served.call.state is State.INTERRUPTED)
                await asyncio.sleep(0.5)
                marks = len(leaves.pictures), len(comes.pictures)
                await asyncio.sleep(1.0)
                for watcher, mark in zip((leaves, comes), marks, strict=True):
                    after = [seen.luma for seen in watcher.pictures[mark:]]
                    assert after, "the connection stays, and shows cards"
                    assert max(after) < CARD
                assert not [seen for seen in comes.pictures if seen.luma > SEEN]
        assert {event.direction for event in served.told} == {"outgoing", "incoming"}
        assert remote.goodbyes == 1

    asyncio.run(asyncio.wait_for(story(), 90))


def test_it_waits_for_who_is_not_there_yet_and_for_who_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with Remote(there=False) as remote, BothWays(tmp_path, remote) as served:
            await until(lambda: remote.asked > 1)
            assert (await served.ask("POST", "incoming", data="v=0"))[0] == 409
            remote.there = True
            await served.until_it_comes()
            async with peer(served, "incoming") as comes:
                await until(lambda: lit(comes))
                asked = remote.asked
                await remote.hang_up()
                await until(lambda: remote.asked > asked)
            await served.until_it_comes()
            async with peer(served, "incoming") as again:
                await until(lambda: lit(again))

    asyncio.run(asyncio.wait_for(story(), 90))


def test_a_service_that_does_not_let_us_in_ends_it_and_nothing_secret_is_said(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with Remote() as remote:
            served = BothWays(tmp_path, remote, "another")
            with pytest.raises(SinkError) as caught:
                async with served:
                    await until(lambda: served.task is not None and served.task.done())
            assert "secret-key" not in str(caught.value)
            assert "another" not in str(caught.value)
            assert caught.value.exit_status == 2

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.e2e
@pytest.mark.slow
@needs_chromium
def test_the_page_shows_what_comes_in(tmp_path: Path) -> None:
    async def story() -> None:
        camera = browser_call.write_film(tmp_path)
        async with (
            Remote() as remote,
            BothWays(tmp_path / "state", remote) as served,
            browser(served.server.address, camera, tmp_path / "profile") as page,
        ):
            await page.until("document.getElementById('in').videoWidth > 0", 40)
            await page.until("!document.getElementById('come').hidden")
            assert await page.run("document.getElementById('problem').textContent") == ""
            assert await page.run("document.getElementById('shown').hidden")

    asyncio.run(asyncio.wait_for(story(), 120))


def test_nothing_is_watched_where_others_could_look_on() -> None:
    call = safelight.Call(make_judge=lambda: FakeJudge(honest))
    with pytest.raises(UsageError, match="not encrypted"):
        Incoming(call, "http://service.example/live/key", None)
    call.close()
