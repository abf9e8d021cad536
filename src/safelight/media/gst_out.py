"""The source pad's side of the element: what the guard lets go becomes buffers.

It speaks its own stream: a stream-start, caps and a segment of running time, all made here.
Nothing of the stream that came in travels on but released pictures and their times.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from safelight.errors import SinkLostError
from safelight.media import gst_caps, gst_pictures
from safelight.media.gst import Gst
from safelight.media.gst_caps import Understood
from safelight.media.gst_pictures import Layout
from safelight.types import NS_PER_S, Picture, PictureFormat, SafeFrame

_HINT: Final = "see what comes after safelight in the pipeline"


@dataclass(frozen=True, slots=True)
class _Way:
    """How pictures of one format leave."""

    caps: Any
    layout: Layout
    rate: Fraction


class Out:
    """Pushes safe frames. The session's writer thread calls ``hand`` and ``over``."""

    def __init__(self, pad: Any) -> None:
        self._pad = pad
        self._lock = threading.Lock()
        self._ways: dict[PictureFormat, _Way] = {}
        self.reset()

    def reset(self) -> None:
        """Begin anew: nothing was told downstream."""
        self.flow = Gst.FlowReturn.OK
        self.group: int | None = None
        self._begun = False
        self._in_segment = False
        self._caps: Any = None
        self._first_seq = 0
        self._fresh = False

    def know(self, caps: Any, understood: Understood) -> None:
        """Learn how pictures of a format leave: as they came in."""
        name = understood.layout.name
        told = gst_caps.told(caps, name)
        layout = gst_caps.understand(told).layout
        self._ways[understood.form] = _Way(told, layout, understood.rate)

    def flushed(self, first_seq: int) -> None:
        """After a flush: what was held before it, up to ``first_seq``, must not come out."""
        with self._lock:
            self._first_seq = first_seq
            self._fresh = True
            self._in_segment = False
            self.flow = Gst.FlowReturn.OK

    def hand(self, frame: SafeFrame) -> None:
        """Push one frame.

        Raises:
            SinkLostError: what comes after does not take it.
        """
        if not isinstance(frame.content, Picture):
            raise SinkLostError("there is sound in a stream of pictures", "please report it")
        with self._lock:
            if self._stale(frame) or self.flow == Gst.FlowReturn.EOS:
                return
            way = self._ways[frame.content.format]
            self._begin(way)
            buffer = Gst.Buffer.new_wrapped(gst_pictures.to_bytes(frame.content, way.layout))
            base = frame.time_base
            buffer.pts = frame.pts * base.numerator * NS_PER_S // base.denominator
            if way.rate > 0:
                buffer.duration = int(NS_PER_S / way.rate)
            flow = self._pad.push(buffer)
            if flow == Gst.FlowReturn.FLUSHING:
                return  # it is being flushed or shut down: it goes nowhere
            self.flow = flow
        if flow not in (Gst.FlowReturn.OK, Gst.FlowReturn.EOS):
            raise SinkLostError(f"it takes no more ({Gst.flow_get_name(flow)})", _HINT)

    def over(self) -> None:
        """Say that nothing more comes."""
        with self._lock:
            self._start()
            self._pad.push_event(Gst.Event.new_eos())

    def _stale(self, frame: SafeFrame) -> bool:
        if frame.verdict is None:
            return self._fresh
        if frame.verdict.token.seq < self._first_seq:
            return True
        self._fresh = False
        return False

    def _start(self) -> None:
        if self._begun:
            return
        self._begun = True
        parent = self._pad.get_parent_element()
        event = Gst.Event.new_stream_start(self._pad.create_stream_id(parent, None))
        if self.group is not None:
            event.set_group_id(self.group)
        self._pad.push_event(event)

    def _begin(self, way: _Way) -> None:
        self._start()
        if self._caps is None or not self._caps.is_equal(way.caps):
            self._caps = way.caps
            self._pad.push_event(Gst.Event.new_caps(way.caps))
        if not self._in_segment:
            self._in_segment = True
            segment = Gst.Segment()
            segment.init(Gst.Format.TIME)
            self._pad.push_event(Gst.Event.new_segment(segment))
