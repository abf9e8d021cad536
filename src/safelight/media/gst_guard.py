"""One session for one run of an element: opened, followed and ended beside the pipeline.

A guard takes a second to start. The pipeline must not wait for it in a change of state, so
everything that blocks is done by a thread of its own.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final, Protocol

import safelight
from safelight.errors import EndOfStream, EngineFaultError, SafelightError
from safelight.media.pushed import HandedSink, PushedSource
from safelight.types import SafeFrame

_FINISH_S: Final = 15.0  # for a pipeline that has to take what was released


@dataclass(frozen=True, slots=True)
class Options:
    """What a guard goes by; as ``safelight.open`` takes it."""

    policy: str
    direction: str
    bundle: str | None
    test_bundle: bool
    hold_ms: int
    grace_ms: int
    region: str | None
    state: str | None
    resume_after_s: float | None
    events_socket: str | None


class Host(Protocol):
    """What the element does for its guard. Any thread may call."""

    def hand(self, frame: SafeFrame) -> None:
        """Let a frame leave."""

    def over(self) -> None:
        """Everything that was released has left."""

    def tell(self, event: safelight.StreamEvent) -> None:
        """Pass on what happened."""

    def ended(self, report: safelight.Report) -> None:
        """Pass on how it went."""

    def failed(self, error: SafelightError) -> None:
        """Stop the pipeline."""


class Guard:
    """A session that a pipeline feeds."""

    def __init__(self, options: Options, host: Host) -> None:
        self._options = options
        self._host = host
        self.source = PushedSource()
        self._sink = HandedSink(host.hand, host.over)
        self._session: safelight.Session | None = None
        self._stopping = False
        self._lock = threading.Lock()
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="safelight-element", daemon=True)

    def is_broken(self) -> bool:
        """Whether something broke: nothing is taken any more."""
        return self._broken

    def start(self) -> None:
        """Begin to get the judge ready. Returns at once."""
        self._thread.start()

    def resume(self) -> None:
        """Leave an interruption, once its cool-down is over."""
        with self._lock:
            if self._session is not None:
                self._session.resume()

    def stop(self) -> None:
        """End it. What it still held is gone; whoever waits in ``source.push`` returns."""
        with self._lock:
            self._stopping = True
            self.source.close()
            if self._session is not None:
                self._session.close()

    def join(self) -> None:
        """Wait until it has ended, for a while at most: nothing leaves after ``stop``."""
        if self._thread.ident is not None:
            self._thread.join(_FINISH_S)

    def _run(self) -> None:
        try:
            self._follow()
        except EndOfStream:
            # Closed, or the pipeline ended before its first picture.
            if not self._stopping:
                self._host.over()
        except SafelightError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  (fails closed: the pipeline stops)
            what = f"the guard broke ({type(error).__name__})"
            self._fail(EngineFaultError(what, "please report it; nothing more was released"))

    def _fail(self, error: SafelightError) -> None:
        self._broken = True
        self.source.close()
        self._host.failed(error)

    def _follow(self) -> None:
        options = self._options
        session = safelight.open(
            self.source,
            self._sink,
            policy=options.policy,
            direction=options.direction,
            bundle=options.bundle,
            test_bundle=options.test_bundle,
            hold_ms=options.hold_ms,
            grace_ms=options.grace_ms,
            region=options.region,
            state=options.state,
            resume_after_s=options.resume_after_s,
        )
        with self._lock:
            self._session = session
            if self._stopping:
                session.close()
        socket: safelight.EventsSocket | None = None
        try:
            if options.events_socket is not None:
                socket = safelight.EventsSocket(options.events_socket, resume=session.resume)
            for event in session.events():
                if socket is not None:
                    socket.tell(event)
                self._host.tell(event)
            session.wait()
        finally:
            session.close()
            if socket is not None:
                socket.close()
        if session.report is not None:
            self._host.ended(session.report)
