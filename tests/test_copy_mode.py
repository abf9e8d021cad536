"""Promise 1 in copy mode, through the public API and the real network.

What leaves here is data from which a player makes pictures. A canary's frames are referred to
by those behind them, and refer to those before: no trace of one may be shown.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import safelight
from safelight.errors import UsageError
from safelight.testing import canary, film, scenes
from safelight.testing.drawings import Rgb
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.film import Film
from safelight.types import Plane

SIZE = (640, 360)
CLEAN = canary.at_size(canary.clean("cup"), SIZE)
CANARY = canary.at_size(canary.load("cup"), SIZE)


def luma(rgb: Rgb) -> NDArray[np.float64]:
    return scenes.picture_from_rgb(rgb).y.astype(np.float64)


CHANGE = luma(CANARY) - luma(CLEAN)


def trace(shown: Plane) -> float:
    """How much of the canary's change is in a picture: 1 all, 0 nothing."""
    off = shown.astype(np.float64) - luma(CLEAN)
    return float((off * CHANGE).sum() / (CHANGE * CHANGE).sum())


def stream(path: Path, first: int, frames: int, total: int = 90) -> Path:
    with Film(path, SIZE, rate=30) as made:
        for number in range(total):
            made.add(CANARY if first <= number < first + frames else CLEAN)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("first", "frames"), [(31, 1), (37, 12), (20, 60)])
def test_no_trace_of_a_canary_is_shown(tmp_path: Path, first: int, frames: int) -> None:
    source = stream(tmp_path / "in.mp4", first, frames)
    assert max(trace(shown.luma) for shown in film.read_back(source)) > 0.5
    out = tmp_path / "out.mp4"
    with safelight.open(str(source), str(out), copy=True, state=tmp_path) as session:
        report = session.wait()
    assert report is not None
    assert report.frames.unjudged_released == 0
    assert report.frames.in_ == 90
    assert report.frames.released >= first
    shown = list(film.read_back(out))
    assert len(shown) == 90
    # A card differs from the drawing everywhere; what is like the drawing must be it.
    like = [one.luma for one in shown if np.abs(one.luma - luma(CLEAN)).mean() < 12]
    assert len(like) == report.frames.released
    assert max(map(trace, like)) < 0.25
    assert 0 < report.copied <= report.frames.released


@pytest.mark.slow
def test_clear_video_is_copied_whole(tmp_path: Path) -> None:
    source = stream(tmp_path / "in.mp4", 0, 0, 60)
    with safelight.open(
        str(source), str(tmp_path / "out.mkv"), copy=True, state=tmp_path
    ) as session:
        report = session.wait()
    assert report is not None
    assert (report.copied, report.frames.released) == (60, 60)


def test_what_cannot_be_copied_between_is_said_at_once(tmp_path: Path) -> None:
    source = stream(tmp_path / "in.mp4", 0, 0, 3)
    with pytest.raises(UsageError, match="cannot take copies"):
        safelight.open(str(source), str(tmp_path / "out.ts"), copy=True, state=tmp_path)
    drawn = DrawnSource([scenes.picture_from_rgb(CLEAN)])
    with pytest.raises(UsageError, match="only addresses"):
        safelight.open(drawn, str(tmp_path / "out.mp4"), copy=True, state=tmp_path)
