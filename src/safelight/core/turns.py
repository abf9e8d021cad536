"""Further views, one at a time: which is due, and at which picture each looked last."""

from __future__ import annotations

from collections.abc import Callable

from safelight.core.entry import Entry
from safelight.core.limits import Limits
from safelight.types import Picture, Scores

Still = Callable[[Picture, Picture], bool]
FarBelow = Callable[[Entry], bool]


class Turns:
    """The turns of one stream's further views."""

    def __init__(self, limits: Limits, names: tuple[str, ...]) -> None:
        self._limits = limits
        self._order = list(names)  # whose turn is next comes first
        self._turn_pts_ns: int | None = None
        self._looked: dict[str, Entry] = {}  # what each view looked at last

    def is_due(self, pts_ns: int, every_ns: int) -> bool:
        """Whether the last turn is so long ago that a frame at ``pts_ns`` must take the next."""
        last = self._turn_pts_ns
        return bool(self._order) and (last is None or abs(pts_ns - last) >= every_ns)

    def take(self, entry: Entry) -> str:
        """Give the next turn to a frame that is asked about; return the view."""
        name = self._order.pop(0)
        self._order.append(name)
        self._looked[name] = entry
        self._turn_pts_ns = entry.frame.pts_ns
        return name

    def rests(self, entry: Entry, still: Still, far_below: FarBelow) -> bool:
        """Whether no view need look at ``entry``; if so its turn passes.

        Each has looked at a picture to which this one is still, not long ago, and what was
        said of that is far below every limit: of this one it would say the same. The two are
        compared themselves, so that a slow change does not creep from one to the next. A view
        that has not is next.
        """
        for name in self._order:
            if not self._has_seen(name, entry, still, far_below):
                self._order.remove(name)
                self._order.insert(0, name)
                return False
        self._turn_pts_ns = entry.frame.pts_ns
        return True

    def forget(self) -> None:
        """Know no picture any more."""
        self._looked.clear()

    def _has_seen(self, name: str, entry: Entry, still: Still, far_below: FarBelow) -> bool:
        looked = self._looked.get(name)
        if looked is None or not self._recent(entry, looked):
            return False
        said = looked.evidence
        if not isinstance(said, Scores) or name not in said.views or not far_below(looked):
            return False
        return still(entry.picture, looked.picture)

    def _recent(self, entry: Entry, looked: Entry) -> bool:
        age = self._limits.turn_age_ns
        return (
            0 <= entry.frame.pts_ns - looked.frame.pts_ns <= age
            and abs(entry.frame.arrived_ns - looked.frame.arrived_ns) <= age
        )
