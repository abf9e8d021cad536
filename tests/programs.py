"""Other programs that tests talk to: skipped with a reason where they are absent, never in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import safelight

# GStreamer's bindings belong to the system's Python, whichever one runs the tests.
SYSTEM_PYTHON = "/usr/bin/python3"


def need(program: str, package: str) -> str:
    """Return where a program lies, or skip; fail in CI."""
    found = shutil.which(program)
    if found is None:
        absent(f"{program} is absent: install the system package {package}")
    return str(found)


def absent(why: str) -> None:
    """Skip; fail in CI, where nothing is skipped because something is missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gst_environment(registry: str) -> dict[str, str]:
    """Return an environment in which GStreamer finds the element, as docs/gstreamer.md says."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "GST_PLUGIN_PATH")}
    # A registry of the test's own: the user's may remember an element that was not there.
    return {
        **kept,
        "GST_PLUGIN_PATH": str(safelight.gst_plugin_path()),
        "GST_REGISTRY": registry,
        "VIRTUAL_ENV": sys.prefix,
    }


def need_gstreamer(registry: str) -> dict[str, str]:
    """Return that environment where the element can be loaded; else skip, or fail in CI."""
    packages = "gstreamer1.0-tools and gstreamer1.0-python3-plugin-loader (make setup-peers)"
    inspect = need("gst-inspect-1.0", packages)
    environment = gst_environment(registry)
    for name in ("python", "x264enc", "avdec_h264", "appsrc"):
        if subprocess.run([inspect, name], capture_output=True, check=False).returncode:
            absent(f"GStreamer has no {name}: install {packages}")
    version = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import sys, gi; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    if version.stdout.split() != [str(part) for part in sys.version_info[:2]]:
        absent(f"the system's Python is another version than this one: {version.stdout.strip()}")
    return environment
