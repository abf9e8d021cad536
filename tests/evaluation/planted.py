"""A small corpus and detectors with a fault planted in each; no network is needed for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import safelight
from safelight.evaluation.evaluating import Plan
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Corpus, Drawing, Item
from safelight.evaluation_door import FaceAge, Looked
from safelight.judge.inprocess import InProcessJudge
from safelight.testing import canary, scenes
from safelight.types import Evidence, Picture, Scores, VerifiedBundle

SIZE = (96, 54)
RATE = 10
BASE: dict[str, Any] = {
    "sexual_content": "no",
    "age_band": "nobody",
    "scene": "drawn",
    "rights": "Apache-2.0",
    "lawful_basis": "drawn",
}


@cache
def shown(name: str) -> Picture:
    return scenes.picture_from_rgb(canary.at_size(canary.load(name), SIZE))


def is_canary(picture: Picture, name: str) -> bool:
    return picture.y.shape == shown(name).y.shape and bool(np.array_equal(picture.y, shown(name).y))


class Stub:
    """Knows the canaries by their pixels, but for those that it was told to miss."""

    def __init__(self, *, missed: tuple[str, ...] = (), benign: float = 0.01) -> None:
        self._known = [name for name in ("card", "cup") if name not in missed]
        self._benign = benign

    def score(self, picture: Picture) -> float:
        return 0.99 if any(is_canary(picture, name) for name in self._known) else self._benign

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:
        return Scores(self.score(picture), None, views)

    def self_test(self) -> None:
        """There is nothing to load."""

    def look(self, picture: Picture, *, ages: bool = False) -> Looked:
        faces = (FaceAge(0.25, 31.0),) if ages else None
        return Looked(self.score(picture), faces)


def item(number: int, name: str | None, group: str, canary_s: float = 0.5, **more: Any) -> Item:
    # Each is a little longer than the last, so that no two are the same.
    drawing = Drawing(
        canary=name,
        before_s=1.0 + number / RATE,
        canary_s=canary_s if name else 0.0,
        after_s=0.3,
        width=SIZE[0],
        height=SIZE[1],
        rate=RATE,
    )
    said: dict[str, Any] = {"groups": {"kind": group}, "cluster": f"{group}-{number}", **more}
    return Item(drawing=drawing, stimulus="canary" if name else "none", **{**BASE, **said})


def corpus(*items: Item) -> Corpus:
    return Corpus(
        schema="safelight.corpus/1",
        id="planted",
        title="planted",
        purpose="test",
        provenance="drawn",
        items=items,
    )


def plan(
    what: Corpus,
    *,
    stub: Callable[[], Stub] = Stub,
    looker: Callable[[], Stub] = Stub,
    out: Path | None = None,
    **more: Any,
) -> Plan:
    bundle = safelight.verify_bundle()

    def options() -> dict[str, Any]:
        return {"judge": InProcessJudge(bundle, detectors=lambda _: stub())}

    def load(_: VerifiedBundle) -> Stub:
        return looker()

    setup = more.pop("setup", Setup())
    folder = more.pop("folder", Path())
    return Plan(what, folder, setup, out=out, looker=load, guard_options=options, **more)
