"""The measurements of ``safelight bench``: which jobs run, in what order, and their figures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from safelight.cli import bench_films
from safelight.cli.bench_job import READY, Job, Kind
from safelight.errors import LostError

LIVE_SIZE: Final = (1280, 720)
_JOB_LIMIT_S: Final = 600.0
# No two streams begin at once, nor move, and have their key frames, at the same moments.
_APART_S: Final = 1.03

# In this order in every turn, so that what the machine does meanwhile hits all alike.
_PAIRS: Final[tuple[tuple[str, Kind, int], ...]] = (
    ("decode", "decode", 0),
    ("encode", "encode", 0),
    ("plain", "plain", 0),
    ("livestream", "guard", 250),
    ("copy mode", "copy", 250),
    ("call", "guard", 0),
    ("every frame", "every", 0),
    ("every 30th", "sampled", 0),
)


def compare(
    name: str, film: Path, scratch: Path, turns: int, size: tuple[int, int]
) -> dict[str, Any]:
    """Measure one film in every way, ``turns`` times in turn; the least CPU of each counts.

    ``size``: width and height of its pictures.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(turns):
        for label, kind, hold_ms in _PAIRS:
            job = Job(kind, str(film), str(scratch), hold_ms=hold_ms)
            runs.setdefault(label, []).append(run(job, one_core=True))
    best = {label: min(several, key=lambda one: one["cpu_s"]) for label, several in runs.items()}
    encode_s = max(best["encode"]["cpu_s"] - best["decode"]["cpu_s"], 1e-3)
    plain_s = best["plain"]["cpu_s"]
    figures: dict[str, Any] = {
        "film": name,
        "size": list(size),
        "pictures": best["plain"]["pictures"],
        "encode_cpu_s": round(encode_s, 3),
        "ways": {},
    }
    for label, one in best.items():
        way: dict[str, Any] = {
            "cpu_s": round(one["cpu_s"], 3),
            "over_plain_s": round(one["cpu_s"] - plain_s, 3),
            "ratio_to_encode": round((one["cpu_s"] - plain_s) / encode_s, 3),
            "ratio_to_plain": round(one["cpu_s"] / plain_s, 3),
            "memory_mb": round(one["memory_bytes"] / 1e6),
        }
        if one["report"] is not None:
            frames = one["report"]["frames"]
            way |= {
                "judged_share": round(frames["judged"] / max(1, frames["in"]), 3),
                "unjudged_released": max(
                    each["report"]["frames"]["unjudged_released"] for each in runs[label]
                ),
                "bytes_copied_per_frame": bytes_copied(one["report"], size, encodes=True),
                "copied": one["report"]["copied"],
                "start_s": round(one["start_s"], 2),
                "frames": frames,
            }
        figures["ways"][label] = way
    return figures


def bytes_copied(report: dict[str, Any], size: tuple[int, int], *, encodes: bool) -> int:
    """Return how many bytes of pictures are copied a frame, from where copies are made.

    Each picture once out of the decoder's memory (media/av_picture.py), and once more out of
    shared memory if another process decodes (media/apart_ring.py); once into the judge's ring,
    if it is judged (judge/ring.py); once into the encoder's memory, if the sink encodes and it
    does not leave coded as it came (media/av_encode.py). What libav copies inside is not
    counted, nor what the judge writes when it makes its views.
    """
    picture = size[0] * size[1] * 3 // 2
    frames = report["frames"]
    left: int = frames["in"] - frames["dropped"] - report["copied"] if encodes else 0
    arrived: int = frames["in"] * (2 if report["cpu_s"]["source"] else 1)
    copies: float = (arrived + frames["judged"] + left) / max(1, frames["in"])
    return round(picture * copies)


def leaks(scratch: Path) -> dict[str, Any]:
    """Count, for each way, the frames of a canary that leave before anything is done."""
    film, shown = bench_films.canaries(scratch / "canaries.mp4")
    found: dict[str, Any] = {"times_shown": len(shown)}
    ways: tuple[tuple[str, Kind], ...] = (
        ("guard", "leaks"),
        ("every frame", "every"),
        ("every 30th", "sampled"),
    )
    for label, kind in ways:
        one = run(Job(kind, str(film), str(scratch)), one_core=True)
        left = set(one["left"] or ())
        counts = [len(left.intersection(when)) for when in shown]
        found[label] = {
            "frames_leaked": counts,
            "mean": round(sum(counts) / len(counts), 1),
            "max": max(counts),
        }
        if one["report"] is not None:
            found[label]["unjudged_released"] = one["report"]["frames"]["unjudged_released"]
    return found


def live(kind: Kind, name: str, film: Path, scratch: Path, *, seconds: float, hold_ms: int) -> Any:
    """Measure one live run: latency, cores, what was dropped."""
    port = free_port() if kind.startswith("rtmp") else 0
    measured = run(Job(kind, str(film), str(scratch), seconds, port, hold_ms), one_core=False)
    return live_figures(name, measured, seconds, hold_ms)


