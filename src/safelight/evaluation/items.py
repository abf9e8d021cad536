"""The pictures of an item: read from its file as a guard reads them, or drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from safelight.evaluation import checking
from safelight.evaluation.manifest import Drawing, Item
from safelight.evaluation_door import pictures_of
from safelight.testing import canary, scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.types import Picture


def source(item: Item, folder: Path) -> str | DrawnSource:
    """Return what a guard is given as its source."""
    if item.drawing is not None:
        shown = (picture for _, picture in drawn(item.drawing))
        return DrawnSource(shown, rate=item.drawing.rate)
    return str(checking.place(item, folder))


def sampled(item: Item, folder: Path, every_s: float) -> Iterator[tuple[float, Picture]]:
    """Yield (seconds, picture): the first, and then one every ``every_s`` seconds or a little more.

    Raises:
        SourceError, SourceLostError: its file cannot be opened, or breaks off.
    """
    if item.drawing is not None:
        # Only what is looked at is drawn: drawing takes longer than looking.
        step = max(1, math.ceil(every_s * item.drawing.rate - 1e-6))
        for index, picture in drawn(item.drawing, step=step):
            yield index / item.drawing.rate, picture
        return
    next_s = -math.inf
    for at_s, picture in pictures_of(checking.place(item, folder)):
        if at_s >= next_s - 1e-6:
            next_s = at_s + every_s
            yield at_s, picture


def drawn(drawing: Drawing, step: int = 1) -> Iterator[tuple[int, Picture]]:
    """Yield every ``step``-th (index, picture): the street, a canary in front of it, the street."""
    size = (drawing.width, drawing.height)
    until = round(drawing.before_s * drawing.rate)
    after = until + round(drawing.canary_s * drawing.rate)
    count = after + round(drawing.after_s * drawing.rate)
    still: Picture | None = None
    for index in range(0, count, step):
        t = index / drawing.rate
        if drawing.canary is None or not until <= index < after:
            yield index, scenes.picture_from_rgb(scenes.scene(t, size))
        elif drawing.canary == canary.MOVING:
            yield index, scenes.picture_from_rgb(canary.moving(t, size))
        else:
            if still is None:
                rgb = canary.at_size(canary.load(drawing.canary), size)
                still = scenes.picture_from_rgb(rgb)
            yield index, still
