"""Alterations of light and colour. See ``transforms`` for the shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from safelight.testing.drawings import Rgb

Floats = NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def clipped(values: NDArray[np.floating]) -> Rgb:
    """Round to uint8."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def luma(picture: Rgb) -> Floats:
    """Return float32 ``(height, width)`` in 0 to 255."""
    return np.asarray(picture.astype(np.float32) @ _LUMA, np.float32)


def grain(picture: Rgb, strength: float, seed: int) -> Floats:
    """Return noise of a strength (standard deviation, of 255), the same for one seed."""
    chance = np.random.default_rng(seed)
    return np.asarray(chance.standard_normal(picture.shape, np.float32) * strength, np.float32)


def dark(picture: Rgb, severity: int, index: int) -> Rgb:
    """Leave 60, 40, 25, 15, 8 % of the light, with a little noise."""
    share = (0.6, 0.4, 0.25, 0.15, 0.08)[severity - 1]
    return clipped(picture * np.float32(share) + grain(picture, 1.0 + severity / 2, index))


def bright(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Overexpose by 1.3 to 4 times."""
    return clipped(picture * np.float32((1.3, 1.7, 2.2, 3.0, 4.0)[severity - 1]))


def grey(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Take away 20 to 100 % of the colour."""
    share = np.float32(0.2 * severity)
    return clipped(picture * (1 - share) + luma(picture)[..., None] * share)


def colour_cast(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Light it more and more orange."""
    way = np.array([0.06, -0.04, -0.16], np.float32) * severity
    return clipped(picture * (1 + way))


def night_vision(picture: Rgb, severity: int, index: int) -> Rgb:
    """Show luma in green, noisy, ever darker at the rim."""
    height, width = picture.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    rim = np.clip(1.1 - 0.12 * severity * (x * x + y * y), 0, 1)[..., None]
    shown = luma(picture)[..., None] * np.array([0.25, 1.0, 0.3], np.float32)
    return clipped(shown * rim + grain(picture, 5.0 * severity, index))


def low_contrast(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Pull everything towards grey: fog."""
    share = np.float32((0.2, 0.4, 0.55, 0.7, 0.85)[severity - 1])
    return clipped(picture * (1 - share) + 150 * share)


def backlight(picture: Rgb, severity: int, _index: int) -> Rgb:
    """A bright window behind: dark middle, bright rim."""
    height, width = picture.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    far = np.clip(np.sqrt(x * x + y * y), 0, 1)[..., None]
    down = 1 - 0.17 * severity
    return clipped(picture * (down + (1 - down) * far) + 40.0 * severity * far**3)


def inverted(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Blend with the negative; at 5 it is the negative."""
    share = np.float32((0.2, 0.35, 0.65, 0.85, 1.0)[severity - 1])
    return clipped(picture * (1 - share) + (255 - picture.astype(np.float32)) * share)
