"""A guarded call: every stream of both directions, tied so that one interruption stops all."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from safelight import opening, policies
from safelight.errors import EndOfStream, EngineFaultError, SafelightError, UsageError
from safelight.events import StreamEvent
from safelight.judge.judge import Judge
from safelight.report import Report
from safelight.session import Session
from safelight.types import Direction, State

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack

    from safelight.media.webrtc import Tracks

# Whoever talks cannot wait for a frame's neighbours.
HOLD_MS: Final = 0
_WORST_FIRST: Final = (State.INTERRUPTED, State.COVERED, State.PENDING)


class Options(TypedDict):
    """What every stream of a call is opened with."""

    policy: str
    bundle: str | Path | None
    test_bundle: bool
    region: str | None
    state: str | Path | None
    allow_weak_sandbox: bool


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something happened to one stream of a call."""

    direction: str  # "outgoing" or "incoming"
    stream: str
    event: StreamEvent


class Call:
    """The guard of one call. ``guarded`` is called on the event loop; the rest from anywhere.

    An interruption of any stream stops picture and sound of all. Text, data channels and the
    connection are not touched. ``resume`` resumes all of them, or none.
    """

    def __init__(
        self,
        *,
        policy: str = policies.DEFAULT,
        bundle: str | Path | None = None,
        test_bundle: bool = False,
        region: str | None = None,
        state: str | Path | None = None,
        allow_weak_sandbox: bool = False,
        make_judge: Callable[[], Judge] | None = None,
    ) -> None:
        """Args are those of ``safelight.open``; ``make_judge`` gives each stream its own."""
        self._options = Options(
            policy=policy,
            bundle=bundle,
            test_bundle=test_bundle,
            region=region,
            state=state,
            allow_weak_sandbox=allow_weak_sandbox,
        )
        self._make_judge = make_judge
        self._lock = threading.RLock()
        self._legs: dict[tuple[Direction, str], _Leg] = {}
        self._interruption: tuple[int, int] | None = None
        self._events: queue.SimpleQueue[CallEvent | None] = queue.SimpleQueue()
        self._closed = False

    def guarded(
        self, track: MediaStreamTrack, *, direction: str = "outgoing", stream: str = "camera"
    ) -> MediaStreamTrack:
        """Return the track that leaves in this one's place. It never waits.

        The picture and the sound that go together have the same ``direction`` and ``stream``.
        Sound leaves only with its picture: a stream of sound alone stays silent.

        Raises:
            UsageError: no track that can be guarded, or aiortc is not installed.
        """
        # Loaded here: it needs a library that not everybody has.
        from safelight.media.webrtc import Tracks  # noqa: PLC0415

        key = (_direction(direction), stream)
        with self._lock:
            if self._closed:
                raise UsageError("the call is over", "make another Call")
            leg = self._legs.get(key)
            if leg is not None:
                return leg.tracks.take(track)
            leg = _Leg(key[0], stream, self._events.put)
            leg.tracks = Tracks(leg.close)
            taken = leg.tracks.take(track)
            self._legs[key] = leg
            threading.Thread(
                target=self._open, args=(leg,), name="safelight-open", daemon=True
            ).start()
            return taken

    def _open(self, leg: _Leg) -> None:
        try:
            session, at_once = opening.prepare(
                leg.tracks.source,
                leg.tracks.sink,
                direction=leg.direction.value,
                hold_ms=HOLD_MS,
                judge=None if self._make_judge is None else self._make_judge(),
                interrupted=lambda level, until_ns: self._stop_others(leg, level, until_ns),
                **self._options,
            )
            with self._lock:
                leg.session = session
                if self._interruption is not None:
                    # Before its first frame: it must not begin where the others were stopped.
                    session.interrupt(*self._interruption)
            if leg.closing:
                raise EndOfStream
            session.begin(at_once=at_once)
        except EndOfStream:
            leg.over(None)
        except SafelightError as error:
            leg.over(error)
        except Exception as error:  # noqa: BLE001  (fails closed: nothing leaves)
            what = f"the guard broke ({type(error).__name__})"
            leg.over(EngineFaultError(what, "please report it; nothing was released"))
        else:
            leg.follow(session)

    def _stop_others(self, leg: _Leg, level: int, until_ns: int) -> None:
        with self._lock:
            was_level, was_until_ns = self._interruption or (0, 0)
            self._interruption = (max(level, was_level), max(until_ns, was_until_ns))
            for other in self._legs.values():
                if other is not leg and other.session is not None:
                    other.session.interrupt(level, until_ns)

    # --- what a host uses -----------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the stream that is worst off; PENDING while there is none."""
        with self._lock:
            states = {leg.state for leg in self._legs.values() if not leg.done.is_set()}
        if not states:
            return State.PENDING
        return next((state for state in _WORST_FIRST if state in states), State.LIVE)

    @property
    def reports(self) -> dict[tuple[str, str], Report]:
        """The reports of the streams that have ended, by direction and stream."""
        with self._lock:
            legs = list(self._legs.items())
        return {
            (direction.value, name): leg.session.report
            for (direction, name), leg in legs
            if leg.session is not None and leg.session.report is not None
        }

    def events(self) -> Iterator[CallEvent]:
        """Yield what happens, until the call is closed and its streams have ended."""
        while (event := self._events.get()) is not None:
            yield event

    def resume(self) -> None:
        """Leave an interruption, in all streams, once its cool-down is over."""
        with self._lock:
            if self._interruption is not None and time.monotonic_ns() >= self._interruption[1]:
                self._interruption = None
            for leg in self._legs.values():
                if leg.session is not None:
                    leg.session.resume()

    def close(self) -> None:
        """End the guarding; nothing more leaves. Returns at once. Safe to call twice."""
        with self._lock:
            first, self._closed = not self._closed, True
            legs = list(self._legs.values())
        for leg in legs:
            leg.close()
        if first:
            threading.Thread(
                target=self._end_events, args=(legs,), name="safelight-call", daemon=True
            ).start()

    def _end_events(self, legs: list[_Leg]) -> None:
        for leg in legs:
            leg.done.wait()
        self._events.put(None)

    @property
    def error(self) -> SafelightError | None:
        """What ended a stream of it, if anything broke."""
        with self._lock:
            legs = list(self._legs.values())
        return next((leg.error for leg in legs if leg.error is not None), None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every stream has ended; False on a timeout.

        Raises:
            SafelightError: what broke.
        """
        if not self.ended(timeout_s):
            return False
        if self.error is not None:
            raise self.error
        return True

    def ended(self, timeout_s: float | None = None) -> bool:
        """Wait until every stream has ended, as it should or not; False on a timeout."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            legs = list(self._legs.values())
        for leg in legs:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not leg.done.wait(left):
                return False
        return True

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Leg:
    """One guarded stream of a call: a picture and its sound, in one direction."""

    tracks: Tracks

    def __init__(
        self, direction: Direction, stream: str, tell: Callable[[CallEvent], None]
    ) -> None:
        self.direction = direction
        self.stream = stream
        self.session: Session | None = None
        self.error: SafelightError | None = None
        self.closing = False
        self.done = threading.Event()
        self._tell = tell

    @property
    def state(self) -> State:
        return State.PENDING if self.session is None else self.session.state

    def close(self) -> None:
        """End it, in whatever state; never waits."""
        self.closing = True
        self.tracks.source.close()
        self.tracks.sink.close(whole=False)
        if self.session is not None:
            self.session.close()

    def follow(self, session: Session) -> None:
        """Pass its events on until it has ended."""
        for event in session.events():
            self._tell(CallEvent(self.direction.value, self.stream, event))
        try:
            session.wait()
        except SafelightError as error:
            self.over(error)
        else:
            self.over(None)

    def over(self, error: SafelightError | None) -> None:
        """It has ended: nothing more leaves."""
        self.error = error
        self.tracks.source.close()
        self.tracks.sink.close(whole=False)
        self.done.set()


def _direction(direction: str) -> Direction:
    try:
        return Direction(direction)
    except ValueError:
        raise UsageError(
            f"there is no direction {direction!r}", "use outgoing or incoming"
        ) from None


def serve_call(
    call: Call,
    *,
    ready: Callable[[str], None],
    stopping: Callable[[], bool],
    told: Callable[[CallEvent], None],
    direction: str = "outgoing",
    to: str | None = None,
    token: str | None = None,
    incoming: str | None = None,
    incoming_token: str | None = None,
    bind: str | None = None,
    port: int = 0,
) -> None:
    """Offer a local page, and WHIP and WHEP, for one call, until ``stopping`` says so.

    Args:
        call: what guards it; it is closed at the end.
        ready: told the page's address once it can be reached; it holds a secret.
        stopping: asked five times a second.
        told: hears every event, on a thread of its own.
        direction: whose camera comes in.
        to: the WHIP address of a service to publish to.
        token: that service's bearer token.
        incoming: the WHEP address of a service to watch at: what comes in from there is guarded
            as the other direction of the same call, so an interruption stops both.
        incoming_token: that service's bearer token.
        bind: where to listen in place of 127.0.0.1.
        port: which port; any that is free when 0.

    Raises:
        UsageError: no such direction, it cannot listen there, or an address is none for that.
        SafelightError: the guard or the service broke.
    """
    _direction(direction)
    # Loaded here: it needs libraries that not everybody has.
    from safelight.call_incoming import Incoming  # noqa: PLC0415
    from safelight.call_server import CallServer  # noqa: PLC0415

    server = CallServer(
        call,
        direction=direction,
        to=to,
        token=token,
        incoming=None if incoming is None else Incoming(call, incoming, incoming_token),
        bind=bind,
        port=port,
        told=told,
    )
    asyncio.run(server.run(lambda: ready(server.address), stopping))
