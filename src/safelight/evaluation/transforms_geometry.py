"""Alterations of where things are in the picture. See ``transforms`` for the shapes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from safelight.testing.drawings import Rgb


def resized(picture: Rgb, width: int, height: int) -> Rgb:
    """Bring a picture to a size: area averaging where it shrinks, linear where it grows."""
    rows, columns = picture.shape[:2]
    small = (min(width, columns), min(height, rows))
    if small != (columns, rows):
        picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
    if small != (width, height):
        picture = np.asarray(
            cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
        )
    return picture


def warped(picture: Rgb, matrix: NDArray[np.float64]) -> Rgb:
    """Warp by a 3 x 3 matrix; what comes from outside is black."""
    height, width = picture.shape[:2]
    return np.asarray(
        cv2.warpPerspective(picture, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8
    )


def inside(picture: Rgb, width: int, height: int, left: int, top: int, ground: Rgb) -> Rgb:
    """Lay a shrunk picture onto a ground of the same size as the picture."""
    out = ground.copy()
    out[top : top + height, left : left + width] = resized(picture, width, height)
    return out


def crop(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Keep the middle 90 % to 50 % of each side, enlarged."""
    height, width = picture.shape[:2]
    share = 1 - 0.1 * severity
    h, w = int(height * share), int(width * share)
    top, left = (height - h) // 2, (width - w) // 2
    return resized(np.ascontiguousarray(picture[top : top + h, left : left + w]), width, height)


def mirror(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Mirror left and right; from 3 on top and bottom; at 5 both."""
    if severity <= 2:
        return np.ascontiguousarray(picture[:, ::-1])
    if severity <= 4:
        return np.ascontiguousarray(picture[::-1])
    return np.ascontiguousarray(picture[::-1, ::-1])


def rotate(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Turn by 5, 12, 25, 45, 90 degrees."""
    height, width = picture.shape[:2]
    angle = (5, 12, 25, 45, 90)[severity - 1]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    return warped(picture, np.vstack([turn, [0.0, 0.0, 1.0]]))


def letterbox(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Squeeze into 90 % to 50 % of the height, bars above and below, shape kept."""
    return _small(picture, 1 - 0.1 * severity, np.zeros_like(picture), corner=False)


def zoom_out(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Shrink to 80, 60, 45, 30, 20 % in the middle of a plain grey."""
    return _small(
        picture,
        (0.8, 0.6, 0.45, 0.3, 0.2)[severity - 1],
        np.full_like(picture, 128),
        corner=False,
    )


def picture_in_picture(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Shrink to 70 % to 25 % into a corner of a bright, busy pattern."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    checks = ((rows // 24 + columns // 24) % 2).astype(np.uint8)
    ground = np.asarray(np.stack([90 + 120 * checks, 200 - 80 * checks, 150 + 50 * checks], -1))
    share = (0.7, 0.55, 0.45, 0.35, 0.25)[severity - 1]
    return _small(picture, share, ground.astype(np.uint8), corner=True)


def squeeze(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Squeeze sideways to 90 % to 40 % of the width, as a wrong pixel aspect does."""
    height, width = picture.shape[:2]
    w = int(width * (0.9, 0.8, 0.7, 0.55, 0.4)[severity - 1])
    return inside(picture, w, height, (width - w) // 2, 0, np.zeros_like(picture))


def perspective(picture: Rgb, severity: int, _index: int) -> Rgb:
    """Tilt the picture away, as if seen from one side."""
    height, width = picture.shape[:2]
    d = 0.07 * severity
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + np.array(
        [
            [width * d, height * d],
            [0, 0],
            [0, 0],
            [width * d, -height * d],
        ],
        np.float32,
    )
    return warped(picture, np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64))


def _small(picture: Rgb, share: float, ground: Rgb, *, corner: bool) -> Rgb:
    height, width = picture.shape[:2]
    w, h = max(2, int(width * share)), max(2, int(height * share))
    left, top = (width - w - 8, height - h - 8) if corner else ((width - w) // 2, (height - h) // 2)
    return inside(picture, w, h, max(0, left), max(0, top), ground)
