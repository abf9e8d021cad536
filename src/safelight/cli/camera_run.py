"""Guards the camera in the foreground: what the systemd unit starts."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
from types import FrameType
from typing import Final

import safelight
from safelight.cli.camera_running import place
from safelight.cli.notify import Notifier
from safelight.cli.stopping import Stop
from safelight.errors import SafelightError, SinkLostError
from safelight.testing.test_card import WithTestCard

# Asked for by `safelight camera test`: only a process of this user's can.
SHOW_TEST_CARD: Final = signal.SIGUSR1
_LOOK_EVERY_S: Final = 0.2
_FINISH_S: Final = 2.0


def run(source: str, to: str, *, policy: str | None, region: str | None) -> int:
    """Guard ``source`` into the camera ``to`` until it is asked to stop."""
    safelight.hide_this_process()
    camera = WithTestCard(safelight.source(source))

    def show(_number: int, _frame: FrameType | None) -> None:
        camera.show()

    # From the first moment on: its default would end the process.
    signal.signal(SHOW_TEST_CARD, show)
    with Stop() as stop, safelight.EventsSocket(place()) as socket:
        session = safelight.open(
            camera, to, policy="protect" if policy is None else policy, region=region
        )
        stop.opened(session.close)
        socket.on_resume(session.resume)
        _say(f"guarding {safelight.redact(source)}")
        notifier = Notifier()
        try:
            _follow(session, stop, socket, notifier)
            session.wait()
        finally:
            notifier.close()
            session.close()
            with contextlib.suppress(SafelightError):
                session.wait(_FINISH_S)
    _say("ended")
    return 0


def _follow(
    session: safelight.Session, stop: Stop, socket: safelight.EventsSocket, notifier: Notifier
) -> None:
    came: queue.SimpleQueue[safelight.StreamEvent | None] = queue.SimpleQueue()

    def collect() -> None:
        for event in session.events():
            came.put(event)
        came.put(None)

    threading.Thread(target=collect, name="safelight-camera", daemon=True).start()
    while True:
        try:
            event = came.get(timeout=_LOOK_EVERY_S)
        except queue.Empty:
            if stop.overdue:
                raise SinkLostError("the camera does not end", "end its process") from None
            continue
        if event is None:
            return
        socket.tell(event)
        notifier.tell(event)
        if event.kind == "fault":
            _say("the judge broke and is started again")


def _say(line: str) -> None:
    """Starts and faults only: a journal must not tell when anybody was covered."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"safelight camera: {line}\n")
        sys.stderr.flush()
