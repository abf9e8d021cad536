"""Alterations by what is laid over a picture. See ``transforms`` for the shapes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from safelight.evaluation.transforms_light import clipped
from safelight.testing.drawings import Rgb

_COLOURS = ((240, 90, 70), (70, 160, 240), (250, 210, 60), (90, 200, 120), (190, 110, 220))


def text(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Lines of captions over the picture, from one to all of its height."""
    out = picture.copy()
    height, width = picture.shape[:2]
    lines = (1, 2, 4, 6, 9)[severity - 1]
    for line in range(lines):
        at = (8, int(height * (1 - 0.1 * line)) - 12)
        _write(out, "a harmless caption, line " + str(line + 1), at, width / 640)
    return out


def stickers(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Round stickers, three to thirty of them, where chance puts them."""
    out = picture.copy()
    height, width = picture.shape[:2]
    chance = np.random.default_rng(23)
    for number in range((3, 7, 12, 20, 30)[severity - 1]):
        at = (int(chance.integers(0, width)), int(chance.integers(0, height)))
        size = int(width * chance.uniform(0.03, 0.07))
        cv2.circle(out, at, size, _COLOURS[number % len(_COLOURS)], -1)
        cv2.circle(out, at, size, (255, 255, 255), max(1, size // 6))
    return out


def bars(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Black bars across, each 5 % of the height, two to eight of them."""
    out = picture.copy()
    height = picture.shape[0]
    count = (2, 3, 4, 6, 8)[severity - 1]
    for number in range(count):
        top = int(height * (number + 0.5) / count)
        out[top : top + height // 20] = 0
    return out


def tiles(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Cut into a grid of 2 to 8 a side and shuffle the tiles, an agreed scrambling."""
    side = (2, 3, 4, 6, 8)[severity - 1]
    height, width = picture.shape[0] // side, picture.shape[1] // side
    out = picture.copy()
    order = np.random.default_rng(29).permutation(side * side)
    for to, source in enumerate(order):
        (r, c), (y, x) = divmod(to, side), divmod(int(source), side)
        out[r * height : (r + 1) * height, c * width : (c + 1) * width] = picture[
            y * height : (y + 1) * height, x * width : (x + 1) * width
        ]
    return out


def watermark(picture: Rgb, severity: int, _index: int) -> Rgb:
    """A grid of see-through words."""
    laid = np.zeros_like(picture)
    height, width = picture.shape[:2]
    for row in range(0, height, 36):
        for column in range(-40, width, 130):
            _write(laid, "WATERMARK", (column + row % 70, row + 24), width / 640)
    return clipped(picture + laid * np.float32(0.16 * severity))


def emoji_on_middle(picture: Rgb, severity: int, _index: int) -> Rgb:
    """One round face drawn over the middle, 8 % to 40 % of the height."""
    out = picture.copy()
    height, width = picture.shape[:2]
    r = int(height * 0.04 * (1, 2, 3, 4, 5)[severity - 1])
    x, y = width // 2, height // 3
    cv2.circle(out, (x, y), r, (250, 210, 60), -1)
    for side in (-1, 1):
        cv2.circle(out, (x + side * r // 3, y - r // 4), max(1, r // 8), (40, 40, 40), -1)
    cv2.ellipse(out, (x, y + r // 8), (r // 2, r // 3), 0, 20, 160, (40, 40, 40), max(1, r // 10))
    return out


def flicker(film: Sequence[Rgb], severity: int) -> list[Rgb]:
    """Every other to every sixth picture is white: one in 6, 5, 4, 3, 2."""
    every = (6, 5, 4, 3, 2)[severity - 1]
    return [
        np.full_like(picture, 255) if index % every == every - 1 else picture
        for index, picture in enumerate(film)
    ]


def _write(onto: Rgb, words: str, at: tuple[int, int], scale: float) -> None:
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.putText(
            onto,
            words,
            at,
            cv2.FONT_HERSHEY_SIMPLEX,
            0.9 * scale,
            colour,
            max(1, round(thickness * scale)),
            cv2.LINE_AA,
        )
