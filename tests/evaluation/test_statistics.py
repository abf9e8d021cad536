"""Intervals against closed forms, against other libraries, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats as _stats
from sklearn import metrics as _metrics
from statsmodels.stats import proportion as _proportion
from statsmodels.stats import rates as _rates

from safelight.evaluation import detector_figures, figures, statistics

stats: Any = _stats
metrics: Any = _metrics
proportion: Any = _proportion
rates: Any = _rates
COUNTS = [(0, 1), (0, 20), (1, 20), (7, 20), (19, 20), (20, 20), (3, 1000), (500, 1000)]


@pytest.mark.parametrize(("events", "n"), COUNTS)
def test_wilson_is_the_closed_form_and_statsmodels(events: int, n: int) -> None:
    found = statistics.wilson(events, n)
    assert found is not None
    z, p = 1.959963984540054, events / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-12)
    low, high = proportion.proportion_confint(events, n, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("events", [0, 1, 3, 12, 100])
def test_poisson_is_exact(events: int) -> None:
    found = statistics.poisson_rate(events, 2.5)
    assert found is not None
    low, high = rates.confint_poisson(events, 2.5, method="exact-c")
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    # By its definition: at either end the tail holds 2.5 %.
    assert stats.poisson.cdf(events, found.high * 2.5) == pytest.approx(0.025)
    if events:
        assert stats.poisson.sf(events - 1, found.low * 2.5) == pytest.approx(0.025)
    else:
        assert found.low == 0
        assert found.high == pytest.approx(-math.log(0.025) / 2.5)


@pytest.mark.parametrize("case", [(0, 8, 8, 8), (5, 10, 2, 30), (56, 70, 48, 80), (0, 10, 0, 20)])
def test_newcombe_is_statsmodels(case: tuple[int, int, int, int]) -> None:
    found = statistics.difference(*case)
    assert found is not None
    low, high = proportion.confint_proportions_2indep(*case, compare="diff", method="newcomb")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_newcombe_is_the_published_example() -> None:
    """Newcombe 1998, table II, method 10: 56/70 - 48/80."""
    found = statistics.difference(56, 70, 48, 80)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_the_rule_of_three() -> None:
    assert statistics.rule_of_three(300) == 0.01
    assert statistics.event_free_for(0.01) == 300
    # It is what an exact one-sided bound comes to.
    assert -math.log(0.05) / 300 == pytest.approx(statistics.rule_of_three(300), rel=0.002)
    for nothing in (0, -1, math.nan):
        with pytest.raises(ValueError, match="nothing"):
            statistics.rule_of_three(nothing)


def test_nothing_observed_gives_no_interval() -> None:
    assert statistics.wilson(0, 0) is None
    assert statistics.poisson_rate(0, 0.0) is None
    assert statistics.difference(0, 0, 1, 2) is None
    assert figures.proportion("a", "a", 0, 0, "items").said == "not measured"
    assert figures.rate("a", "a", 0, 0.0, "hours", unit="an hour").said == "not measured"
    assert figures.clustered("a", "a", math.nan, 4, "n", clusters=2, found=None).value is None
    for bad in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="events"):
            statistics.wilson(*bad)
    with pytest.raises(ValueError, match="events"):
        statistics.poisson_rate(1, math.nan)


@pytest.mark.parametrize("p", [0.02, 0.2, 0.5])
def test_wilson_covers_as_it_says(p: float) -> None:
    n, draws = 60, np.random.default_rng(1).binomial(60, p, 4000)
    ends = {k: statistics.wilson(k, n) for k in set(draws.tolist())}
    held = [e.low <= p <= e.high for k in draws.tolist() if (e := ends[k]) is not None]
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("rate", [0.5, 4.0, 30.0])
def test_poisson_covers_at_least_what_it_says(rate: float) -> None:
    draws = np.random.default_rng(2).poisson(rate, 4000)
    ends = {k: statistics.poisson_rate(k, 1.0) for k in set(draws.tolist())}
    held = [e.low <= rate <= e.high for k in draws.tolist() if (e := ends[k]) is not None]
    assert np.mean(held) >= 0.945


def test_newcombe_covers_as_it_says() -> None:
    chance = np.random.default_rng(3)
    pairs = list(zip(chance.binomial(40, 0.3, 600), chance.binomial(50, 0.1, 600), strict=True))
    held = []
    for one, other in pairs:
        found = statistics.difference(int(one), 40, int(other), 50)
        assert found is not None
        held.append(found.low <= 0.2 <= found.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_the_bootstrap_covers_where_pictures_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of one cluster say the same; taking them for independent would not cover."""
    monkeypatch.setattr(statistics, "RESAMPLES", 200)
    chance = np.random.default_rng(4)
    held, naive = [], []
    for run in range(150):
        hits = np.repeat(chance.random(40) < 0.3, 10)
        clusters = np.repeat(np.arange(40), 10).tolist()
        found = statistics.over_clusters(clusters, lambda i, h=hits: float(h[i].mean()), seed=run)  # type: ignore[misc]
        assert found is not None
        held.append(found.low <= 0.3 <= found.high)
        alone = statistics.wilson(int(hits.sum()), len(hits))
        assert alone is not None
        naive.append(alone.low <= 0.3 <= alone.high)
    assert np.mean(held) >= 0.88
    assert np.mean(naive) < 0.6


