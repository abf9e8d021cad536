"""How alike two pictures are: what *still* and *bracketed* are decided on.

Mean absolute difference at full resolution, luma and chroma: block means would hide fine
detail (a canary moves the mean of a 16x9 block by 2, and its absolute difference by 8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from safelight.types import Picture, Plane

CELL: Final = 8  # luma pixels a side of the smallest block; chroma has half
STILL_CELLS: Final = 2  # a still block is 16 luma pixels a side
CHANGE_CELLS: Final = 5  # a change block is 40 luma pixels a side
# Levels are quarters of a mean absolute difference, of 255: whole numbers, the same everywhere.
# What an encoder makes of a scene that does not move stays within one or two levels, in one or
# two blocks of a hundred; a fade is everywhere.
STILL_QUARTERS: Final = 8
STIRRED_QUARTERS: Final = 2
STIRRED_PERMILLE: Final = 50
# Measured on the signing clips (tools/gate_curve.py, docs/performance.md): moving people stay
# below these three shares in 98 of 100 frames. Another scene flashed in, a canary in its own
# clean card from a seventh of its strength on, and a newcomer of strong contrast do not.
FAINT_QUARTERS: Final = 6
FAINT_PERMILLE: Final = 500
CHANGED_QUARTERS: Final = 16
CHANGED_PERMILLE: Final = 300
STRONG_QUARTERS: Final = 128
STRONG_PERMILLE: Final = 150
# A canary that is there already and grows by a few hundredths of its strength is half a level,
# but in every block that changes. What moves, and what an encoder makes of the rest, is uneven.
# Counted without the rim, which the network's own view leaves out, and of what changed at all:
# bars and borders that never do would hide the rest. Of pictures that are close, 999 of 1,000
# stay below both where the clips are live encoded, and 955 as they are.
TOUCHED_QUARTERS: Final = 1
TOUCHED_PERMILLE: Final = 200
LEAST_QUARTERS: Final = 2
LEAST_PERMILLE: Final = 900
SLIGHT_QUARTERS: Final = 3
SLIGHT_PERMILLE: Final = 700
RIM_PARTS: Final = 16  # of each side, a rim of one


@dataclass(frozen=True, slots=True)
class Likeness:
    """``still``: nearly identical in every block. The others are shares, 0 to 1000, whose
    difference is above a level: of what changed at all inside the rim above half a level and
    above a slight one (0 where less than a fifth did); of the area above a faint, a visible and
    a strong one. ``blocks``: what they were counted from, where that was needed."""

    still: bool
    least_permille: int
    slight_permille: int
    faint_permille: int
    changed_permille: int
    strong_permille: int
    blocks: _Blocks | None = field(default=None, compare=False, repr=False)

    @property
    def near(self) -> bool:
        """Whether the difference is so small that a frame may inherit from the judged one that
        stands before it: close, and what changed did not do so evenly."""
        return (
            self.close
            and self.least_permille < LEAST_PERMILLE
            and self.slight_permille < SLIGHT_PERMILLE
        )

    @property
    def close(self) -> bool:
        """Whether the difference is small enough for the two ends of a bracket."""
        return _are_close(self.faint_permille, self.changed_permille, self.strong_permille)

    def proves_close(self, other: Likeness) -> bool:
        """Whether two pictures must be close, since one is so like a third and ``other`` says
        the other is.

        A pixel of the two differs by no more than both its differences from the third together,
        and so does a sum over a block. False proves nothing.
        """
        ours, theirs = self.blocks, other.blocks
        if ours is None or theirs is None or ours.sums.shape != theirs.sums.shape:
            return False
        together = _Blocks(ours.sums + theirs.sums, ours.pixels)
        return _are_close(*together.above(*_AREA_QUARTERS))


_AREA_QUARTERS: Final = (FAINT_QUARTERS, CHANGED_QUARTERS, STRONG_QUARTERS)


def _are_close(faint: int, changed: int, strong: int) -> bool:
    return faint < FAINT_PERMILLE and changed < CHANGED_PERMILLE and strong < STRONG_PERMILLE


UNLIKE: Final = Likeness(
    still=False,
    least_permille=1000,
    slight_permille=1000,
    faint_permille=1000,
    changed_permille=1000,
    strong_permille=1000,
)


class Gate(Protocol):
    """What the engine asks; tests put a table in its place."""

    def compare(self, a: Picture, b: Picture) -> Likeness:
        """Return how alike two pictures are; pictures of different formats are unlike."""
        ...


class BlockGate:
    """The gate on pixels. Holds scratch memory, so one thread at a time may use it."""

    def __init__(self) -> None:
        self._scratch: dict[tuple[int, ...], tuple[Plane, Plane]] = {}

    def compare(self, a: Picture, b: Picture) -> Likeness:
        """Compare two pictures block by block, luma and both chroma planes."""
        if a.format != b.format:
            return UNLIKE
        # Chroma fourfold: its cells have a quarter of the pixels, and count as much.
        cells = np.stack(
            (
                _cell_sums(self._difference(a.y, b.y), CELL),
                _cell_sums(self._difference(a.u, b.u), CELL // 2) * 4,
                _cell_sums(self._difference(a.v, b.v), CELL // 2) * 4,
            )
        )
        moved, stirred = _blocks(cells, STILL_CELLS).above(STILL_QUARTERS, STIRRED_QUARTERS)
        if not moved and stirred < STIRRED_PERMILLE:
            # Close, too: no block of 40 pixels has a mean above 36/25 of two levels, and
            # above one and a half only those that lie mostly in what is stirred.
            return Likeness(True, 0, 0, 0, 0, 0)
        return _counted(_blocks(cells, CHANGE_CELLS))

    def _difference(self, a: Plane, b: Plane) -> Plane:
        """Return |a - b|; valid until the next call for a plane of this shape."""
        scratch = self._scratch.get(a.shape)
        if scratch is None:
            if len(self._scratch) >= 4:
                self._scratch.clear()
            scratch = self._scratch[a.shape] = (np.empty_like(a), np.empty_like(a))
        high, low = scratch
        np.maximum(a, b, out=high)
        np.minimum(a, b, out=low)
        return np.subtract(high, low, out=high)


def _cell_sums(plane: Plane, cell: int) -> NDArray[np.uint32]:
    """Sum over cells of ``cell`` x ``cell``: (ceil(h/cell), ceil(w/cell)).

    Where a side is no multiple, the last cell overlaps its neighbour, so that every cell is
    whole and every pixel counts.
    """
    width = plane.shape[1]
    rows = _strips(plane, cell)
    whole = width // cell * cell
    parts = [_fold(rows[:, :whole].reshape(rows.shape[0], -1, cell))]
    if whole < width:
        parts.append(_fold(rows[:, width - cell :].reshape(rows.shape[0], 1, cell)))
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _strips(plane: Plane, cell: int) -> NDArray[np.uint16]:
    """Sum strips of ``cell`` rows: uint16 (ceil(h/cell), w); 8 * 255 fits."""
    height, width = plane.shape
    whole = height // cell * cell
    cube = plane[:whole].reshape(-1, cell, width)
    sums = cube[:, 0].astype(np.uint16)
    for row in range(1, cell):
        sums += cube[:, row]
    if whole == height:
        return sums
    last = plane[height - cell :].sum(axis=0, dtype=np.uint16, keepdims=True)
    return np.concatenate((sums, last), axis=0)


def _fold(cells: NDArray[np.uint16]) -> NDArray[np.uint32]:
    # Adding eight strided slices beats .sum(axis=-1) threefold.
    total = cells[..., 0].astype(np.uint32)
    for column in range(1, cells.shape[-1]):
        total += cells[..., column]
    return total


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """``sums`` of the differences in each block, uint32 (planes, rows, columns); ``pixels``: of
    how many luma pixels, or what counts as much."""

    sums: NDArray[np.uint32]
    pixels: int

    def above(self, *quarters: int) -> list[int]:
        """Return the shares of blocks, rounded up to thousandths, above each level in the plane
        where the difference is most."""
        counts = self._counts(self.sums, *quarters)
        return [_share(count, self.sums[0].size) for count in counts]

    def evenly(self, *quarters: int) -> list[int]:
        """Return the same of the blocks inside the rim that changed at all; 0 if few did."""
        rows, columns = (_inside(length) for length in self.sums.shape[1:])
        inside = self.sums[:, rows, columns]
        touched, *counts = self._counts(inside, TOUCHED_QUARTERS, *quarters)
        if _share(touched, inside[0].size) < TOUCHED_PERMILLE:
            return [0] * len(counts)
        return [_share(count, touched) for count in counts]

    def _counts(self, sums: NDArray[np.uint32], *quarters: int) -> list[int]:
        fourfold = sums.max(axis=0) * 4
        return [int(np.count_nonzero(fourfold > level * self.pixels)) for level in quarters]


def _share(count: int, whole: int) -> int:
    return -(-count * 1000 // whole)


def _inside(length: int) -> slice:
    """Return where the rim of so many blocks ends and begins again; of three or more."""
    rim = max(1, round(length / RIM_PARTS)) if length > 2 else 0
    return slice(rim, length - rim)


def _counted(changes: _Blocks) -> Likeness:
    least, slight = changes.evenly(LEAST_QUARTERS, SLIGHT_QUARTERS)
    faint, visible, strong = changes.above(*_AREA_QUARTERS)
    return Likeness(False, least, slight, faint, visible, strong, changes)


def _blocks(cells: NDArray[np.uint32], side: int) -> _Blocks:
    """Add up blocks of ``side`` x ``side`` of ``cells``, uint32 (planes, rows, columns)."""
    rows, columns = (min(side, length) for length in cells.shape[1:])
    return _Blocks(_group(_group(cells, side, 1), side, 2), rows * columns * CELL * CELL)


def _group(sums: NDArray[np.uint32], cells: int, axis: int) -> NDArray[np.uint32]:
    """Add up runs of ``cells`` along ``axis``; a short last run takes cells from before it."""
    length = sums.shape[axis]
    cells = min(cells, length)
    whole = length // cells * cells
    before = (slice(None),) * axis
    total = sums[(*before, slice(0, whole, cells))].copy()
    for offset in range(1, cells):
        total += sums[(*before, slice(offset, whole, cells))]
    if whole < length:
        last = sums[(*before, slice(length - cells, length))].sum(
            axis=axis, dtype=np.uint32, keepdims=True
        )
        total = np.concatenate((total, last), axis=axis)
    return total
