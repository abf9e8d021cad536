"""The GStreamer element ``safelight``: what comes in is judged, what may leave goes on.

It holds pictures as every guard does, so it is no filter that turns one buffer into one: what
comes in on the sink pad is copied and pushed to a session; what the session lets go leaves on
the source pad, from the session's writer thread. Whatever breaks here stops the pipeline.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from safelight.errors import SafelightError, SourceError
from safelight.media import gst_caps, gst_pictures
from safelight.media.fitness import UnfitPictureError
from safelight.media.gst import GLib, GObject, Gst
from safelight.media.gst_caps import Understood
from safelight.media.gst_guard import Guard, Options
from safelight.media.gst_out import Out
from safelight.media.interface import SourceInfo
from safelight.types import NS_PER_MS, NS_PER_S, SafeFrame

# Past its hold, a picture has so long to be answered for: a pipeline shows it when it is due.
GRACE_MS: Final = 100
_USUAL_STEP_NS: Final = NS_PER_S // 30


def _template(name: str, direction: Any) -> Any:
    caps = Gst.Caps.from_string(gst_caps.TEMPLATE)
    return Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, caps)


class SafelightElement(Gst.Element):
    """``video/x-raw`` in I420 or NV12 in, the same out: released pictures, and cards."""

    __gtype_name__ = "SafelightGuard"
    __gstmetadata__ = (
        "Safelight guard",
        "Filter/Video",
        "Judges video on this device before it leaves; a card covers what must not",
        "The Safelight project",
    )
    __gsttemplates__ = (
        _template("sink", Gst.PadDirection.SINK),
        _template("src", Gst.PadDirection.SRC),
    )

    # emit("resume") leaves an interruption.
    __gsignals__: ClassVar = {
        "resume": (GObject.SignalFlags.RUN_LAST | GObject.SignalFlags.ACTION, None, ())
    }

    policy = GObject.Property(
        type=str, default="protect", nick="Policy", blurb="Name of a policy, or a policy file"
    )
    direction = GObject.Property(
        type=str,
        default="outgoing",
        nick="Direction",
        blurb="Whose camera it is: this device's (outgoing), or somebody else's (incoming)",
    )
    bundle = GObject.Property(
        type=str, default=None, nick="Bundle", blurb="Folder of the bundle that judges [default]"
    )
    test_bundle = GObject.Property(
        type=bool,
        default=False,
        nick="Test bundle",
        blurb="Let a stand-in bundle judge; every card says TEST",
    )
    hold_ms = GObject.Property(
        type=int,
        default=250,
        minimum=0,
        maximum=2000,
        nick="Hold",
        blurb="How long pictures may wait to be bracketed, milliseconds; 0 for calls",
    )
    region = GObject.Property(
        type=str, default=None, nick="Region", blurb="Country whose help lines messages name"
    )
    state_folder = GObject.Property(
        type=str, default=None, nick="State folder", blurb="Folder of the cool-down file [user's]"
    )
    resume_after = GObject.Property(
        type=float,
        default=-1.0,
        minimum=-1.0,
        maximum=86400.0,
        nick="Resume after",
        blurb="Resume by itself so many seconds after an interruption; for tests. -1: never",
    )
    events_socket = GObject.Property(
        type=str, default=None, nick="Events socket", blurb="Tell host apps at this Unix socket"
    )

    def __init__(self) -> None:
        super().__init__()
        self._guard: Guard | None = None
        self._in: Understood | None = None
        self._segment: Any = None
        self._last_ns: int | None = None
        self._sink = Gst.Pad.new_from_template(self.__gsttemplates__[0], "sink")
        self._sink.set_chain_function_full(self._chain, None)
        self._sink.set_event_function_full(self._event, None)
        self._sink.set_query_function_full(self._query, None)
        self.add_pad(self._sink)
        self._src = Gst.Pad.new_from_template(self.__gsttemplates__[1], "src")
        self._src.set_query_function_full(self._query, None)
        self.add_pad(self._src)
        self._out = Out(self._src)

    def do_resume(self) -> None:
        """Leave an interruption, once its cool-down is over: emit("resume")."""
        guard = self._guard
        if guard is not None:
            guard.resume()

    # --- changes of state -----------------------------------------------------------------

    def do_change_state(self, transition: Any) -> Any:
        """Start a guard on the way up, end it on the way down."""
        if transition == Gst.StateChange.READY_TO_PAUSED:
            self._start()
        down = transition == Gst.StateChange.PAUSED_TO_READY
        if down and self._guard is not None:
            self._guard.stop()  # before the pads are shut: whoever waits in them is let go
        result = Gst.Element.do_change_state(self, transition)
        if down:
            self._finish()
        return result

    def _start(self) -> None:
        self._out.reset()
        self._segment = self._last_ns = None
        self._guard = Guard(self._chosen(), self)
        self._guard.start()

    def _finish(self) -> None:
        if self._guard is not None:
            self._guard.stop()
            self._guard.join()
            self._guard = None

    def _chosen(self) -> Options:
        after = self.props.resume_after
        return Options(
            policy=self.props.policy or "",
            direction=self.props.direction or "",
            bundle=self.props.bundle or None,
            test_bundle=self.props.test_bundle,
            hold_ms=self.props.hold_ms,
            grace_ms=GRACE_MS,
            region=self.props.region or None,
            state=self.props.state_folder or None,
            resume_after_s=after if after >= 0.0 else None,
            events_socket=self.props.events_socket or None,
        )

    # --- what comes in ----------------------------------------------------------------------

    def _chain(self, _pad: Any, _parent: Any, buffer: Any) -> Any:
        try:
            return self._take(buffer)
        except UnfitPictureError as error:
            self.failed(SourceError(error.what, error.hint))
        except Exception as error:  # noqa: BLE001  (fails closed: the pipeline stops)
            what = f"a buffer cannot be read ({type(error).__name__})"
            self.failed(SourceError(what, "put videoconvert before safelight"))
        return Gst.FlowReturn.ERROR

    def _take(self, buffer: Any) -> Any:
        guard, understood = self._guard, self._in
        if guard is None or guard.is_broken():
            return Gst.FlowReturn.ERROR
        if understood is None or self._segment is None:
            return Gst.FlowReturn.NOT_NEGOTIATED
        pts_ns = self._running_time(buffer, understood)
        if pts_ns is None:
            guard.source.leave_behind("video", "outside of its segment")
            return Gst.FlowReturn.OK
        if not guard.source.announced:
            rate = float(understood.rate)
            guard.source.announce(SourceInfo(self._is_live(), understood.form, rate))
        layout = gst_caps.layout_in(buffer, understood.layout)
        data = buffer.extract_dup(0, buffer.get_size())
        picture = gst_pictures.to_picture(data, understood.form, layout)
        if guard.source.push(picture, pts_ns):
            return self._out.flow
        if guard.is_broken():
            return Gst.FlowReturn.ERROR
        return Gst.FlowReturn.EOS if guard.source.over else Gst.FlowReturn.FLUSHING

    def _running_time(self, buffer: Any, understood: Understood) -> int | None:
        """Return when the buffer is shown, in running time; None when it is not shown."""
        pts = buffer.pts if buffer.pts != Gst.CLOCK_TIME_NONE else buffer.dts
        if pts == Gst.CLOCK_TIME_NONE:
            step = int(NS_PER_S / understood.rate) if understood.rate > 0 else _USUAL_STEP_NS
            at = 0 if self._last_ns is None else self._last_ns + step
        else:
            at = self._segment.to_running_time(Gst.Format.TIME, pts)
            if at == Gst.CLOCK_TIME_NONE:
                return None
        self._last_ns = at
        return int(at)

    def _is_live(self) -> bool:
        query = Gst.Query.new_latency()
        # No answer: it can wait. A live source that is made to wait loses pictures, no more.
        return bool(self._sink.peer_query(query) and query.parse_latency()[0])

    # --- events -----------------------------------------------------------------------------

    def _event(self, pad: Any, _parent: Any, event: Any) -> bool:
        try:
            return self._heard(pad, event)
        except Exception as error:  # noqa: BLE001  (fails closed: the pipeline stops)
            what = f"an event cannot be read ({type(error).__name__})"
            self.failed(SourceError(what, "please report it"))
            return False

    def _heard(self, _pad: Any, event: Any) -> bool:
        guard = self._guard
        match event.type:
            case Gst.EventType.CAPS:
                return self._set_caps(event.parse_caps())
            case Gst.EventType.SEGMENT:
                segment = event.parse_segment()
                if segment.format != Gst.Format.TIME:
                    self.failed(SourceError("its segment is not in time", "put a parser before"))
                    return False
                self._segment = segment.copy()
            case Gst.EventType.STREAM_START:
                found, group = event.parse_group_id()
                self._out.group = group if found else None
            case Gst.EventType.EOS:
                if guard is not None:
                    guard.source.end()
            case Gst.EventType.FLUSH_START:
                if guard is not None:
                    guard.source.flush()
                return bool(self._src.push_event(event))
            case Gst.EventType.FLUSH_STOP:
                return self._flush_stop(event)
            case _:
                # Tags, captions, anything of anybody's: only judged pictures leave.
                if guard is not None:
                    name = Gst.EventType.get_name(event.type)
                    guard.source.leave_behind("metadata", f"{name} event")
        return True

    def _set_caps(self, caps: Any) -> bool:
        try:
            self._in = gst_caps.understand(caps)
        except UnfitPictureError as error:
            self._in = None
            self.failed(SourceError(error.what, error.hint))
            return False
        self._out.know(caps, self._in)
        return True

    def _flush_stop(self, event: Any) -> bool:
        guard = self._guard
        if guard is None:
            return bool(self._src.push_event(event))
        self._last_ns = None
        if guard.source.over:
            # It ended, and is to be played again from somewhere: with a guard of its own.
            self._finish()
            self._src.push_event(event)
            self._start()
            return True
        self._out.flushed(guard.source.next_seq)
        done = bool(self._src.push_event(event))
        guard.source.go_on()
        return done

    # --- queries ----------------------------------------------------------------------------

    def _query(self, pad: Any, parent: Any, query: Any) -> bool:
        try:
            match query.type:
                case Gst.QueryType.LATENCY if pad is self._src:
                    return self._latency(query)
                case Gst.QueryType.CAPS:
                    return self._caps(pad, query)
        except Exception as error:  # noqa: BLE001  (a query that fails has no answer)
            Gst.warning(f"safelight: a query failed ({type(error).__name__})")
            return False
        return bool(pad.query_default(parent, query))

    def _latency(self, query: Any) -> bool:
        """Pictures leave a hold after they came, and a hundred milliseconds later at most."""
        if not self._sink.peer_query(query):
            return False
        live, least, most = query.parse_latency()
        own = (self.props.hold_ms + GRACE_MS) * NS_PER_MS
        endless = most == Gst.CLOCK_TIME_NONE
        query.set_latency(live, least + own, most if endless else most + own)
        return True

    def _caps(self, pad: Any, query: Any) -> bool:
        """What one side takes is what the other side takes, of what can be guarded."""
        other = self._src if pad is self._sink else self._sink
        caps = pad.get_pad_template_caps().intersect(other.peer_query_caps(None))
        wanted = query.parse_caps()
        if wanted is not None:
            caps = wanted.intersect_full(caps, Gst.CapsIntersectMode.FIRST)
        query.set_caps_result(caps)
        return True

    # --- what the guard has done for it -----------------------------------------------------

    def hand(self, frame: SafeFrame) -> None:
        """Let a frame leave."""
        self._out.hand(frame)

    def over(self) -> None:
        """Everything that was released has left."""
        self._out.over()

    def tell(self, event: Any) -> None:
        """Post what happened as an element message, ``safelight``."""
        said = event.as_json()
        card = said["card"] or {}
        structure = Gst.Structure.new_empty("safelight")
        for name in ("kind", "state", "reason", "text"):
            structure.set_value(name, said[name])
        for name in ("should_cover", "should_mute", "should_interrupt"):
            structure.set_value(name.replace("_", "-"), said[name])
        structure.set_value("at", float(said["at_s"]))
        structure.set_value("wait", float(said["wait_s"]))
        for name in ("message_id", "headline"):
            structure.set_value(name.replace("_", "-"), card.get(name, ""))
        self.post_message(Gst.Message.new_element(self, structure))

    def ended(self, report: Any) -> None:
        """Post how many pictures left, and how."""
        structure = Gst.Structure.new_empty("safelight-report")
        frames = report.frames
        for name in ("released", "covered", "interrupted", "dropped", "unjudged_released"):
            structure.set_value(name.replace("_", "-"), getattr(frames, name))
        structure.set_value("misses", report.misses)
        self.post_message(Gst.Message.new_element(self, structure))

    def failed(self, error: SafelightError) -> None:
        """Stop the pipeline: an error on the bus, and no more is taken."""
        code = int(Gst.StreamError.FAILED)
        wrong = GLib.Error.new_literal(Gst.stream_error_quark(), str(error), code)
        self.post_message(Gst.Message.new_error(self, wrong, type(error).__name__))


GObject.type_register(SafelightElement)
FACTORY: Final = ("safelight", Gst.Rank.NONE, SafelightElement)
