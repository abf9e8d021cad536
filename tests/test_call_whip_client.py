"""A publisher by WHIP that is neither a browser nor ours: libav's, through ``safelight call``.

A canary (a harmless card) stands for what must not arrive.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import av
import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from tests.media import browser_call
from tests.media.browser_call import ROUND_S, sort_out, until_said
from tests.source import ROOT

from safelight.testing.webrtc_peers import CARD, Watcher, until

ROUNDS = 3


def has_whip() -> bool:
    try:
        return bool(av.format.ContainerFormat("whip", "w").is_output)
    except ValueError:
        return False


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not has_whip(), reason="this PyAV has no WHIP muxer: 18 has"),
]


async def publisher(address: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.media.whip_publisher", address, str(folder),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip


def test_the_canary_is_in_what_libav_publishes(tmp_path: Path) -> None:
    """Without a guard it arrives, and is known again."""

    async def story() -> None:
        pc, watcher = RTCPeerConnection(), Watcher(keep=True)
        pc.on("track", watcher.watch)

        async def take(request: web.Request) -> web.Response:
            await pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
            await pc.setLocalDescription(await pc.createAnswer())
            where = {"Location": "/whip/1"}
            return web.Response(status=201, text=pc.localDescription.sdp, headers=where)

        app = web.Application()
        app.add_routes([web.post("/whip", take)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/whip"
        process = await publisher(address, tmp_path)
        try:
            await until(lambda: sort_out(watcher).canaries > 0, 60)
        finally:
            process.kill()
            await process.wait()
            await pc.close()
            await runner.cleanup()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_no_canary_comes_out_of_what_libav_publishes(tmp_path: Path) -> None:
    async def story() -> None:
        with browser_call.serving(tmp_path) as (address, process):
            published = await publisher(f"{address}whip", tmp_path)
            try:
                await until_said(address, "state", "live", 60)
                async with browser_call.watching(address, "H264") as watcher:
                    await asyncio.sleep(ROUNDS * ROUND_S)
                    # On a busy machine it can be a while until one is judged in time.
                    await until(lambda: any(s.luma > CARD for s in watcher.pictures), 60)
                assert published.stdin is not None
                published.stdin.close()
                assert await asyncio.wait_for(published.wait(), 30) == 0
            finally:
                if published.returncode is None:
                    published.kill()
                    await published.wait()
            # It says goodbye at the end, as RFC 9725 has it.
            await until_said(address, "publishing", False)
            came = sort_out(watcher)
            assert came.canaries == 0
            assert came.cards > 0, "the canary was covered"
            assert came.scenes > 0, "the rest came through"
            assert watcher.loud, "its sound came too"
            assert browser_call.stop(process) == (0, "")

    asyncio.run(asyncio.wait_for(story(), 200))
