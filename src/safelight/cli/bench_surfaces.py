"""``safelight bench --surfaces``: what a guard adds from glass to glass, on each surface.

A time code is drawn into each picture and read back where it is shown; the same path runs with
the guard and without, one after the other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import typer

from safelight.cli import surface_chains
from safelight.cli.surface_chains import RATE, SIZE, NotHereError
from safelight.errors import LostError

_CALL_LIMIT_S: Final = 400.0
_CODECS: Final = ("VP8", "H264")


def measure(scratch: Path, seconds: float) -> list[dict[str, Any]]:
    """Measure every surface that works here, ``seconds`` each way; print, and return figures.

    Each is ``surface``, ``hold_ms``, ``plain``, ``guarded`` and ``added_ms``, or ``surface`` and
    ``not_measured``: why.
    """
    typer.echo(
        f"\nGlass to glass: a time code in each picture, {SIZE[0]}x{SIZE[1]} at {RATE} a second,"
        f" {seconds:g} s each way; milliseconds"
    )
    typer.echo(f"  {'':34} {'p50':>7} {'p99':>7} {'max':>7} {'pictures':>9} {'cards':>6}")
    figures = []
    for surface, hold_ms, run in _surfaces(seconds):
        try:
            # A cool-down of one is none of another.
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                found = {"surface": surface, "hold_ms": hold_ms, **run(Path(folder))}
        except NotHereError as reason:
            found = {"surface": surface, "not_measured": f"not here: {reason}"}
        except (LostError, TimeoutError) as error:
            found = {"surface": surface, "not_measured": str(error)}
        if "plain" in found:
            found["added_ms"] = _added(found["plain"], found["guarded"])
        figures.append(found)
        _print(found)
    return figures


def unjudged(figures: list[dict[str, Any]]) -> int:
    """Return how many frames left unjudged, in all runs that tell it."""
    parts = [found.get(part, {}) for found in figures for part in ("guarded", "judge_killed")]
    found: int = sum(part.get("unjudged_released", 0) for part in parts)
    return found


_Run = Callable[[Path], dict[str, Any]]


def _surfaces(seconds: float) -> Iterator[tuple[str, int, _Run]]:
    yield "RTMP", 250, lambda folder: _pair(surface_chains.rtmp, folder, seconds)
    for codec in _CODECS:
        yield f"WebRTC, {codec}", 0, lambda _, codec=codec: _call(codec, seconds)  # type: ignore[misc]
    for hold_ms in (250, 0):
        yield (
            "GStreamer",
            hold_ms,
            lambda folder, hold_ms=hold_ms: _pair(  # type: ignore[misc]
                surface_chains.gstreamer, folder, seconds, hold_ms=hold_ms
            ),
        )
    yield "guarded camera", 250, lambda folder: _pair(surface_chains.camera, folder, seconds)


def _pair(
    run: Callable[..., dict[str, Any]], folder: Path, seconds: float, **more: int
) -> dict[str, Any]:
    return {
        "plain": run(folder, seconds, guarded=False, **more),
        "guarded": run(folder, seconds, guarded=True, **more),
    }


def _call(codec: str, seconds: float) -> dict[str, Any]:
    if find_spec("aiortc") is None:
        raise NotHereError("aiortc is missing: pip install 'safelight[webrtc]'")
    command = [sys.executable, "-m", "safelight.cli.surface_call_job", codec, str(seconds)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, timeout=_CALL_LIMIT_S)
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, ValueError):
        raise LostError("the call did not come about", "see `safelight doctor`") from None
    return found


def _added(plain: dict[str, Any], guarded: dict[str, Any]) -> dict[str, float | None]:
    return {
        name: None if None in (plain[name], guarded[name]) else guarded[name] - plain[name]
        for name in ("p50", "p99")
    }


def _print(found: dict[str, Any]) -> None:
    if "not_measured" in found:
        typer.echo(f"  {found['surface']}: not measured, {found['not_measured']}")
        return
    name = f"{found['surface']}, hold {found['hold_ms']}"
    for label, part in (("no guard", found["plain"]), ("guarded", found["guarded"])):
        typer.echo(
            f"  {name + ', ' + label:34} {_ms(part['p50'])} {_ms(part['p99'])} {_ms(part['max'])}"
            f" {part['pictures']:9} {part['others']:6}"
        )
    typer.echo(f"  {'added':>34} {_ms(found['added_ms']['p50'])} {_ms(found['added_ms']['p99'])}")
    if "judge_killed" in found:
        killed = found["judge_killed"]
        for label, times in (
            ("judge killed, to the card", killed["to_card_ms"]),
            ("judge killed, to the picture again", killed["to_picture_ms"]),
            ("resume, to the picture", killed["resume_to_picture_ms"]),
        ):
            typer.echo(f"    {label}: {', '.join(map(str, times)) or 'nothing'} ms")


def _ms(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:7.1f}"
