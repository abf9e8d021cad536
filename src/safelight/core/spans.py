"""How far apart two pictures may be for one to lean on the other, and when a bracket is full."""

from __future__ import annotations

from safelight.core.entry import Entry
from safelight.core.limits import Limits


class Spans:
    """Distances in frames, in the stream's time, and between arrivals: each counts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def is_fresh(self, entry: Entry, reference: Entry) -> bool:
        """Whether a still frame may rest on one as old as ``reference``."""
        age = self._limits.still_age_ns
        return (
            entry.frame.pts_ns - reference.frame.pts_ns <= age
            and abs(entry.frame.arrived_ns - reference.frame.arrived_ns) <= age
        )

    def holds(self, entry: Entry, reference: Entry) -> bool:
        """Whether two frames are near enough to be the ends of one bracket."""
        limits = self._limits
        return (
            entry.ordinal - reference.ordinal <= limits.bracket_frames
            and entry.frame.pts_ns - reference.frame.pts_ns <= limits.hold_ns
            and abs(entry.frame.arrived_ns - reference.frame.arrived_ns) <= limits.hold_ns
        )

    def is_used(self, entry: Entry, reference: Entry) -> bool:
        """Whether ``entry`` is so far from the left end that it has to be the right one."""
        limits = self._limits
        span = limits.bracket_span_ns
        return (
            entry.ordinal - reference.ordinal >= limits.bracket_frames - 1
            or entry.frame.pts_ns - reference.frame.pts_ns >= span
            or entry.frame.arrived_ns - reference.frame.arrived_ns >= span
        )
