"""``safelight bench``: what guarding costs on this machine, as ratios within one run."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import safelight
from safelight.cli import bench_films, bench_runs, bench_surfaces, machine
from safelight.cli.bench_job import Job
from safelight.errors import LostError, SourceError, UsageError

SCHEMA: Final = "safelight.bench/4"


def bench(  # noqa: PLR0917  (a command's options)
    clips: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLIP…]", help="Films to measure with. [a drawn scene]"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="N", help="How long each film and each live run lasts.")
    ] = 10.0,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="WxH", help="The size that films are brought to; may repeat."),
    ] = None,
    turns: Annotated[
        int, typer.Option(metavar="N", help="How often each pair runs; the least CPU counts.")
    ] = 1,
    streams: Annotated[
        int, typer.Option(metavar="N", help="Guard so many live streams side by side, only that.")
    ] = 0,
    copy: Annotated[
        bool, typer.Option("--copy", help="With --streams: over RTMP, and left coded as they came.")
    ] = False,
    shared: Annotated[
        bool,
        typer.Option("--shared", help="With --streams: then again, in one process, one judge."),
    ] = False,
    surfaces: Annotated[
        bool, typer.Option("--surfaces", help="Added latency of each surface, only that.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the ratios here (needs safelight[evaluation])."),
    ] = None,
) -> int:
    """Measure what guarding costs on this machine.

    Beside it: the ways it is done today.

    Films run on one core, every way in turn: decoding and encoding alone, this guard, and an
    image classifier on every frame and on one in 30. Live runs are 720p at 30 pictures a
    second. Compare ratios within one run, not seconds between runs.
    """
    _check(seconds, turns, streams)
    if copy and not streams:
        raise UsageError("--copy goes with --streams", "films are measured in copy mode anyway")
    if shared and not streams:
        raise UsageError("--shared goes with --streams", "say how many streams")
    sizes = [_size(text) for text in size or ("1280x720",)]
    films = [Path(clip) for clip in clips or ()]
    for film in films:
        if not film.is_file():
            raise SourceError(f"{film} is not there", "name a film")
    figures: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": {"cpu": machine.cpu_name(), "cores": machine.cores()},
        "versions": {"safelight": safelight.__version__, "python": sys.version.split()[0]},
        "sizes": [list(one) for one in sizes],
        "films": [],
        "leaks": {},
        "live": [],
        "idle_cores": None,
        "streams": [],
        "shared": None,
        "surfaces": [],
    }
    typer.echo(f"{machine.cpu_name()}, {machine.cores()} cores; safelight {safelight.__version__}")
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as folder:
        scratch = Path(folder)
        if surfaces:
            figures["surfaces"] = bench_surfaces.measure(scratch, seconds)
        elif streams:
            _streams(figures, films, scratch, seconds, most=streams, copy=copy, shared=shared)
        else:
            for one in sizes:
                _films(figures, films, scratch, seconds, size=one, turns=turns)
            _leaks(figures, scratch)
            _live(figures, films, scratch, seconds)
    found = _system_leaks(figures)
    typer.echo(f"\nsystem leaks (unjudged_released), all runs: {found} · misses: not measured")
    if json_file is not None:
        _write(json_file, json.dumps(figures, indent=2) + "\n")
    if plot is not None:
        from safelight.cli.bench_plot import draw  # noqa: PLC0415  (an extra)

        draw(figures, plot)
    return 0 if found == 0 else LostError.exit_status


def _check(seconds: float, turns: int, streams: int) -> None:
    if not 2.0 <= seconds <= 600.0:
        raise UsageError(f"--seconds {seconds:g} is out of range", "use 2 to 600")
    if not 1 <= turns <= 20:
        raise UsageError(f"--turns {turns} is out of range", "use 1 to 20")
    if not 0 <= streams <= 64:
        raise UsageError(f"--streams {streams} is out of range", "use 1 to 64")


def _size(text: str) -> tuple[int, int]:
    given = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    sides = (int(given[1]), int(given[2])) if given else (0, 0)
    if min(sides) < 64 or any(side % 2 for side in sides):
        raise UsageError(f"--size {text} is no size", "use even sides from 64, as in 1280x720")
    return sides


def _films(
    figures: dict[str, Any],
    clips: list[Path],
    scratch: Path,
    seconds: float,
    *,
    size: tuple[int, int],
    turns: int,
) -> None:
    count = round(seconds * bench_films.RATE)
    first = clips[0] if clips else None
    typer.echo(f"\nFilms of {seconds:g} s at {size[0]}x{size[1]}, on one core")
    typer.echo(
        f"  {'':14} {'CPU s':>7} {'÷ encode':>9} {'judged':>7} {'leaks':>6} {'MB':>5} {'copied':>8}"
    )
    made: list[tuple[str, Callable[[Path], Path]]] = [
        (clip.name, lambda path, clip=clip: bench_films.moving(path, clip, size, count))  # type: ignore[misc]
        for clip in clips
    ] or [("a drawn scene", lambda path: bench_films.moving(path, None, size, count))]
    made += [
        ("a still scene", lambda path: bench_films.still(path, first, size, count)),
        ("constant motion", lambda path: bench_films.panning(path, size, count)),
    ]
    for name, make in made:
        film = make(scratch / "film.mp4")
        found = bench_runs.compare(name, film, scratch, turns, size)
        figures["films"].append(found)
        _print_film(found)


def _print_film(found: dict[str, Any]) -> None:
    typer.echo(f"  {found['film']} (encoding alone: {found['encode_cpu_s']:.2f} s CPU)")
    for label, way in found["ways"].items():
        judged = f"{way['judged_share']:.2f}" if "judged_share" in way else ""
        leaked = str(way.get("unjudged_released", ""))
        copied = way.get("bytes_copied_per_frame")
        copied = "" if copied is None else f"{copied / 1e6:.2f} MB"
        ratio = "" if label in {"decode", "encode", "plain"} else f"{way['ratio_to_encode']:.2f}"
        typer.echo(
            f"    {label:12} {way['cpu_s']:7.2f} {ratio:>9} {judged:>7} {leaked:>6}"
            f" {way['memory_mb']:5} {copied:>8}"
        )


def _leaks(figures: dict[str, Any], scratch: Path) -> None:
    found = figures["leaks"] = bench_runs.leaks(scratch)
    typer.echo(f"\nFrames of a canary that left before anything was done, {found['times_shown']} ×")
    for label in ("guard", "every frame", "every 30th"):
        way = found[label]
        typer.echo(f"    {label:12} mean {way['mean']:.1f}, most {way['max']}")


def _live(figures: dict[str, Any], clips: list[Path], scratch: Path, seconds: float) -> None:
    typer.echo("\nLive, 1280x720 at 30 a second, into null:")
    count = round(seconds * bench_films.RATE)
    clip = clips[0] if clips else None
    film = bench_films.moving(scratch / "live.mp4", clip, bench_runs.LIVE_SIZE, count, live=True)
    for kind, name, hold_ms in (
        ("memory", "livestream, from memory", 250),
        ("memory", "call, from memory", 0),
        ("rtmp", "livestream, over RTMP", 250),
    ):
        found = bench_runs.live(kind, name, film, scratch, seconds=seconds, hold_ms=hold_ms)  # type: ignore[arg-type]
        figures["live"].append(found)
        _print_live(found)
    idle = bench_runs.run(Job("idle", "", str(scratch), seconds), one_core=False)
    figures["idle_cores"] = round(idle["cpu_s"] / seconds, 4)
    typer.echo(f"  open, no frames: {figures['idle_cores']:.4f} cores")


def _streams(
    figures: dict[str, Any],
    clips: list[Path],
    scratch: Path,
    seconds: float,
    *,
    most: int,
    copy: bool,
    shared: bool,
) -> None:
    count = round(seconds * bench_films.RATE)
    clip = clips[0] if clips else None
    film = bench_films.moving(scratch / "live.mp4", clip, bench_runs.LIVE_SIZE, count, live=True)
    way = "over RTMP, in copy mode" if copy else "into null:"
    typer.echo(f"\n{most} live streams side by side, 1280x720 at 30 a second, {way}")
    figures["streams"] = bench_runs.streams(most, film, scratch, seconds, copy=copy)
    for found in figures["streams"]:
        _print_live(found)
    cores = sum(found["cores"] for found in figures["streams"])
    memory = sum(found["memory_mb"] for found in figures["streams"])
    _print_together(figures["streams"], cores, memory)
    if shared:
        typer.echo("\nThe same in one process, with one judge for all")
        all_of_them = figures["shared"] = bench_runs.sharing(
            most, film, scratch, seconds, copy=copy
        )
        for found in all_of_them["streams"]:
            _print_live(found)
        _print_together(all_of_them["streams"], all_of_them["cores"], all_of_them["memory_mb"])


def _print_together(streams: list[dict[str, Any]], cores: float, memory_mb: float) -> None:
    dropped = sum(found["frames"]["dropped"] for found in streams)
    covered = sum(found["frames"]["covered"] for found in streams)
    count = len(streams)
    typer.echo(
        f"  together {cores:.2f} cores, {cores / count:.2f} a stream; {memory_mb:.0f} MB,"
        f" {memory_mb / count:.0f} a stream; {covered} covered, {dropped} dropped"
    )


def _print_live(found: dict[str, Any]) -> None:
    frames, latency = found["frames"], found["added_latency_ms"]
    typer.echo(
        f"  {found['kind']}: {frames['in']} in, {frames['released']} released,"
        f" {frames['covered']} covered, {frames['dropped']} dropped\n"
        f"    added latency p50 {latency['p50']:.0f}, p99 {latency['p99']:.0f}, max"
        f" {latency['max']:.0f} ms, a hold of {found['hold_ms']} included;"
        f" {_own(found)}{found['judged_share']:.0%} judged;"
        f" {found['bytes_copied_per_frame'] / 1e6:.2f} MB copied a frame"
    )


def _own(found: dict[str, Any]) -> str:
    """What a run has to itself: nothing can be told apart in a process of several streams."""
    if "cores" not in found:
        return ""
    return f"{found['cores']:.2f} cores; {found['memory_mb']} MB; "


def _system_leaks(figures: dict[str, Any]) -> int:
    ways = [way for film in figures["films"] for way in film["ways"].values()]
    shared = figures["shared"]["streams"] if figures["shared"] else []
    runs = [*ways, *figures["live"], *figures["streams"], *shared, *figures["leaks"].values()]
    found: int = sum(run.get("unjudged_released", 0) for run in runs if isinstance(run, dict))
    return found + bench_surfaces.unjudged(figures["surfaces"])


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(
            f"--json {path} cannot be written ({error.strerror})", "name another"
        ) from None
