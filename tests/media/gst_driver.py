"""Plays pipelines around the element ``safelight`` and notes what came out.

For the system's Python: GStreamer's bindings belong to that. Loading the element is also what
makes ``safelight`` importable there.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

Gst.init(None)
LIMIT_S: Final = 60.0
SIZE: Final = (320, 180)
RATE: Final = 25
COVERS_FROM: Final = 600  # the first picture of the scenario "covers"
# What the judge of these tests takes for what must not leave: a bright picture.
CLEAR, SENSITIVE = 60, 230


class Out:
    """What reached the sink: one entry a buffer, and which events came down."""

    def __init__(self, sink: Any) -> None:
        self.buffers: list[dict[str, Any]] = []
        self.events: list[str] = []
        pad = sink.get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.BUFFER, self._buffer)
        pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM | Gst.PadProbeType.EVENT_FLUSH, self._event)
        self._pad = pad

    def _buffer(self, _pad: Any, info: Any) -> Any:
        buffer = info.get_buffer()
        caps = self._pad.get_current_caps()
        video = GstVideo.VideoInfo.new_from_caps(caps)
        data = buffer.extract_dup(0, buffer.get_size())
        self.buffers.append(
            {
                "caps": f"{video.finfo.name} {video.width}x{video.height}",
                "field_names": sorted(caps.get_structure(0).keys()),
                "pts": buffer.pts,
                "bytes": len(data) - video.size,
                "first": data[video.width * (video.height // 2) + video.width // 2],
                "sha": hashlib.sha256(data).hexdigest()[:16],
                "metas": GstVideo.buffer_get_video_meta(buffer) is not None,
            }
        )
        return Gst.PadProbeReturn.OK

    def _event(self, _pad: Any, info: Any) -> Any:
        self.events.append(Gst.EventType.get_name(info.get_event().type))
        return Gst.PadProbeReturn.OK


class Run:
    """One pipeline, what came out of it, and what was said on its bus."""

    def __init__(self, description: str) -> None:
        self.pipeline = Gst.parse_launch(description)
        self.bus = self.pipeline.get_bus()
        self.element = self.pipeline.get_by_name("guard")
        self.out = Out(self.pipeline.get_by_name("out"))
        self.said: list[dict[str, Any]] = []
        self.end = "nothing"
        self.error = ""

    def play(self) -> None:
        self.pipeline.set_state(Gst.State.PLAYING)

    def until(self, true: Callable[[], bool]) -> bool:
        """Read the bus until it ends, or until ``true``."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            if true():
                return True
            message = self.bus.timed_pop(20 * Gst.MSECOND)
            if message is None:
                continue
            if message.type == Gst.MessageType.EOS:
                self.end = "eos"
                self._rest()
                return False
            if message.type == Gst.MessageType.ERROR:
                error, debug = message.parse_error()
                self.end, self.error = "error", f"{error.message} [{debug}]"
                return False
            self._element(message)
        self.end = "time is up"
        return False

    def _rest(self) -> None:
        # The report follows the end of the stream.
        end = time.monotonic() + 1.0
        while time.monotonic() < end and self.out.buffers:
            if any(said["name"] == "safelight-report" for said in self.said):
                return
            message = self.bus.timed_pop(20 * Gst.MSECOND)
            if message is not None:
                self._element(message)

    def _element(self, message: Any) -> None:
        structure = message.get_structure()
        if message.type == Gst.MessageType.ELEMENT and "safelight" in structure.get_name():
            fields = {name: structure.get_value(name) for name in structure.keys()}  # noqa: SIM118
            self.said.append({"name": structure.get_name(), **fields})

    def state(self) -> str:
        states = [s["state"] for s in self.said if s.get("kind") == "state"]
        return states[-1] if states else ""

    def stop(self) -> dict[str, Any]:
        self.pipeline.set_state(Gst.State.NULL)
        return self.result()

    def result(self) -> dict[str, Any]:
        return {
            "end": self.end,
            "error": self.error,
            "buffers": self.out.buffers,
            "events": self.out.events,
            "said": self.said,
        }


# --- judges and pictures --------------------------------------------------------------------------


def fake_judge(*, delay_s: float = 0.0) -> None:
    """Have a judge that knows bright from dark judge every guard from here on."""
    import safelight
    from safelight import opening
    from safelight.testing.fakes import FakeJudge, Says, scores

    def plan(_n: int, _token: Any, picture: Any) -> Any:
        time.sleep(delay_s)
        return Says(scores(0.99 if picture.y.mean() > 140 else 0.0))

    original = opening.open

    def opened(*arguments: Any, **keywords: Any) -> Any:
        return original(*arguments, **keywords, judge=FakeJudge(plan))

    safelight.open = opened


def source(name: str, *, live: bool = False) -> str:
    low = "is-live=true do-timestamp=true" if live else "is-live=false"
    return f"appsrc name={name} format=time {low}"


def picture(index: int, level: int, size: tuple[int, int] = SIZE, *, nv12: bool = False) -> bytes:
    """A flat picture with a mark that tells which one it is, in rows as long as they are wide."""
    width, height = size
    y = bytearray([level]) * (width * height)
    for bit in range(10):
        if index >> bit & 1:
            for row in range(8):
                at = row * width + bit * 16
                y[at : at + 16] = bytes([level + 20]) * 16
    u, v = 110, 140
    chroma = bytes([u, v]) * (width * height // 4)
    if not nv12:
        chroma = bytes([u]) * (width * height // 4) + bytes([v]) * (width * height // 4)
    return bytes(y) + chroma


def caps(size: tuple[int, int] = SIZE, name: str = "I420", more: str = "") -> Any:
    return Gst.Caps.from_string(
        f"video/x-raw,format={name},width={size[0]},height={size[1]},framerate={RATE}/1{more}"
    )


def feed(appsrc: Any, levels: list[int], *, first: int = 0, size: tuple[int, int] = SIZE,
         nv12: bool = False) -> list[str]:  # fmt: skip
    """Push flat pictures; return what each hashes to."""
    marks = []
    for index, level in enumerate(levels, first):
        data = picture(index, level, size, nv12=nv12)
        marks.append(hashlib.sha256(data).hexdigest()[:16])
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = index * Gst.SECOND // RATE
        buffer.duration = Gst.SECOND // RATE
        appsrc.emit("push-buffer", buffer)
    return marks


def guarded(more: str = "", before: str = "", after: str = "") -> Run:
    before = f"{before} ! " if before else ""
    after = f"{after} ! " if after else ""
    folder = sys.argv[2]
    return Run(
        f"{source('in')} ! {before} safelight name=guard state-folder={folder} {more}"
        f" ! {after} fakesink name=out sync=false"
    )


def judge_of_this_process() -> int:
    """The judge that a guard in this process started: forked by one of the same name."""
    there: dict[int, tuple[str, int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(") ")
        except OSError:
            continue
        there[int(stat.parent.name)] = (head.partition(" (")[2], int(tail.split()[1]))

    def is_judge(pid: int) -> bool:
        return there.get(pid, ("", 0))[0] == "safelight-judge"

    def is_below(pid: int) -> bool:
        return pid == os.getpid() or (pid in there and is_below(there[pid][1]))

    (judge,) = [pid for pid in there if is_judge(pid) and is_judge(there[pid][1]) and is_below(pid)]
    return judge
