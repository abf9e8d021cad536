"""Where video may pass through a guard on this machine, and what would make the rest work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import safelight
from safelight.cli.finding import Finding, note, ok

_GSTREAMER: Final = (
    "apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base"
    " gstreamer1.0-python3-plugin-loader gir1.2-gst-plugins-base-1.0"
)
_PIPEWIRE: Final = (
    "apt-get install pipewire wireplumber gstreamer1.0-tools gstreamer1.0-pipewire util-linux"
)
_TRY_S: Final = 20.0


def look() -> Iterator[Finding]:
    """Yield one finding a surface. What does not work is a note, with the command that helps."""
    yield ok("files", "in and out")
    yield ok("RTMP", "in (pull, and accepting a publisher) and out")
    yield note("SRT", "not in this build of PyAV")
    yield _webrtc()
    yield _gstreamer()
    devices = sorted(str(path) for path in Path("/dev").glob("video*"))
    if devices:
        yield ok("cameras", ", ".join(f"device:{path}" for path in devices))
    else:
        yield note("cameras", "no /dev/video* here")
    yield _pipewire()
    yield _loopback()


def _webrtc() -> Finding:
    try:
        found = [f"{name} {metadata.version(name)}" for name in ("aiortc", "aiohttp")]
    except metadata.PackageNotFoundError as error:
        return note("WebRTC", f"{error.name} is missing: pip install 'safelight[webrtc]'")
    return ok("WebRTC", ", ".join(found))


def _gstreamer() -> Finding:
    if shutil.which("gst-inspect-1.0") is None:
        return note("GStreamer", f"not there: {_GSTREAMER}")
    if gst_has("safelight"):
        how = 'export GST_PLUGIN_PATH="$(safelight doctor --gst-plugin-path)"'
        return ok("GStreamer", f"the element safelight loads: {how}")
    if not gst_has("python"):
        return note("GStreamer", f"it loads no Python plug-ins: {_GSTREAMER}")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return note(
        "GStreamer",
        "the element safelight does not load: install safelight for the system's Python"
        f" (here it runs under {version})",
    )


def gst_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which GStreamer finds the element; its registry is in ``folder``."""
    environment = {
        **os.environ,
        "GST_PLUGIN_PATH": str(safelight.gst_plugin_path()),
        # The user's own registry stays as it is.
        "GST_REGISTRY": str(folder / "registry.bin"),
        "VIRTUAL_ENV": sys.prefix,
    }
    environment.pop("PYTHONPATH", None)
    return environment


def gst_has(name: str) -> bool:
    """Return whether GStreamer has an element of this name, ours among them."""
    with tempfile.TemporaryDirectory(prefix="safelight-doctor-") as folder:
        try:
            done = subprocess.run(
                ["gst-inspect-1.0", name],
                env=gst_environment(Path(folder)),
                capture_output=True,
                timeout=_TRY_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == 0


def _pipewire() -> Finding:
    missing = [
        name for name in ("pipewire", "gst-launch-1.0", "setpriv") if shutil.which(name) is None
    ]
    if missing or not gst_has("pipewiresink"):
        return note("PipeWire", f"no guarded camera: {_PIPEWIRE}")
    socket = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / "pipewire-0"
    if not socket.exists():
        return note("PipeWire", "not running: systemctl --user start pipewire wireplumber")
    return ok("PipeWire", "a guarded camera can be offered: safelight camera on")


def _loopback() -> Finding:
    if Path("/sys/module/v4l2loopback").exists():
        return ok("v4l2loopback", "the kernel has it; Safelight was not tested with it")
    return note(
        "v4l2loopback",
        "the kernel has none: apt-get install v4l2loopback-dkms, then modprobe v4l2loopback",
    )
