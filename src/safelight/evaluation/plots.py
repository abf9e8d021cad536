"""The pack's plots, as SVG that comes out the same in every run.

Shapes and words besides colours, so that they read in grey and for colour-blind people.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from safelight.evaluation.detector_figures import Curve
from safelight.evaluation.figures import Figure
from safelight.evaluation.pack import CalibrationShown, Cell
from safelight.evaluation.trade_off import Point

_INK: Final = "#1f2a33"
_BLUE: Final = "#1b5e8c"
_RUST: Final = "#a8471c"
_STYLE: Final[Any] = {
    "svg.hashsalt": "safelight",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "figure.constrained_layout.use": True,
}


def trade_off(points: Sequence[Point], budget: float) -> str:
    """Draw false interruptions an hour against delay, one mark a limit, intervals as lines."""
    known = [p for p in points if p.delay_s is not None]
    canvas, axes = _axes((6.4, 3.8))
    for p in known:
        axes.plot([p.delay_s, p.delay_s], [budget / 3, p.per_hour_high], color=_BLUE, lw=1)
    axes.scatter(
        [p.delay_s for p in known],
        [max(p.per_hour, budget / 3) for p in known],
        marker="v",
        color=[_BLUE if p.false_alarms == 0 else _RUST for p in known],
        zorder=3,
    )
    last: dict[float, list[str]] = {}
    for p in known:
        last.setdefault(p.delay_s or 0.0, []).append(f"{p.limit_nats:g}")
    top = max((p.per_hour_high for p in known), default=1.0)
    for delay, limits in last.items():
        axes.annotate(
            ", ".join(limits), (delay, top), (0, 5), textcoords="offset points", ha="center"
        )
    axes.axhline(budget, color=_RUST, ls="--", lw=1)
    axes.annotate(
        "design budget, not shown",
        (1, budget),
        (0, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=_RUST,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
    axes.set_yscale("log")
    axes.set_ylim(budget / 4, top * 4)
    axes.margins(x=0.12)
    axes.set_xlabel("delay until interrupted, on canaries, s (median; sampled twice a second)")
    axes.set_ylabel("false interruptions an hour")
    return _svg(canvas, "False interruptions an hour against delay, by limit in nats")


def reliability(curves: Sequence[tuple[str, Curve | None]]) -> str:
    """Draw how often what was said with a probability was so."""
    canvas, axes = _axes((4.2, 3.8))
    axes.plot([0, 1], [0, 1], color=_INK, lw=0.8, ls=":")
    looks = ((_BLUE, "o", "-"), (_RUST, "s", "--"))
    for (name, curve), (colour, marker, line) in zip(curves, looks, strict=False):
        if curve is not None:
            axes.plot(curve.x, curve.y, color=colour, marker=marker, ls=line, label=name, ms=4)
    axes.set_xlabel("said")
    axes.set_ylabel("seen")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right")
    return _svg(canvas, "Reliability: what was said against what was seen")


def groups(figures: Sequence[Figure]) -> str:
    """Draw each group's share with its interval."""
    rows = [f for f in figures if f.value is not None and not f.id.endswith(".difference")]
    canvas, axes = _axes((6.4, 0.9 + 0.28 * max(1, len(rows))))
    for y, figure in enumerate(reversed(rows)):
        axes.plot([figure.low or 0, figure.high or 0], [y, y], color=_BLUE, lw=1.5)
        axes.plot([figure.value], [y], "o", color=_BLUE, ms=5)
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels([f"{f.what}  (n = {f.n:g})" for f in reversed(rows)])
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of clusters, 95 % interval")
    return _svg(canvas, "Shares by group, with 95 % intervals")


def robustness(cells: Sequence[Cell]) -> str:
    """Draw what share of clean findings remains: transforms down, severities across."""
    names = list(dict.fromkeys(cell.transform for cell in cells))
    severities = sorted({cell.severity for cell in cells})
    at = {(cell.transform, cell.severity): cell.recall for cell in cells}
    grid = [[at.get((name, s), float("nan")) for s in severities] for name in names]
    canvas, axes = _axes((5.2, 0.9 + 0.21 * len(names)))
    # Not imshow, which would put a picture into the drawing.
    axes.pcolormesh(
        [s - 0.5 for s in range(len(severities) + 1)],
        [n - 0.5 for n in range(len(names) + 1)],
        grid,
        cmap="cividis",
        vmin=0,
        vmax=1,
    )
    axes.invert_yaxis()
    for row, values in enumerate(grid):
        for column, value in enumerate(values):
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value < 0.55 else "black",
            )
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names, fontsize=8)
    axes.set_xticks(range(len(severities)))
    axes.set_xticklabels([str(s) for s in severities])
    axes.set_xlabel("severity; figures are per cent of what is found in clean pictures")
    return _svg(canvas, "Robustness: per cent of clean findings that remain")


def latency(figures: Sequence[Figure], hold_ms: float) -> str:
    """Draw the added latency of the live run against its hold."""
    rows = [f for f in figures if f.id.startswith("added_latency") and f.value is not None]
    canvas, axes = _axes((5.6, 1.7))
    axes.barh(
        [f.id.split("_")[2] for f in rows][::-1],
        [f.value or 0 for f in rows][::-1],
        color=_BLUE,
        height=0.55,
    )
    axes.axvline(hold_ms, color=_RUST, ls="--", lw=1)
    axes.annotate(
        "hold",
        (hold_ms, 1),
        (3, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=_RUST,
        va="top",
    )
    axes.set_xlabel("added latency, ms")
    return _svg(canvas, "Added latency of a live stream")


def calibration(shown: CalibrationShown) -> str:
    """Draw reliability before and after fitting."""
    return reliability((("score as it is", shown.before), ("fitted, unseen clusters", shown.after)))


def _axes(size: tuple[float, float]) -> tuple[Canvas, Any]:
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=size)
        return canvas, canvas.subplots()


def _svg(canvas: Canvas, says: str) -> str:
    """Return the drawing as an SVG element with a title, without a date."""
    out = io.StringIO()
    with mpl.rc_context(_STYLE):
        canvas.savefig(out, format="svg", metadata={"Date": None, "Title": says})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    return text.replace("<svg ", f'<svg role="img" aria-label="{says}" ', 1)
