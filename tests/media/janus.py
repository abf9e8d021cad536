"""A WebRTC server that is nobody's of ours: Janus, with a WHIP front, read back by ffmpeg.

ICE, DTLS and SRTP end in Janus. What it got, it forwards as RTP to ffmpeg, which decodes it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import av
import numpy as np
from aiohttp import web
from tests.media.browser_call import SIZE
from tests.media.chromium import Page
from tests.programs import absent, need
from tests.test_rtmp import free_port

from safelight.testing.webrtc_peers import Seen, Watcher, until

ROOM: Final = 1
SMALL: Final = (64, 36)
_PIXELS: Final = SIZE[0] * SIZE[1] * 3
_TYPES: Final = {"VP8": 96, "H264": 97}
_CONFIGS: Final = {
    # Sessions do not end by themselves (nobody polls them once there is an answer), and whoever
    # publishes is asked for a key frame every second: ffmpeg asks for none.
    "janus.jcfg": """
general: {{
  configs_folder = "{folder}"; plugins_folder = "{folder}/plugins"
  transports_folder = "{folder}/transports"; session_timeout = 0; debug_level = 4
}}
""",
    "janus.transport.http.jcfg": """
general: {{ http = true; https = false; port = {port}; ip = "127.0.0.1" }}
admin: {{ admin_http = false }}
""",
    "janus.plugin.nosip.jcfg": """
general: {{ local_ip = "127.0.0.1" }}
""",
    "janus.plugin.videoroom.jcfg": """
