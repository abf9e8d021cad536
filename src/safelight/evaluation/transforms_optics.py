"""Alterations by lens, sensor and filming a screen. See ``transforms`` for the shapes."""

from __future__ import annotations

import cv2
import numpy as np

from safelight.evaluation.transforms_geometry import perspective, resized
from safelight.evaluation.transforms_light import clipped, grain
from safelight.testing.drawings import Rgb


def defocus(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Blur by a Gaussian of 1 to 12 pixels (of a 640-pixel picture)."""
    return _blurred(picture, (1.0, 2.0, 4.0, 7.0, 12.0)[severity - 1])


def motion_blur(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Smear sideways over 5 to 60 pixels (of a 640-pixel picture)."""
    length = max(3, round((5, 11, 21, 37, 60)[severity - 1] * picture.shape[1] / 640))
    kernel = np.full((1, length), 1 / length, np.float32)
    return np.asarray(cv2.filter2D(picture, -1, kernel), np.uint8)


def dirty_lens(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Smudges: blurred, greyish spots, more of them and denser."""
    height, width = picture.shape[:2]
    chance = np.random.default_rng(17)
    spots = np.zeros((height, width), np.float32)
    for _ in range(4 * severity):
        at = (int(chance.integers(0, width)), int(chance.integers(0, height)))
        cv2.circle(spots, at, int(width * chance.uniform(0.03, 0.1)), 1.0, -1)
    veil = cv2.GaussianBlur(spots, (0, 0), width / 60)[..., None] * np.float32(0.18 * severity)
    veil = np.clip(veil, 0, 0.95)
    return clipped(picture * (1 - veil) + (_blurred(picture, 10.0) * 0.7 + 45) * veil)


def glare(picture: Rgb, severity: int, _index: int) -> Rgb:
    """A lamp shining into the lens, near the middle."""
    height, width = picture.shape[:2]
    y, x = np.ogrid[0:height, 0:width]
    far = np.hypot(x - width * 0.55, y - height * 0.25) / width
    light = 255 * np.exp(-((far / (0.05 + 0.05 * severity)) ** 2))
    return clipped(picture + light[..., None] * np.float32(0.3 + 0.17 * severity))


def fish_eye(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Bend the picture as a wide lens does."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = (x - width / 2) / (width / 2), (y - height / 2) / (height / 2)
    bend = 1 + np.float32(0.15 * severity) * (u * u + v * v)
    across = (u * bend + 1) * (width / 2)
    down = (v * bend + 1) * (height / 2)
    return np.asarray(
        cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT),
        np.uint8,
    )


def noise(picture: Rgb, severity: int, index: int) -> Rgb:
    """Noise of 6 to 80 of 255, another in every picture."""
    strength = (6.0, 14.0, 28.0, 50.0, 80.0)[severity - 1]
    return clipped(picture + grain(picture, strength, 1000 + index))


def banding(picture: Rgb, severity: int, index: int) -> Rgb:
    """Dark bands that wander: a lamp's flicker under a rolling shutter."""
    height = picture.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None, None]
    wave = np.sin(2 * np.pi * (rows / height * 5 + index * 0.13))
    return clipped(picture * (1 - np.float32(0.09 * severity) * (1 + wave)))


def dead_lines(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Black rows: one in 16, 8, 5, 3, 2."""
    out = picture.copy()
    out[:: (16, 8, 5, 3, 2)[severity - 1]] = 0
    return out


def low_resolution(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Shrink to 1/2 to 1/12 and enlarge again."""
    height, width = picture.shape[:2]
    by = (2, 3, 5, 8, 12)[severity - 1]
    return resized(resized(picture, width // by, height // by), width, height)


def filmed_screen(picture: Rgb, severity: int, index: int) -> Rgb:
    """A screen filmed from aside: tilted, its pixels showing, washed out, noisy."""
    tilted = perspective(picture, min(severity, 4), index).astype(np.float32)
    tilted *= _stripes(picture, 0.06 * severity, 3)
    return clipped(tilted * 0.8 + 14.0 * severity + grain(picture, 3.0 * severity, index))


def moire(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Two gratings that beat against each other."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    one, other = np.sin(x * 0.9 + y * 0.05), np.sin(x * 0.86 + y * 0.12)
    return clipped(picture * (1 + np.float32(0.12 * severity) * (one * other)[..., None]))


def scan_lines(picture: Rgb, severity: int, index: int) -> Rgb:
    """Bright and dark rows, and a bar that rolls: an old screen."""
    height = picture.shape[0]
    rows = np.arange(height)[:, None, None]
    lines = 1 - np.float32(0.15 * severity) * (rows % 2)
    at = (index * 7) % height
    bar = np.exp(-(((rows - at) / (height * 0.08)) ** 2)) * 22.0 * severity
    return clipped(picture * lines + bar)


def _blurred(picture: Rgb, sigma: float) -> Rgb:
    scaled = sigma * picture.shape[1] / 640
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), scaled), np.uint8)


def _stripes(
    picture: Rgb, depth: float, pitch: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a factor for each pixel and channel: the stripes of a screen's colours."""
    columns = np.arange(picture.shape[1])
    kept = np.stack([(columns % pitch) == channel for channel in range(3)], -1)
    return np.asarray(np.where(kept, 1 + depth, 1 - depth), np.float32)[None]
