"""Where GStreamer finds the element ``safelight``. Needs no GStreamer itself."""

from __future__ import annotations

from pathlib import Path


def gst_plugin_path() -> Path:
    """Return the folder for ``GST_PLUGIN_PATH`` (docs/gstreamer.md)."""
    return Path(__file__).resolve().parent / "gstreamer_plugin"
