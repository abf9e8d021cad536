"""What leaves in copy mode, in players that have nothing of ours: GStreamer, and a browser.

A cover in the middle is another encoder's stream between pictures that were passed on. Both
have to show it as our own decoder does, without a word of complaint.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from aiohttp import web
from tests.media.chromium import browser, needs_chromium
from tests.media.helpers import content, psnr, read
from tests.media.test_copy import SIZE, clip, run
from tests.programs import absent, need

from safelight.detect import views
from safelight.types import Plane

COUNT: Final = 60
# In the first picture, one, two covers in one group, and one from a group to another.
COVERS: Final = [{0}, {13}, {25, 26, 28}, set(range(12, 47))]
WIDTH, HEIGHT = SIZE
RATE: Final = 30
# It turns colours into levels in its own way, by the green of which pictures are compared here.
IN_A_BROWSER: Final = 30.0
TRIES: Final = 8


def spliced(folder: Path, suffix: str, cards: set[int]) -> tuple[Path, list[Plane]]:
    """Write a film with covers in it; return it, and the luma that our decoder makes of it."""
    out = folder / f"out.{suffix}"
    copied = run(clip(folder / "in.mp4", COUNT), out, frozenset(cards))
    assert 0 < copied.copied < COUNT
    shown = [content(frame).y for frame in read(out).pictures]
    assert len(shown) == COUNT
    return out, shown


# --- GStreamer --------------------------------------------------------------------------------

DEMUXERS: Final = {"mp4": "qtdemux", "mkv": "matroskademux", "flv": "flvdemux"}


@pytest.mark.e2e
@pytest.mark.parametrize("suffix", DEMUXERS)
@pytest.mark.parametrize("cards", COVERS)
def test_gstreamer_plays_a_spliced_cover(tmp_path: Path, suffix: str, cards: set[int]) -> None:
    launch = need("gst-launch-1.0", "gstreamer1.0-tools (make setup-peers)")
    for element in (DEMUXERS[suffix], "h264parse", "avdec_h264"):
        found = subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False)
        if found.returncode:
            absent(f"GStreamer has no {element} (make setup-peers)")
    film, shown = spliced(tmp_path, suffix, cards)
    plain = tmp_path / f"plain.{suffix}"
    remux = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "in.mp4"), "-c", "copy", str(plain)]
    subprocess.run(remux, check=True, timeout=60)
    raw = tmp_path / "raw"
    whole = tmp_path / f"whole.{suffix}"
    assert run(tmp_path / "in.mp4", whole).copied == COUNT
    usual = _complaints(launch, plain, raw) | _complaints(launch, whole, raw)
    assert _complaints(launch, film, raw) <= usual
    planes = np.frombuffer(raw.read_bytes(), np.uint8).reshape(-1, HEIGHT * 3 // 2, WIDTH)
    assert len(planes) == COUNT
    for number, luma in enumerate(shown):
        assert np.array_equal(planes[number, :HEIGHT], luma), number


def _complaints(launch: str, film: Path, raw: Path) -> set[str]:
    """Decode a film into ``raw``; return what GStreamer warns of, without times and addresses."""
    chain = f"filesrc location={film} ! {DEMUXERS[film.suffix[1:]]} ! h264parse ! avdec_h264 ! "
    chain += f"videoconvert ! video/x-raw,format=I420 ! filesink location={raw}"
    said = subprocess.run(
        [launch, "-q", *chain.split()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "GST_DEBUG": "2", "GST_DEBUG_NO_COLOR": "1"},
    )
    assert (said.returncode, said.stdout) == (0, "")
    assert " ERROR " not in said.stderr
    # Time, process, address, level; then who says what, at which byte of a file of this length.
    lines = (" ".join(line.split()[3:]) for line in said.stderr.splitlines())
    return {re.sub(r"offset \d+", "offset", line) for line in lines}


# --- a browser --------------------------------------------------------------------------------

PAGE: Final = """<!doctype html><title>player</title><video muted src="film"></video><script>
const video = document.querySelector("video"), canvas = document.createElement("canvas");
const drawn = canvas.getContext("2d", {willReadFrequently: true});
window.look = () => true;
const heard = (what) => new Promise((done, failed) => {
  video.addEventListener(what, done, {once: true});
  video.addEventListener("error", () => failed(new Error(video.error.message)), {once: true});
});
async function play() {
  if (video.readyState < 1) await heard("loadedmetadata");
  const ended = heard("ended");
  await video.play();
  await ended;
  const found = video.getVideoPlaybackQuality();
  return {decoded: found.totalVideoFrames, broken: found.corruptedVideoFrames || 0};
}
async function at(seconds) {
  const there = heard("seeked");
  video.currentTime = seconds;
  await there;
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  drawn.drawImage(video, 0, 0);
  const all = drawn.getImageData(0, 0, canvas.width, canvas.height).data, green = [];
  for (let index = 1; index < all.length; index += 4) green.push(all[index]);
  return green;
}
</script>"""


@pytest.mark.e2e
@needs_chromium
@pytest.mark.parametrize("cards", COVERS)
def test_a_browser_plays_a_spliced_cover(tmp_path: Path, cards: set[int]) -> None:
    film, _ = spliced(tmp_path, "mp4", cards)
    pictures = [content(frame) for frame in read(film).pictures]

    async def story() -> None:
        # It has a camera, as in a call, which nobody asks for.
        async with (
            _served(film) as address,
            browser(address, tmp_path / "camera", tmp_path / "profile") as page,
        ):
            await page.call("Media.enable")
            assert await page.run("play()") == {"decoded": COUNT, "broken": 0}
            for number, picture in enumerate(pictures):
                expected = views.shown(picture)[..., 1]
                # Having sought, a busy browser may still draw what it showed before.
                for _ in range(TRIES):
                    seen = await page.run(f"at({(number + 0.5) / RATE})")
                    near = psnr(np.array(seen, np.uint8).reshape(HEIGHT, WIDTH), expected)
                    if near > IN_A_BROWSER:
                        break
                assert near > IN_A_BROWSER, number
            assert [event for event in page.events if _complains(event)] == []
            assert any(event["method"].startswith("Media.") for event in page.events)

    asyncio.run(asyncio.wait_for(story(), 100))


@contextlib.asynccontextmanager
async def _served(film: Path) -> AsyncIterator[str]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def its_film(_: web.Request) -> web.FileResponse:
        return web.FileResponse(film)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/film", its_film)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def _complains(event: dict[str, Any]) -> bool:
    said = event.get("params", {})
    if event["method"] == "Media.playerErrorsRaised":
        return bool(said["errors"])  # it says once that there are none
    messages = said.get("messages", [])
    return event["method"] == "Media.playerMessagesLogged" and any(
        message["level"] in {"error", "warning"} for message in messages
    )
