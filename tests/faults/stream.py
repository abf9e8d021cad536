"""One short stream with faults in it, guarded through the public API."""

from __future__ import annotations

import contextlib
import faulthandler
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final, Literal
from unittest import mock

from tests.faults import kinds, pictures, sharing
from tests.faults.kinds import Flow, Outside, Planned, What
from tests.faults.ledger import Ledger, LedgerSink, Shown
from tests.faults.pictures import Artist, Blocks, Street, Truth
from tests.faults.watched import WatchedJudge
from tests.judge.stub_judge import Order

import safelight
from safelight import opening
from safelight.bundle import trust
from safelight.core.limits import Limits
from safelight.errors import EndOfStream, EngineFaultError, SafelightError
from safelight.judge import keeper, supervisor, template
from safelight.judge.judge import Judge
from safelight.judge.supervisor import ProcessJudge
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.report import Report
from safelight.types import Frame, State

Way = Literal["file", "live", "strict"]  # strict: live, with every limit as it ships
TICKS: Final = 9000  # a second
ENDS_WITHIN_S: Final = 300.0  # twenty times what it takes on a quiet machine
TAIL: Final = 25  # clear pictures after the last fault


@dataclass(frozen=True, slots=True)
class Plan:
    """One stream. The same seed gives the same plan; what time does to it differs."""

    seed: str
    way: Way
    real: bool
    rate: int
    step: int
    faults: tuple[Planned, ...]

    @property
    def shared(self) -> bool:
        """Whether its judge is another stream's too: one in three. Drawn apart, so that a seed
        still means the same faults."""
        return random.Random(f"{self.seed}/shared").random() < 1 / 3


@dataclass(slots=True)
class Count:
    """What became of the faults of one kind, and of the pictures until the next fault."""

    injected: int = 0
    restarts: int = 0
    released: int = 0
    covered: int = 0
    dropped: int = 0
    came_back: int = 0
    leaks: int = 0

    def add(self, other: Count) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Outcome:
    """What one stream came to."""

    seed: str
    way: Way
    real: bool
    counts: dict[str, Count] = field(default_factory=dict)
    leaks: list[tuple[int, str]] = field(default_factory=list)
    unjudged_released: int = 0
    misses: int = 0
    restarts: int = 0
    interruptions: int = 0
    recoveries_ns: list[int] = field(default_factory=list)
    shared: bool = False
    broken: str | None = None  # the stream did what it must not, short of a leak


def plan(
    seed: str, way: Way, *, faults: int, real: bool = False, choice: tuple[What, ...] = kinds.COMMON
) -> Plan:
    """Draw a stream of so many faults."""
    dice = random.Random(seed)
    rate = dice.choice((10, 30, 60)) if way == "file" else 15 if real else dice.choice((30, 50))
    planned = []
    order = [dice.choice(choice) for _ in range(faults)]
    if not real and dice.random() < 0.1:
        order[-1] = Outside.NO_RESTART  # it ends the stream, so only ever the last
    for what in order:
        pause = dice.uniform(1.1, 1.4) if way != "live" else dice.uniform(0.5, 0.75)
        if dice.random() < 0.2:
            pause = dice.uniform(0.0, 0.2)  # into the recovery from the last one
        after = Order.SEXUAL if way == "file" and dice.random() < 0.2 else Order.ABSENT
        after = Order.CLEAR if real else after  # the network itself is to see a canary
        planned.append(
            Planned(what, round(pause * rate), dice.randint(1, 3), dice.random() < 0.7, after)
        )
    return Plan(seed, way, real, rate, dice.choice((0, 1, 1, 6)), tuple(planned))


