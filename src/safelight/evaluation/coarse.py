"""Numbers that leave a sealed room, made coarse: two results side by side tell of no one item.

Counts of things go to tens, and a share or a rate is made anew of counts in tens, with its
interval; what else there is keeps as many digits as one item more or less would not show in.
"""

from __future__ import annotations

import math
from typing import Final

from safelight.evaluation import figures
from safelight.evaluation.figures import Figure

TENS: Final = 10
# Said as it is: it is about the guard, and must be 0.
_EXACT: Final = ("system_leaks",)
_DELAY_S: Final = 0.1


def figure(fine: Figure) -> Figure:
    """Return a figure as it may leave, its note taken out: that names counts and extremes."""
    if fine.value is None:
        return fine.model_copy(update={"note": "", "n": 0.0})
    made = _anew(fine) or fine.model_copy(
        update={
            "value": fine.value if fine.id in _EXACT else _value(fine, fine.value),
            "low": None if fine.low is None else _value(fine, fine.low),
            "high": None if fine.high is None else _value(fine, fine.high),
            "n": _amount(fine),
            "events": None if fine.events is None else tens(fine.events),
            "clusters": None if fine.clusters is None else tens(fine.clusters),
            "method": fine.method.split(" over ")[0],
        }
    )
    return made.model_copy(update={"note": ""})


def tens(count: float) -> int:
    """Return a count in tens: none stays none, and some stays some."""
    return max(TENS, TENS * math.floor(count / TENS + 0.5)) if count else 0


def _anew(fine: Figure) -> Figure | None:
    if fine.events is None:
        return None
    events = tens(fine.events)
    if fine.method == "Wilson":
        n = events + tens(fine.n - fine.events)
        return figures.proportion(fine.id, fine.what, events, n, fine.n_of)
    if fine.method == "exact Poisson":
        made = figures.rate(
            fine.id, fine.what, events, _two_digits(fine.n), fine.n_of, unit=fine.unit
        )
        many = None if fine.clusters is None else tens(fine.clusters)
        return made.model_copy(update={"clusters": many})
    return None


def _amount(fine: Figure) -> float:
    # One item holds many pictures and faces: tens of them are its own.
    counted = fine.n_of in {"items", "stretches", "clusters"}
    return float(tens(fine.n)) if counted else _two_digits(fine.n)


def _value(fine: Figure, value: float) -> float:
    if fine.unit == "s":
        return round(round(value / _DELAY_S) * _DELAY_S, 1)
    if fine.unit or not -1 <= value <= 1:
        return _two_digits(value)
    near = round(value, 2)
    # What is hardly anything is not nothing, and what is nearly all is not all.
    if near in {0.0, 1.0, -1.0} and near != value:
        return near + (0.01 if value > near else -0.01)
    return near


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
