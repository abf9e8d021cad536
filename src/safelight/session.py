"""What an integrator holds: one guarded stream, running on a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Literal

from safelight import report as reporting
from safelight.errors import EndOfStream, EngineFaultError, SafelightError
from safelight.events import StreamEvent
from safelight.judge.judge import looks_first
from safelight.media.interface import MayCopy, MayWorkElsewhere, SourceInfo
from safelight.report import Cpu, Report, Tally
from safelight.run import Parts, Run
from safelight.types import Interrupt, Resume, State

Outcome = Literal["ended", "closed", "fault"]


class Session:
    """One guarded stream. ``start`` runs it on a thread; ``wait`` returns its report."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[StreamEvent | None] = queue.SimpleQueue()
        self._tally = Tally()
        self._run: Run | None = None
        self._thread = threading.Thread(target=self._main, name="safelight", daemon=True)
        self._error: SafelightError | None = None
        self._report: Report | None = None
        self._closing = False
        self._info: SourceInfo | None = None
        self._cpu_before_s = time.process_time()

    # --- what an integrator uses ----------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the stream."""
        return State.PENDING if self._run is None else self._run.state

    @property
    def info(self) -> SourceInfo | None:
        """What is known of the source; None until it is open."""
        return self._info

    @property
    def frames_in(self) -> int:
        """How many pictures have come in so far."""
        return self._tally.arrived

    def events(self) -> Iterator[StreamEvent]:
        """Yield what happens, in stream order, until the stream has ended."""
        while (event := self._events.get()) is not None:
            yield event

    def resume(self) -> None:
        """Leave an interruption, once its cool-down is over; otherwise nothing happens."""
        self._inbox.put(Resume(0))

    def interrupt(self, level: int, until_ns: int) -> None:
        """Interrupt as the other direction of a call was: its cool-down holds here too."""
        self._inbox.put(Interrupt(0, level, until_ns))

    def close(self) -> None:
        """End the stream now; what was released stays playable. Safe to call twice."""
        self._closing = True
        self._inbox.put(None)

    def wait(self, timeout_s: float | None = None) -> Report | None:
        """Wait until the stream has ended and return its report; None on a timeout.

        Raises:
            SafelightError: the stream could not be opened, or something broke later.
        """
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return None
        if self._error is not None:
            raise self._error
        return self._report

    @property
    def report(self) -> Report | None:
        """The report, once the stream has ended; also after a fault."""
        return self._report

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._thread.ident is not None:
            self._thread.join()

    # --- opening --------------------------------------------------------------------------

    def begin(self, *, at_once: bool) -> None:
        """Get the judge ready, open source and sink, and begin.

        Args:
            at_once: open them in the caller's thread, so that errors show here; otherwise
                (a publisher that has not come yet) they show in ``wait``.

        Raises:
            JudgeError: the judge does not start or gives wrong answers.
            SourceError: the source cannot be opened.
            SinkError: the sink cannot be opened.
        """
        parts = self._parts
        try:
            parts.judge.start(self._inbox.put)
            if at_once:
                self._info = parts.source.open()
                parts.sink.open(self._info)
        except BaseException:
            parts.source.close()
            parts.sink.close(whole=False)
            parts.judge.close()
            raise
        self._thread.start()

    # --- the loop -------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            if self._info is None:
                self._open_while_closable()
            if self._info is not None and not self._closing:
                self._guard(self._info)
        except SafelightError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  (fails closed: nothing more leaves)
            # Its text might hold what it was about; its kind cannot.
            what = f"the guard broke ({type(error).__name__})"
            self._error = EngineFaultError(what, "please report it; nothing more was released")
            self._error.__cause__ = error
        finally:
            try:
                self._clear_up()
            finally:
                self._events.put(None)

    def _clear_up(self) -> None:
        self._parts.source.close()
        self._parts.sink.close(whole=False)
        self._parts.judge.close()
        if self._report is None:
            self._report = self._make_report(0, "fault" if self._error else "closed")

    def _open_while_closable(self) -> None:
        """Open a source that may take for ever (a publisher that has not come)."""
        done: queue.SimpleQueue[SourceInfo | Exception] = queue.SimpleQueue()

        def work() -> None:
            try:
                done.put(self._parts.source.open())
            except Exception as error:  # noqa: BLE001  (raised again in the session's thread)
                done.put(error)

        threading.Thread(target=work, name="safelight-open", daemon=True).start()
        while not self._closing:
            try:
                opened = done.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(opened, EndOfStream):
                break
            if isinstance(opened, Exception):
                raise opened
            self._parts.sink.open(opened)
            self._info = opened
            return

    def _guard(self, info: SourceInfo) -> None:
        ledger = self._parts.make_ledger(info)
        run = Run(self._parts, info, ledger, self._tally, self._inbox, self._events.put)
        self._run = run
        failure: SafelightError | None = None
        try:
            run.loop(lambda: self._closing)
        except SafelightError as error:
            failure = error
        failure = run.finish(failure)
        outcome: Outcome = "closed" if self._closing else "ended"
        self._report = self._make_report(
            ledger.unjudged_released, outcome if failure is None else "fault"
        )
        if failure is not None:
            raise failure

    def _make_report(self, unjudged_released: int, outcome: Outcome) -> Report:
        return reporting.assemble(
            self._tally,
            unjudged_released,
            outcome=outcome,
            cpu_s=self._cpu(),
            copied=sink.copied if isinstance(sink := self._parts.sink, MayCopy) else 0,
            dropped=(*self._parts.source.dropped, *(self._run.dropped if self._run else ())),
            head=self._parts.report_head,
            looked_first=looks_first(self._parts.judge),
        )

    def _cpu(self) -> Cpu:
        own_s = time.process_time() - self._cpu_before_s
        judge_s = self._parts.judge.cpu_seconds()
        source = self._parts.source
        source_s = source.cpu_seconds() if isinstance(source, MayWorkElsewhere) else 0.0
        total_s = own_s + source_s + (judge_s if self._parts.judge_apart else 0.0)
        return Cpu(total=round(total_s, 3), judge=round(judge_s, 3), source=round(source_s, 3))