class FaultySource:
    """Shows what a plan says, and does to the judge what it says."""

    def __init__(
        self, drawn: Plan, ledger: Ledger, judge: WatchedJudge, sink: LedgerSink, artist: Artist
    ) -> None:
        self._plan = drawn
        self._ledger = ledger
        self._judge = judge
        self._sink = sink
        self._artist = artist
        self._form = artist.forms[0]
        self._frames = self._run()
        self._number = 0
        self._at = 0.0  # stream time, seconds
        self._fault = -1
        self._start_s = 0.0
        self._waits: dict[int, Planned] = {}  # number -> what asking about it sets off
        self._closed = False
        self.injected: Counter[int] = Counter()
        self.restarts_before: dict[int, int] = {}
        self.resume: Callable[[], None] = lambda: None
        judge.on_asked = self._asked

    def open(self) -> SourceInfo:
        self._start_s = time.monotonic()
        return SourceInfo(self._plan.way != "file", self._form, float(self._plan.rate))

    def read(self) -> Frame:
        frame = None if self._closed else next(self._frames, None)
        if frame is None:
            raise EndOfStream
        return frame

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        return ()

    def close(self) -> None:
        self._closed = True

    def _run(self) -> Iterator[Frame]:
        for index, fault in enumerate(self._plan.faults):
            for _ in range(fault.gap if index else max(fault.gap, 12)):
                yield self._picture(Truth.CLEAR, Order.CLEAR)
            self._fault = index
            slow = {one.what for one in self._plan.faults[max(0, index - 2) : index + 1]}
            self._ledger.fault_begins(timed=Flow.SLOW_SINK not in slow)
            self.restarts_before[index] = self._judge.restarts
            for at in range(fault.burst):
                yield self._marked(fault, at)
        for _ in range(TAIL):
            yield self._picture(Truth.CLEAR, Order.CLEAR)

    def _marked(self, fault: Planned, at: int) -> Frame:
        what, order, truth = fault.what, fault.after, Truth.NEVER
        if at == 0:
            if isinstance(what, Order):
                order = what
                truth = Truth.DOUBTFUL if what in kinds.FIRST_IS_GOOD else Truth.NEVER
                self._waits[self._number] = fault
            elif fault.when_asked:
                self._waits[self._number] = fault
            else:
                self._do(self._fault, what)
            if isinstance(what, Flow):
                self._flow(what)
        if what is Outside.STOP_THEN_CONTINUE:
            order, truth = Order.CLEAR, Truth.DOUBTFUL  # its answers are good, and late
        if truth is Truth.NEVER and order is Order.CLEAR:
            truth = Truth.CANARY
        return self._picture(truth, order)

    def _flow(self, what: Flow) -> None:
        match what:
            case Flow.STALL:
                time.sleep(0.3 if self._plan.way == "file" else 0.6)
                self._at += 0.0 if self._plan.way == "file" else 0.6
            case Flow.JUMP:
                self._at += 5.0
                self._start_s -= 5.0
            case Flow.BACK:
                self._at -= 0.7
                self._start_s += 0.7
            case Flow.FORMAT:
                other = self._artist.forms
                self._form = other[1] if self._form == other[0] else other[0]
            case Flow.RESUME:
                self.resume()
            case Flow.SLOW_SINK:
                self._sink.pause_s = 0.3 if self._plan.way == "file" else 1.5

    def _asked(self, number: int) -> None:
        fault = self._waits.pop(number, None)
        if fault is None:
            return
        index = self._ledger.shown[number].fault
        if isinstance(fault.what, Order):
            self.injected[index] += self._judge.pid is not None
        else:
            self._do(index, fault.what)

    def _do(self, index: int, what: What) -> None:
        if not isinstance(what, Order):
            how = what if isinstance(what, Outside) else Outside.SIGKILL
            self.injected[index] += self._judge.hurt(how)

    def _picture(self, truth: Truth, order: Order) -> Frame:
        number = self._number
        self._number += 1
        self._at += 1 / self._plan.rate
        if self._plan.way != "file":
            time.sleep(max(0.0, self._start_s + self._at - time.monotonic()))
        drawn = self._artist.draw(number, truth, order, self._form)
        pts = round(self._at * TICKS)
        frame = Frame(number, pts, Fraction(1, TICKS), time.monotonic_ns(), drawn)
        self._ledger.shows(
            number,
            Shown(
                truth,
                self._artist.look(number),
                frame.arrived_ns,
                frame.pts_ns,
                pictures.digest(drawn),
                self._fault,
            ),
        )
        return frame


