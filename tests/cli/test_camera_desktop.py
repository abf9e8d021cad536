"""The guarded camera on a real desktop: PipeWire, its session manager, and Chromium.

What other apps get is looked at from their side. A canary (a harmless card) stands for what
must not leave.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from tests import desktop, programs
from tests.cli.running import until
from tests.desktop import Desktop

from safelight.cli.camera_run import SHOW_TEST_CARD
from safelight.testing import canary, scenes

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.xdist_group("desktop")]

SOURCE: Final = "lavfi:testsrc2=size=640x360:rate=30,realtime"
SMALL: Final = (64, 36)
ALIKE: Final = 12.0  # mean absolute difference of luma; the source and cards are above 30


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desktop]:
    desktop.need_pipewire()
    with desktop.desktop(tmp_path) as made:
        yield made


def test_another_app_gets_what_may_leave_and_the_test_card_does_not_come_out(desk: Desktop) -> None:
    guard = desk.camera(SOURCE)
    assert desk.safelight("camera", "status").stdout.startswith("Protected (")
    until(lambda: desk.state() == "live")
    done = desk.safelight("camera", "test")
    assert (done.returncode, done.stderr) == (0, "")
    assert " 0 showed it" in done.stdout
    assert "It was covered." in done.stdout
    until(lambda: desk.state() == "live")
    guard.terminate()
    assert guard.wait(30) == 0
    until(lambda: not desk.offers_camera())
    assert desk.safelight("camera", "status").returncode == 3
    # Covered meanwhile, and its journal does not say so.
    said = [line for line in desk.log(desk.python).splitlines() if "safelight" in line]
    assert said == [f"safelight camera: guarding {SOURCE}", "safelight camera: ended"]


def test_the_camera_goes_when_its_owner_is_killed(desk: Desktop) -> None:
    guard = desk.camera(SOURCE)
    guard.kill()
    guard.wait()
    until(lambda: not desk.offers_camera(), within_s=20)


# --- Chromium -------------------------------------------------------------------------------------

PAGE: Final = b"""<!doctype html><video id=v autoplay muted></video><script>
const say = (o) => fetch("/", {method: "POST", body: JSON.stringify(o)});
// The browser answers "not found" while it is still hearing of cameras from the portal: as a
// person would, the page asks again. How often it had to is told with a failure.
let asked = 0;
const camera = async () => {
  for (;;) {
    try {
      asked += 1;
      return await navigator.mediaDevices.getUserMedia({video: true});
    } catch (error) {
      if (error.name != "NotFoundError" || asked >= 40) throw error;
      await new Promise((done) => setTimeout(done, 500));
    }
  }
};
(async () => {
  const stream = await camera();
  const found = await navigator.mediaDevices.enumerateDevices();
  await say({cameras: found.filter((d) => d.kind == "videoinput").map((d) => d.label)});
  v.srcObject = stream;
  await v.play();
  const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 36});
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  for (;;) {
    await new Promise((done) => v.requestVideoFrameCallback(done));
    pen.drawImage(v, 0, 0, 64, 36);
    const rgba = pen.getImageData(0, 0, 64, 36).data, luma = [];
    for (let i = 0; i < rgba.length; i += 4)
      luma.push(Math.round(0.299 * rgba[i] + 0.587 * rgba[i + 1] + 0.114 * rgba[i + 2]));
    await say({luma});
  }
})().catch((error) => say({error: `${error} (asked ${asked} times)`}));
</script>"""


class Page:
    """A page on loopback, and what it says of the camera that it was given."""

    def __init__(self) -> None:
        self.cameras: list[str] = []
        self.luma: list[np.ndarray] = []
        self.error = ""
        page = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(PAGE)

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["content-length"])))
                page.heard(said)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def heard(self, said: dict[str, Any]) -> None:
        if "luma" in said:
            self.luma.append(np.array(said["luma"], np.int16).reshape(SMALL[1], SMALL[0]))
        self.cameras = said.get("cameras", self.cameras)
        self.error = said.get("error", self.error)


# Chromium 156 starts a PipeWire stream on one thread and hears of its format on another. Its own
# check for that ends the process that takes pictures, now and then; the page may never hear of it.
CRASH: Final = "FATAL:third_party/webrtc/modules/video_capture/linux/video_capture_pipewire.cc"


def browser(desk: Desktop, page: Page) -> None:
    """Start Chromium, again where it crashed by itself, until the page has pictures."""
    log = desk.folder / "chromium.log"
    for tries in range(5):
        log.unlink(missing_ok=True)
        page.error = ""
        process = chromium(desk, page, f"{desk.folder}/profile{tries}")
        until(lambda: len(page.luma) >= 20 or bool(page.error) or CRASH in log.read_text())
        if len(page.luma) >= 20 or CRASH not in log.read_text():
            return
        process.kill()
        process.wait()


def chromium(desk: Desktop, page: Page, profile: str) -> subprocess.Popen[bytes]:
    """Start Chromium as a desktop would: the camera comes through xdg-desktop-portal."""
    grant = "org.freedesktop.impl.portal.PermissionStore"
    subprocess.run(
        ["gdbus", "call", "--session", "--dest", grant, "--object-path",
         "/org/freedesktop/impl/portal/PermissionStore", "--method", f"{grant}.SetPermission",
         "devices", "true", "camera", "", "['yes']"],
        env=desk.env, check=True, capture_output=True,
    )  # fmt: skip
    return desk.start(
        "chromium", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-quic",
        f"--user-data-dir={profile}", "--enable-features=WebRtcPipeWireCamera",
        "--use-fake-ui-for-media-stream", f"--app=http://127.0.0.1:{page.server.server_port}/",
    )  # fmt: skip


def luma_of(name: str) -> np.ndarray:
    """The canary as the page would see it, had it come out."""
    rgb = canary.at_size(canary.load(name), SMALL).astype(np.float32)
    return np.asarray(rgb @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.int16)


def test_chromium_picks_the_guarded_camera_and_gets_only_what_may_leave(tmp_path: Path) -> None:
    desktop.need_pipewire()
    for program, package in (
        ("chromium", "chromium"),
        ("Xvfb", "xvfb"),
        ("gdbus", "libglib2.0-bin"),
    ):
        programs.need(program, package)
    if not Path("/usr/libexec/xdg-desktop-portal-gtk").exists():
        programs.absent("xdg-desktop-portal-gtk is absent: install it")
    page = Page()
    with desktop.desktop(tmp_path, screen=True) as desk:
        guard = desk.camera(SOURCE)
        browser(desk, page)
        assert len(page.luma) >= 20, page.error
        assert page.error == ""
        assert page.cameras == ["Safelight guarded camera"], "its only camera is the guarded one"
        for _ in range(2):
            until(lambda: desk.state() == "live")
            before = len(page.luma)
            os.kill(guard.pid, SHOW_TEST_CARD)
            until(lambda before=before: len(page.luma) > before + 40)  # type: ignore[misc]
        alone = len(page.luma)
        guard.send_signal(signal.SIGKILL)
        guard.wait()
        until(lambda: not desk.offers_camera(), within_s=20)
        time.sleep(1.0)
        after = len(page.luma)
    page.server.shutdown()
    shown = luma_of("card")
    far = np.array([np.abs(luma - shown).mean() for luma in page.luma])
    assert (far > ALIKE).all(), "the canary came out"
    # The measure sees it: the canary's own clean card is alike, the source is not.
    clean = canary.at_size(canary.clean("card"), SMALL).astype(np.float32)
    assert np.abs(clean @ np.array([0.299, 0.587, 0.114]) - shown).mean() < ALIKE
    source = scenes.scene(0.0, SMALL).astype(np.float32)
    assert np.abs(source @ np.array([0.299, 0.587, 0.114]) - shown).mean() > ALIKE
    plain = [luma for luma in page.luma if float(np.std(luma[:6])) < 3.0]
    assert len(plain) >= 2, "no card was seen: it was not covered"
    assert after - alone < 60, "pictures went on after the guard was killed"
