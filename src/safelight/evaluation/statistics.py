"""Intervals: the libraries' own where they have one, and the two that they lack.

All are at 95 %. None of them is given where it would mislead: over fewer than 20 clusters
there is ``None``, which is printed as "too few".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats as _scipy

# scipy has no types of its own; what passes this file has ours.
stats: Any = _scipy

CONFIDENCE: Final = 0.95
MIN_CLUSTERS: Final = 20
RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, both included; ``high`` may be infinite."""

    low: float
    high: float


def wilson(events: int, n: int) -> Interval | None:
    """Return Wilson's score interval of a proportion; None for nothing observed.

    Raises:
        ValueError: more events than observations, or negative counts.
    """
    if not 0 <= events <= n:
        raise ValueError(f"{events} events of {n}")
    if n == 0:
        return None
    found = stats.binomtest(events, n).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(found.low), float(found.high))


def poisson_rate(events: int, exposure: float) -> Interval | None:
    """Return the exact (Garwood) interval of a rate of events; None for no exposure.

    Raises:
        ValueError: a negative count or exposure.
    """
    if events < 0 or not exposure >= 0:
        raise ValueError(f"{events} events in {exposure}")
    if exposure == 0:
        return None
    tail = (1 - CONFIDENCE) / 2
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    high = float(stats.chi2.ppf(1 - tail, 2 * events + 2)) / 2
    return Interval(low / exposure, high / exposure)


def rule_of_three(n: float) -> float:
    """Return what a rate lies below, at 95 % on one side, after no event in ``n``.

    Raises:
        ValueError: nothing was observed.
    """
    if not n > 0:
        raise ValueError("no event in nothing says nothing")
    return 3.0 / n


def event_free_for(rate: float) -> float:
    """Return how much has to pass without an event to show that a rate is below ``rate``."""
    return rule_of_three(rate)


def difference(events: int, n: int, other_events: int, other_n: int) -> Interval | None:
    """Return Newcombe's interval of the difference of two proportions, first minus second.

    Newcombe 1998, method 10: from the two Wilson intervals.
    """
    one, other = wilson(events, n), wilson(other_events, other_n)
    if one is None or other is None:
        return None
    p, q = events / n, other_events / other_n
    down = math.hypot(p - one.low, other.high - q)
    up = math.hypot(one.high - p, q - other.low)
    return Interval(p - q - down, p - q + up)


def over_clusters(
    clusters: Sequence[object],
    statistic: Callable[[NDArray[np.intp]], float],
    *,
    seed: int,
) -> Interval | None:
    """Return the percentile bootstrap interval of a statistic, whole clusters resampled.

    Args:
        clusters: the cluster of each observation.
        statistic: what it is of the observations with these indices, repeats included; a
            value that is not finite makes that resample count for nothing.
        seed: of the resampling, so that it comes out the same twice.

    Returns:
        None under 20 clusters, if hardly any resample has a value, and if all resamples have
        the same: then the observations are all alike, and resampling cannot say how unlike
        others may be. An interval without width would claim that it knows.
    """
    members: dict[object, list[int]] = {}
    for index, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(index)
    if len(members) < MIN_CLUSTERS:
        return None
    groups = [np.asarray(found, dtype=np.intp) for found in members.values()]
    chance = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLES):
        drawn = chance.integers(0, len(groups), len(groups))
        values.append(statistic(np.concatenate([groups[i] for i in drawn])))
    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    if len(found) < RESAMPLES // 2:
        return None
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = (float(end) for end in np.percentile(found, [tail, 100 - tail]))
    return Interval(low, high) if low < high else None


def of_ratio(
    clusters: Sequence[object], part: Sequence[float], whole: Sequence[float], *, seed: int
) -> Interval | None:
    """Return ``over_clusters`` of the sum of ``part`` over the sum of ``whole``."""
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)

    def ratio(chosen: NDArray[np.intp]) -> float:
        total = float(wholes[chosen].sum())
        return float(parts[chosen].sum()) / total if total > 0 else math.nan

    return over_clusters(clusters, ratio, seed=seed)


def of_extreme(value: float, least: float, most: float, clusters: int) -> Interval | None:
    """Return what an average lies in that came out at the end of what it can be.

    If a share of more than ``rule_of_three(clusters)`` of all clusters differed from the end,
    one of them would have been met, at 95 %; and none differs by more than the whole way. One
    observation is one cluster, so clusters have to weigh about alike.
    """
    reach = (most - least) * min(1.0, rule_of_three(clusters))
    if value == least:
        return Interval(least, least + reach)
    return Interval(most - reach, most) if value == most else None
