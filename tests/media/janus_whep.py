"""A film that is watched by WHEP at a WebRTC server of somebody else's: ffmpeg, Janus, a front.

Janus's NoSIP plugin stands between WebRTC and plain RTP: it answers whoever watches, and sends
them what ffmpeg sends it.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from tests.media.janus import Janus
from tests.programs import need
from tests.test_rtmp import free_port


class Front:
    """WHEP: an offer comes, Janus's answer goes back, and the film begins."""

    def __init__(self, janus: Janus, film: Path) -> None:
        self._janus, self._film = janus, film
        self._sending: list[subprocess.Popen[bytes]] = []

    async def watch(self, request: web.Request) -> web.Response:
        handle = await self._janus.attach("nosip")
        jsep = {"type": "offer", "sdp": await request.text()}
        body = {"request": "generate"}
        told = await self._janus.ask(handle, "message", body=body, jsep=jsep)
        wants = told["plugindata"]["data"]["result"]["sdp"]
        from_port = free_port()  # Janus takes packets from where the answer says, no others
        kind, port, answer = plain_answer(wants, from_port)
        body = {"request": "process", "type": "answer", "sdp": answer}
        said = await self._janus.ask(handle, "message", body=body)
        self._send(kind, from_port, port)
        return web.Response(
            status=201,
            text=said["jsep"]["sdp"],
            content_type="application/sdp",
            headers={"Location": f"/whep{handle.rpartition('/')[0]}"},
        )

    def _send(self, kind: int, from_port: int, port: int) -> None:
        command = [
            need("ffmpeg", "ffmpeg"), "-v", "error", "-re", "-stream_loop", "-1",
            "-i", str(self._film), "-c:v", "libx264", "-preset", "ultrafast",
            "-tune", "zerolatency", "-profile:v", "baseline", "-g", "20", "-b:v", "4M",
            "-payload_type", str(kind), "-f", "rtp",
            f"rtp://127.0.0.1:{port}?pkt_size=1200&localrtpport={from_port}",
        ]  # fmt: skip
        self._sending.append(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        )

    async def goodbye(self, request: web.Request) -> web.Response:
        await self._janus.ask(f"/{request.match_info['session']}", "destroy")
        return web.Response()

    def end(self) -> None:
        for process in self._sending:
            process.kill()
            process.wait()


def plain_answer(wants: str, from_port: int) -> tuple[int, int, str]:
    """Return which number H.264 has in an offer of plain RTP, where it goes, and an answer."""
    found = re.search(r"m=video (\d+) ", wants)
    named = re.search(r"a=rtpmap:(\d+) H264/90000", wants)
    assert found, wants
    assert named, wants
    parts = ["v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"]
    for media in re.findall(r"m=(\w+) ", wants):
        if media == "video":
            parts.append(
                f"m=video {from_port} RTP/AVP {named[1]}\r\na=rtpmap:{named[1]} H264/90000\r\n"
                f"a=fmtp:{named[1]} profile-level-id=42e01f;packetization-mode=1\r\na=sendonly\r\n"
            )
        else:
            parts.append(f"m={media} 0 RTP/AVP 0\r\na=inactive\r\n")
    return int(named[1]), int(found[1]), "".join(parts)


@contextlib.asynccontextmanager
async def film_at(janus: Janus, film: Path) -> AsyncIterator[str]:
    """Offer the film, over and over, from the first who watches on; yields the WHEP's address."""
    front = Front(janus, film)
    app = web.Application()
    app.add_routes([web.post("/whep", front.watch)])
    app.add_routes([web.delete("/whep/{session}", front.goodbye)])
    runner = web.AppRunner(app)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/whep"
    finally:
        await runner.cleanup()
        front.end()
