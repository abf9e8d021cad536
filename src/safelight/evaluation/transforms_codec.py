"""Alterations by coding and by what gets lost on the way. See ``transforms`` for the shapes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from safelight.testing.drawings import Rgb
from safelight.testing.film import recoded


def low_bitrate(film: Sequence[Rgb], severity: int) -> list[Rgb]:
    """Through H.264 at a quantiser of 30 to 50."""
    return recoded(film, quantiser=(30, 36, 41, 46, 50)[severity - 1])


def frame_loss(film: Sequence[Rgb], severity: int) -> list[Rgb]:
    """Part of a picture stays as it was: 20 to 80 % of its 32-pixel rows, by chance."""
    chance = np.random.default_rng(31)
    out: list[Rgb] = []
    for picture in film:
        kept = picture.copy()
        for top in range(0, picture.shape[0], 32):
            if out and chance.random() < (0.2, 0.35, 0.5, 0.65, 0.8)[severity - 1]:
                kept[top : top + 32] = out[-1][top : top + 32]
        out.append(kept)
    return out


def low_frame_rate(film: Sequence[Rgb], severity: int) -> list[Rgb]:
    """Show one picture in 2 to 15, and hold it."""
    every = (2, 3, 5, 10, 15)[severity - 1]
    return [film[index - index % every] for index in range(len(film))]


def jpeg(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Through JPEG at quality 40 to 3."""
    quality = (40, 25, 15, 8, 3)[severity - 1]
    ok, coded = cv2.imencode(
        ".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not ok:
        raise ValueError("a picture could not be coded")
    return np.ascontiguousarray(
        np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    )


def blocks(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Mosaic: blocks of 4 to 32 pixels (of a 640-pixel picture)."""
    height, width = picture.shape[:2]
    side = max(2, round((4, 8, 12, 20, 32)[severity - 1] * width / 640))
    small = cv2.resize(
        picture, (max(1, width // side), max(1, height // side)), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def few_colours(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Leave 32 to 2 levels a channel."""
    levels = (32, 16, 8, 4, 2)[severity - 1]
    step = 255 / (levels - 1)
    return np.clip(np.rint(np.rint(picture / step) * step), 0, 255).astype(np.uint8)
