"""The films that ``safelight bench`` measures with, made at run time, all of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from safelight.cli.bench_job import LOOP
from safelight.testing import canary, scenes
from safelight.testing.drawings import Rgb
from safelight.testing.film import Film, read_back

RATE: Final = 30
# Every two seconds, as services that take live streams ask for. Copy mode encodes a stream
# anew from where it begins, or was covered, up to the next.
LIVE_KEY_EVERY: Final = 2 * RATE
_PAN: Final = 16  # pixels a frame
CANARIES: Final = 10
CLEAN_FRAMES: Final = 63  # a second to lift a cover, and more; no multiple of 30
CANARY_FRAMES: Final = 40


def moving(
    path: Path, clip: Path | None, size: tuple[int, int], count: int, *, live: bool = False
) -> Path:
    """Write a clip's first pictures (a drawn scene's, when None), played to and fro.

    ``live``: with key frames as often as one who publishes live sends them.
    """
    key_every = LIVE_KEY_EVERY if live else None
    if clip is None:
        drawn = (scenes.scene(index / RATE, size) for index in range(count))
        return _write(path, size, drawn, key_every)
    pictures = [canary.at_size(rgb, size) for rgb in _first(clip)]
    turn = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)] or [0]
    played = (pictures[turn[index % len(turn)]] for index in range(count))
    return _write(path, size, played, key_every)


def still(path: Path, clip: Path | None, size: tuple[int, int], count: int) -> Path:
    """Write one picture again and again."""
    rgb = scenes.scene(0.0, size)
    if clip is not None:
        rgb = canary.at_size(next(iter(_first(clip))), size)
    return _write(path, size, (rgb for _ in range(count)))


def panning(path: Path, size: tuple[int, int], count: int) -> Path:
    """Write a scene in which everything moves all the time."""
    rgb = scenes.scene(0.0, size)
    return _write(path, size, (np.roll(rgb, index * _PAN, axis=1) for index in range(count)))


def canaries(path: Path, size: tuple[int, int] = (640, 360)) -> tuple[Path, list[range]]:
    """Write a scene in which a canary appears again and again; return also when.

    Each time it begins at another place between two samples of one frame in 30.
    """
    sensitive = canary.at_size(canary.load("card"), size)
    shown: list[range] = []
    pictures: list[Callable[[], Rgb]] = []
    for _ in range(CANARIES):
        pictures += [_scene_at(len(pictures) + ahead, size) for ahead in range(CLEAN_FRAMES)]
        shown.append(range(len(pictures), len(pictures) + CANARY_FRAMES))
        pictures += [lambda: sensitive] * CANARY_FRAMES
    return _write(path, size, (picture() for picture in pictures)), shown


def _scene_at(index: int, size: tuple[int, int]) -> Callable[[], Rgb]:
    return lambda: scenes.scene(index / RATE, size)


def _first(clip: Path) -> Iterator[Rgb]:
    for index, shown in enumerate(read_back(clip)):
        if index == LOOP:
            return
        yield shown.rgb


def _write(
    path: Path, size: tuple[int, int], pictures: Iterator[Rgb], key_every: int | None = None
) -> Path:
    with Film(path, size, rate=RATE, key_every=key_every) as film:
        for rgb in pictures:
            film.add(np.ascontiguousarray(rgb))
    return path
