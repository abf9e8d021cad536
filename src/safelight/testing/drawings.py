"""Harmless drawn pictures: a test card and everyday objects, as plain shapes.

All are drawn on a fine grid and averaged down, from shapes and Pillow's own embedded font,
so the same code draws the same picture on any machine. No people.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

_FINE: Final = 3  # drawn this much larger, then averaged: smooth edges at any size

INK: Final[Colour] = (38, 58, 72)
PAPER: Final[Colour] = (236, 240, 238)
TEAL: Final[Colour] = (44, 122, 128)
LEAF: Final[Colour] = (70, 132, 84)


class Canvas:
    """A drawing in units of hundredths of its height, x from 0 to ``wide``, y from 0 to 100."""

    def __init__(self, size: tuple[int, int], ground: Colour, grain: float = 0.0) -> None:
        width, height = size
        self._size = size
        self._unit = height * _FINE / 100
        self._grain = grain
        self.wide = 100 * width / height
        self._image = Image.new("RGB", (width * _FINE, height * _FINE), ground)
        self._draw = ImageDraw.Draw(self._image)

    def box(
        self, x: float, y: float, x2: float, y2: float, *, fill: Colour, bend: float = 0
    ) -> None:
        """Fill a rectangle, its corners rounded by ``bend``."""
        u = self._unit
        self._draw.rounded_rectangle((x * u, y * u, x2 * u, y2 * u), bend * u, fill=fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """Fill an oval around (x, y)."""
        u = self._unit
        self._draw.ellipse(((x - rx) * u, (y - ry) * u, (x + rx) * u, (y + ry) * u), fill=fill)

    def ring(self, x: float, y: float, rx: float, ry: float, *, fill: Colour, thick: float) -> None:
        """Draw the outline of an oval around (x, y), ``thick`` inwards."""
        u = self._unit
        box = ((x - rx) * u, (y - ry) * u, (x + rx) * u, (y + ry) * u)
        self._draw.ellipse(box, outline=fill, width=max(1, round(thick * u)))

    def shape(self, points: list[tuple[float, float]], fill: Colour) -> None:
        """Fill a polygon."""
        u = self._unit
        self._draw.polygon([(x * u, y * u) for x, y in points], fill=fill)

    def curve(self, points: list[tuple[float, float]], fill: Colour, thick: float) -> None:
        """Draw a line through points."""
        u = self._unit
        flat = [(x * u, y * u) for x, y in points]
        self._draw.line(flat, fill=fill, width=max(1, round(thick * u)), joint="curve")

    def text(self, x: float, y: float, words: str, fill: Colour, high: float) -> None:
        """Write words centred on (x, y), ``high`` tall, smaller if they would not fit."""
        room = 0.9 * self.wide * self._unit
        font = ImageFont.load_default(max(4.0, high * self._unit))
        long = font.getlength(words)
        if long > room:
            font = ImageFont.load_default(max(4.0, high * self._unit * room / long))
        self._draw.text((x * self._unit, y * self._unit), words, fill=fill, font=font, anchor="mm")

    def done(self) -> Rgb:
        """Return the drawing averaged down: uint8 (height, width, 3), read-only."""
        small = np.asarray(self._image.reduce(_FINE), dtype=np.float32)
        if self._grain:
            # A fixed paper grain, so that a still drawing is not unnaturally flat.
            grain = np.random.default_rng(7).normal(0, self._grain, small.shape[:2])
            small = small + grain[..., None].astype(np.float32)
        out = np.clip(np.rint(small), 0, 255).astype(np.uint8)
        out.flags.writeable = False
        return out

    def cut_out(self, key: Colour) -> NDArray[np.float32]:
        """Return it premultiplied, (height, width, 4), clear wherever ``key`` was left.

        Colours are in [0, 255], the last channel, how much covers, in [0, 1].
        """
        fine = np.asarray(self._image)
        solid = (fine != np.array(key, np.uint8)).any(axis=-1, keepdims=True)
        whole = np.concatenate([fine * solid, solid], axis=-1).astype(np.float32)
        width, height = self._size
        parts = whole.reshape(height, _FINE, width, _FINE, 4)
        return np.asarray(parts.mean(axis=(1, 3)), np.float32)


@lru_cache(maxsize=8)
def card(size: tuple[int, int] = (640, 360)) -> Rgb:
    """Draw the card reading "HARMLESS TEST CARD": uint8 (height, width, 3), read-only."""
    c = Canvas(size, PAPER, grain=1.5)
    c.box(5, 5, c.wide - 5, 95, fill=TEAL, bend=5)
    c.box(7, 7, c.wide - 7, 93, fill=PAPER, bend=3.5)
    mid = c.wide / 2
    c.text(mid, 40, "HARMLESS TEST CARD", INK, 12)
    c.text(mid, 56, "A drawing made to test a video guard", INK, 5)
    swatches: list[Colour] = [INK, (90, 110, 124), TEAL, LEAF, (72, 104, 160), (196, 202, 200)]
    step = (c.wide - 40) / len(swatches)
    for i, colour in enumerate(swatches):
        c.box(20 + i * step + 1, 72, 20 + (i + 1) * step - 1, 82, fill=colour, bend=1.5)
    return c.done()


@lru_cache(maxsize=8)
def cup(size: tuple[int, int] = (640, 360)) -> Rgb:
    """Draw a coffee cup on a table: uint8 (height, width, 3), read-only."""
    c = Canvas(size, (200, 216, 222), grain=1.5)
    m = c.wide / 2
    c.box(0, 68, c.wide, 100, fill=(112, 128, 120))
    c.oval(m, 82, 40, 8, (226, 230, 232))
    c.oval(m, 81, 30, 5, (198, 206, 210))
    c.ring(m + 23, 55, 13, 13, fill=(58, 108, 148), thick=4)
    c.shape([(m - 24, 38), (m + 24, 38), (m + 17, 80), (m - 17, 80)], (58, 108, 148))
    c.oval(m, 80, 17, 4, (58, 108, 148))
    c.oval(m, 38, 24, 6, (92, 142, 180))
    c.oval(m, 38.5, 21, 4.5, (64, 48, 40))
    for dx in (-9, 0, 9):
        wave = [(m + dx + 2 * np.sin(i / 3), 30 - i * 1.6) for i in range(14)]
        c.curve(wave, (226, 234, 238), 1.6)
    return c.done()


@lru_cache(maxsize=8)
def flower(size: tuple[int, int] = (640, 360)) -> Rgb:
    """Draw a flower in a pot by a window: uint8 (height, width, 3), read-only."""
    c = Canvas(size, (222, 226, 216), grain=1.5)
    m = c.wide / 2
    c.box(m - 55, 6, m + 55, 72, fill=(246, 248, 246))
    for x in (m - 51, m + 2):
        c.box(x, 10, x + 49, 68, fill=(164, 200, 224))
    c.box(0, 82, c.wide, 100, fill=(130, 140, 146))
    c.curve([(m, 62), (m + 1, 48), (m - 1, 34)], LEAF, 2.4)
    c.oval(m - 9, 52, 9, 3.5, LEAF)
    c.oval(m + 10, 47, 9, 3.5, LEAF)
    for k in range(8):
        a = k * np.pi / 4
        c.oval(m + 9 * np.cos(a), 26 + 9 * np.sin(a), 6, 6, (96, 92, 172))
    c.oval(m, 26, 6, 6, (232, 200, 84))
    c.shape([(m - 17, 62), (m + 17, 62), (m + 12, 90), (m - 12, 90)], (74, 110, 120))
    c.box(m - 19, 58, m + 19, 65, fill=(92, 132, 142), bend=1.5)
    return c.done()


@lru_cache(maxsize=8)
def house(size: tuple[int, int] = (640, 360)) -> Rgb:
    """Draw a house with a garden: uint8 (height, width, 3), read-only."""
    c = Canvas(size, (178, 208, 226), grain=1.5)
    m = c.wide / 2
    c.box(0, 72, c.wide, 100, fill=(116, 156, 104))
    c.box(m - 30, 42, m + 30, 80, fill=(228, 230, 224))
    c.shape([(m - 36, 43), (m, 14), (m + 36, 43)], (92, 98, 112))
    c.box(m + 14, 16, m + 21, 32, fill=(92, 98, 112))
    c.box(m - 6, 56, m + 6, 80, fill=TEAL, bend=1)
    for x in (m - 24, m + 12):
        c.box(x, 50, x + 12, 62, fill=INK, bend=0.8)
        c.box(x + 1, 51, x + 11, 61, fill=(160, 196, 214), bend=0.5)
    for x in (m - 58, m + 58):
        c.box(x - 1.5, 54, x + 1.5, 80, fill=(96, 84, 72))
        c.oval(x, 48, 13, 16, LEAF)
    return c.done()


@lru_cache(maxsize=8)
def postcard(size: tuple[int, int] = (384, 270)) -> Rgb:
    """Draw a postcard of a sailing boat: uint8 (height, width, 3), read-only."""
    c = Canvas(size, (222, 226, 224), grain=1.5)
    m = c.wide / 2
    c.box(5, 5, c.wide - 5, 82, fill=(170, 204, 226))
    c.oval(m + 34, 24, 8, 8, (244, 226, 150))
    c.box(5, 58, c.wide - 5, 82, fill=(66, 120, 156))
    c.shape([(m - 2, 14), (m - 2, 52), (m - 28, 52)], (230, 230, 228))
    c.shape([(m + 2, 20), (m + 2, 52), (m + 20, 52)], (206, 216, 222))
    c.box(m - 1.2, 12, m + 1.2, 58, fill=INK)
    c.shape([(m - 30, 56), (m + 28, 56), (m + 18, 68), (m - 20, 68)], (52, 74, 98))
    c.text(m, 90.5, "A POSTCARD, FOR TESTS", INK, 7)
    return c.done()


Drawing = Callable[[tuple[int, int]], Rgb]

DRAWINGS: Final[dict[str, Drawing]] = {
    "card": card,
    "cup": cup,
    "flower": flower,
    "house": house,
    "postcard": postcard,
}
