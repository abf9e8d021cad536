"""Pictures that show what a guard did: what the camera saw beside what left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from safelight.testing.drawings import Rgb

_GROUND: Final = (22, 28, 36)
_INK: Final = (240, 243, 245)
_QUIET: Final = (176, 186, 194)
_BAR: Final = (112, 176, 186)
_GAP: Final = 12
_HEAD: Final = 44
_FOOT: Final = 44


def beside_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) of ``beside`` for pictures of ``size``; both are even."""
    width = 2 * size[0] + 3 * _GAP
    height = size[1] + _HEAD + _FOOT
    return width + width % 2, height + height % 2


def beside(
    seen: Rgb, left: Rgb, *, at_s: float, state: str, seen_loud: float, left_loud: float
) -> Rgb:
    """Put what was seen beside what left, with labels.

    Args:
        seen: uint8 (height, width, 3).
        left: the same size.
        at_s: stream time, seconds.
        state: what to call the stream's state.
        seen_loud: how loud the sound was, 0.0 to 1.0.
        left_loud: how loud it is where it left.
    """
    height, width = seen.shape[:2]
    image = Image.new("RGB", beside_size((width, height)), _GROUND)
    pen = ImageDraw.Draw(image)
    for index, (rgb, title, note, loud) in enumerate(
        (
            (seen, "What the camera saw", f"{at_s:.1f} s", seen_loud),
            (left, "What left the device", state, left_loud),
        )
    ):
        x = _GAP + index * (width + _GAP)
        image.paste(Image.fromarray(rgb), (x, _HEAD))
        pen.text((x, _HEAD / 2), title, _INK, _font(21), anchor="lm")
        pen.text((x + width, _HEAD / 2), note, _QUIET, _font(21), anchor="rm")
        _sound(pen, (x, _HEAD + height + _FOOT / 2), width, loud)
    return np.asarray(image)


def moments(columns: Sequence[tuple[str, Rgb, Rgb]]) -> Rgb:
    """Draw a still of several moments: a caption, what was seen, and what left, each a column."""
    wide, gap, label = 400, 10, 92
    first = columns[0][1]
    high = round(wide * first.shape[0] / first.shape[1])
    head = 40
    size = (label + len(columns) * (wide + gap), head + 2 * (high + gap))
    image = Image.new("RGB", size, _GROUND)
    pen = ImageDraw.Draw(image)
    for row, words in enumerate(("camera\nsaw", "left the\ndevice")):
        y = head + row * (high + gap) + high / 2
        pen.multiline_text((label / 2, y), words, _INK, _font(17), anchor="mm", align="center")
    for index, (caption, seen, left) in enumerate(columns):
        x = label + index * (wide + gap)
        pen.text((x + wide / 2, head / 2), caption, _INK, _font(19), anchor="mm")
        for row, rgb in enumerate((seen, left)):
            small = Image.fromarray(rgb).resize((wide, high), Image.Resampling.BOX)
            image.paste(small, (x, head + row * (high + gap)))
    return np.asarray(image)


def _sound(pen: ImageDraw.ImageDraw, at: tuple[float, float], width: int, loud: float) -> None:
    x, y = at
    silent = loud < 0.004
    pen.text((x, y), "no sound" if silent else "sound", _QUIET, _font(18), anchor="lm")
    start, room = x + 90, width - 90
    pen.line((start, y, start + room, y), fill=(60, 70, 80), width=2)
    if not silent:
        long = room * min(1.0, loud / 0.15)
        pen.rectangle((start, y - 6, start + long, y + 6), fill=_BAR)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
