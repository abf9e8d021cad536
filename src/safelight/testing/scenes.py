"""A drawn scene that moves, and pictures made of drawings: for demos and tests.

``scene(t, size)`` is a street with hills, a sun, clouds and a car: harmless, smooth, the
same on any machine. ``picture_from_rgb`` turns any drawing into the planes that a guard
sees. The still drawings (``card``, ``cup`` …) live in ``drawings`` and are offered here too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safelight.testing.drawings import (
    DRAWINGS,
    INK,
    LEAF,
    Canvas,
    Rgb,
    card,
    cup,
    flower,
    house,
    postcard,
)
from safelight.types import Picture, PictureFormat

__all__ = [
    "DRAWINGS",
    "Rgb",
    "card",
    "cup",
    "flower",
    "house",
    "picture_from_rgb",
    "postcard",
    "rgb_from_picture",
    "scene",
]

_CAR_S: Final = 8.0  # seconds that the car takes across, out of sight at both ends
_SUN_S: Final = 60.0
_KEY: Final = (255, 0, 255)  # left where a sprite is clear


def scene(t: float, size: tuple[int, int] = (640, 360)) -> Rgb:
    """Draw the street at ``t`` seconds: uint8 (height, width, 3), ``size`` is (width, height).

    Everything moves by fractions of a pixel, so nothing jumps at any frame rate.
    """
    width, height = size
    u = height / 100
    frame = _sky(size).copy()
    sun = _sun(size)
    phase = (t / _SUN_S) % 1.0
    sun_y = (38 - 30 * np.sin(np.pi * phase)) * u
    blend(frame, sun, phase * (width + sun.shape[1]) - sun.shape[1], sun_y)
    for i, (speed, top, wide) in enumerate(((2.2, 8, 30), (1.4, 20, 22), (3.1, 3, 16))):
        cloud = _cloud(size, wide)
        span = width + cloud.shape[1]
        x = (t * speed * u + span * (0.3 + 0.37 * i)) % span - cloud.shape[1]
        blend(frame, cloud, x, top * u)
    blend(frame, _ground(size), 0, 0)
    car = _car(size)
    x = ((t / _CAR_S) % 1.0) * (width + car.shape[1]) - car.shape[1]
    blend(frame, car, x, 76 * u)
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def blend(frame: NDArray[np.float32], sprite: NDArray[np.float32], left: float, top: float) -> None:
    """Lay a premultiplied RGBA sprite over a float frame, in place, at a fractional position.

    ``frame`` is (H, W, 3) in [0, 255]; ``sprite`` (h, w, 4), its last channel in [0, 1].
    """
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    fx, fy = left - x0, top - y0
    padded = np.pad(sprite, ((1, 1), (1, 1), (0, 0)))
    if fx:
        padded[:, 1:] = padded[:, 1:] * np.float32(1 - fx) + padded[:, :-1] * np.float32(fx)
    if fy:
        padded[1:] = padded[1:] * np.float32(1 - fy) + padded[:-1] * np.float32(fy)
    x0, y0 = x0 - 1, y0 - 1
    height, width = frame.shape[:2]
    x1, x2 = max(0, x0), min(width, x0 + padded.shape[1])
    y1, y2 = max(0, y0), min(height, y0 + padded.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    part = padded[y1 - y0 : y2 - y0, x1 - x0 : x2 - x0]
    seen = frame[y1:y2, x1:x2]
    seen *= 1 - part[..., 3:]
    seen += part[..., :3]


@lru_cache(maxsize=4)
def _sky(size: tuple[int, int]) -> NDArray[np.float32]:
    width, height = size
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top = np.array([120, 170, 214], np.float32)
    low = np.array([206, 224, 234], np.float32)
    grain = np.random.default_rng(3).normal(0, 1.2, (height, width, 1)).astype(np.float32)
    return np.asarray(top + (low - top) * down + grain, np.float32)


@lru_cache(maxsize=4)
def _sun(size: tuple[int, int]) -> NDArray[np.float32]:
    side = max(4, round(size[1] * 0.16))
    c = Canvas((side, side), _KEY)
    c.oval(50, 50, 49, 49, (250, 232, 160))
    return c.cut_out(_KEY)


@lru_cache(maxsize=16)
def _cloud(size: tuple[int, int], wide: int) -> NDArray[np.float32]:
    width, height = max(6, round(size[1] * wide / 100)), max(4, round(size[1] * wide / 220))
    c = Canvas((width, height), _KEY)
    w = c.wide
    for x, y, r in ((0.2, 68, 30), (0.45, 48, 46), (0.68, 58, 38), (0.84, 72, 26)):
        c.oval(x * w, y, r, r, (244, 247, 249))
    return c.cut_out(_KEY)


@lru_cache(maxsize=4)
def _ground(size: tuple[int, int]) -> NDArray[np.float32]:
    """Hills, houses, trees, meadow and road: everything that stands still below the sky."""
    c = Canvas(size, _KEY)
    w = c.wide
    xs = np.linspace(0, w, 80)
    far = [(float(x), float(50 + 7 * np.sin(x / 23) + 3 * np.sin(x / 9))) for x in xs]
    near = [(float(x), float(60 + 5 * np.sin(x / 17 + 2) + 2 * np.sin(x / 7))) for x in xs]
    c.shape([*far, (w, 100), (0, 100)], (124, 160, 150))
    c.shape([*near, (w, 100), (0, 100)], (112, 154, 108))
    for i in range(5):
        x = w * (0.06 + 0.21 * i)
        wall = ((214, 218, 214), (190, 204, 214), (222, 220, 206))[i % 3]
        c.box(x, 56, x + 17, 76, fill=wall)
        c.shape([(x - 2, 56.5), (x + 8.5, 45), (x + 19, 56.5)], ((92, 98, 112), INK)[i % 2])
        c.box(x + 7, 66, x + 11, 76, fill=(70, 104, 122))
        for dx in (2, 12):
            c.box(x + dx, 60, x + dx + 3.4, 64, fill=(88, 112, 132))
        c.box(x + 23.2, 66, x + 24.4, 77, fill=(96, 84, 72))
        c.oval(x + 23.8, 62, 4.6, 6.4, LEAF)
    c.box(0, 76, w, 79, fill=(172, 176, 174))
    c.box(0, 79, w, 96, fill=(96, 102, 108))
    for i in range(int(w / 12) + 2):
        c.box(i * 12, 87, i * 12 + 6, 88, fill=(220, 222, 220))
    c.box(0, 96, w, 100, fill=(104, 146, 100))
    sprite = c.cut_out(_KEY)
    height = size[1]
    grain = np.random.default_rng(5).normal(0, 2.5, (*sprite.shape[:2], 1)).astype(np.float32)
    grain[: height // 3] = 0
    sprite[..., :3] += grain * sprite[..., 3:]
    return sprite


@lru_cache(maxsize=4)
def _car(size: tuple[int, int]) -> NDArray[np.float32]:
    width, height = max(8, round(size[1] * 0.34)), max(4, round(size[1] * 0.15))
    c = Canvas((width, height), _KEY)
    w = c.wide
    c.shape([(0.2 * w, 50), (0.32 * w, 6), (0.66 * w, 6), (0.82 * w, 50)], (48, 92, 150))
    c.shape([(0.26 * w, 46), (0.35 * w, 14), (0.48 * w, 14), (0.48 * w, 46)], (190, 214, 226))
    c.shape([(0.52 * w, 46), (0.52 * w, 14), (0.63 * w, 14), (0.74 * w, 46)], (190, 214, 226))
    c.box(0.03 * w, 44, 0.97 * w, 80, fill=(48, 92, 150), bend=10)
    c.box(0.91 * w, 52, 0.97 * w, 62, fill=(240, 236, 196), bend=3)
    for x in (0.24, 0.76):
        c.oval(x * w, 78, 20, 20, (40, 44, 50))
        c.oval(x * w, 78, 9, 9, (170, 176, 180))
    return c.cut_out(_KEY)


def picture_from_rgb(rgb: Rgb, *, full_range: bool = False) -> Picture:
    """Turn uint8 (height, width, 3) RGB with even sides into I420 planes, BT.601.

    Chroma is the mean of each 2x2 pixels. The format says ``matrix=6`` (BT.601), so whoever
    reads it back need not guess.

    Raises:
        ValueError: the sides are odd or smaller than 16.
    """
    height, width = rgb.shape[:2]
    form = PictureFormat(width, height, full_range=full_range, matrix=6)
    r, g, b = (rgb[..., i].astype(np.float32) / 255 for i in range(3))
    luma = np.asarray(0.299 * r + 0.587 * g + 0.114 * b, np.float32)
    blue = np.asarray((b - luma) / 1.772, np.float32)
    red = np.asarray((r - luma) / 1.402, np.float32)
    y_low, y_span, c_span = (0, 255, 255) if full_range else (16, 219, 224)

    def plane(values: NDArray[np.float32], low: int, span: int) -> Rgb:
        return np.clip(np.rint(low + span * values), 0, 255).astype(np.uint8)

    def half(values: NDArray[np.float32]) -> NDArray[np.float32]:
        pairs = values.reshape(height // 2, 2, width // 2, 2)
        return np.asarray(pairs.mean(axis=(1, 3)), np.float32)

    return Picture(
        form,
        plane(luma, y_low, y_span),
        plane(half(blue), 128, c_span),
        plane(half(red), 128, c_span),
    )


def rgb_from_picture(picture: Picture) -> Rgb:
    """Turn I420 planes back into uint8 (height, width, 3) RGB, read as BT.601."""
    y_low, y_span, c_span = (0, 255, 255) if picture.format.full_range else (16, 219, 224)
    luma = (picture.y.astype(np.float32) - y_low) / y_span
    blue, red = (
        (p.repeat(2, axis=0).repeat(2, axis=1).astype(np.float32) - 128) / c_span
        for p in (picture.u, picture.v)
    )
    r, b = luma + 1.402 * red, luma + 1.772 * blue
    g = (luma - 0.299 * r - 0.114 * b) / 0.587
    return np.clip(np.rint(np.stack([r, g, b], axis=-1) * 255), 0, 255).astype(np.uint8)
