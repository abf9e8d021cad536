"""Bundles and pictures for the tests of the detectors."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from safelight.bundle import trust
from safelight.types import Picture, PictureFormat, VerifiedBundle

Pixels = NDArray[np.uint8]
TODAY = datetime.date(2026, 11, 22)


@pytest.fixture(scope="session")
def default_bundle() -> VerifiedBundle:
    return trust.verify(trust.default_folder(), allow_test=False, today=TODAY)


@pytest.fixture(scope="session")
def face_bundle() -> VerifiedBundle:
    return trust.verify(trust.stand_in_folder("face"), allow_test=True, today=TODAY)


@pytest.fixture
def verify_test() -> Callable[[Path], VerifiedBundle]:
    return lambda folder: trust.verify(folder, allow_test=True, today=TODAY)


@pytest.fixture(scope="session")
def sampled(media: Path) -> list[tuple[Picture, Pixels]]:
    """Three frames of each clip: our picture, and FFmpeg's own RGB of the same frame."""
    found = []
    clips = sorted(path for path in media.iterdir() if path.suffix in {".mkv", ".mp4"})
    for clip in clips:
        with av.open(str(clip)) as container:
            frames = list(container.decode(video=0))
        for at in (len(frames) // 4, len(frames) // 2, len(frames) - 1):
            frame = frames[at]
            pixels = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            found.append((_picture(frame), pixels))
    assert found
    return found


def _picture(frame: av.VideoFrame) -> Picture:
    width, height = frame.width, frame.height
    planes = np.asarray(frame.to_ndarray(), dtype=np.uint8)  # the I420 planes one below the other
    assert frame.format.name in {"yuv420p", "yuvj420p"}
    quarter = height // 4
    u, v = (
        planes[height + at * quarter :][:quarter].reshape(height // 2, width // 2).copy()
        for at in (0, 1)
    )
    full = frame.format.name == "yuvj420p" or int(frame.color_range) == 2
    layout = PictureFormat(width, height, full_range=full, matrix=int(frame.colorspace))
    return Picture(layout, planes[:height].copy(), u, v)
