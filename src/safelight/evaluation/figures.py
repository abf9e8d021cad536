"""One measured number: what it is of, its interval, and the command that prints it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from safelight.evaluation import statistics
from safelight.evaluation.statistics import Interval

NOT_MEASURED: Final = "not measured"
TOO_FEW: Final = "too few"
_DIGITS: Final = 6


class Part(BaseModel):
    """Base of every model of the evaluation: closed, frozen, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


class Figure(Part):
    """A number with its n and its 95 % interval, or the words that it was not measured.

    ``events`` of a share or rate; ``clusters`` of what was observed in clusters.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    what: str
    said: Literal["measured", "not measured", "too few", "suppressed"]
    value: float | None
    unit: str
    n: Annotated[float, Field(ge=0)]
    n_of: str
    events: int | None = None
    clusters: int | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    note: str = ""

    def as_text(self) -> str:
        """Return it in a line: value, interval, n."""
        if self.value is None:
            return self.said
        text = f"{shown(self.value)} {self.unit}".strip()
        if self.low is not None or self.high is not None:
            low = shown(self.low) if self.low is not None else "?"
            text += f" ({low} to {shown(self.high) if self.high is not None else '∞'})"
        return f"{text}, n = {shown(self.n)} {self.n_of}"


def shown(value: float) -> str:
    """Return a number as people read it: three significant digits, whole where it is whole."""
    if value == 0 or (float(value).is_integer() and abs(value) < 1e6):
        return f"{value:.0f}"
    if abs(value) < 1e-4:
        return "under 0.0001" if value > 0 else "over -0.0001"
    text = f"{value:.3g}"
    return f"{value:.0f}" if "e" in text and abs(value) >= 1 else text


def rounded(value: float | None) -> float | None:
    """Return a number to six significant digits, None for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def plain(
    id_: str,
    what: str,
    value: float,
    n: float,
    n_of: str,
    *,
    unit: str = "",
    note: str = "",
    clusters: int | None = None,
) -> Figure:
    """Return a number that is a count or a description and has no interval."""
    return _with(id_, what, value, n, n_of, unit=unit, note=note, clusters=clusters)


def unmeasured(id_: str, what: str, note: str, *, unit: str = "") -> Figure:
    """Return a number that nobody has."""
    return Figure(
        id=id_, what=what, said="not measured", value=None, unit=unit, n=0, n_of="", note=note
    )


def proportion(id_: str, what: str, events: int, n: int, n_of: str, *, note: str = "") -> Figure:
    """Return a share of independent observations, with Wilson's interval."""
    if n == 0:
        return unmeasured(id_, what, note or f"no {n_of}")
    if events == 0:
        below = min(1.0, statistics.rule_of_three(n))
        note = f"{note} No event: below {shown(below)} (rule of three).".strip()
    found = statistics.wilson(events, n)
    return _with(
        id_, what, events / n, n, n_of, found=found, method="Wilson", note=note, events=events
    )


def rate(
    id_: str,
    what: str,
    events: int,
    exposure: float,
    n_of: str,
    *,
    unit: str,
    note: str = "",
    clusters: int | None = None,
) -> Figure:
    """Return events in an exposure (hours, say), with the exact Poisson interval."""
    if exposure <= 0:
        return unmeasured(id_, what, note or f"no {n_of}", unit=unit)
    if events == 0:
        below = statistics.rule_of_three(exposure)
        note = f"{note} No event: below {shown(below)} {unit} (rule of three).".strip()
    found = statistics.poisson_rate(events, exposure)
    return _with(
        id_,
        what,
        events / exposure,
        exposure,
        n_of,
        unit=unit,
        found=found,
        method="exact Poisson",
        note=note,
        events=events,
        clusters=clusters,
    )


def clustered(
    id_: str,
    what: str,
    value: float,
    n: float,
    n_of: str,
    *,
    clusters: int,
    found: Interval | None,
    unit: str = "",
    note: str = "",
    between: tuple[float, float] | None = None,
) -> Figure:
    """Return a number over correlated observations, with a bootstrap over clusters.

    ``between``: the least and the most that it can be. At either end every resample is the
    same, so the interval there is the rule of three over clusters.
    """
    if n == 0:
        return unmeasured(id_, what, note or f"no {n_of}", unit=unit)
    method = f"bootstrap over {clusters} clusters"
    if found is None and clusters < statistics.MIN_CLUSTERS:
        note = f"{note} {clusters} cluster{'s' * (clusters != 1)}: too few for an interval.".strip()
    elif found is None:
        found = statistics.of_extreme(value, *between, clusters) if between else None
        method = f"rule of three over {clusters} clusters"
        if found is None:
            note = f"{note} No interval: all resamples of the clusters are alike.".strip()
    return _with(
        id_,
        what,
        value,
        n,
        n_of,
        unit=unit,
        found=found,
        method=method,
        note=note,
        clusters=clusters,
    )


def share(
    id_: str,
    what: str,
    hits: Sequence[bool],
    clusters: Sequence[object],
    n_of: str,
    *,
    seed: int,
    note: str = "",
) -> Figure:
    """Return a share, with Wilson's interval only if no cluster holds two observations."""
    many, k = len(set(clusters)), sum(hits)
    if many == len(hits):
        return proportion(id_, what, k, len(hits), n_of, note=note)
    found = statistics.of_ratio(
        clusters, [float(hit) for hit in hits], [1.0] * len(hits), seed=seed
    )
    figure = clustered(
        id_, what, k / len(hits), len(hits), n_of,
        clusters=many, found=found, note=note, between=(0.0, 1.0),
    )  # fmt: skip
    return figure.model_copy(update={"events": k})


def difference(
    id_: str, what: str, first: tuple[int, int], second: tuple[int, int], n_of: str
) -> Figure:
    """Return first minus second share, (events, n) each, with Newcombe's interval."""
    (k, n), (other_k, other_n) = first, second
    found = statistics.difference(k, n, other_k, other_n)
    if found is None:
        return unmeasured(id_, what, f"no {n_of}")
    between = k / n - other_k / other_n
    return _with(id_, what, between, n + other_n, n_of, found=found, method="Newcombe")


def _with(
    id_: str,
    what: str,
    value: float,
    n: float,
    n_of: str,
    *,
    unit: str = "",
    found: Interval | None = None,
    method: str = "",
    note: str = "",
    events: int | None = None,
    clusters: int | None = None,
) -> Figure:
    finite = math.isfinite(value)
    return Figure(
        id=id_,
        what=what,
        said="measured" if finite else "too few",
        value=rounded(value),
        unit=unit,
        n=rounded(n) or 0.0,
        n_of=n_of,
        events=events,
        clusters=clusters,
        low=rounded(found.low) if found and finite else None,
        high=rounded(found.high) if found and finite else None,
        method=method if found and finite else "",
        note=note,
    )
