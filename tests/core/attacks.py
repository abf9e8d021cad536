"""Films that try to get a picture past the gate, and what the real network says of each frame.

Everything in them is drawn: clean drawings, and the canaries made from them. A canary at a
share of its strength is its clean drawing with that share of the computed change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

import numpy as np
from tests.core.simulate import Log, Stream, arrivals

from safelight import policies
from safelight.core.engine import Engine
from safelight.core.gate import UNLIKE, BlockGate, Gate, Likeness
from safelight.core.held import Views
from safelight.core.limits import Limits
from safelight.detect.detectors import Detectors
from safelight.judging import verify_bundle
from safelight.testing import canary, scenes
from safelight.types import (
    NS_PER_S,
    Action,
    Calibration,
    Frame,
    Picture,
    Plane,
    Scores,
)

FPS = 30
HOLD_FRAMES = 7  # frames strictly within one hold of 250 ms at this rate
SIZE = (640, 360)
STEPS = 40  # strengths at which the network is asked; in between is interpolated
VIEW = "reference"
PRIOR = Calibration(
    "uncalibrated prior", ((0, -2000), (200, -500), (500, 500), (800, 2000), (1000, 4000))
)
PATIENT = Limits(patient=True)
LIVE = Limits()

Film = list[tuple[Picture, float]]  # each frame, and its own score


class EveryFrame:
    """A gate that never says still or close: every frame is judged."""

    def compare(self, a: Picture, b: Picture) -> Likeness:
        return UNLIKE


@lru_cache(maxsize=1)
def detectors() -> Detectors:
    return Detectors(verify_bundle())


def score(picture: Picture) -> float:
    """Ask the real network, as a judge does for every frame."""
    evidence = detectors().infer(picture, (VIEW,))
    assert isinstance(evidence, Scores)
    return evidence.sexual


@lru_cache(maxsize=16)
def pair(name: str) -> tuple[Picture, Picture]:
    """Return the clean drawing of a canary, and the canary."""
    clean, changed = (
        scenes.picture_from_rgb(canary.at_size(rgb, SIZE))
        for rgb in (canary.clean(name), canary.load(name))
    )
    return clean, changed


def mix(a: Picture, b: Picture, share: float) -> Picture:
    """Return ``a`` with ``share`` of the way to ``b``."""

    def plane(p: Plane, q: Plane) -> Plane:
        way = p.astype(np.float32) + (q.astype(np.float32) - p) * np.float32(share)
        return np.clip(np.rint(way), 0, 255).astype(np.uint8)

    return Picture(a.format, plane(a.y, b.y), plane(a.u, b.u), plane(a.v, b.v))


@lru_cache(maxsize=16)
def curve(name: str) -> tuple[float, ...]:
    """Return the network's scores of a canary at ``STEPS + 1`` strengths from 0 to 1."""
    clean, changed = pair(name)
    return tuple(score(mix(clean, changed, step / STEPS)) for step in range(STEPS + 1))


@lru_cache(maxsize=512)
def at_strength(name: str, thousandths: int) -> tuple[Picture, float]:
    share = thousandths / 1000
    points = np.linspace(0.0, 1.0, STEPS + 1)
    return mix(*pair(name), share), float(np.interp(share, points, curve(name)))


def strengths(name: str, shares: Iterator[float] | list[float]) -> Film:
    return [at_strength(name, round(share * 1000)) for share in shares]


def shown(pictures: list[Picture]) -> Film:
    """Score each distinct picture once."""
    known: dict[int, float] = {}
    for picture in pictures:
        if id(picture) not in known:
            known[id(picture)] = score(picture)
    return [(picture, known[id(picture)]) for picture in pictures]


@dataclasses.dataclass
class Outcome:
    log: Log
    film: Film

    @property
    def released(self) -> list[bool]:
        """For each frame whether it left as itself."""
        given = self.log.verdicts
        return [
            seq in given and given[seq].action is Action.RELEASE for seq in range(len(self.film))
        ]

    @property
    def past_the_limit(self) -> list[int]:
        """Frames that left although their own score is at the limit or above."""
        limit = policies.load("protect").cover_at
        return [
            seq for seq, left in enumerate(self.released) if left and self.film[seq][1] >= limit
        ]

    @property
    def judged_share(self) -> float:
        return self.log.asked / len(self.film)


def play(film: Film, limits: Limits = PATIENT, gate: Gate | None = None) -> Outcome:
    """Run a film through an engine whose judge gives each frame its own score."""
    own = {id(picture): value for picture, value in film}
    frames = [
        Frame(seq, seq, Fraction(1, FPS), NS_PER_S // FPS * seq, picture)
        for seq, (picture, _) in enumerate(film)
    ]
    engine = Engine(
        limits,
        policies.load("protect"),
        PRIOR,
        Views((VIEW,), ()),
        gate or BlockGate(),
        b"sixteen bytes and more",
    )
    stream = Stream(
        engine,
        lambda picture: Scores(own[id(picture)], None, (VIEW,)),
        service_ns=0 if limits.patient else 12_000_000,
    )
    events = arrivals(frames)
    return Outcome(stream.patient(events) if limits.patient else stream.live(events), film)
