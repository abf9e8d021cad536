"""Cards: what leaves in a picture's place. Drawn from text and a format alone.

``draw`` is given no picture, so nothing of a picture can be in a card. Two bars (the usual
sign for "paused"), a headline, quieter lines, and a stamp in a box when there is one. Nothing
is told by colour alone: a card reads the same in grey.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from safelight.types import CardText, Picture, PictureFormat

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# A card is painted as one plane of levels, 0 the ground and 255 the ink, and coloured when
# it is turned into planes. Contrast with the ground by WCAG 2: INK 14:1, QUIET 9:1.
GROUND_RGB: Final = (30, 40, 50)
INK_RGB: Final = (244, 246, 247)
INK: Final = 255
QUIET: Final = 205

_SMALLEST: Final = 7.0  # pixels; smaller writing is no writing
_BARS: Final = 1.1  # height of the two bars, in headline sizes
_GAP: Final = 0.55  # between parts, in headline sizes
_LEADING: Final = 1.28  # line to line, in font sizes
_JOINED: Final = "\u00a0"
_QUIET_SIZE: Final = 0.62  # further lines, in headline sizes
_STAMP_SIZE: Final = 0.07  # of the shorter side

# ITU-T H.273 matrix code: (Kr, Kb).
_MATRICES: Final = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


@lru_cache(maxsize=8)
def draw(form: PictureFormat, text: CardText) -> Picture:
    """Draw a card at the stream's size, range, matrix and pixel aspect.

    The picture's planes are read-only and cached: a card is emitted many times in a row. Words
    shrink until they fit; on a picture too small to write on, what cannot be
    read is left out, the last lines first, and the card is plain. An unspecified or unknown
    matrix is taken as BT.709 from 720 lines up and as BT.601 below, as players do; the card
    is nearly grey, so a wrong guess shifts its tint and nothing else.
    """
    # Drawn as it will be seen, with square pixels, then fitted to the stream's own. Absurd
    # aspects are drawn at a bounded one: a hostile stream must not make us fill the memory.
    aspect = min(max(float(form.sample_aspect), 0.25), 4.0)
    seen = (max(16, round(form.width * aspect)), form.height)
    image = _paint(seen, text)
    if image.size != (form.width, form.height):
        image = image.resize((form.width, form.height), Image.Resampling.LANCZOS)
    return _planes(image, form)


# --- layout ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    words: str
    size: float
    level: int
    bold: bool
    before: float  # room above it, in pixels


def _paint(size: tuple[int, int], text: CardText) -> Image.Image:
    width, height = size
    image = Image.new("L", size, 0)
    pen = ImageDraw.Draw(image)
    stamp = _stamp(pen, size, text.stamp) if text.stamp else 0.0
    room = (width * 0.88, height * 0.92 - stamp)
    lines, headline = _fit(text, room)
    headline = headline or room[1] * 0.4  # no room for words: the sign alone
    bars = headline * _BARS
    total = _tall(lines) + bars
    if lines and total > room[1]:  # words matter more than the sign
        bars, total = 0.0, _tall(lines)
    # The middle of what the stamp leaves, a little above it: that is where it looks centred.
    y = stamp + (height - stamp - total) * 0.48
    if bars:
        _pause_bars(image, width / 2, y, headline)
        y += bars
    for line in lines:
        y += line.before
        pen.text(
            (width / 2, y + line.size * _LEADING / 2),
            line.words,
            fill=line.level,
            font=_font(line.size),
            anchor="mm",
            stroke_width=line.size / 48 if line.bold else 0,
            stroke_fill=line.level,
        )
        y += line.size * _LEADING
    return image


@lru_cache(maxsize=64)
def _font(size: float) -> Font:
    return ImageFont.load_default(size)


def _fit(text: CardText, room: tuple[float, float]) -> tuple[list[_Line], float]:
    """Return the lines at the largest size that fits; fewer lines when none is readable."""
    parts = (text.headline, *text.lines)
    for kept in range(len(parts), 0, -1):
        size = min(room[1] * 0.13, room[0] * 0.1)
        while size * (_QUIET_SIZE if kept > 1 else 1) >= _SMALLEST:
            lines = _wrap(parts[:kept], size, room[0])
            if lines and _tall(lines) <= room[1]:
                return lines, size
            size *= 0.93
    return [], 0.0


def _wrap(parts: tuple[str, ...], size: float, room: float) -> list[_Line]:
    """Break every part into lines. Empty when a single word is too long."""
    out: list[_Line] = []
    for number, part in enumerate(parts):
        head = number == 0
        high = size if head else size * _QUIET_SIZE
        font = _font(high)
        rows = _rows(part, font, room)
        if rows is None:
            return []
        for row_number, row in enumerate(rows):
            before = size * _GAP if row_number == 0 else 0.0
            out.append(_Line(row, high, INK if head else QUIET, head, before))
    return out


def _rows(words: str, font: Font, room: float) -> list[str] | None:
    """Break words into rows: none if they fit one, else after a stop or colon, then anywhere.

    So a help line's name stays with its number, and a number is never broken. None when a
    single word is too long.
    """
    if _wide(font, words) <= room:
        return [words]
    out: list[str] = []
    for phrase in re.split(r"(?<=[.:;!]) +", words):
        joined = re.sub(r"(?<=\d) (?=\d)", _JOINED, phrase)
        rows = _balanced(joined.split(" "), font, room)
        if rows is None:
            return None
        out += (row.replace(_JOINED, " ") for row in rows)
    return out


def _balanced(words: list[str], font: Font, room: float) -> list[str] | None:
    """Break words into as few rows as the room asks for, then even them out."""
    rows = _greedy(words, font, room)
    if rows is None:
        return None
    narrow = room
    for _ in range(12):
        narrow *= 0.94
        tighter = _greedy(words, font, narrow)
        if tighter is None or len(tighter) > len(rows):
            break
        rows = tighter
    return rows


def _greedy(words: list[str], font: Font, room: float) -> list[str] | None:
    rows: list[str] = []
    used = 0.0
    for word in words:
        wide = _wide(font, word)
        if wide > room:
            return None
        longer = used + _wide(font, " ") + wide
        if rows and longer <= room:
            rows[-1] = f"{rows[-1]} {word}"
            used = longer
        else:
            rows.append(word)
            used = wide
    return rows


@lru_cache(maxsize=1024)
def _wide(font: Font, word: str) -> float:
    # Measuring is what takes the time, and the same words are tried again and again.
    return font.getlength(word)


def _tall(lines: list[_Line]) -> float:
    return sum(line.before + line.size * _LEADING for line in lines)


# --- the parts that are not words -----------------------------------------------------------


def _pause_bars(image: Image.Image, middle: float, top: float, size: float) -> None:
    bar, gap, tall = size * 0.26, size * 0.16, size * 0.95
    fine = 4  # drawn larger and averaged: smooth edges
    wide, high = int(2 * (gap + bar)) + 2, int(tall) + 2
    mask = Image.new("L", (wide * fine, high * fine), 0)
    pen = ImageDraw.Draw(mask)
    for left in (wide / 2 - gap - bar, wide / 2 + gap):
        box = (left * fine, fine, (left + bar) * fine, (1 + tall) * fine)
        pen.rounded_rectangle(box, bar * fine * 0.3, fill=255)
    corner = (round(middle - wide / 2), round(top - 1))
    image.paste(INK, (*corner, corner[0] + wide, corner[1] + high), mask.reduce(fine))


def _stamp(pen: ImageDraw.ImageDraw, size: tuple[int, int], words: str) -> float:
    """Write a stamp in a box at the right upper corner; return the height that it takes."""
    width, height = size
    high = max(_SMALLEST, min(size) * _STAMP_SIZE)
    long = _font(high).getlength(words)
    room = width * 0.8
    if long > room:
        high *= room / long
    font = _font(max(4.0, high))
    edge, pad = min(size) * 0.03, high * 0.4
    right, top = width - edge, edge
    left, low = right - font.getlength(words) - 2 * pad, top + high + pad
    thick = max(1, round(high / 10))
    pen.rounded_rectangle((left, top, right, low), high * 0.2, outline=INK, width=thick)
    pen.text(((left + right) / 2, (top + low) / 2), words, fill=INK, font=font, anchor="mm")
    return min(low, height * 0.4)


# --- planes ---------------------------------------------------------------------------------


def _planes(levels: Image.Image, form: PictureFormat) -> Picture:
    """Colour a plane of levels: I420 in the format's range and matrix."""
    kr, kb = _MATRICES.get(form.matrix, _MATRICES[1 if form.height >= 720 else 6])
    share = np.linspace(0, 1, 256)[:, None]
    r, g, b = ((np.array(INK_RGB) * share + np.array(GROUND_RGB) * (1 - share)) / 255).T
    luma = kr * r + (1 - kr - kb) * g + kb * b
    y_low, y_span, c_span = (0, 255, 255) if form.full_range else (16, 219, 224)
    # A table from level to sample: exact, and a frame of any size costs three look-ups.
    tables = (
        y_low + y_span * luma,
        128 + c_span * (b - luma) / (2 * (1 - kb)),
        128 + c_span * (r - luma) / (2 * (1 - kr)),
    )
    ys, us, vs = (np.clip(np.rint(t), 0, 255).astype(np.uint8) for t in tables)
    whole, halved = np.asarray(levels), np.asarray(levels.reduce(2))
    return Picture(form, ys[whole], us[halved], vs[halved])
