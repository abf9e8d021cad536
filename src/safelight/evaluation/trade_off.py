"""False alarms against delay: what other limits would cost, from the same score traces."""

from __future__ import annotations

from typing import Final

from safelight.evaluation import figures
from safelight.evaluation.detector_figures import pairs
from safelight.evaluation.evaluating import Ran
from safelight.evaluation.figures import Part
from safelight.evaluation_door import nats, over_time

INTERRUPT_NATS: Final = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 14.0, 20.0)
_S_PER_H: Final = 3600.0


class Point(Part):
    """One limit: false alarms an hour on benign video, and how long positives last before it.

    ``delay_s`` None: none of the positives reached it.
    """

    limit_nats: float
    false_alarms: int
    hours: float
    per_hour: float
    per_hour_high: float
    delay_s: float | None
    reached: int
    positives: int


def points(ran: Ran) -> tuple[Point, ...]:
    """Return what each limit of the evidence over time would have done."""
    benign, positive, seconds = [], [], 0.0
    for item, samples in pairs(ran):
        trace = tuple((s.at_s, s.score) for s in samples if s.score is not None)
        if item.is_benign:
            benign.append(trace)
        elif item.is_positive:
            positive.append((item.spans()[0].from_s, trace))
    for result in ran.results:
        if result.guarded is not None and ran.corpus.items[result.item].is_benign:
            seconds += result.guarded.streamed_s
    if not benign or seconds <= 0:
        return ()
    hours = seconds / _S_PER_H
    calibration = ran.bundle.calibration
    found = []
    for limit in INTERRUPT_NATS:
        alarms = sum(
            over_time(calibration, trace, cover_nats=limit, interrupt_nats=limit).interrupt_s
            is not None
            for trace in benign
        )
        delays = sorted(
            said.interrupt_s - onset
            for onset, trace in positive
            if (
                said := over_time(calibration, trace, cover_nats=limit, interrupt_nats=limit)
            ).interrupt_s
            is not None
            and said.interrupt_s >= onset
        )
        rate = figures.rate("r", "r", alarms, hours, "hours", unit="an hour")
        found.append(
            Point(
                limit_nats=limit,
                false_alarms=alarms,
                hours=figures.rounded(hours) or 0.0,
                per_hour=rate.value or 0.0,
                per_hour_high=rate.high or 0.0,
                delay_s=round(delays[len(delays) // 2], 3) if delays else None,
                reached=len(delays),
                positives=len(positive),
            )
        )
    return tuple(found)


def top_nats(ran: Ran) -> float:
    """Return what a score of 1 counts, in nats: the fastest that a limit can be reached."""
    return nats(ran.bundle.calibration, 1.0)
