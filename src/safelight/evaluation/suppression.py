"""Small cells, taken out of aggregates before they leave a sealed room.

A cell is small if fewer than 10 clusters, items or events stand behind it, or all but fewer
than 10. Where one cell of a table is taken out, the next smallest goes with it, since it could
be had from the rest. A number that is one item's own (a highest score) never leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from safelight.evaluation.figures import Figure, shown

SMALL: Final = 10
SUPPRESSED: Final = "suppressed"
# What is a single item's own value, however many there are.
_ONE_ITEMS: Final = ("highest_benign_score",)
# Lengths and delays are medians: their notes name the extremes, which are single items'.
_NOTES_NAME_ITEMS: Final = ("time_to_",)
# What must be said whatever its size: it is about the guard, not about an item.
_ALWAYS: Final = ("system_leaks", "gate_leaks")


def aggregates(figures: Iterable[Figure], clusters: int, used: int) -> tuple[Figure, ...]:
    """Return figures without small cells. ``clusters`` and ``used`` items stand behind all."""
    return tuple(
        kept if not _is_small(figure, clusters, used) else _taken_out(figure)
        for figure in figures
        if not figure.id.startswith(_ONE_ITEMS)
        for kept in (_without_extremes(figure),)
    )


def table(figures: Sequence[Figure]) -> tuple[Figure, ...]:
    """Return the cells of tables (``kind.axis.value``) without small ones and their complements."""
    cells = [f for f in figures if not f.id.endswith(".difference")]
    hidden = {f.id for f in cells if _is_small_cell(f)}
    tables: dict[str, list[Figure]] = defaultdict(list)
    for figure in cells:
        tables[figure.id.rsplit(".", 1)[0]].append(figure)
    for rows in tables.values():
        if sum(f.id in hidden for f in rows) == 1 and len(rows) > 1:
            left = [f for f in rows if f.id not in hidden]
            hidden.add(min(left, key=lambda f: (f.n, f.id)).id)
    # A share of all clusters by another axis would give a lone cell of this one away.
    found = []
    for figure in figures:
        axis = figure.id.removesuffix(".difference").rsplit(".", 1)[0]
        lone = figure.id.endswith(".difference") and any(f.id in hidden for f in tables[axis])
        found.append(_taken_out(figure) if lone or figure.id in hidden else figure)
    return tuple(found)


def count(value: int) -> str:
    """Return a count as it may leave: none, suppressed, or itself."""
    return str(value) if value == 0 or value >= SMALL else SUPPRESSED


def _is_small(figure: Figure, clusters: int, used: int) -> bool:
    if figure.id in _ALWAYS or figure.said == "not measured":
        return False
    behind = figure.clusters if figure.clusters is not None else clusters
    return (
        behind < SMALL
        or used < SMALL
        or (figure.n_of == "items" and figure.n < SMALL)
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


def _without_extremes(figure: Figure) -> Figure:
    if figure.id.startswith(_NOTES_NAME_ITEMS):
        return figure.model_copy(update={"note": ""})
    return figure


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
