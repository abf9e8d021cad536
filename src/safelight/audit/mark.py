"""Marked pictures: drawings with a pattern of chance in them, known again wherever they end up.

The pattern is new in every run, so what is found was put there by this run. It is weak (a few
steps of 255) and made of blocks, so that it outlasts another size, other colours and lossy
coding, and of single pixels, so that every row is like no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safelight.testing.drawings import Rgb

Grey = NDArray[np.float32]

SIZE: Final = (640, 360)
BLOCK: Final = 8  # pixels: what is drawn at an eighth of the size is still seen
_COARSE: Final = 4
_FINE: Final = 1
# Of a picture's cells' likeness to the pattern, -1 to 1. By chance it stays within 5 / sqrt(cells)
# (3,600 cells: 0.083); a JPEG of a quarter of the size still has over 0.3.
LIKE: Final = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One pattern. ``signs`` is (45, 80) of -1 and 1; ``pixels`` what is added to a drawing."""

    name: str
    signs: NDArray[np.int8] = field(repr=False)
    pixels: NDArray[np.int16] = field(repr=False)

    def onto(self, rgb: Rgb) -> Rgb:
        """Return a drawing, uint8 (360, 640, 3), with the pattern in it."""
        marked = rgb.astype(np.int16) + self.pixels[..., None]
        return np.asarray(np.clip(marked, 0, 255), np.uint8)


def new(name: str, seed: int) -> Mark:
    """Make a pattern; ``seed`` is to be chosen by chance."""
    chance = np.random.default_rng(seed)
    width, height = SIZE
    signs = chance.choice(np.array([-1, 1], np.int8), (height // BLOCK, width // BLOCK))
    coarse = np.kron(signs.astype(np.int16), np.full((BLOCK, BLOCK), _COARSE, np.int16))
    fine = chance.integers(-_FINE, _FINE + 1, (height, width), dtype=np.int16)
    return Mark(name, signs, coarse + fine)


def likeness(mark: Mark, grey: Grey) -> float:
    """Return how much a picture of any size looks like it has the pattern, 0 to 1.

    ``grey`` is (height, width), any range. Upside down, mirrored and negative count too.
    """
    height, width = grey.shape
    rows, columns = mark.signs.shape
    if height < rows or width < columns:
        return 0.0
    cells = _flat(_means(grey, rows, columns))
    spread = float(np.sqrt(np.mean(cells**2)))
    if spread < 1e-6:
        return 0.0
    best = 0.0
    for turned in (cells, cells[::-1], cells[:, ::-1], cells[::-1, ::-1]):
        best = max(best, abs(float(np.mean(turned * mark.signs))) / spread)
    return best


def _means(grey: Grey, rows: int, columns: int) -> Grey:
    """Return the mean of each cell of a grid; exact where cells are whole pixels."""
    tops = np.linspace(0, grey.shape[0], rows + 1)
    lefts = np.linspace(0, grey.shape[1], columns + 1)
    summed = np.zeros((grey.shape[0] + 1, grey.shape[1] + 1), np.float64)
    summed[1:, 1:] = grey.cumsum(0, dtype=np.float64).cumsum(1)
    at_rows = _between(summed, tops)
    at_both = _between(at_rows.T, lefts).T
    return np.asarray(np.diff(np.diff(at_both, axis=0), axis=1), np.float32)


def _between(summed: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(summed) - 1)
    share = (at - low)[:, None]
    return np.asarray(summed[low] * (1 - share) + summed[high] * share)


def _flat(cells: Grey) -> Grey:
    """Take away what neighbours have in common: the drawing, but not the pattern."""
    padded = np.pad(cells, 1, mode="edge")
    around = sum(
        padded[1 + dy : 1 + dy + cells.shape[0], 1 + dx : 1 + dx + cells.shape[1]]
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
    )
    left = cells - np.asarray(around, np.float32) / 4
    # A drawing's edges are far stronger than the pattern: they would drown it.
    most = 3 * float(np.median(np.abs(left))) + 1e-9
    return np.asarray(np.clip(left, -most, most), np.float32)
