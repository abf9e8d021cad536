"""A call from a real browser through ``safelight call`` to a watcher: what was seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import av
import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription
from numpy.typing import NDArray
from tests.media.chromium import Page, browser, write_camera

from safelight.testing import canary
from safelight.testing.drawings import Rgb
from safelight.testing.scenes import scene
from safelight.testing.webrtc_peers import Watcher, prefer, until
from safelight.types import Plane

SIZE: Final = (320, 180)
RATE: Final = 10
CANARY: Final = "cup"
BENIGN_S: Final = 2.0
CANARY_S: Final = 0.6
AFTER_S: Final = 2.9
ROUND_S: Final = BENIGN_S + CANARY_S + AFTER_S
LOUD: Final = 50.0  # root mean square of 16-bit samples
LIKE: Final = 0.9  # correlation from which on a picture counts as the canary


def film(*, moving: bool) -> Iterator[Rgb]:
    """Benign, a canary, benign again: what the browser's camera shows, over and over.

    What stands still is judged now and then only: a machine with much else to do keeps up.
    """
    shown = canary.at_size(canary.load(CANARY), SIZE)
    for index in range(round(ROUND_S * RATE)):
        at = index / RATE
        yield shown if BENIGN_S <= at < BENIGN_S + CANARY_S else scene(at if moving else 1.0, SIZE)


def write_film(folder: Path, *, moving: bool = False) -> Path:
    return write_camera(folder / "camera.y4m", film(moving=moving), RATE)


def write_sound(path: Path) -> Path:
    """What the browser's microphone hears, over and over: tones that change and never pause.

    A steady one would pass for noise, which browsers take out.
    """
    rate, heard, phase = 48_000, [], 0.0
    for hz in np.random.default_rng(1).uniform(300, 2_500, 200):
        angles = phase + 2 * np.pi * hz * np.arange(rate // 20) / rate
        heard.append(np.sin(angles))
        phase = float(angles[-1])
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.concatenate(heard) * 12_000).astype("<i2").tobytes())
    return path


def _small(grey: Plane) -> NDArray[np.float64]:
    flat: NDArray[np.float64] = grey.astype(np.float64)
    flat -= flat.mean()
    length = float(np.sqrt((flat**2).sum()))
    flat /= length or 1.0
    return flat


class Knower:
    """Tells the canary, the scene and a card apart, whatever a codec made of them."""

    def __init__(self) -> None:
        rgb = canary.at_size(canary.load(CANARY), SIZE)
        self._canary = _small(self._shrink(av.VideoFrame.from_ndarray(rgb, format="rgb24")))

    @staticmethod
    def _shrink(frame: av.VideoFrame) -> Plane:
        return np.asarray(frame.reformat(width=64, height=36, format="gray").to_ndarray())

    def like(self, frame: av.VideoFrame) -> float:
        return float((_small(self._shrink(frame)) * self._canary).sum())

    def is_card(self, frame: av.VideoFrame) -> bool:
        grey = self._shrink(frame)
        return bool(np.median(grey) < 60 and grey.std() < 50)


@dataclass
class Came:
    """What one watcher got."""

    canaries: int = 0
    cards: int = 0
    scenes: int = 0
    most_like: float = 0.0
    kinds: list[tuple[float, str]] = field(default_factory=list)


def sort_out(watcher: Watcher) -> Came:
    knower, came = Knower(), Came()
    for seen in watcher.pictures:
        assert seen.frame is not None
        like = knower.like(seen.frame)
        if like >= LIKE:
            kind = "canary"
            came.canaries += 1
        elif knower.is_card(seen.frame):
            kind = "card"
            came.cards += 1
        else:
            kind = "scene"
            came.scenes += 1
            came.most_like = max(came.most_like, like)
        came.kinds.append((seen.at_s, kind))
    return came


def heard_under_cards(watcher: Watcher, came: Came) -> list[int]:
    """Return, for each cover that begins after a picture, how many chunks of 20 ms of sound
    belong between its first card and its last, whatever a busy machine delivers late."""
    counts: list[int] = []
    kinds = [kind for _, kind in came.kinds]
    pictures = [seen.frame.time or 0.0 for seen in watcher.pictures if seen.frame is not None]
    shown = _on_time([seen.at_s for seen in watcher.pictures], pictures)
    heard = _on_time([at for at, _ in watcher.loud], watcher.loud_at)
    starts = [n for n in range(1, len(kinds)) if kinds[n - 1] != "card" == kinds[n]]
    for start in starts:
        end = next((n for n in range(start, len(kinds)) if kinds[n] != "card"), len(kinds))
        inside = zip(heard, watcher.loud, strict=True)
        counts.append(
            sum(loud > LOUD for at, (_, loud) in inside if shown[start] < at < shown[end - 1])
        )
    return counts


def _on_time(came: list[float], sent: list[float]) -> list[float]:
    """Return when each would have come, had all been as quick as the quickest.

    ``sent``: when, by a clock of the sender's that begins anywhere.
    """
    quickest = min((a - b for a, b in zip(came, sent, strict=True)), default=0.0)
    return [at + quickest for at in sent]


@contextlib.contextmanager
def serving(folder: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The program itself, and the address it printed."""
    command = [sys.executable, "-m", "safelight", "call", "--state", str(folder / "state")]
    process = subprocess.Popen(
        [*command, "--region", "GB", *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.stderr and process.stderr.read()
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ctrl-C; return the exit status and what was said on standard error."""
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    return process.returncode, error


@contextlib.asynccontextmanager
async def watching(
    address: str, codec: str = "VP8", *, keep: bool = True, at: str = "whep"
) -> AsyncIterator[Watcher]:
    """Somebody who watches by WHEP, from now on; ``at``: what, below the address."""
    watcher = Watcher(keep=keep)
    pc = RTCPeerConnection()
    pc.on("track", watcher.watch)
    try:
        for kind in ("video", "audio"):
            pc.addTransceiver(kind, direction="recvonly")
        prefer(pc, codec)
        await pc.setLocalDescription(await pc.createOffer())
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                address + at,
                data=pc.localDescription.sdp,
                headers={"Content-Type": "application/sdp"},
            ) as response,
        ):
            answer = await response.text()
            assert response.status == 201, answer
        await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield watcher
    finally:
        await pc.close()


async def state_of(address: str) -> dict[str, object]:
    async with aiohttp.ClientSession() as session, session.get(address + "state") as response:
        said: dict[str, object] = await response.json()
        return said


async def until_said(address: str, name: str, value: object, within_s: float = 30.0) -> None:
    """Wait until the page is told this; else TimeoutError."""
    end = time.monotonic() + within_s
    while (await state_of(address))[name] != value:
        if time.monotonic() > end:
            raise TimeoutError(f"{name} never was {value}")
        await asyncio.sleep(0.02)


async def one_run(
    address: str, camera: Path, profile: Path, *, codec: str, wait_s: float, watch_s: float
) -> Watcher:
    """Publish from a browser, watch for a while, hang up."""
    heard = f"--use-file-for-fake-audio-capture={write_sound(camera.with_suffix('.wav'))}"
    async with browser(address, camera, profile, heard) as page:
        await asyncio.sleep(wait_s)
        await page.run("watch = async () => {}")  # the page's own picture costs time too
        await publish(page, codec)
        await until_said(address, "watchable", True)
        async with watching(address, codec) as watcher:
            await until(lambda: len(watcher.pictures) > 0)
            with contextlib.suppress(TimeoutError):  # a slow machine's judge: cards, no more
                await until_said(address, "state", "live")
            end = time.monotonic() + watch_s
            await until(lambda: time.monotonic() > end, within_s=watch_s + 10)
        await page.run("stop()")
    return watcher


async def publish(page: Page, codec: str) -> None:
    """Press the button; the browser offers this codec first, and begins with bits enough.

    A starved encoder's first frame after a cut has less of the small change that makes a
    drawing a canary: judged clear it would be a miss, and would look like a leak here.
    """
    await page.run(
        """
        (() => {
          const take = RTCPeerConnection.prototype.setRemoteDescription;
          RTCPeerConnection.prototype.setRemoteDescription = function (said) {
            const rates = "x-google-start-bitrate=6000;x-google-min-bitrate=4000";
            const sdp = said.sdp.replace(/a=rtpmap:(\\d+) (VP8|H264)\\/90000\\r\\n/g,
              (line, type) => line + `a=fmtp:${type} ${rates}\\r\\n`);
            return take.call(this, { type: said.type, sdp });
          };
          const add = RTCPeerConnection.prototype.addTransceiver;
          RTCPeerConnection.prototype.addTransceiver = function (what, how) {
            const made = add.call(this, what, how);
            const kind = typeof what === "string" ? what : what.kind;
            if (kind === "video") {
              const all = RTCRtpSender.getCapabilities("video").codecs;
              const first = all.filter((c) => c.mimeType === "video/CODEC");
              made.setCodecPreferences([...first, ...all.filter((c) => !first.includes(c))]);
            }
            return made;
          };
        })()
        """.replace("CODEC", codec)
    )
    await page.run("document.getElementById('start').click()")
