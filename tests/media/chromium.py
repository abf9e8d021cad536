"""A real browser whose camera is a file, driven over its DevTools: no other library is needed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
import pytest
from tests.source import words

from safelight.testing.drawings import Rgb
from safelight.testing.scenes import picture_from_rgb

NAME: Final = "chromium"
needs_chromium = pytest.mark.skipif(
    shutil.which(NAME) is None, reason="chromium is the peer; not installed"
)
_FLAGS: Final = words(
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream "
    "--disable-features=WebRtcHideLocalIpsWithMdns --remote-debugging-port=0"
)


def write_camera(path: Path, pictures: Iterator[Rgb], rate: int) -> Path:
    """Write what the browser's camera will show, over and over: Y4M, 4:2:0."""
    with path.open("wb") as out:
        for index, rgb in enumerate(pictures):
            shown = picture_from_rgb(rgb)
            if index == 0:
                size = f"W{shown.format.width} H{shown.format.height}"
                out.write(f"YUV4MPEG2 {size} F{rate}:1 Ip A1:1 C420mpeg2\n".encode())
            out.write(b"FRAME\n")
            for plane in (shown.y, shown.u, shown.v):
                out.write(np.ascontiguousarray(plane).tobytes())
    return path


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._count = 0
        self.events: list[dict[str, Any]] = []  # what it told of its own accord

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        while True:
            said = json.loads((await self._socket.receive(timeout=20)).data)
            if "id" not in said:
                self.events.append(said)
            if said.get("id") == self._count:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    async def run(self, script: str) -> Any:
        """Evaluate JavaScript, wait for its promise, return its value."""
        said = await self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    async def until(self, script: str, within_s: float = 20.0) -> None:
        for _ in range(round(within_s / 0.1)):
            if await self.run(script):
                return
            await asyncio.sleep(0.1)
        raise TimeoutError(script)


@contextlib.asynccontextmanager
async def browser(
    address: str, camera: Path, profile: Path, *flags: str, width: int = 800
) -> AsyncIterator[Page]:
    """Open ``address`` in a browser of its own; it is gone afterwards."""
    command = [
        shutil.which(NAME) or NAME,
        *_FLAGS,
        f"--user-data-dir={profile}",
        f"--use-file-for-fake-video-capture={camera}",
        f"--window-size={width},900",
        *flags,
        "about:blank",
    ]
    with _started(command) as process:
        port = await asyncio.to_thread(_port, profile, process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                pages = [page for page in await response.json() if page["type"] == "page"]
            async with session.ws_connect(
                pages[0]["webSocketDebuggerUrl"], max_msg_size=0
            ) as socket:
                page = Page(socket)
                await page.call("Page.enable")
                await page.call("Page.navigate", url=address)
                await page.until("document.readyState === 'complete' && !!window.look")
                yield page


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": "/dev/null"},
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    told = profile / "DevToolsActivePort"
    _wait(lambda: told.is_file() and len(told.read_text().split()) > 1, process)
    return int(told.read_text().split()[0])


def _wait(what: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    import time

    end = time.monotonic() + 30
    while not what():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the browser does not start")
        time.sleep(0.05)
