"""The result of an evaluation: ``evaluation.json``, JSON Schema in spec/."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from safelight.evaluation import (
    age_figures,
    detector_figures,
    group_figures,
    system_figures,
    trade_off,
)
from safelight.evaluation.checking import Fault
from safelight.evaluation.detector_figures import Curve
from safelight.evaluation.evaluating import Ran
from safelight.evaluation.figures import Figure, Part
from safelight.evaluation.protocol import Changed, Protocol
from safelight.evaluation.trade_off import Point


class About(Part):
    """What the corpus is."""

    id: str
    title: str
    purpose: str
    provenance: str
    items: int
    used: int
    clusters: int


class Timing(Part):
    """What differs from run to run: this machine's times, and how many pictures were judged."""

    wall_s: float
    judge_cpu_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    judged: int
    still: int
    bracketed: int


class Curves(Part):
    """Points of plots. None: there was not what it takes."""

    roc: Curve | None
    reliability: Curve | None
    trade_off: tuple[Point, ...]


class Evaluation(Part):
    """Figures, curves, faults. No picture, no score of an item, no name of a file."""

    schema_: Literal["safelight.evaluation/1"] = Field(
        alias="schema", default="safelight.evaluation/1"
    )
    command: str
    corpus: About
    protocol: Protocol
    protocol_sha256: str
    post_hoc: tuple[Changed, ...]
    system: tuple[Figure, ...]
    detector: tuple[Figure, ...]
    ages: tuple[Figure, ...]
    groups: tuple[Figure, ...]
    curves: Curves
    faults: tuple[Fault, ...]
    timing: Timing

    def as_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"

    def figure(self, id_: str) -> Figure:
        """Return a figure by its id.

        Raises:
            KeyError: there is none.
        """
        for figure in (*self.system, *self.detector, *self.ages, *self.groups):
            if figure.id == id_:
                return figure
        raise KeyError(id_)


def of(ran: Ran, command: str) -> Evaluation:
    """Sum up a run. ``command`` is the line that makes it again."""
    groups, missed = group_figures.groups(ran)
    data = detector_figures.scored(ran)
    absent = tuple(
        Fault(kind="absent evidence", item=result.item, what="evidence of a picture was refused")
        for result in ran.results
        if any(sample.score is None for sample in result.samples or ())
    )
    used = [result.item for result in ran.results if result.guarded is not None]
    return Evaluation(
        command=command,
        corpus=About(
            id=ran.corpus.id,
            title=ran.corpus.title,
            purpose=ran.corpus.purpose,
            provenance=ran.corpus.provenance,
            items=len(ran.corpus.items),
            used=len(used),
            clusters=len({ran.corpus.items[index].cluster for index in used}),
        ),
        protocol=ran.protocol,
        protocol_sha256=ran.protocol.sha256,
        post_hoc=ran.post_hoc,
        system=system_figures.system(ran),
        detector=detector_figures.sexual(ran),
        ages=age_figures.ages(ran),
        groups=groups,
        curves=Curves(
            roc=detector_figures.roc(data),
            reliability=detector_figures.reliability(data.positive, data.scores),
            trade_off=trade_off.points(ran),
        ),
        faults=(*ran.faults, *absent, *system_figures.found_faults(ran), *missed),
        timing=_timing(ran),
    )


def _timing(ran: Ran) -> Timing:
    spent = [result.spent for result in ran.results if result.spent is not None]
    return Timing(
        wall_s=round(sum(one.wall_s for one in spent), 2),
        judge_cpu_s=round(sum(one.cpu_s for one in spent), 2),
        latency_p50_ms=_middle([one.latency_p50_ms for one in spent]),
        latency_p99_ms=max((one.latency_p99_ms for one in spent), default=0.0),
        judged=sum(one.judged for one in spent),
        still=sum(one.still for one in spent),
        bracketed=sum(one.bracketed for one in spent),
    )


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0
