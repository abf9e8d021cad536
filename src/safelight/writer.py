"""The last step: what the ledger passes goes to the sink, on a thread of its own.

A slow sink must not delay a cover: the engine goes on, and a live stream's frames are
dropped here when the sink does not take them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from safelight import backlog
from safelight.core.ledger import Ledger
from safelight.errors import SafelightError, SinkLostError
from safelight.media.interface import MayLeaveOut, Sink, SourceInfo
from safelight.report import Tally
from safelight.types import NS_PER_MS, Picture, SafeFrame

LIVE_BACKLOG: Final = 60  # pictures and chunks of sound that wait for a slow sink
FILE_BACKLOG: Final = 4
LATE_NS: Final = 200 * NS_PER_MS  # what waited so long here is late, if it is live
TOO_SLOW: Final = "the sink is too slow: a frame was dropped"


@dataclass(frozen=True, slots=True)
class _Leaving:
    safe: SafeFrame
    arrived_ns: int
    put_ns: int


class Writer:
    """Hands safe frames to a sink. ``failed`` is called once, from its thread, with an error."""

    def __init__(
        self,
        sink: Sink,
        ledger: Ledger,
        tally: Tally,
        *,
        info: SourceInfo,
        failed: Callable[[SafelightError], None],
        leaked: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._write_late = sink.write_late if isinstance(sink, MayLeaveOut) else None
        self._ledger = ledger
        self._tally = tally
        self._live = info.live
        most = LIVE_BACKLOG if info.live else FILE_BACKLOG
        self._backlog = backlog.depth(info.format, most)
        self._failed = failed
        self._leaked = leaked
        self._queue: queue.Queue[_Leaving | None] = queue.Queue()
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="safelight-writer", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether a patient guard should wait before it decides more."""
        return self._queue.qsize() >= self._backlog

    def put(self, safe: SafeFrame, arrived_ns: int) -> bool:
        """Pass a frame on; False when it was dropped because the sink is too slow."""
        if self._broken or (self._live and self._queue.qsize() >= self._backlog):
            return False
        self._queue.put(_Leaving(safe, arrived_ns, time.monotonic_ns()))
        return True

    def finish(self, timeout_s: float) -> bool:
        """Write what waits, then stop; False when the sink hangs."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (leaving := self._queue.get()) is not None:
            if not self._broken:
                self._write(leaving)

    def _write(self, leaving: _Leaving) -> None:
        safe = leaving.safe
        if not self._ledger.leaving(safe):
            self._broken = True
            self._leaked()
            return
        try:
            left = self._hand_over(leaving)
        except SafelightError as error:
            self._broken = True
            self._failed(error)
            return
        except Exception as error:  # noqa: BLE001  (fails closed: nothing more is written)
            self._broken = True
            what = f"the sink broke ({type(error).__name__})"
            self._failed(SinkLostError(what, "see whether it is reachable and has room"))
            return
        if not left:
            self._tally.fault(TOO_SLOW)
        elif isinstance(safe.content, Picture) and safe.verdict is not None:
            took = max(0, time.monotonic_ns() - leaving.arrived_ns)
            self._tally.picture_left(safe, safe.verdict, took)

    def _hand_over(self, leaving: _Leaving) -> bool:
        """Give it to the sink; return whether it left."""
        late = self._live and time.monotonic_ns() - leaving.put_ns > LATE_NS
        if late and self._write_late and isinstance(leaving.safe.content, Picture):
            return self._write_late(leaving.safe)
        self._sink.write(leaving.safe)
        return True
