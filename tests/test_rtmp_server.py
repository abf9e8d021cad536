"""RTMP through the guard to a real server, read back by a real client: nginx, and ffmpeg twice.

A canary (a harmless card) stands for what must not arrive.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.programs import absent, need
from tests.test_rtmp import Processes, free_port, processes, wait_for

from safelight.testing import canary, scenes
from safelight.testing.film import Film, read_back

__all__ = ["processes"]  # a fixture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
SIZE = (640, 360)
RATE = 15
BENIGN_S, CANARY_S, AFTER_S = 6.0, 1.0, 9.0


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


def test_no_canary_reaches_whoever_watches_at_a_real_server(
    processes: Processes, tmp_path: Path
) -> None:
    ffmpeg = need("ffmpeg", "ffmpeg")
    film, out, report = write_film(tmp_path / "in.mp4"), tmp_path / "out.mkv", tmp_path / "r.json"
    server, port = nginx(processes, tmp_path)
    served = f"rtmp://127.0.0.1:{port}/live/out"
    inlet = f"rtmp://127.0.0.1:{free_port()}/live/in"
    flags = ("--report", str(report), "--state", str(tmp_path), "--quiet")
    guard = start(
        processes, sys.executable, "-m", "safelight", "guard", f"{inlet}?listen=1", served, *flags
    )
    watcher = start(
        processes, ffmpeg, "-v", "error", "-rw_timeout", "60000000", "-i", served,
        "-c", "copy", "-y", str(out),
    )  # fmt: skip
    publisher = ("-re", "-i", str(film), "-c", "copy", "-f", "flv", inlet)
    until_s = time.monotonic() + 40
    while start(processes, ffmpeg, "-v", "error", *publisher).wait(60) != 0:
        assert time.monotonic() < until_s, "nobody listens"
        time.sleep(0.5)
    time.sleep(2.0)
    guard.send_signal(signal.SIGINT)
    assert guard.wait(30) == 0
    server.terminate()  # it keeps whoever watches waiting for the next publisher
    watcher.wait(20)
    frames = json.loads(report.read_text())["frames"]
    assert frames["unjudged_released"] == 0
    assert frames["covered"] > 0
    far = far_from_the_canary(out)
    assert len(far) > RATE, "something arrived"
    assert min(far) > 12, "the canary arrived"
    assert sum(d < 12 for d in far_from_the_canary(film)) == round(CANARY_S * RATE)