def test_the_bootstrap_is_scipys_where_each_is_its_own_cluster() -> None:
    values = np.random.default_rng(5).normal(3, 1, 60)
    ours = statistics.over_clusters(range(60), lambda i: float(values[i].mean()), seed=1)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(6)
    ).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.04)


def test_under_twenty_clusters_are_too_few() -> None:
    values = np.random.default_rng(8).random(950)

    def mean(chosen: Any) -> float:
        return float(values[chosen].mean())

    assert statistics.over_clusters([*range(19)] * 50, mean, seed=1) is None
    assert statistics.over_clusters([*range(20)], mean, seed=1) is not None
    said = figures.clustered("a", "a", 0.5, 950, "pictures", clusters=19, found=None)
    assert "too few" in said.note
    assert said.low is said.high is None


def test_where_all_are_alike_the_interval_has_a_width_or_is_not_there() -> None:
    """Resampling what is all alike gives an interval of no width, which claims too much."""
    assert statistics.over_clusters(range(40), lambda _: 0.0, seed=1) is None
    none = figures.share("a", "a", [False] * 80, [*range(40)] * 2, "pictures", seed=1)
    assert (none.value, none.low, none.high) == (0, 0, 3 / 40)
    every = figures.share("a", "a", [True] * 80, [*range(40)] * 2, "pictures", seed=1)
    assert (every.value, every.low, every.high) == (1, 1 - 3 / 40, 1)
    assert every.method == "rule of three over 40 clusters"
    middle = figures.clustered("a", "a", 2.0, 80, "n", clusters=40, found=None, between=(0.0, 9.0))
    assert middle.low is middle.high is None
    assert "alike" in middle.note


def test_a_share_is_wilsons_only_where_no_cluster_holds_two() -> None:
    hits = [True, False] * 15
    assert figures.share("a", "a", hits, [*range(30)], "items", seed=1).method == "Wilson"
    twice = figures.share("a", "a", hits, [i // 2 for i in range(30)], "items", seed=1)
    assert "15 clusters: too few" in twice.note
    assert twice.low is None


@pytest.mark.parametrize("p", [0.02, 0.05, 0.3])
def test_a_share_over_clusters_covers_also_where_there_is_no_event(
    p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rare events: in many runs there is none, and then the bound has to hold all the same."""
    monkeypatch.setattr(statistics, "RESAMPLES", 200)
    chance, clusters = np.random.default_rng(13), np.repeat(np.arange(30), 4).tolist()
    held, without = [], 0
    for run in range(200):
        hits = np.repeat(chance.random(30) < p, 4)
        found = figures.share("a", "a", hits.tolist(), clusters, "pictures", seed=run)
        assert found.low is not None
        assert found.high is not None
        without += found.value == 0
        if found.value == 0 or p == 0.3:
            held.append(found.low <= p <= found.high)
    assert np.mean(held) >= 0.88
    assert without > 0 or p == 0.3


def test_a_seed_repeats_and_a_statistic_that_is_no_number_counts_for_nothing() -> None:
    values = np.random.default_rng(7).random(40)
    a, b = (
        statistics.over_clusters(range(40), lambda i: float(values[i].mean()), seed=9)
        for _ in range(2)
    )
    assert a == b
    assert statistics.over_clusters(range(40), lambda _: math.nan, seed=9) is None


def test_rates_at_fixed_false_alarms_by_hand() -> None:
    positive = np.array([True, True, True, True, False, False, False, False])
    scores = np.array([0.9, 0.8, 0.4, 0.2, 0.7, 0.3, 0.1, 0.0])
    assert detector_figures.tpr_at(positive, scores, 0.0) == 0.5
    assert detector_figures.tpr_at(positive, scores, 0.25) == 0.75
    u = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic / 16
    assert metrics.roc_auc_score(positive, scores) == pytest.approx(u)
    # Two bins hold anything: said 0.1, seen 1/3; said 0.85, seen 1.
    p = np.array([0.1, 0.1, 0.1, 0.85])
    truth = np.array([True, False, False, True])
    expected = 3 / 4 * abs(0.1 - 1 / 3) + 1 / 4 * abs(0.85 - 1)
    assert detector_figures.calibration_error(truth, p) == pytest.approx(expected)
