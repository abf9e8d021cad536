"""The whole guard over one item, counted at its sink by what is true of the item.

Nothing is believed of the guard but what reaches the sink. A picture that left although it
had to be covered is looked at once more, on the spot. If its own score does not cover it, the
detector *missed* it. If it does, the *gate* let it through where it left bound to pictures that
were judged clear (still, bracketed); where it left as judged, the *system* leaked it. No
picture is kept.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import safelight
from safelight.errors import SafelightError
from safelight.evaluation import items
from safelight.evaluation.figures import Part
from safelight.evaluation.manifest import Item, Span
from safelight.evaluation_door import Looking, covers
from safelight.media.interface import Source, SourceInfo
from safelight.types import Binding, Picture, SafeFrame

MIN_STEP_S = 1e-3


@dataclass(frozen=True, slots=True)
class Setup:
    """How every item is guarded. ``seed`` makes random audits the same in every run."""

    bundle: str | None = None
    test_bundle: bool = False
    policy: str = "protect"
    hold_ms: int | None = None
    seed: int = 1
    sample_every_s: float = 0.5
    allow_weak_sandbox: bool = False

    @property
    def secret(self) -> bytes:
        """What tokens and audits are keyed with."""
        return f"safelight evaluation {self.seed:016d}".encode()


class Guarded(Part):
    """What a guard let out of one item. Times are stream time in seconds."""

    pictures: int
    released: int
    streamed_s: float
    dark_s: float
    interruptions: int
    unjudged_released: int
    in_span: int
    released_in_span: int
    leaked_in_span: int
    bound_in_span: int
    cover_delay_s: float | None
    interrupt_delay_s: float | None
    spans_covered: int
    spans: int
    faults: tuple[str, ...]


class Spent(Part):
    """What it took, on this machine: the only part that differs from run to run."""

    wall_s: float
    cpu_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    judged: int
    still: int
    bracketed: int


@dataclass(slots=True)
class CountingSink:
    """Implements ``Sink``: notes when what left, and forgets it."""

    spans: tuple[Span, ...]
    policy: str
    looker: Looking | None
    left: list[tuple[float, bool]] = field(default_factory=list)
    leaked: int = 0
    bound: int = 0

    def open(self, info: SourceInfo) -> None:
        """Nothing can go wrong."""

    def write(self, frame: SafeFrame) -> None:
        """Note a picture; look again at one that should not have left.

        Raises:
            TypeError: anything but a SafeFrame was offered.
        """
        if type(frame) is not SafeFrame:
            raise TypeError(f"a sink takes a SafeFrame, not a {type(frame).__name__}")
        if not isinstance(frame.content, Picture) or frame.verdict is None:
            return
        at_s = frame.pts_ns / 1e9
        self.left.append((at_s, frame.released))
        if frame.released and within(at_s, self.spans) and self.looker is not None:
            own = self.looker.look(frame.content).sexual
            # No answer would have covered it as well.
            if own is None or covers(self.policy, own):
                if frame.verdict.binding in {Binding.STILL, Binding.BRACKETED}:
                    self.bound += 1
                else:
                    self.leaked += 1

    def close(self, *, whole: bool) -> None:
        """Nothing is left behind."""


def within(at_s: float, spans: tuple[Span, ...]) -> bool:
    """Return whether a moment lies in one of the spans."""
    # Half a microsecond: pts are rounded down to nanoseconds.
    return any(span.from_s - 5e-7 <= at_s < span.to_s - 5e-7 for span in spans)


def run(
    item: Item, folder: Path, setup: Setup, looker: Looking | None, **more: Any
) -> tuple[Guarded, Spent]:
    """Guard an item. ``more`` goes to ``safelight.open``, for tests that plant a judge.

    Raises:
        SafelightError: it cannot be opened, broke off, or the guard broke.
    """
    sink = CountingSink(item.spans(), setup.policy, looker)
    began = time.monotonic()
    report = through(items.source(item, folder), sink, setup, **more)
    spent = Spent(
        wall_s=time.monotonic() - began,
        cpu_s=report.cpu_s.judge,
        latency_p50_ms=report.added_latency_ms.p50,
        latency_p99_ms=report.added_latency_ms.p99,
        judged=report.frames.judged,
        still=report.frames.still,
        bracketed=report.frames.bracketed,
    )
    return _counted(sink, item.spans(), report), spent


def through(
    source: str | Source, sink: CountingSink, setup: Setup, **more: Any
) -> safelight.Report:
    """Guard a source into a counting sink and return the report.

    Raises:
        SafelightError: it cannot be opened, broke off, or the guard broke.
    """
    with tempfile.TemporaryDirectory(prefix="safelight-evaluation-") as state:
        options: dict[str, Any] = {
            "policy": setup.policy,
            "bundle": setup.bundle,
            "test_bundle": setup.test_bundle,
            "hold_ms": setup.hold_ms,
            "state": state,
            "allow_weak_sandbox": setup.allow_weak_sandbox,
            "secret": setup.secret,
            **more,
        }
        with safelight.open(source, sink, **options) as session:
            report = session.wait()
    if report is None or report.outcome != "ended":
        raise SafelightError("the guard did not reach the end", "see the corpus's item")
    return report


def _counted(sink: CountingSink, spans: tuple[Span, ...], report: safelight.Report) -> Guarded:
    left = sink.left
    steps = [max(MIN_STEP_S, b[0] - a[0]) for a, b in itertools.pairwise(left)]
    steps.append(sorted(steps)[len(steps) // 2] if steps else 0.0)
    inside = [released for at_s, released in left if within(at_s, spans)]
    # A film's first picture need not be at 0: before it nothing can be covered.
    first = max(spans[0].from_s, left[0][0]) if spans and left else None
    return Guarded(
        pictures=len(left),
        released=sum(released for _, released in left),
        streamed_s=round(sum(steps), 6),
        dark_s=round(
            sum(s for s, (_, released) in zip(steps, left, strict=True) if not released), 6
        ),
        interruptions=sum(span.state == "interrupted" for span in report.states),
        unjudged_released=report.frames.unjudged_released,
        in_span=len(inside),
        released_in_span=sum(inside),
        leaked_in_span=sink.leaked,
        bound_in_span=sink.bound,
        cover_delay_s=_delay(first, (at_s for at_s, released in left if not released)),
        interrupt_delay_s=_delay(first, _from(report, "interrupted")),
        spans_covered=sum(
            any(not released and within(at_s, (span,)) for at_s, released in left) for span in spans
        ),
        spans=len(spans),
        faults=tuple(fault.what for fault in report.faults),
    )


def _from(report: safelight.Report, state: Literal["interrupted"]) -> list[float]:
    return [span.from_pts_s for span in report.states if span.state == state]


def _delay(onset: float | None, moments: Iterable[float]) -> float | None:
    """Return how long after the onset the first of the moments is; None for never."""
    if onset is None:
        return None
    after = [at for at in moments if at >= onset - 1e-3]
    return round(max(0.0, min(after) - onset), 3) if after else None
