"""What the whole guard did, in figures: leaks, misses, delays, false covers, availability."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from safelight.evaluation import figures, statistics
from safelight.evaluation.checking import Fault
from safelight.evaluation.evaluating import Ran
from safelight.evaluation.figures import Figure
from safelight.evaluation.guarding import Guarded
from safelight.evaluation.manifest import Item

_OF = {
    "real": "sexual content",
    "canary": "canaries (harmless; says nothing about recall)",
    "stand_in": "the stand-in (harmless; says nothing about recall)",
}
S_PER_H = 3600.0
_RESTS = "Time after an interruption is left out: nothing more could happen in it."
Counted = tuple[Item, Guarded]


def counted(ran: Ran) -> tuple[Counted, ...]:
    """Return the items that have a result, in order."""
    return tuple(
        (ran.corpus.items[result.item], result.guarded)
        for result in ran.results
        if result.guarded is not None
    )


def system(ran: Ran) -> tuple[Figure, ...]:
    """Return the figures of the whole guard."""
    items = counted(ran)
    benign = [(item, g) for item, g in items if item.is_benign]
    found = [*_used(ran, items), *_leaks(items), *_false(benign, ran.protocol.seed)]
    for stimulus, what in _OF.items():
        mine = [p for p in items if p[0].stimulus == stimulus]
        found += _positives(stimulus, what, mine, ran.protocol.seed)
    return tuple(found)


def found_faults(ran: Ran) -> tuple[Fault, ...]:
    """Name every item out of which something leaked, or on which the guard itself faltered."""
    found = []
    for result in ran.results:
        g = result.guarded
        if g is not None and (g.leaked_in_span or g.unjudged_released):
            what = (
                f"{g.unjudged_released} pictures left without a verdict,"
                f" {g.leaked_in_span} against one"
            )
            found.append(Fault(kind="system leak", item=result.item, what=what))
        if g is not None and g.bound_in_span:
            what = f"{g.bound_in_span} pictures left as still or bracketed that their own score"
            found.append(Fault(kind="gate leak", item=result.item, what=f"{what} covers"))
        if g is not None and g.faults:
            what = ", ".join(sorted(set(g.faults)))
            found.append(Fault(kind="fault of the guard", item=result.item, what=what))
    return tuple(found)


def _used(ran: Ran, items: tuple[Counted, ...]) -> list[Figure]:
    """What is left out, said first: what is left out makes every other figure look better."""
    of, left = len(ran.corpus.items), len(ran.corpus.items) - len(items)
    failed = sum(fault.kind == "the guard failed" for fault in ran.faults)
    unknown = sum(not (item.is_benign or item.is_positive) for item, _ in items)
    return [
        figures.plain(
            "items_without_result",
            "items of the corpus without a result",
            left,
            of,
            "items",
            note=f"Left out of every figure; named below. The guard failed on {failed} of them.",
        ),
        figures.plain(
            "items_of_unknown_truth",
            "items of which it is not known whether they hold sexual content",
            unknown,
            len(items),
            "items",
            note="They count neither as benign nor as positive.",
        ),
        figures.plain(
            "dropped_pictures",
            "pictures that came in and never left, neither as they came nor as a card",
            sum(g.dropped for _, g in items),
            sum(g.dropped + g.pictures for _, g in items),
            "pictures",
            note="They are in no other figure.",
        ),
    ]


def _leaks(items: tuple[Counted, ...]) -> list[Figure]:
    pictures = sum(g.pictures for _, g in items)
    return [
        figures.plain(
            "system_leaks",
            "system leaks: pictures released without, or against, a verdict",
            sum(g.unjudged_released + g.leaked_in_span for _, g in items),
            pictures,
            "pictures",
            note="The guard's own ledger, and every picture that had to be covered and left as"
            " judged, looked at again. It must be 0.",
        ),
        figures.plain(
            "gate_leaks",
            "gate leaks: pictures released as still or bracketed that their own score covers",
            sum(g.bound_in_span for _, g in items),
            pictures,
            "pictures",
            note="Bound to pictures that were judged clear, so no system leak: what the gate"
            " cannot see.",
        ),
        figures.plain(
            "streamed_hours",
            "streamed hours, all items",
            sum(g.streamed_s for _, g in items) / S_PER_H,
            len(items),
            "items",
            unit="h",
        ),
    ]


def _false(benign: list[Counted], seed: int) -> list[Figure]:
    hours = sum(g.streamed_s for _, g in benign) / S_PER_H
    # Nobody resumes here: an hour that follows an interruption is no hour without one.
    open_hours = sum(g.streamed_s - g.interrupted_s for _, g in benign) / S_PER_H or hours
    clusters = [item.cluster for item, _ in benign]
    many = len(set(clusters))
    dark = np.array([g.dark_s for _, g in benign])
    streamed = np.array([g.streamed_s for _, g in benign]) / S_PER_H
    spells = sum(g.dark_s > 0 for _, g in benign)
    resampled = statistics.of_ratio(clusters, dark.tolist(), streamed.tolist(), seed=seed)
    return [
        figures.rate(
            "false_interruptions_per_hour",
            "false interruptions per streamed hour",
            sum(g.interruptions for _, g in benign),
            open_hours,
            "streamed hours of benign video",
            unit="an hour",
            note=_RESTS if open_hours < hours else "",
            clusters=many,
        ),
        figures.rate(
            "benign_items_covered_per_hour",
            "benign items with a false cover, per streamed hour",
            spells,
            open_hours,
            "streamed hours of benign video",
            unit="an hour",
            note=_RESTS if open_hours < hours else "",
            clusters=many,
        ),
        figures.clustered(
            "false_cover_s_per_hour",
            "false-cover seconds per streamed hour",
            float(dark.sum() / hours) if hours else math.nan,
            hours,
            "streamed hours of benign video",
            clusters=many,
            found=resampled,
            unit="s an hour",
            between=(0.0, S_PER_H),
        ),
        figures.clustered(
            "availability",
            "availability: share of benign time that left as it came",
            1 - float(dark.sum() / S_PER_H / hours) if hours else math.nan,
            hours,
            "streamed hours of benign video",
            clusters=many,
            found=None
            if resampled is None
            else statistics.Interval(1 - resampled.high / S_PER_H, 1 - resampled.low / S_PER_H),
            between=(0.0, 1.0),
        ),
    ]


def _positives(stimulus: str, of: str, items: list[Counted], seed: int) -> list[Figure]:
    if not items:
        if stimulus != "real":
            return []
        return [
            figures.unmeasured(
                "misses.real",
                "misses: sexual content that was judged clear",
                "This corpus holds none. Recall on real abuse is unknown.",
            )
        ]
    clusters = [item.cluster for item, _ in items]
    inside = [g.in_span for _, g in items]
    missed = [g.released_in_span - g.leaked_in_span - g.bound_in_span for _, g in items]
    otherwise = [g.otherwise_in_span for _, g in items]

    def of_pictures(id_: str, what: str, part: list[int], note: str = "") -> Figure:
        found = statistics.of_ratio(clusters, part, inside, seed=seed)
        value = sum(part) / sum(inside) if sum(inside) else math.nan
        return figures.clustered(
            id_, what, value, sum(inside), "pictures that had to be covered",
            clusters=len(set(clusters)), found=found, note=note, between=(0.0, 1.0),
        )  # fmt: skip

    every = [(item.cluster, stretch) for item, g in items for stretch in g.stretches]
    shown = [(cluster, one) for cluster, one in every if not one.dark_before]
    of_shown = [cluster for cluster, _ in shown]
    return [
        figures.share(
            f"missed_spans.{stimulus}",
            f"stretches without any cover for their content: {of}",
            [not one.is_covered for _, one in shown],
            of_shown,
            "stretches",
            seed=seed,
        )
        if shown
        else figures.unmeasured(f"missed_spans.{stimulus}", f"stretches: {of}", "all began dark"),
        figures.plain(
            f"dark_spans.{stimulus}",
            f"stretches that began while the picture was dark already: {of}",
            len(every) - len(shown),
            len(every),
            "stretches",
            note="They show nothing of what is found, and count neither way.",
            clusters=len(set(clusters)),
        ),
        of_pictures(f"misses.{stimulus}", f"misses, share of pictures: {of}", missed),
        of_pictures(
            f"otherwise_covered.{stimulus}",
            f"pictures kept back for another reason than their content: {of}",
            otherwise,
            "A fault, no answer, or a start: kept back, but not found.",
        ),
        figures.plain(
            f"had_to_be_covered.{stimulus}",
            f"share of these items' pictures that had to be covered: {of}",
            sum(inside) / sum(g.pictures for _, g in items),
            sum(g.pictures for _, g in items),
            "pictures",
            note="Whoever labels the corpus says from when to when.",
            clusters=len(set(clusters)),
        ),
        _delay(
            f"time_to_cover_s.{stimulus}",
            f"time to cover: {of}",
            [one.cover_delay_s for _, one in shown],
            of_shown,
            seed,
        ),
        _delay(
            f"time_to_interrupt_s.{stimulus}",
            f"time to interrupt: {of}",
            [one.interrupt_delay_s for _, one in shown],
            of_shown,
            seed,
        ),
    ]


def _delay(
    id_: str, what: str, times: list[float | None], clusters: list[str], seed: int
) -> Figure:
    known = [(time, c) for time, c in zip(times, clusters, strict=True) if time is not None]
    never = len(times) - len(known)
    if not known:
        return figures.unmeasured(id_, what, f"it came about in none of {never}", unit="s")
    values = np.array([time for time, _ in known])
    mine = [cluster for _, cluster in known]

    def median(chosen: NDArray[np.intp]) -> float:
        return float(np.median(values[chosen]))

    ends = f"From {figures.shown(values.min())} to {figures.shown(values.max())} s"
    return figures.clustered(
        id_,
        f"{what}, median of those where it came",
        median(np.arange(len(values))),
        len(values),
        "stretches",
        clusters=len(set(mine)),
        found=statistics.over_clusters(mine, median, seed=seed),
        unit="s",
        note=f"{ends}; never: {never} of {len(times)}.",
    )
