"""Canaries: harmless drawings that the real network calls sexual.

Each is a drawing of ``drawings`` with a small computed change per pixel (at most 16 of 255),
made by ``tools/make_canaries.py`` and kept as PNG. To a person it is a card or a coffee cup.
A canary measures a *system*: whether anything leaks, how fast it covers, whether it
resumes. It says nothing of how much real content a network finds.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import numpy as np
from PIL import Image

from safelight.testing.drawings import DRAWINGS, Rgb
from safelight.testing.scenes import blend, scene

MOVING: Final = "postcard"  # the canary that was made to move in front of the scene
# Of the frame's sides. Where the moving canary may be, by its left upper corner.
MOVING_SIZE: Final = (0.6, 0.75)
MOVING_RANGE: Final = ((0.02, 0.38), (0.02, 0.23))


def _folder() -> Traversable:
    return files("safelight.testing") / "canaries"


@lru_cache(maxsize=1)
def _index() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = json.loads((_folder() / "canaries.json").read_text())
    return entries


def names() -> tuple[str, ...]:
    """Return the names of all canaries, the moving one included."""
    return tuple(_index())


def facts(name: str) -> dict[str, Any]:
    """Return what canaries.json says of one: how it was made, and its measured scores.

    Raises:
        KeyError: there is no canary of this name.
    """
    return dict(_index()[name])


@lru_cache(maxsize=8)
def load(name: str) -> Rgb:
    """Return a canary: uint8 (height, width, 3) RGB, read-only, at the size it was made.

    Raises:
        KeyError: there is no canary of this name.
        ValueError: its file is not the one that was measured.
    """
    entry = _index()[name]
    file = _folder() / entry["file"]
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        raise ValueError(f"canary {name} has sha256 {found}, not {entry['sha256']}")
    with file.open("rb") as stream, Image.open(stream) as image:
        rgb = np.array(image.convert("RGB"))
    rgb.flags.writeable = False
    return rgb


def clean(name: str) -> Rgb:
    """Return the drawing that a canary was made from, at the same size, read-only.

    Raises:
        KeyError: there is no canary of this name.
    """
    entry = _index()[name]
    return DRAWINGS[entry["drawing"]]((entry["width"], entry["height"]))


def moving(t: float, size: tuple[int, int] = (640, 360), *, changed: bool = True) -> Rgb:
    """Draw the scene at ``t`` seconds with a canary moving in front of it.

    Returns uint8 (height, width, 3); ``size`` is (width, height). With ``changed=False``
    the clean drawing moves there instead: the picture that must not be covered.
    """
    patch = load(MOVING) if changed else clean(MOVING)
    return paste(scene(t, size), patch, moving_corner(t))


def moving_corner(t: float) -> tuple[float, float]:
    """Return where the moving canary's left upper corner is, as shares of the frame's sides."""
    (x0, x1), (y0, y1) = MOVING_RANGE
    x = (x0 + x1) / 2 - (x1 - x0) / 2 * np.cos(2 * np.pi * t / 7)
    y = (y0 + y1) / 2 + (y1 - y0) / 2 * np.sin(2 * np.pi * t / 5)
    return float(x), float(y)


def paste(frame: Rgb, patch: Rgb, corner: tuple[float, float]) -> Rgb:
    """Lay a patch, scaled to ``MOVING_SIZE`` of the frame, at a fractional position."""
    height, width = frame.shape[:2]
    fitted = at_size(patch, (round(width * MOVING_SIZE[0]), round(height * MOVING_SIZE[1])))
    solid = np.ones((*fitted.shape[:2], 1), np.float32)
    out = frame.astype(np.float32)
    sprite = np.concatenate([fitted.astype(np.float32), solid], axis=-1)
    blend(out, sprite, corner[0] * width, corner[1] * height)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def at_size(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize to (width, height): exact area averages when shrinking, bilinear when growing."""
    image = Image.fromarray(rgb)
    for side, goal in ((0, size[0]), (1, size[1])):
        now = image.size[side]
        if goal != now:
            shape = (goal, image.size[1]) if side == 0 else (image.size[0], goal)
            how = Image.Resampling.BOX if goal < now else Image.Resampling.BILINEAR
            image = image.resize(shape, how)
    return np.array(image)
