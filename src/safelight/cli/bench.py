"""``safelight bench``: what guarding costs on this machine, as ratios within one run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

import safelight
from safelight.cli import machine
from safelight.cli.bench_job import LOOP, Job
from safelight.errors import LostError, SourceError, UsageError
from safelight.testing import canary, scenes
from safelight.testing.drawings import Rgb
from safelight.testing.film import Film, read_back

SCHEMA: Final = "safelight.bench/1"
RATE: Final = 30
_FILE_SIZE: Final = (640, 480)
_LIVE_SIZE: Final = (1280, 720)
_JOB_LIMIT_S: Final = 300.0


def bench(
    clips: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLIP…]", help="Films to measure with. [a drawn scene]"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="N", help="How long each live run lasts.")
    ] = 10.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.")
    ] = None,
) -> int:
    """Measure what guarding costs on this machine.

    Films run on one core, each beside decoding and encoding alone; live runs are 720p at 30
    pictures a second with a hold of 250 ms. Compare ratios within one run, not milliseconds
    between runs.
    """
    if not 2.0 <= seconds <= 600.0:
        raise UsageError(f"--seconds {seconds:g} is out of range", "use 2 to 600")
    figures: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": {"cpu": machine.cpu_name(), "cores": machine.cores()},
        "versions": {"safelight": safelight.__version__, "python": sys.version.split()[0]},
        "file": [],
        "live": [],
    }
    typer.echo(f"{machine.cpu_name()}, {machine.cores()} cores; safelight {safelight.__version__}")
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as folder:
        scratch = Path(folder)
        films = [Path(clip) for clip in clips or ()]
        for film in films:
            if not film.is_file():
                raise SourceError(f"{film} is not there", "name a film")
        if not films:
            films = [_drawn_film(scratch / "drawn scene.mp4", _FILE_SIZE, round(seconds * RATE))]
        typer.echo("\nFile to file, on one core")
        for film in films:
            figures["file"].append(_file(film, scratch))
        typer.echo("\nLive, 1280x720 at 30 a second, hold 250 ms, into null:")
        live = scratch / "live.mp4"
        _live_film(live, films[0] if clips else None, round(seconds * RATE))
        for kind, name in (("memory", "from memory"), ("rtmp", "over RTMP")):
            figures["live"].append(_live(kind, name, live, scratch, seconds))
    leaks = sum(run["unjudged_released"] for run in (*figures["file"], *figures["live"]))
    typer.echo(f"\nsystem leaks (unjudged_released), all runs: {leaks} · misses: not measured")
    if json_file is not None:
        _write(json_file, json.dumps(figures, indent=2) + "\n")
    return 0 if leaks == 0 else LostError.exit_status


def _file(film: Path, scratch: Path) -> dict[str, Any]:
    guarded = _run(Job("file", str(film), str(scratch)), one_core=True)
    plain = _run(Job("plain", str(film), str(scratch)), one_core=True)
    report = guarded["report"]
    frames = report["frames"]
    length = _length(film)
    figures = {
        "film": film.name,
        "seconds": round(length, 2),
        "start_s": round(guarded["start_s"], 2),
        "wall_s": round(guarded["wall_s"], 2),
        "cpu_s": round(guarded["cpu_s"], 2),
        "plain_cpu_s": round(plain["cpu_s"], 2),
        "times_real_time": round(length / max(guarded["cpu_s"], 1e-3), 2),
        "ratio_to_plain": round(guarded["cpu_s"] / max(plain["cpu_s"], 1e-3), 2),
        "judged_share": round(frames["judged"] / max(1, frames["in"]), 3),
        "unjudged_released": frames["unjudged_released"],
        "frames": frames,
    }
    typer.echo(
        f"  {film.name}: {length:.1f} s of film in {figures['cpu_s']:.1f} s CPU,"
        f" {figures['wall_s']:.1f} s wall: {figures['times_real_time']:.1f} × real time by CPU\n"
        f"    {figures['ratio_to_plain']:.1f} × decoding and encoding alone"
        f" ({figures['plain_cpu_s']:.1f} s CPU); {figures['judged_share']:.0%} judged;"
        f" {frames['released']} of {frames['in']} released; start-up {figures['start_s']:.1f} s"
    )
    return figures


def _live(kind: Any, name: str, film: Path, scratch: Path, seconds: float) -> dict[str, Any]:
    job = Job(kind, str(film), str(scratch), seconds, _free_port() if kind == "rtmp" else 0)
    measured = _run(job, one_core=False)
    report = measured["report"]
    frames, latency = report["frames"], report["added_latency_ms"]
    figures = {
        "kind": name,
        "seconds": seconds,
        "cpu_s": round(measured["cpu_s"], 2),
        "cores": round(measured["cpu_s"] / seconds, 2),
        "judge_cores": round(report["cpu_s"]["judge"] / seconds, 2),
        "added_latency_ms": latency,
        "judged_share": round(frames["judged"] / max(1, frames["in"]), 3),
        "unjudged_released": frames["unjudged_released"],
        "frames": frames,
    }
    typer.echo(
        f"  {name}: {frames['in']} in, {frames['released']} released, {frames['covered']} covered,"
        f" {frames['dropped']} dropped\n"
        f"    added latency p50 {latency['p50']:.0f}, p99 {latency['p99']:.0f}, max"
        f" {latency['max']:.0f} ms, the hold included; {figures['cores']:.2f} cores;"
        f" {figures['judged_share']:.0%} judged"
    )
    return figures


def _run(job: Job, *, one_core: bool) -> dict[str, Any]:
    """Carry out a job in a process of its own and return what it measured.

    Raises:
        LostError: it failed or took far too long.
    """
    command = [sys.executable, "-m", "safelight.cli.bench_job", job.as_text()]
    try:
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=_JOB_LIMIT_S,
            preexec_fn=_pin if one_core else None,
        )
        measured: dict[str, Any] = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "it says nothing").splitlines()[-1]
        raise LostError(f"a run failed ({last})", "see `safelight doctor`") from None
    except subprocess.TimeoutExpired:
        raise LostError("a run took too long", "use fewer --seconds, or a shorter clip") from None
    return measured


def _pin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _length(film: Path) -> float:
    last = 0.0
    for shown in read_back(film):
        last = shown.at_s
    return last + 1 / RATE


def _drawn_film(path: Path, size: tuple[int, int], count: int) -> Path:
    with Film(path, size, rate=RATE) as film:
        for index in range(count):
            film.add(scenes.scene(index / RATE, size))
    return path


def _live_film(path: Path, clip: Path | None, count: int) -> None:
    """Write what the live runs show: pictures played to and fro, at the live runs' size."""
    pictures: list[Rgb] = []
    for rgb in _from(clip):
        pictures.append(canary.at_size(rgb, _LIVE_SIZE))
        if len(pictures) == LOOP:
            break
    turn = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with Film(path, _LIVE_SIZE, rate=RATE) as film:
        for index in range(count):
            film.add(np.ascontiguousarray(pictures[turn[index % len(turn)]]))


def _from(clip: Path | None) -> Iterator[Rgb]:
    if clip is not None:
        for shown in read_back(clip):
            yield shown.rgb
    else:
        for index in range(LOOP):
            yield scenes.scene(index / RATE)


def _write(path: Path, text: str) -> None:
    write: Callable[[str], int] = path.write_text
    try:
        write(text)
    except OSError as error:
        raise UsageError(
            f"--json {path} cannot be written ({error.strerror})", "name another"
        ) from None
