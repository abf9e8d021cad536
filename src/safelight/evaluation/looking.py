"""Each detector by itself, over pictures sampled from one item.

What comes out holds scores of an item, so it stays in memory, or in the folder of an
evaluation that is not sealed.
"""

from __future__ import annotations

from pathlib import Path

from safelight.evaluation import items
from safelight.evaluation.figures import Part
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Item
from safelight.evaluation.stretches import within
from safelight.evaluation_door import Looking


class Face(Part):
    """One face: its P(<18) estimate, and its estimated age in years."""

    p_under_18: float
    years: float


class Sample(Part):
    """One picture looked at. ``score`` None: the evidence was refused."""

    at_s: float
    positive: bool
    score: float | None
    faces: tuple[Face, ...] | None


def look(item: Item, folder: Path, setup: Setup, looker: Looking) -> tuple[Sample, ...]:
    """Look at one picture every ``sample_every_s`` seconds of an item, its first included.

    Raises:
        SourceError, SourceLostError: its file cannot be opened, or breaks off.
    """
    spans = item.spans()
    found: list[Sample] = []
    for at_s, picture in items.sampled(item, folder, setup.sample_every_s):
        said = looker.look(picture, ages=True)
        faces = None
        if said.faces is not None:
            faces = tuple(
                Face(p_under_18=round(f.p_under_18, 6), years=round(f.years, 4)) for f in said.faces
            )
        found.append(
            Sample(
                at_s=round(at_s, 6),
                positive=within(at_s, spans),
                score=None if said.sexual is None else round(said.sexual, 6),
                faces=faces,
            )
        )
    return tuple(found)
