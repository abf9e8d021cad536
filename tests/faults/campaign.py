"""Many streams at a time, and what they came to altogether."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from typing import Final

from tests.faults import killed, kinds, stream
from tests.faults.stream import Count, Outcome, Way

from safelight.errors import SafelightError

SHARES: Final[tuple[tuple[Way, float, int], ...]] = (  # way, share, faults a stream
    ("file", 0.55, 60),
    ("live", 0.42, 30),
    ("strict", 0.03, 10),
)
REAL_SHARES: Final[tuple[tuple[Way, float, int], ...]] = (("file", 0.6, 12), ("live", 0.4, 12))
KILLED_PERMILLE: Final = 5  # of the faults: guards that are killed themselves


@dataclass(frozen=True, slots=True)
class Task:
    """One stream to be run. ``way`` None: its guard is killed."""

    seed: str
    way: Way | None
    faults: int
    real: bool


@dataclass(slots=True)
class Sum:
    """What the streams of one kind of judge came to."""

    streams: int = 0
    shared: int = 0
    counts: dict[str, Count] = field(default_factory=dict)
    unjudged_released: int = 0
    misses: int = 0
    restarts: int = 0
    interruptions: int = 0
    recoveries_s: dict[str, list[float]] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        return sum(count.injected for count in self.counts.values())

    @property
    def total(self) -> Count:
        total = Count()
        for count in self.counts.values():
            total.add(count)
        return total

    def add(self, outcome: Outcome) -> None:
        self.streams += 1
        self.shared += outcome.shared
        for name, count in outcome.counts.items():
            self.counts.setdefault(name, Count()).add(count)
        self.unjudged_released += outcome.unjudged_released
        self.misses += outcome.misses
        self.restarts += outcome.restarts
        self.interruptions += outcome.interruptions
        came = self.recoveries_s.setdefault(outcome.way, [])
        came += [ns / 1e9 for ns in outcome.recoveries_ns]
        self.leaks += [f"{outcome.seed} ({outcome.way}): {why}" for _, why in outcome.leaks]
        if outcome.unjudged_released:
            self.leaks.append(f"{outcome.seed}: the report says unjudged_released")
        if outcome.broken is not None:
            self.broken.append(f"{outcome.seed} ({outcome.way}): {outcome.broken}")


def tasks(seed: int, faults: int, *, real: bool) -> Iterator[Task]:
    """Name the streams of a campaign, without end; the same seed names the same ones."""
    kind = "real" if real else "stub"
    dice = random.Random(f"{seed}/{kind}")
    shares = REAL_SHARES if real else SHARES
    weights = [share / most for _, share, most in shares]
    planned = guards_killed = 0
    for index in itertools.count():
        way, _, most = dice.choices(shares, weights)[0]
        size = min(most, max(4, faults // 12))
        planned += size
        yield Task(f"{seed}/{kind}/{index}", way, size, real)
        while not real and guards_killed * 1000 < KILLED_PERMILLE * planned:
            guards_killed += 1
            yield Task(f"{seed}/killed/{guards_killed}", None, 1, False)


def do(task: Task) -> Outcome:
    """Run one of them."""
    if task.way is None:
        return killed.kill_one(task.seed)
    try:
        return stream.run(stream.plan(task.seed, task.way, faults=task.faults, real=task.real))
    except SafelightError as error:
        broken = f"it did not begin: {error}"
        return Outcome(task.seed, task.way, task.real, broken=broken)


def run(seed: int, faults: int, *, real: bool, jobs: int) -> Sum:
    """Run streams until so many faults were injected."""
    found = Sum()
    if faults <= 0:
        return found
    coming = tasks(seed, faults, real=real)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = {pool.submit(do, next(coming)) for _ in range(jobs)}
        under_way = 0
        while running:
            done = next(as_completed(running))
            running.discard(done)
            found.add(done.result())
            under_way += 1
            if found.injected < faults and under_way < faults:
                running.add(pool.submit(do, next(coming)))
    return found


def table(found: Sum, title: str) -> str:
    """Return the table in Markdown."""
    head = (
        f"### {title}\n\n"
        "| fault | injected | judge restarts | pictures released after | covered | dropped "
        "| came back | system leaks |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    order = [*(kinds.name(what) for what in kinds.ALL), killed.KIND]
    rows = [(name, found.counts[name]) for name in order if name in found.counts]
    rows.append((f"**all {len(rows)} kinds**", found.total))
    lines = [
        f"| {name} | {c.injected} | {c.restarts} | {c.released} | {c.covered} | {c.dropped} "
        f"| {c.came_back} | {c.leaks} |"
        for name, c in rows
    ]
    return head + "\n".join(lines) + "\n\n" + _below(found)


def _below(found: Sum) -> str:
    lines = [
        f"Streams: {found.streams}, of which {found.shared} share their judge with another. "
        f"Judge restarts: {found.restarts}. "
        f"Interruptions, each resumed: {found.interruptions}. "
        f"System leaks by the ledger at the sink: {len(found.leaks)}. "
        f"`unjudged_released` of all reports: {found.unjudged_released}. "
        f"Canaries judged clear (misses, no leaks): {found.misses}."
    ]
    for way in ("live", "strict"):
        times = sorted(found.recoveries_s.get(way, ()))
        if times:
            p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
            lines.append(
                f"From a good judge to the next picture that left, {way} streams: "
                f"p50 {p50:.3f} s, p99 {p99:.3f} s, longest {times[-1]:.3f} s "
                f"({len(times)} times; {sum(t > 1.0 for t in times)} over a second)."
            )
    return "\n\n".join(lines) + "\n"


def as_json(found: Sum) -> dict[str, object]:
    """Return the counts for other programs."""
    return {
        "streams": found.streams,
        "streams_that_share": found.shared,
        "injected": found.injected,
        "kinds": {name: asdict(count) for name, count in sorted(found.counts.items())},
        "system_leaks": len(found.leaks),
        "unjudged_released": found.unjudged_released,
        "misses": found.misses,
        "judge_restarts": found.restarts,
        "interruptions": found.interruptions,
        "leaks": found.leaks,
        "broken": found.broken,
    }


def dumps(stub: Sum, real: Sum, seed: int) -> str:
    """Return both campaigns as JSON."""
    both = {"seed": seed, "stub": as_json(stub), "real": as_json(real)}
    return json.dumps(both, indent=2) + "\n"
