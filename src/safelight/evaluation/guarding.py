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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safelight
from safelight.errors import SafelightError
from safelight.evaluation import items, stretches
from safelight.evaluation.figures import Part
from safelight.evaluation.manifest import Item, Span
from safelight.evaluation.stretches import Left, Stretch
from safelight.evaluation_door import Looking, covers
from safelight.media.interface import Source, SourceInfo
from safelight.types import Action, Binding, Picture, SafeFrame

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
    dropped: int
    streamed_s: float
    dark_s: float
    interrupted_s: float
    interruptions: int
    unjudged_released: int
    in_span: int
    released_in_span: int
    otherwise_in_span: int
    leaked_in_span: int
    bound_in_span: int
    stretches: tuple[Stretch, ...]
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
    left: list[Left] = field(default_factory=list)
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
        if not isinstance(frame.content, Picture):
            return
        if frame.verdict is None:
            # A card that stands for no frame. Whatever else has no verdict leaked.
            self.leaked += frame.released
            return
        at_s, verdict = frame.pts_ns / 1e9, frame.verdict
        self.left.append(Left(at_s, frame.released, verdict.action, verdict.reason))
        inside = stretches.within(at_s, self.spans)
        if frame.released and inside and self.looker is not None:
            own = self.looker.look(frame.content).sexual
            # No answer would have covered it as well.
            if own is None or covers(self.policy, own):
                if verdict.binding in {Binding.STILL, Binding.BRACKETED}:
                    self.bound += 1
                else:
                    self.leaked += 1

    def close(self, *, whole: bool) -> None:
        """Nothing is left behind."""


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
    steps = [max(MIN_STEP_S, b.at_s - a.at_s) for a, b in itertools.pairwise(left)]
    steps.append(sorted(steps)[len(steps) // 2] if steps else 0.0)
    timed = list(zip(steps, left, strict=True))
    inside = [one for one in left if stretches.within(one.at_s, spans)]
    actions = [one.action for one in left]
    return Guarded(
        pictures=len(left),
        released=sum(one.released for one in left),
        dropped=max(0, report.frames.in_ - len(left)),
        streamed_s=round(sum(steps), 6),
        dark_s=round(sum(s for s, one in timed if not one.released), 6),
        interrupted_s=round(sum(s for s, one in timed if one.action is Action.INTERRUPT), 6),
        interruptions=sum(
            now is Action.INTERRUPT and before is not Action.INTERRUPT
            for before, now in itertools.pairwise([None, *actions])
        ),
        unjudged_released=report.frames.unjudged_released,
        in_span=len(inside),
        released_in_span=sum(one.released for one in inside),
        otherwise_in_span=sum(not one.released and not one.for_content for one in inside),
        leaked_in_span=sink.leaked,
        bound_in_span=sink.bound,
        stretches=stretches.of(left, spans),
        faults=tuple(fault.what for fault in report.faults),
    )
