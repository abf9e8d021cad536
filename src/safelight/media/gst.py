"""The one seam to GStreamer's bindings, which come with the system (Debian: python3-gi)."""

from __future__ import annotations

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")

from gi.repository import GLib, GObject, Gst, GstVideo  # noqa: E402

Gst.init(None)

__all__ = ["GLib", "GObject", "Gst", "GstVideo"]
