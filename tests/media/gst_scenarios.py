"""One scenario around the element ``safelight``; prints what came out, as JSON.

python3 -m tests.media.gst_scenarios SCENARIO FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from functools import partial
from typing import Any

import gi
from tests.media.gst_driver import (
    CLEAR,
    COVERS_FROM,
    RATE,
    SENSITIVE,
    SIZE,
    Run,
    caps,
    fake_judge,
    feed,
    guarded,
    judge_of_this_process,
    picture,
)

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def covers() -> dict[str, Any]:
    fake_judge()
    run = guarded()
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps())
    run.play()
    levels = [CLEAR] * 40 + [SENSITIVE] * 10 + [CLEAR] * 60
    # Late in a stream: nanoseconds are large numbers.
    marks = feed(appsrc, levels, first=COVERS_FROM)
    appsrc.emit("end-of-stream")
    run.until(lambda: False)
    return {**run.stop(), "marks": marks}


def nv12() -> dict[str, Any]:
    fake_judge()
    run = guarded()
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps(name="NV12"))
    run.play()
    marks = feed(appsrc, [CLEAR] * 30, nv12=True)
    appsrc.emit("end-of-stream")
    run.until(lambda: False)
    return {**run.stop(), "marks": marks}


def renegotiates() -> dict[str, Any]:
    """The size changes, and with it what is in the picture: a canary may not slip through."""
    fake_judge()
    run = guarded()
    appsrc = run.pipeline.get_by_name("in")
    other = (480, 270)
    appsrc.set_property("caps", caps())
    run.play()
    marks = feed(appsrc, [CLEAR] * 20)
    appsrc.set_property("caps", caps(other))
    marks += feed(appsrc, [SENSITIVE] * 5 + [CLEAR] * 50, first=20, size=other)
    appsrc.set_property("caps", caps(SIZE, "NV12"))
    marks += feed(appsrc, [CLEAR] * 20, first=75, nv12=True)
    appsrc.emit("end-of-stream")
    run.until(lambda: False)
    return {**run.stop(), "marks": marks}


def engine_fault() -> dict[str, Any]:
    fake_judge()
    from safelight.core.engine import Engine
    from safelight.types import PictureArrived

    original, count = Engine.handle, [0]

    def handle(self: Any, event: Any) -> Any:
        count[0] += isinstance(event, PictureArrived)
        if count[0] > 20:
            raise RuntimeError("broken on purpose")
        return original(self, event)

    Engine.handle = handle  # type: ignore[method-assign]
    run = guarded()
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps())
    run.play()
    feed(appsrc, [CLEAR] * 60)
    run.until(lambda: False)
    before = len(run.out.buffers)
    last = appsrc.emit("push-buffer", Gst.Buffer.new_wrapped(picture(1, CLEAR)))
    time.sleep(0.5)
    return {**run.stop(), "after": len(run.out.buffers) - before, "push": last.value_nick}


def no_bundle() -> dict[str, Any]:
    run = guarded(more="bundle=/nonexistent")
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps())
    run.play()
    feed(appsrc, [CLEAR] * 3)
    run.until(lambda: False)
    return run.stop()


def nothing_comes() -> dict[str, Any]:
    fake_judge()
    run = guarded()
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps())
    run.play()
    appsrc.emit("end-of-stream")
    run.until(lambda: False)
    return run.stop()


def side_data() -> dict[str, Any]:
    """Tags, caption-like events and fields of caps that nobody reads do not get out."""
    fake_judge()
    run = guarded(before="taginject tags=title=secret,artist=secret")
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps(more=",note=(string)secret"))
    run.play()
    feed(appsrc, [CLEAR] * 10)
    custom = Gst.Structure.new_empty("secret")
    for kind in (Gst.EventType.CUSTOM_DOWNSTREAM, Gst.EventType.CUSTOM_DOWNSTREAM_STICKY):
        run.pipeline.get_by_name("guard").get_static_pad("sink").send_event(
            Gst.Event.new_custom(kind, custom.copy())
        )
    feed(appsrc, [CLEAR] * 10, first=10)
    appsrc.emit("end-of-stream")
    run.until(lambda: False)
    return run.stop()


def seeks() -> dict[str, Any]:
    """A flush: what was held before it may not come out after it, and it starts closed."""
    fake_judge(delay_s=0.02)
    run = guarded()
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps())
    appsrc.set_property("stream-type", 1)
    appsrc.connect("seek-data", lambda *_: True)
    run.play()
    old = feed(appsrc, [CLEAR] * 30)
    run.until(lambda: len(run.out.buffers) >= 5)
    run.pipeline.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH, 500 * Gst.SECOND // RATE)
    before = len(run.out.buffers)
    new = feed(appsrc, [SENSITIVE] * 3 + [CLEAR] * 60, first=500)
    appsrc.emit("end-of-stream")
    run.until(lambda: False)
    return {**run.stop(), "old": old, "new": new, "before": before}


def stops_in_the_middle() -> dict[str, Any]:
    fake_judge(delay_s=0.05)
    run = guarded()
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps())
    counts: list[int] = []
    for _ in range(3):
        run.play()
        thread = threading.Thread(target=feed, args=(appsrc, [CLEAR] * 200), daemon=True)
        thread.start()
        run.until(lambda: len(run.out.buffers) > (counts[-1] if counts else 0) + 3)
        run.pipeline.set_state(Gst.State.NULL)
        counts.append(len(run.out.buffers))
        time.sleep(0.3)
        counts.append(len(run.out.buffers))
    names = sorted({t.name for t in threading.enumerate()})
    return {**run.result(), "counts": counts, "threads": names}


def latency() -> dict[str, Any]:
    fake_judge()
    found = {}
    for hold in (0, 250, 1000):
        folder = sys.argv[2]
        run = Run(
            f"videotestsrc is-live=true ! video/x-raw,width=320,height=180 !"
            f" safelight name=guard hold-ms={hold} state-folder={folder} !"
            f" fakesink name=out sync=true"
        )
        run.play()
        run.until(partial(bool, run.out.buffers))
        query = Gst.Query.new_latency()
        run.element.get_static_pad("src").query(query)
        live, least, _ = query.parse_latency()
        found[hold] = [live, least // Gst.MSECOND]
        run.stop()
    return {"latency": found}


def resumes() -> dict[str, Any]:
    """An interruption, and the action signal that ends it once the cool-down is over."""
    fake_judge()
    run = guarded()
    run.element.emit("resume")  # with no guard there: nothing, and no crash
    appsrc = run.pipeline.get_by_name("in")
    appsrc.set_property("caps", caps())
    run.play()
    feed(appsrc, [CLEAR] * 10 + [SENSITIVE] * 200)
    run.until(lambda: run.state() == "interrupted")
    run.element.emit("resume")
    run.until(lambda: any(s.get("kind") == "resume_refused" for s in run.said))
    return run.stop()


def network() -> dict[str, Any]:
    """The real judge, killed in the middle of a live stream. SENSITIVE means nothing to it."""
    folder = sys.argv[2]
    run = Run(
        "videotestsrc is-live=true pattern=smpte ! video/x-raw,width=320,height=180,framerate=25/1"
        f" ! safelight name=guard state-folder={folder} ! fakesink name=out sync=false"
    )
    run.play()
    run.until(lambda: run.state() == "live")
    os.kill(judge_of_this_process(), 9)
    run.until(lambda: run.state() in ("covered", "pending"))
    run.until(lambda: run.state() == "live")
    return run.stop()


def main() -> None:
    if Gst.ElementFactory.make("safelight") is None:
        sys.exit("there is no element safelight")
    scenario = globals()[sys.argv[1]]
    result = scenario()
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