def run(
    drawn: Plan,
    make_sink: Callable[[Ledger], LedgerSink] = LedgerSink,
) -> Outcome:
    """Guard one stream and say what came of it."""
    folder = None if drawn.real else trust.stand_in_folder("face")
    verified = safelight.verify_bundle(folder, test_bundle=not drawn.real)
    worker = "tests.faults.lying_judge" if drawn.real else "tests.judge.stub_judge"
    inner = ProcessJudge(verified, worker=worker)
    ledger = Ledger(drawn.way != "file", inner.every)
    judge = WatchedJudge(inner, ledger)
    sink = make_sink(ledger)
    artist: Artist = Street() if drawn.real else Blocks(drawn.step)
    source = FaultySource(drawn, ledger, judge, sink, artist)
    outcome = Outcome(drawn.seed, drawn.way, drawn.real)
    outcome.shared = drawn.shared
    with contextlib.ExitStack() as around:
        state = around.enter_context(tempfile.TemporaryDirectory())
        around.enter_context(_limits(drawn))
        given: Judge = judge
        if drawn.shared:
            given = around.enter_context(sharing.beside_a_neighbour(verified, lambda: judge))
        session = safelight.open(
            source,
            sink,
            judge=given,
            bundle=folder,
            test_bundle=not drawn.real,
            region="GB",
            state=state,
        )
        source.resume = session.resume
        resumer = threading.Thread(
            target=_resume_always, args=(session, Path(state), outcome), daemon=True
        )
        resumer.start()
        report, outcome.broken = _wait(session, drawn)
        # Whatever happened: from here on nothing may come any more.
        session.close()
        with contextlib.suppress(SafelightError):
            session.wait(10.0)
        resumer.join(10.0)
        inner.close()
    _sum_up(drawn, outcome, source, judge, ledger, report)
    return outcome


def _wait(session: safelight.Session, drawn: Plan) -> tuple[Report | None, str | None]:
    ends_early = drawn.faults[-1].what in kinds.ENDS_THE_STREAM
    try:
        report = session.wait(ENDS_WITHIN_S)
    except EngineFaultError as error:
        return session.report, None if ends_early else f"it ended early: {error}"
    except SafelightError as error:
        return session.report, f"it ended early: {error}"
    if report is None:
        faulthandler.dump_traceback(all_threads=True)  # where it hangs, if it hangs
        return None, f"it did not end in {ENDS_WITHIN_S:.0f} s"
    return report, None


def _resume_always(session: safelight.Session, state: Path, outcome: Outcome) -> None:
    """Be whoever sits at the device and wants to go on, without a cool-down."""
    for event in session.events():
        if event.state is State.INTERRUPTED and event.kind in ("state", "resume_refused"):
            outcome.interruptions += event.kind == "state"
            for kept in state.iterdir():
                kept.unlink(missing_ok=True)
            session.resume()


@contextlib.contextmanager
def _limits(drawn: Plan) -> Iterator[None]:
    """Let faults follow fast on each other; a strict stream has every limit as it ships."""
    ours = partial(Limits, cool_down_ns=(1,))
    hung_s, fork_s = keeper.HUNG_S, template.FORK_S
    if drawn.way != "strict":
        ours = partial(ours, faults_to_interrupt=1 << 20, changes_per_s=30)
        hung_s, fork_s = (1.5, 5.0) if drawn.real else (0.6, 2.0)
    with (
        mock.patch.object(opening, "Limits", ours),
        mock.patch.object(keeper, "HUNG_S", hung_s),
        mock.patch.object(template, "FORK_S", fork_s),
        mock.patch.object(supervisor, "FORK_S", fork_s),
    ):
        yield


def _sum_up(  # noqa: PLR0917
    drawn: Plan,
    outcome: Outcome,
    source: FaultySource,
    judge: WatchedJudge,
    ledger: Ledger,
    report: Report | None,
) -> None:
    ledger.settle()
    outcome.leaks = ledger.leaks
    outcome.misses = ledger.misses
    outcome.restarts = judge.restarts
    outcome.recoveries_ns = ledger.recoveries_ns
    outcome.unjudged_released = 0 if report is None else report.frames.unjudged_released
    if report is not None and report.frames.in_ > len(ledger.shown):
        outcome.broken = outcome.broken or "more came in than was shown"
    befores = [*source.restarts_before.values(), judge.restarts]
    for index, fault in enumerate(drawn.faults):
        if not source.injected[index] or index + 1 >= len(befores):
            continue
        count = outcome.counts.setdefault(kinds.name(fault.what), Count())
        mine = {n for n, shown in ledger.shown.items() if shown.fault == index}
        released = mine & ledger.left
        covered = (mine & ledger.carded) - released
        count.injected += 1
        count.restarts += befores[index + 1] - befores[index]
        count.released += len(released)
        count.covered += len(covered)
        count.dropped += len(mine) - len(released) - len(covered)
        count.came_back += bool(released)
        count.leaks += sum(1 for number, _ in ledger.leaks if number in mine)