def live_figures(
    name: str, measured: dict[str, Any], seconds: float, hold_ms: int, *, encodes: bool = False
) -> Any:
    """Return the figures of a live run."""
    report = measured["report"]
    frames = report["frames"]
    return {
        "kind": name,
        "hold_ms": hold_ms,
        "seconds": seconds,
        "cpu_s": round(measured["cpu_s"], 2),
        "cores": round(measured["cpu_s"] / seconds, 3),
        "added_latency_ms": report["added_latency_ms"],
        "judged_share": round(frames["judged"] / max(1, frames["in"]), 3),
        "unjudged_released": frames["unjudged_released"],
        "memory_mb": round(measured["memory_bytes"] / 1e6),
        "bytes_copied_per_frame": bytes_copied(report, LIVE_SIZE, encodes=encodes),
        "copied": report["copied"],
        "frames": frames,
    }


def streams(
    count: int, film: Path, scratch: Path, seconds: float, *, copy: bool
) -> list[dict[str, Any]]:
    """Guard ``count`` live streams side by side, each with a judge of its own.

    ``copy``: each is published over RTMP on loopback and leaves in copy mode into a file; the
    publishers' CPU is not counted. Otherwise from memory into nothing.
    """
    started: list[subprocess.Popen[str]] = []
    for index in range(count):
        folder = scratch / f"stream {index}"
        folder.mkdir()
        if copy:
            job = Job("rtmp copy", str(film), str(folder), seconds, free_port(), together=True)
        else:
            job = Job("memory", str(film), str(folder), seconds)
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(_command(job), stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        )
    figures = []
    try:
        if copy:
            _begin_together(started)
        for index, process in enumerate(started):
            said, complained = process.communicate(timeout=_JOB_LIMIT_S)
            if process.returncode != 0:
                raise _lost(complained)
            measured, name = json.loads(said), f"stream {index + 1}"
            figures.append(live_figures(name, measured, seconds, 250, encodes=copy))
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()
    return figures


def _begin_together(started: list[subprocess.Popen[str]]) -> None:
    """Wait until every guard is there, so that no stream runs while other judges load."""
    for process in started:
        if process.stdout is None or process.stdout.readline() != READY:
            break  # it has failed, and says why when it is asked for its figures
    for process in started:
        if process.stdin is not None:
            process.stdin.write("\n")
            process.stdin.flush()
        time.sleep(_APART_S)


def sharing(count: int, film: Path, scratch: Path, seconds: float, *, copy: bool) -> dict[str, Any]:
    """Guard ``count`` live streams in one process, with one judge for all. Else as ``streams``.

    What each takes of a process that all have in common is not told apart: cores and memory
    are those of all.
    """
    folder = scratch / "shared"
    folder.mkdir()
    ports = tuple(free_port() if copy else 0 for _ in range(count))
    job = Job("shared copy" if copy else "shared", str(film), str(folder), seconds, ports=ports)
    measured = run(job, one_core=False)
    each = [
        live_figures(
            f"stream {index + 1}",
            {**measured, "report": report, "cpu_s": report["cpu_s"]["judge"]},
            seconds,
            250,
            encodes=copy,
        )
        for index, report in enumerate(measured["reports"])
    ]
    for one, report in zip(each, measured["reports"], strict=True):
        del one["cpu_s"], one["cores"], one["memory_mb"]
        one["judge_cpu_s"] = report["cpu_s"]["judge"]  # its share, its judge's start included
    return {
        "cpu_s": round(measured["cpu_s"], 2),
        "cores": round(measured["cpu_s"] / seconds, 3),
        "memory_mb": round(measured["memory_bytes"] / 1e6),
        "streams": each,
    }


def run(job: Job, *, one_core: bool) -> dict[str, Any]:
    """Carry out a job in a process of its own and return what it measured.

    Raises:
        LostError: it failed or took far too long.
    """
    try:
        done = subprocess.run(
            _command(job),
            check=True,
            capture_output=True,
            text=True,
            timeout=_JOB_LIMIT_S,
            preexec_fn=_pin if one_core else None,
        )
        measured: dict[str, Any] = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        raise _lost(error.stderr) from None
    except subprocess.TimeoutExpired:
        raise LostError("a run took too long", "use fewer --seconds, or a shorter clip") from None
    return measured


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _command(job: Job) -> list[str]:
    return [sys.executable, "-m", "safelight.cli.bench_job", job.as_text()]


def _lost(complained: str) -> LostError:
    last = (complained.strip() or "it says nothing").splitlines()[-1]
    return LostError(f"a run failed ({last})", "see `safelight doctor`")


def _pin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