room-{room}: {{
  publishers = 4; bitrate = 4000000; fir_freq = 1; audiocodec = "opus"; videocodec = "{codec}"
}}
""",
}
# Every picture that is shown is looked at, small and grey, and kept until it is asked for.
_PAGE: Final = """<!doctype html><title>viewer</title><video id=v autoplay muted></video><script>
let kept = [];
window.taken = () => { const had = kept; kept = []; return had; };
window.look = async (sdp) => {
  const pc = new RTCPeerConnection();
  const small = new OffscreenCanvas(WIDTH, HEIGHT);
  const context = small.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const shown = () => {
    context.drawImage(v, 0, 0, WIDTH, HEIGHT);
    const rgba = context.getImageData(0, 0, WIDTH, HEIGHT).data;
    let grey = "";
    for (let i = 0; i < rgba.length; i += 4)
      grey += String.fromCharCode(0.299 * rgba[i] + 0.587 * rgba[i + 1] + 0.114 * rgba[i + 2]);
    kept.push([(performance.timeOrigin + performance.now()) / 1000, btoa(grey)]);
    v.requestVideoFrameCallback(shown);
  };
  pc.ontrack = (said) => {
    if (said.track.kind !== "video") return;
    v.srcObject = new MediaStream([said.track]);
    v.requestVideoFrameCallback(shown);
  };
  await pc.setRemoteDescription({ type: "offer", sdp });
  await pc.setLocalDescription(await pc.createAnswer());
  if (pc.iceGatheringState !== "complete")
    await new Promise((done) => { pc.onicegatheringstatechange = () =>
      pc.iceGatheringState === "complete" && done(); });
  return pc.localDescription.sdp;
};
</script>""".replace("WIDTH", str(SMALL[0])).replace("HEIGHT", str(SMALL[1]))


class Janus:
    """One that runs, and its WHIP address: each POST publishes in the room anew."""

    def __init__(self, port: int, codec: str) -> None:
        self._api = f"http://127.0.0.1:{port}/janus"
        self._codec = codec
        self._publisher: tuple[str, int] | None = None
        self.whip = self.viewer = ""
        self.goodbyes = 0

    async def ask(self, where: str, janus: str, **more: object) -> dict[str, Any]:
        """Return Janus's answer, also where it comes later, as an event of the session."""
        said = {"janus": janus, "transaction": secrets.token_hex(8), **more}
        async with aiohttp.ClientSession() as client:
            async with client.post(self._api + where, json=said) as response:
                answer: dict[str, Any] = await response.json()
            session = self._api + where.rpartition("/")[0]
            while answer["janus"] == "ack" or answer.get("transaction") != said["transaction"]:
                async with client.get(session, params={"maxev": "1"}) as response:
                    answer = await response.json()
        told = answer.get("plugindata", {}).get("data", answer)
        if answer["janus"] == "error" or "error" in told:
            raise RuntimeError(f"Janus refuses: {answer}")
        return answer

    async def attach(self, plugin: str) -> str:
        """Return where a plugin can be asked, in a session of its own."""
        session = f"/{(await self.ask('', 'create'))['data']['id']}"
        attached = await self.ask(session, "attach", plugin=f"janus.plugin.{plugin}")
        return f"{session}/{attached['data']['id']}"

    async def _is_up(self, handle: str, publisher: int) -> bool:
        """Whether media of a publisher's can come, and others can watch it."""
        body = {"request": "listparticipants", "room": ROOM}
        said = (await self.ask(handle, "message", body=body))["plugindata"]["data"]
        return any(one["id"] == publisher and one["publisher"] for one in said["participants"])

    async def answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as client, client.get(f"{self._api}/info") as told:
                return told.ok
        return False

    async def publish(self, request: web.Request) -> web.Response:
        """WHIP (RFC 9725): an offer comes, Janus's answer goes back."""
        handle = await self.attach("videoroom")
        body = {"request": "joinandconfigure", "ptype": "publisher", "room": ROOM}
        jsep = {"type": "offer", "sdp": await request.text()}
        said = await self.ask(handle, "message", body=body, jsep=jsep)
        self._publisher = (handle, said["plugindata"]["data"]["id"])
        return web.Response(
            status=201,
            text=said["jsep"]["sdp"],
            content_type="application/sdp",
            headers={"Location": f"/whip{handle.rpartition('/')[0]}"},
        )

    async def watch(self, page: Page) -> None:
        """Have a browser that is at ``viewer`` watch what whoever published last sends."""
        await until(lambda: self._publisher is not None, 60)
        assert self._publisher is not None
        while not await self._is_up(*self._publisher):
            await asyncio.sleep(0.1)
        handle = await self.attach("videoroom")
        feeds = [{"feed": self._publisher[1]}]
        body = {"request": "join", "ptype": "subscriber", "room": ROOM, "streams": feeds}
        offer = (await self.ask(handle, "message", body=body))["jsep"]["sdp"]
        answer = {"type": "answer", "sdp": await page.run(f"look({json.dumps(offer)})")}
        await self.ask(handle, "message", body={"request": "start"}, jsep=answer)

    async def goodbye(self, request: web.Request) -> web.Response:
        self.goodbyes += 1
        await self.ask(f"/{request.match_info['session']}", "destroy")
        return web.Response()

    @contextlib.asynccontextmanager
    async def read_back(self, folder: Path) -> AsyncIterator[Watcher]:
        """Have ffmpeg decode what whoever published last sends, from now on."""
        await until(lambda: self._publisher is not None, 60)
        assert self._publisher is not None
        handle, publisher = self._publisher
        port, kind = _free_ports(), _TYPES[self._codec]
        with _ffmpeg(folder, self._codec, port) as watcher:
            body = {
                "request": "rtp_forward", "room": ROOM, "publisher_id": publisher,
                "host": "127.0.0.1", "host_family": "ipv4",
                "video_port": port, "video_pt": kind,
            }  # fmt: skip
            await self.ask(handle, "message", body=body)
            yield watcher


async def _viewer(_request: web.Request) -> web.Response:
    return web.Response(text=_PAGE, content_type="text/html")


