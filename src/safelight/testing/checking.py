"""Looks for canaries in what a guard wrote, by its pictures and by nothing the guard says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from safelight.core import card
from safelight.testing.film import Shown
from safelight.types import CardText, Picture, Plane

# Mean absolute difference of luma, of 255. An encoder's noise stays well below.
_SAME: Final = 6.0


@dataclass(frozen=True, slots=True)
class Check:
    """Counts of a film's pictures. ``unknown`` ones are neither input nor card: a fault too."""

    pictures: int = 0
    benign: int = 0
    cards: int = 0
    canaries: int = 0
    unknown: int = 0

    @property
    def clean(self) -> bool:
        """Whether every picture is accounted for, and none is a canary."""
        return self.pictures > 0 and self.canaries == 0 and self.unknown == 0


def check(
    film: Iterable[Shown],
    given: Callable[[float], tuple[Picture, bool]],
    text: CardText,
    seen: Callable[[Shown, bool], None],
) -> Check:
    """Compare every picture of a film with what went in at its time, and with the card.

    Args:
        film: what was written, read back.
        given: the picture that went in at a stream time in seconds, and whether it holds a
            canary.
        text: what the card says that stands in a covered picture's place.
        seen: called with every picture and whether it is the card.

    A picture that went in with a canary must have come out as the card: one that is nearer
    to what went in is a canary that leaked.
    """
    counts = {"benign": 0, "cards": 0, "canaries": 0, "unknown": 0}
    pictures = 0
    for shown in film:
        pictures += 1
        went_in, canary = given(shown.at_s)
        to_card = _distance(shown.luma, card.draw(went_in.format, text).y)
        to_given = _distance(shown.luma, went_in.y)
        is_card = to_card < to_given
        seen(shown, is_card)
        if canary and not is_card:
            counts["canaries"] += 1
        elif min(to_card, to_given) > _SAME:
            counts["unknown"] += 1
        else:
            counts["cards" if is_card else "benign"] += 1
    return Check(pictures, **counts)


def _distance(a: Plane, b: Plane) -> float:
    if a.shape != b.shape:
        return 255.0
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())
