"""Small cells, taken out of aggregates before they leave a sealed room.

A cell is small if fewer than 10 clusters, items or events stand behind it, or all but fewer
than 10. Where cells of a table are taken out, the next smallest go with them until what is
taken out is not small by itself, since it could be had from the rest. A number that is one
item's own (a highest score) never leaves, nor does the name of a cell that was taken out: it
would say that there is such an item. What is left is made coarse.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from safelight.evaluation import coarse
from safelight.evaluation.figures import Figure, shown

SMALL: Final = 10
SUPPRESSED: Final = "suppressed"
# What is a single item's own value, however many there are.
_ONE_ITEMS: Final = ("highest_benign_score",)
# Counts of pictures, items or stretches, that stand alone.
_COUNTS: Final = (
    "gate_leaks",
    "items_without_result",
    "items_of_unknown_truth",
    "dropped_pictures",
    "absent_evidence",
    "dark_spans.",
)
# What must be said whatever its size: it is about the guard, not about an item.
_ALWAYS: Final = ("system_leaks",)


def aggregates(figures: Iterable[Figure], clusters: int, used: int) -> tuple[Figure, ...]:
    """Return figures without small cells. ``clusters`` and ``used`` items stand behind all."""
    return tuple(
        _taken_out(figure) if _is_small(figure, clusters, used) else coarse.figure(figure)
        for figure in figures
        if not figure.id.startswith(_ONE_ITEMS)
    )


def table(figures: Sequence[Figure]) -> tuple[Figure, ...]:
    """Return the cells of tables (``kind.axis.value``) that are not small, nor complete others."""
    tables: dict[str, list[Figure]] = defaultdict(list)
    for figure in figures:
        if not figure.id.endswith(".difference"):
            tables[figure.id.rsplit(".", 1)[0]].append(figure)
    hidden = {figure.id for rows in tables.values() for figure in _hidden(rows)}
    found = []
    for figure in figures:
        axis = figure.id.removesuffix(".difference").rsplit(".", 1)[0]
        apart = figure.id.endswith(".difference")
        if not (any(f.id in hidden for f in tables[axis]) if apart else figure.id in hidden):
            found.append(coarse.figure(figure))
    return tuple(found)


def _hidden(rows: Sequence[Figure]) -> list[Figure]:
    """Return the cells of one table that are taken out."""
    gone = [row for row in rows if _is_small_cell(row)]
    left = sorted((row for row in rows if row not in gone), key=lambda row: (row.n, row.id))
    # Together they are what is had by subtraction from all.
    while gone and left and _is_small_sum(gone):
        gone.append(left.pop(0))
    return gone


def _is_small_sum(gone: Sequence[Figure]) -> bool:
    n, events = sum(row.n for row in gone), sum(row.events or 0 for row in gone)
    return len(gone) == 1 or n < SMALL or 0 < events < SMALL or 0 < n - events < SMALL


def faults(counts: Mapping[str, int]) -> dict[str, str]:
    """Return how many items have each fault; if one number is small, only that there are some."""
    if any(0 < number < SMALL for number in counts.values()):
        return {"some": SUPPRESSED}
    return {kind: count(number) for kind, number in sorted(counts.items())}


def count(value: int) -> str:
    """Return a count as it may leave: none, suppressed, or in tens."""
    return str(coarse.tens(value)) if value == 0 or value >= SMALL else SUPPRESSED


def _is_small(figure: Figure, clusters: int, used: int) -> bool:
    if figure.id in _ALWAYS or figure.said == "not measured":
        return False
    behind = figure.clusters if figure.clusters is not None else clusters
    return (
        behind < SMALL
        or used < SMALL
        or (figure.n_of in {"items", "stretches"} and figure.n < SMALL)
        or (figure.id.startswith(_COUNTS) and 0 < (figure.value or 0) < SMALL)
        or (figure.events is not None and _few(figure.events, figure))
    )


def _is_small_cell(figure: Figure) -> bool:
    if figure.value is None:
        return False
    return figure.n < SMALL or (figure.events is not None and _few(figure.events, figure))


def _few(events: int, figure: Figure) -> bool:
    if 0 < events < SMALL:
        return True
    # Of a rate the exposure is no count, so that nothing is left over.
    rest = round(figure.n) - events if figure.method == "Wilson" else 0
    return 0 < rest < SMALL


def _taken_out(figure: Figure) -> Figure:
    return Figure(
        id=figure.id,
        what=figure.what,
        said="suppressed",
        value=None,
        unit=figure.unit,
        n=0,
        n_of="",
        note=f"a small cell (under {shown(SMALL)}), or what would give one away",
    )
