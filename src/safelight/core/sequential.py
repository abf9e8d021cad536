"""Evidence over time: a CUSUM of log-likelihood ratios in stream time. It can only restrict.

Fixed point throughout: thousandths of a nat, so the same scores give the same answer on any
machine. The ratios come from the bundle's calibration; neighbouring frames are correlated,
so at most one sample counts per ``sample_every_ns``.
"""

from __future__ import annotations

import itertools

from safelight.types import Action, Calibration, Scores

CAP_PERMILLE = 1200  # of the interrupt limit: what was long ago must drain in a few seconds


def ratio(calibration: Calibration, score: float) -> int:
    """Return the log-likelihood ratio of a score in [0, 1], in thousandths of a nat."""
    at = round(score * 1000)
    points = calibration.points
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if at <= x1:
            return y0 + (y1 - y0) * (at - x0) // (x1 - x0)
    return points[-1][1]


class Sequential:
    """One stream's running evidence. ``limit`` values are thousandths of a nat."""

    def __init__(
        self, calibration: Calibration, cover_at: int, interrupt_at: int, sample_every_ns: int
    ) -> None:
        if not 0 < cover_at <= interrupt_at:
            raise ValueError("limits rise from cover to interrupt, and are above zero")
        scores = [score for score, _ in calibration.points]
        ratios = [ratio for _, ratio in calibration.points]
        rises = all(a < b for a, b in itertools.pairwise(scores))
        if len(scores) < 2 or (scores[0], scores[-1]) != (0, 1000) or not rises:
            raise ValueError("a calibration's scores rise from 0 to 1000")
        if any(a > b for a, b in itertools.pairwise(ratios)):
            raise ValueError("a higher score never counts for less")
        self._calibration = calibration
        self._cover_at = cover_at
        self._interrupt_at = interrupt_at
        self._every_ns = sample_every_ns
        self._sum = 0
        # The last sample: when, what it said, and whether that was in time.
        self._last_pts_ns: int | None = None
        self._said = 0
        self._in_time = False

    def sample(self, pts_ns: int, scores: Scores) -> None:
        """Take one judged frame into account, unless the last sample is too near."""
        near = self._is_near(pts_ns)
        if near and self._in_time:
            return
        counted = self._said if near else 0
        said = ratio(self._calibration, scores.sexual)
        self._last_pts_ns, self._said, self._in_time = pts_ns, max(said, counted), True
        self._add(min(said, max(0, said - counted)))

    def sample_late(self, pts_ns: int, scores: Scores) -> None:
        """Take into account what was said too late for its frame, at ``pts_ns`` of the stream.

        It never lowers what has come together. Of what is said late and in time about
        neighbouring frames the strongest counts, once.
        """
        near = self._is_near(pts_ns)
        counted = max(0, self._said) if near else 0
        said = ratio(self._calibration, scores.sexual)
        if said <= counted:
            return
        if not near:
            self._last_pts_ns, self._in_time = pts_ns, False
        self._said = said
        self._add(said - counted)

    def _is_near(self, pts_ns: int) -> bool:
        last = self._last_pts_ns
        return last is not None and 0 <= pts_ns - last < self._every_ns

    def _add(self, said: int) -> None:
        cap = self._interrupt_at * CAP_PERMILLE // 1000
        self._sum = min(cap, max(0, self._sum + said))

    @property
    def restriction(self) -> Action | None:
        """Return what the evidence so far demands at least; None when it demands nothing.

        There is no way to say RELEASE: sequential evidence never permits.
        """
        if self._sum >= self._interrupt_at:
            return Action.INTERRUPT
        return Action.COVER if self._sum >= self._cover_at else None
