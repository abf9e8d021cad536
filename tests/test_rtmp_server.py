"""RTMP through the guard to a real server, and read back: ffmpeg or OBS, nginx, ffmpeg.

A canary (a harmless card) stands for what must not arrive.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.desktop import Desktop
from tests.media import obs
from tests.programs import absent, need
from tests.test_rtmp import Processes, free_port, processes, wait_for

from safelight.cli.listening import listens
from safelight.testing import canary, scenes
from safelight.testing.film import Film, read_back

__all__ = ["processes"]  # a fixture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
SIZE = (640, 360)
RATE = 15
BENIGN_S, CANARY_S, AFTER_S = 6.0, 1.0, 9.0
ALIKE = 12.0  # mean difference below which a picture is the canary; the scene is at 80


def nginx(processes: Processes, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server of this test's own, and its port."""
    program = need("nginx", "nginx")
    if not MODULE.exists():
        absent("nginx has no RTMP: install the system package libnginx-mod-rtmp")
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(
        f"load_module {MODULE}; daemon off; master_process off; pid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log info; events {{ worker_connections 64; }}\n"
        f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
    )
    log = str(folder / "error.log")
    server = start(processes, program, "-p", str(folder), "-e", log, "-c", str(conf))
    wait_for((folder / "nginx.pid").exists, 20)
    return server, port


def start(processes: Processes, *command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    processes.append(process)
    return process


def write_film(path: Path) -> Path:
    shown = canary.at_size(canary.load("card"), SIZE)
    with Film(path, SIZE, rate=RATE) as film:
        for index in range(round((BENIGN_S + CANARY_S + AFTER_S) * RATE)):
            at_s = index / RATE
            is_canary = BENIGN_S <= at_s < BENIGN_S + CANARY_S
            film.add(shown if is_canary else scenes.scene(at_s, SIZE))
    return path


def far_from_the_canary(path: Path) -> list[float]:
    rgb = canary.at_size(canary.load("card"), SIZE).astype(int)
    return [float(np.abs(shown.rgb.astype(int) - rgb).mean()) for shown in read_back(path)]


class Way:
    """A guard that a publisher comes to, a server that it publishes to, and who watches there."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        ffmpeg = need("ffmpeg", "ffmpeg")
        self._server, port = nginx(processes, folder)
        served = f"rtmp://127.0.0.1:{port}/live/out"
        self.port = free_port()
        self.inlet = f"rtmp://127.0.0.1:{self.port}/live/in"
        self._report, self._out = folder / "report.json", folder / "out.mkv"
        self._events = folder / "events.jsonl"
        command = [sys.executable, "-m", "safelight", "guard", f"{self.inlet}?listen=1", served]
        command += ["--report", str(self._report), "--events", str(self._events)]
        self._guard = start(processes, *command, "--state", str(folder), "--quiet")
        self._watcher = start(
            processes, ffmpeg, "-v", "error", "-rw_timeout", "60000000", "-i", served,
            "-c", "copy", "-y", str(self._out),
        )  # fmt: skip

    def covered_and_back(self) -> bool:
        lines = self._events.read_text().splitlines() if self._events.exists() else []
        states = [event["state"] for event in map(json.loads, lines)]
        return "covered" in states and "live" in states[states.index("covered") :]

    def end(self) -> None:
        """End it, and check that no canary arrived, and something did."""
        self._guard.send_signal(signal.SIGINT)
        assert self._guard.wait(30) == 0
        self._server.terminate()  # it keeps whoever watches waiting for the next publisher
        self._watcher.wait(20)
        frames = json.loads(self._report.read_text())["frames"]
        print(frames)  # noqa: T201  (docs/media.md quotes it)
        assert frames["unjudged_released"] == 0
        assert frames["covered"] > 0
        far = far_from_the_canary(self._out)
        assert len(far) > RATE, "something arrived"
        assert min(far) > ALIKE, "the canary arrived"


def test_no_canary_reaches_whoever_watches_at_a_real_server(
    processes: Processes, tmp_path: Path
) -> None:
    film = write_film(tmp_path / "in.mp4")
    assert sum(d < ALIKE for d in far_from_the_canary(film)) == round(CANARY_S * RATE)
    way = Way(processes, tmp_path)
    publisher = ("-re", "-i", str(film), "-c", "copy", "-f", "flv", way.inlet)
    wait_for(lambda: listens(way.port), 60)
    assert start(processes, "ffmpeg", "-v", "error", *publisher).wait(60) == 0
    time.sleep(2.0)
    way.end()


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("obs") is None, reason="obs-studio is the peer; not installed")
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="OBS needs a screen: Xvfb")
def test_no_canary_of_obs_reaches_whoever_watches_at_a_real_server(
    processes: Processes, tmp_path: Path
) -> None:
    """OBS Studio plays the film over and over on a screen in memory, and streams it by RTMP."""
    film = write_film(tmp_path / "in.mp4")
    way = Way(processes, tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    desk = Desktop(home)
    try:
        desk.screen()
        display = desk.env["DISPLAY"]
        wait_for(lambda: listens(way.port), 60)  # OBS does not try twice at the start
        processes.append(obs.start(home, film, way.inlet, size=SIZE, rate=RATE, display=display))
        wait_for(way.covered_and_back, 150)
        way.end()
    finally:
        processes[-1].kill()
        desk.end()
