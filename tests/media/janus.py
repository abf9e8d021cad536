"""A WebRTC server that is nobody's of ours: Janus, with a WHIP front, read back by ffmpeg.

ICE, DTLS and SRTP end in Janus. What it got, it forwards as RTP to ffmpeg, which decodes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
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
from tests.programs import absent, need
from tests.test_rtmp import free_port

from safelight.testing.webrtc_peers import Seen, Watcher, until

ROOM: Final = 1
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
    "janus.plugin.videoroom.jcfg": """
room-{room}: {{
  publishers = 4; bitrate = 4000000; fir_freq = 1; audiocodec = "opus"; videocodec = "{codec}"
}}
""",
}


class Janus:
    """One that runs, and its WHIP address: each POST publishes in the room anew."""

    def __init__(self, port: int, codec: str) -> None:
        self._api = f"http://127.0.0.1:{port}/janus"
        self._codec = codec
        self._publisher: tuple[str, int] | None = None
        self.whip = ""
        self.goodbyes = 0

    async def _ask(self, where: str, janus: str, **more: object) -> dict[str, Any]:
        said = {"janus": janus, "transaction": secrets.token_hex(8), **more}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._api + where, json=said) as response,
        ):
            answer: dict[str, Any] = await response.json()
        if answer["janus"] not in ("success", "ack"):
            raise RuntimeError(f"Janus refuses: {answer}")
        return answer

    async def _event(self, session: str) -> dict[str, Any]:
        """Return the next thing of importance that Janus says in a session."""
        async with aiohttp.ClientSession() as client:
            while True:
                async with client.get(self._api + session, params={"maxev": "1"}) as response:
                    for said in [await response.json()] if response.ok else []:
                        if "jsep" in said or said.get("janus") == "error":
                            event: dict[str, Any] = said
                            return event

    async def answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as client, client.get(f"{self._api}/info") as told:
                return told.ok
        return False

    async def publish(self, request: web.Request) -> web.Response:
        """WHIP (RFC 9725): an offer comes, Janus's answer goes back."""
        session = f"/{(await self._ask('', 'create'))['data']['id']}"
        attached = await self._ask(session, "attach", plugin="janus.plugin.videoroom")
        handle = f"{session}/{attached['data']['id']}"
        body = {"request": "joinandconfigure", "ptype": "publisher", "room": ROOM}
        jsep = {"type": "offer", "sdp": await request.text()}
        await self._ask(handle, "message", body=body, jsep=jsep)
        said = await self._event(session)
        self._publisher = (handle, said["plugindata"]["data"]["id"])
        return web.Response(
            status=201,
            text=said["jsep"]["sdp"],
            content_type="application/sdp",
            headers={"Location": f"/whip{session}"},
        )

    async def goodbye(self, request: web.Request) -> web.Response:
        self.goodbyes += 1
        await self._ask(f"/{request.match_info['session']}", "destroy")
        return web.Response()

    @contextlib.asynccontextmanager
    async def read_back(self, folder: Path) -> AsyncIterator[Watcher]:
        """Have ffmpeg decode what whoever published last sends, from now on."""
        await until(lambda: self._publisher is not None, 60)
        assert self._publisher is not None
        handle, publisher = self._publisher
        port, kind = free_port(), _TYPES[self._codec]
        with _ffmpeg(folder, self._codec, port) as watcher:
            body = {
                "request": "rtp_forward", "room": ROOM, "publisher_id": publisher,
                "host": "127.0.0.1", "host_family": "ipv4",
                "video_port": port, "video_pt": kind,
            }  # fmt: skip
            await self._ask(handle, "message", body=body)
            yield watcher


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
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        reading = threading.Thread(target=_read, args=(process, watcher), daemon=True)
        reading.start()
        try:
            yield watcher
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
    for kind, name in (("plugins", "videoroom"), ("transports", "http")):
        (folder / kind).mkdir()
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
        janus.whip = f"http://127.0.0.1:{runner.addresses[0][1]}/whip"
        yield janus
    finally:
        await runner.cleanup()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
