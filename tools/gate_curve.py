"""What the gate's limits cost and what they tell apart: the tables of docs/performance.md.

    .venv/bin/python tools/gate_curve.py CLIP …

Plays each clip through the engine, a real score for each frame, with other area limits and
holds, and prints the share of frames that is judged. Then: how much of the area differs, at
each level, between ordinary frames and their ends, and when something else comes in.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.core import attacks  # noqa: E402

from safelight.core import gate  # noqa: E402
from safelight.core.limits import Limits  # noqa: E402
from safelight.testing import canary, scenes  # noqa: E402
from safelight.testing.film import read_back  # noqa: E402
from safelight.types import NS_PER_MS, Picture  # noqa: E402

HOLDS_MS: Final = (0, 100, 250, 500)
AREAS: Final = (100, 200, 300, 400, 500)
SPAN: Final = 7
MOST: Final = 150  # frames of a clip
LIMITS: Final = (
    gate.LEAST_PERMILLE,
    gate.SLIGHT_PERMILLE,
    gate.FAINT_PERMILLE,
    gate.CHANGED_PERMILLE,
    gate.STRONG_PERMILLE,
)


class OtherLimit(gate.BlockGate):
    """The gate with another limit on the visibly changed area, in thousandths."""

    def __init__(self, permille: int) -> None:
        super().__init__()
        self._permille = permille

    def compare(self, a: Picture, b: Picture) -> gate.Likeness:
        found = super().compare(a, b)
        if found.changed_permille >= self._permille:
            return gate.UNLIKE
        # Below another limit it is as if the default had not been reached.
        return dataclasses.replace(found, changed_permille=0, blocks=None)


def main() -> None:
    films = {path: film(Path(path)) for path in sys.argv[1:]}
    films["a still scene"] = [next(iter(films.values()))[0]] * MOST
    print("judged share: by hold (ms) and limit on the visibly changed area")
    for path, pictures in films.items():
        print(f"\n{Path(path).name}, {len(pictures)} frames")
        print(f"{'hold':>6} " + " ".join(f"{area / 10:5.0f} %" for area in AREAS))
        for hold_ms in HOLDS_MS:
            limits = Limits(patient=True, hold_ns=hold_ms * NS_PER_MS)
            shares = [
                attacks.play(pictures, limits, OtherLimit(area)).judged_share for area in AREAS
            ]
            print(f"{hold_ms:6} " + " ".join(f"{share:7.2f}" for share in shares))
    separations([pictures for path, pictures in films.items() if path in sys.argv])


def film(path: Path) -> attacks.Film:
    pictures = []
    for shown in read_back(path):
        pictures.append(scenes.picture_from_rgb(shown.rgb))
        if len(pictures) == MOST:
            break
    return attacks.shown(pictures)


def separations(films: list[attacks.Film]) -> None:
    """Print shares of the area at the five levels: what moves, and what comes in."""
    print(f"\n{'share of the area that differs by':34} half  slight  faint  visible  strong")
    line("limits", LIMITS)
    between = []
    for pictures in films:
        for start in range(0, len(pictures) - SPAN, SPAN):
            ends = (pictures[start][0], pictures[start + SPAN][0])
            for at in range(start + 1, start + SPAN):
                between.append(np.max([shares(pictures[at][0], end) for end in ends], axis=0))
    spread = np.array(between)
    for name, share in (("median", 50), ("p99", 99), ("most", 100)):
        line(f"between two ends, {name}", np.percentile(spread, share, axis=0))
    for name in canary.names():
        clean = attacks.at_strength(name, 0)[0]
        for strength in (150, 200, 350, 1000):
            changed, score = attacks.at_strength(name, strength)
            label = f"{name} at {strength / 1000:.2f} (score {score:.2f})"
            line(label, shares(changed, clean))
    scene, other = (attacks.at_strength(name, 0)[0] for name in ("cup", "house"))
    line("another scene flashed in", shares(other, scene))


def shares(a: Picture, b: Picture) -> tuple[int, ...]:
    found = gate.BlockGate().compare(a, b)
    return (
        found.least_permille,
        found.slight_permille,
        found.faint_permille,
        found.changed_permille,
        found.strong_permille,
    )


def line(name: str, permille: object) -> None:
    columns = np.asarray(permille, dtype=float) / 10
    print(f"{name:32}" + "".join(f"{share:7.0f}" for share in columns) + "   %")


if __name__ == "__main__":
    main()
