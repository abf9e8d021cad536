"""What the whole guard did, in figures: leaks, misses, delays, false covers, availability."""

from __future__ import annotations

import math
from collections import defaultdict

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
    found = [*_leaks(items), *_false(benign, ran.protocol.seed)]
    for stimulus, what in _OF.items():
        found += _positives(stimulus, what, [p for p in items if p[0].stimulus == stimulus])
    return tuple(found)


def leaks(ran: Ran) -> tuple[Fault, ...]:
    """Name every item out of which the system leaked, or the gate let something through."""
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
    return tuple(found)


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
    clusters = [item.cluster for item, _ in benign]
    dark = np.array([g.dark_s for _, g in benign])
    streamed = np.array([g.streamed_s for _, g in benign]) / S_PER_H
    spells = sum(g.dark_s > 0 for _, g in benign)

    def per_hour(chosen: NDArray[np.intp]) -> float:
        return float(dark[chosen].sum() / streamed[chosen].sum())

    resampled = statistics.over_clusters(clusters, per_hour, seed=seed) if benign else None
    many = len(set(clusters))
    return [
        figures.rate(
            "false_interruptions_per_hour",
            "false interruptions per streamed hour",
            sum(g.interruptions for _, g in benign),
            hours,
            "streamed hours of benign video",
            unit="an hour",
        ),
        figures.rate(
            "benign_items_covered_per_hour",
            "benign items with a false cover, per streamed hour",
            spells,
            hours,
            "streamed hours of benign video",
            unit="an hour",
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
        ),
    ]


def _positives(stimulus: str, of: str, items: list[Counted]) -> list[Figure]:
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
    spans = sum(g.spans for _, g in items)
    missed_spans = spans - sum(g.spans_covered for _, g in items)
    inside = sum(g.in_span for _, g in items)
    missed = sum(g.released_in_span - g.leaked_in_span - g.bound_in_span for _, g in items)
    found = [
        figures.proportion(
            f"missed_spans.{stimulus}",
            f"stretches without any cover: {of}",
            missed_spans,
            spans,
            "stretches",
        ),
        figures.clustered(
            f"misses.{stimulus}",
            f"misses, share of pictures: {of}",
            missed / inside if inside else math.nan,
            inside,
            "pictures",
            clusters=len({item.cluster for item, _ in items}),
            found=None,
        ),
    ]
    delays = (("cover", "cover_delay_s"), ("interrupt", "interrupt_delay_s"))
    for name, attribute in delays:
        times = [getattr(g, attribute) for _, g in items]
        found += _delay(f"time_to_{name}_s.{stimulus}", f"time to {name}: {of}", times)
    return found


def _delay(id_: str, what: str, times: list[float | None]) -> list[Figure]:
    known = sorted(t for t in times if t is not None)
    if not known:
        return [figures.unmeasured(id_, what, "it never came about", unit="s")]
    never = len(times) - len(known)
    note = f"From {figures.shown(known[0])} to {figures.shown(known[-1])} s; never: {never}."
    return [
        figures.plain(
            id_,
            f"{what}, median",
            float(np.median(known)),
            len(known),
            "items",
            unit="s",
            note=note,
        )
    ]


def groups(ran: Ran) -> tuple[tuple[Figure, ...], tuple[Fault, ...]]:
    """Return shares by group with their differences, and name every group that is missed.

    One observation is one cluster: covered if every stretch that had to be was, for a
    positive; darkened if any of its items was, for a benign one.
    """
    shares: dict[tuple[str, str, str], dict[str, bool]] = defaultdict(dict)
    for item, g in counted(ran):
        labels = {**item.groups, "age_band": item.age_band, "scene": item.scene}
        for axis, value in sorted(labels.items()):
            if item.is_positive:
                one = shares["covered", axis, value]
                one[item.cluster] = one.get(item.cluster, True) and g.spans_covered == g.spans
            elif item.is_benign:
                one = shares["darkened", axis, value]
                one[item.cluster] = one.get(item.cluster, False) or g.dark_s > 0
    found: list[Figure] = []
    faults: list[Fault] = []
    for (kind, axis, value), seen in sorted(shares.items()):
        others = [
            hit
            for (k, a, v), rest in sorted(shares.items())
            if (k, a) == (kind, axis) and v != value
            for hit in rest.values()
        ]
        mine = (sum(seen.values()), len(seen))
        name = f"{kind}.{axis}.{value}"
        found.append(figures.proportion(name, f"{kind}: {axis} = {value}", *mine, "clusters"))
        if not others:
            continue
        apart = figures.difference(
            f"{name}.difference",
            f"{kind}: {axis} = {value} minus all others",
            mine,
            (sum(others), len(others)),
            "clusters",
        )
        found.append(apart)
        if kind == "covered" and apart.high is not None and apart.high < 0:
            what = f"{axis} = {value}: {mine[0]} of {mine[1]} clusters covered, of the others"
            faults.append(
                Fault(
                    kind="group missed",
                    item=None,
                    what=f"{what} {sum(others)} of {len(others)}",
                )
            )
    return tuple(found), tuple(faults)
