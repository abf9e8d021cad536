"""The pictures of an item: read from its file as a guard reads them, or drawn."""

from __future__ import annotations

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
        return DrawnSource(drawn(item.drawing), rate=item.drawing.rate)
    return str(checking.place(item, folder))


def pictures(item: Item, folder: Path) -> Iterator[tuple[float, Picture]]:
    """Yield (seconds, picture).

    Raises:
        SourceError, SourceLostError: its file cannot be opened, or breaks off.
    """
    if item.drawing is not None:
        for index, picture in enumerate(drawn(item.drawing)):
            yield index / item.drawing.rate, picture
    else:
        yield from pictures_of(checking.place(item, folder))


def drawn(drawing: Drawing) -> Iterator[Picture]:
    """Yield the pictures of a drawing: the street, a canary in front of it, the street."""
    size = (drawing.width, drawing.height)
    until = round(drawing.before_s * drawing.rate)
    after = until + round(drawing.canary_s * drawing.rate)
    count = after + round(drawing.after_s * drawing.rate)
    still: Picture | None = None
    for index in range(count):
        t = index / drawing.rate
        if drawing.canary is None or not until <= index < after:
            yield scenes.picture_from_rgb(scenes.scene(t, size))
        elif drawing.canary == canary.MOVING:
            yield scenes.picture_from_rgb(canary.moving(t, size))
        else:
            if still is None:
                rgb = canary.at_size(canary.load(drawing.canary), size)
                still = scenes.picture_from_rgb(rgb)
            yield still
