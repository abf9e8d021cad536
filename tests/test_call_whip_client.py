"""A publisher by WHIP that is neither a browser nor ours: libav's, through ``safelight call``.

A canary (a harmless card) stands for what must not arrive.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import av
import pytest
from tests.media import browser_call
from tests.media.browser_call import ROUND_S, sort_out, until_said
from tests.source import ROOT

ROUNDS = 3


def has_whip() -> bool:
    try:
        return bool(av.format.ContainerFormat("whip", "w").is_output)
    except ValueError:
        return False


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.skipif(not has_whip(), reason="this PyAV has no WHIP muxer: 18 has")
def test_no_canary_comes_out_of_what_libav_publishes(tmp_path: Path) -> None:
    async def story() -> None:
        with browser_call.serving(tmp_path) as (address, process):
            publisher = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.media.whip_publisher",
                f"{address}whip", str(tmp_path), cwd=ROOT, stdin=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                await until_said(address, "state", "live", 60)
                async with browser_call.watching(address, "H264") as watcher:
                    await asyncio.sleep(ROUNDS * ROUND_S)
                assert publisher.stdin is not None
                publisher.stdin.close()
                assert await asyncio.wait_for(publisher.wait(), 30) == 0
            finally:
                if publisher.returncode is None:
                    publisher.kill()
                    await publisher.wait()
            # It says goodbye at the end, as RFC 9725 has it.
            await until_said(address, "publishing", False)
            came = sort_out(watcher)
            assert came.canaries == 0
            assert came.cards > 0, "the canary was covered"
            assert came.scenes > 0, "the rest came through"
            assert watcher.loud, "its sound came too"
            assert browser_call.stop(process) == (0, "")

    asyncio.run(asyncio.wait_for(story(), 150))