async def taken(page: Page) -> Watcher:
    """Return what a browser that watches has shown since it was last asked, small and grey."""
    watcher = Watcher(keep=True)
    for at_s, pixels in await page.run("taken()"):
        grey = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(SMALL[1], SMALL[0])
        frame = av.VideoFrame.from_ndarray(grey, format="gray")
        watcher.pictures.append(Seen(at_s, float(grey.mean()), frame))
    return watcher


def _free_ports() -> int:
    """Return a UDP port that is free, as the next one is: ffmpeg ends without the two."""
    for _ in range(100):
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=one.type) as next_:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                next_.bind(("127.0.0.1", port + 1))
                return port
    raise AssertionError("no two free ports")


@contextlib.contextmanager
def _ffmpeg(folder: Path, codec: str, port: int) -> Iterator[Watcher]:
    kind = _TYPES[codec]
    described = folder / f"{port}.sdp"
    described.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP {kind}\na=rtpmap:{kind} {codec}/90000\n"
    )
    command = [
        need("ffmpeg", "ffmpeg"), "-v", "error", "-protocol_whitelist", "file,udp,rtp",
        "-fflags", "nobuffer", "-flags", "low_delay", "-i", str(described), "-an",
        "-vf", f"scale={SIZE[0]}:{SIZE[1]}", "-pix_fmt", "rgb24",
        "-vsync", "passthrough", "-f", "rawvideo", "-",
    ]  # fmt: skip
    watcher = Watcher(keep=True)
    said = described.with_suffix(".log")
    with (
        said.open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        reading = threading.Thread(target=_read, args=(process, watcher), daemon=True)
        reading.start()
        try:
            yield watcher
        except BaseException:
            seen, ended = len(watcher.pictures), process.poll()
            print(f"{seen} pictures; ffmpeg ended: {ended}\n{said.read_text()[-2000:]}")  # noqa: T201
            raise
        finally:
            process.kill()
            reading.join(10)


def _read(process: subprocess.Popen[bytes], watcher: Watcher) -> None:
    assert process.stdout is not None
    while len(raw := process.stdout.read(_PIXELS)) == _PIXELS:
        rgb = np.frombuffer(raw, np.uint8).reshape(SIZE[1], SIZE[0], 3)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        watcher.pictures.append(Seen(time.monotonic(), float(rgb.mean()), frame))


@contextlib.asynccontextmanager
async def running(folder: Path, codec: str) -> AsyncIterator[Janus]:
    """A Janus of this test's own with one room, in this codec; its HTTP is on loopback."""
    program = need("janus", "janus")
    made = next(iter(Path("/usr/lib").glob("*/janus/plugins/libjanus_videoroom.so*")), None)
    if made is None:
        absent("Janus has no VideoRoom: install the system package janus")
        raise AssertionError
    for kind, name in (("plugins", "videoroom"), ("plugins", "nosip"), ("transports", "http")):
        (folder / kind).mkdir(exist_ok=True)
        found = next(made.parent.parent.joinpath(kind).glob(f"libjanus_{name}.so*"))
        (folder / kind / f"libjanus_{name}.so").symlink_to(found)
    port = free_port()
    for name, text in _CONFIGS.items():
        filled = text.format(folder=folder, port=port, room=ROOM, codec=codec.lower())
        (folder / name).write_text(filled)
    janus = Janus(port, codec)
    app = web.Application()
    app.add_routes([web.post("/whip", janus.publish)])
    app.add_routes([web.delete("/whip/{session}", janus.goodbye)])
    app.add_routes([web.get("/viewer", _viewer)])
    runner = web.AppRunner(app)
    with (folder / "janus.log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--configs-folder={folder}", "--disable-colors"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        end = time.monotonic() + 30
        while not await janus.answers():
            assert process.poll() is None, (folder / "janus.log").read_text()[-2000:]
            assert time.monotonic() < end, "Janus does not answer"
            await asyncio.sleep(0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        janus.whip, janus.viewer = f"{address}/whip", f"{address}/viewer"
        yield janus
    finally:
        await runner.cleanup()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
