"""``safelight call`` and a WebRTC server of somebody else's: what goes there, and comes from there.

libav publishes to the guard by WHIP, the guard publishes to Janus by WHIP, ffmpeg decodes what
Janus got. A canary (a harmless card) stands for what must not arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.media import browser_call, janus, janus_whep
from tests.media.browser_call import ROUND_S, sort_out, until_said
from tests.media.chromium import browser, needs_chromium
from tests.test_call_whip_client import has_whip, publisher

from safelight.media import whip
from safelight.media.webrtc_peer import Peer
from safelight.testing.webrtc_peers import CARD, Watcher, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not has_whip(), reason="this PyAV has no WHIP muxer: 18 has"),
]
ROUNDS = 3
ON_ITS_WAY_S = 1.0  # what was sent before may still be with the server, or be decoded


@contextlib.asynccontextmanager
async def publishing(address: str, folder: Path) -> AsyncIterator[None]:
    process = await publisher(address, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended where the guard has
            process.kill()
        await process.wait()


def test_the_canary_reaches_who_watches_at_janus_without_a_guard(tmp_path: Path) -> None:
    """It is known again, after a server and another decoder."""

    async def story() -> None:
        async with (
            janus.running(tmp_path, "H264") as server,
            publishing(server.whip, tmp_path),
            server.read_back(tmp_path) as watcher,
        ):
            await until(lambda: sort_out(watcher).canaries > 0, 60)

    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_no_canary_reaches_who_watches_at_janus(codec: str, tmp_path: Path) -> None:
    """And once the guard is killed, nothing does."""

    async def story() -> None:
        async with janus.running(tmp_path, codec) as server:
            with browser_call.serving(tmp_path, "--to", server.whip) as (address, guard):
                to = f"{address}whip"
                async with publishing(to, tmp_path), server.read_back(tmp_path) as watcher:
                    await until_said(address, "state", "live", 60)
                    await asyncio.sleep(ROUNDS * ROUND_S)
                    await until(lambda: any(s.luma > CARD for s in watcher.pictures), 60)
                    guard.kill()
                    killed_s = time.monotonic()
                    await asyncio.sleep(4.0)
        came = sort_out(watcher)
        print(codec, came.canaries, came.cards, came.scenes)  # noqa: T201  (docs quote it)
        assert came.canaries == 0
        assert came.cards > 0, "the canary was covered"
        assert came.scenes > 0, "the rest came through"
        at = [seen.at_s - killed_s for seen in watcher.pictures]
        assert max(at) > -ON_ITS_WAY_S, "it came until then"
        assert max(at) < ON_ITS_WAY_S, "it came on"

    asyncio.run(asyncio.wait_for(story(), 200))


@needs_chromium
@pytest.mark.parametrize(
    ("guarded", "codec"), [(False, "H264"), (True, "VP8")], ids=["no guard", "guarded"]
)
def test_a_browser_at_janus_is_shown_no_canary_of_another_browser(
    guarded: bool, codec: str, tmp_path: Path
) -> None:
    """From browser to browser: what is shown is asked of the one that shows it."""

    async def story() -> browser_call.Came:
        camera = browser_call.write_film(tmp_path)
        one, other = tmp_path / "one", tmp_path / "other"
        async with janus.running(tmp_path, codec) as server, contextlib.AsyncExitStack() as stack:
            if guarded:
                serving = browser_call.serving(tmp_path, "--to", server.whip)
                address, _ = stack.enter_context(serving)
                page = await stack.enter_async_context(browser(address, camera, one))
                await page.run("watch = async () => {}")  # the page's own picture costs time too
                await browser_call.publish(page, codec)
                await until_said(address, "state", "live", 60)
            else:
                await stack.enter_async_context(publishing(server.whip, tmp_path))
            viewer = await stack.enter_async_context(browser(server.viewer, camera, other))
            await server.watch(viewer)
            await asyncio.sleep(ROUNDS * ROUND_S)
            return sort_out(await janus.taken(viewer))

    came = asyncio.run(asyncio.wait_for(story(), 200))
    print(came.canaries, came.cards, came.scenes)  # noqa: T201  (docs/webrtc.md quotes it)
    assert came.scenes > 0
    assert (came.canaries == 0) is guarded
    # The first thing shown can be black, which would pass for one card.
    assert (came.cards > ROUNDS) is guarded


def test_the_canary_is_in_what_is_watched_at_janus(tmp_path: Path) -> None:
    """Without a guard it comes in."""

    async def story() -> None:
        film = browser_call.write_film(tmp_path)
        async with (
            janus.running(tmp_path, "H264") as server,
            janus_whep.film_at(server, film) as whep,
        ):
            watcher, peer = Watcher(keep=True), Peer(lambda: None)
            said = await whip.exchange(whep, await peer.ask(watcher.watch), None)
            await peer.answered(said.answer)
            await until(lambda: sort_out(watcher).canaries > 0, 60)
            await peer.close()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_no_canary_comes_in_from_who_is_watched_at_janus(tmp_path: Path) -> None:
    """``--from``: a server of somebody else's that has pictures, and refuses to send sound."""

    async def story() -> browser_call.Came:
        film = browser_call.write_film(tmp_path)
        async with (
            janus.running(tmp_path, "H264") as server,
            janus_whep.film_at(server, film) as whep,
        ):
            with browser_call.serving(tmp_path, "--from", whep) as (address, guard):
                await until_said(address, "incoming", True)
                async with browser_call.watching(address, at="incoming") as watcher:
                    await until_said(address, "state", "live", 60)
                    await asyncio.sleep(ROUNDS * ROUND_S)
                    await until(lambda: any(s.luma > CARD for s in watcher.pictures), 60)
                assert browser_call.stop(guard) == (0, "")
            return sort_out(watcher)

    came = asyncio.run(asyncio.wait_for(story(), 200))
    print(came.canaries, came.cards, came.scenes)  # noqa: T201
    assert came.canaries == 0
    assert came.cards > 0, "the canary was covered"
    assert came.scenes > 0, "the rest came through"
