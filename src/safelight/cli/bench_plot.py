"""Draws the ratios of a bench as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from safelight.errors import UsageError

_WAYS: Final = ("livestream", "copy mode", "call", "every frame", "every 30th")


def draw(figures: dict[str, Any], path: Path) -> None:
    """Write a picture of what each way costs over encoding alone, film by film.

    Raises:
        UsageError: the extra is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)
    except ImportError:
        raise UsageError("--plot needs matplotlib", "install safelight[evaluation]") from None
    films = figures["films"]
    chart = Figure(figsize=(9, 1.5 + 0.9 * len(films)), layout="constrained")
    axes = chart.add_subplot()
    step = 0.8 / len(_WAYS)
    for index, way in enumerate(_WAYS):
        ratios = [film["ways"][way]["ratio_to_encode"] for film in films]
        axes.barh([at + index * step for at in range(len(films))], ratios, step, label=way)
    names = [f"{film['film']}, {film['size'][1]}p" for film in films]
    axes.set_yticks([at + 0.4 - step / 2 for at in range(len(films))], names)
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("CPU beyond decoding and encoding, over encoding (x264 veryfast, CRF 23)")
    axes.legend()
    try:
        chart.savefig(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--plot {path} cannot be written ({error})", "name another") from None
