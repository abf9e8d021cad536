"""A sheet on which every transform can be looked at: on a drawn scene, with nobody in it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from safelight.evaluation.transforms import ALL, SEVERITIES, Transform
from safelight.evaluation.transforms_geometry import resized
from safelight.testing import canary
from safelight.testing.drawings import Rgb

_SIZE: Final = (400, 300)
_SMALL: Final = (120, 90)
_LABEL: Final = 18
_COLUMNS: Final = 3
_FRAMES: Final = 6


def draw() -> Rgb:
    """Return the sheet: uint8 (height, width, 3), a row of five severities a transform."""
    # The clean postcard in front of the street: edges, faces of houses, text, and it moves.
    film = [canary.moving(1.0 + i / 6, _SIZE, changed=False) for i in range(_FRAMES)]
    rows = [_row(transform, film) for transform in ALL]
    high = -(-len(rows) // _COLUMNS)
    rows += [np.full_like(rows[0], 255)] * (high * _COLUMNS - len(rows))
    columns = [np.vstack(rows[i * high : (i + 1) * high]) for i in range(_COLUMNS)]
    return np.hstack(columns)


def _row(transform: Transform, film: list[Rgb]) -> Rgb:
    cells = [resized(transform.some(film, s, (_FRAMES - 1,))[0], *_SMALL) for s in SEVERITIES]
    strip = np.hstack(
        # A line around each: some of them are white all over.
        [
            np.pad(
                np.pad(cell, ((1, 1), (1, 1), (0, 0)), constant_values=150),
                ((1, 1), (1, 1), (0, 0)),
                constant_values=255,
            )
            for cell in cells
        ]
    )
    label = np.full((_LABEL, strip.shape[1], 3), 255, np.uint8)
    cv2.putText(
        label,
        f"{transform.name}, {transform.family}: 1 to 5",
        (3, _LABEL - 5),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.42,
        (20, 20, 20),
        1,
        cv2.LINE_AA,
    )
    return np.vstack([label, strip])
