"""``safelight testcard``: a harmless picture that the guard must cover."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from safelight.errors import UsageError
from safelight.testing import canary
from safelight.testing.film import Film, write_png

RATE: Final = 30
# Where the default bundle was seen to answer as it should. Smaller, the change is averaged out.
_SMALLEST: Final = (240, 180)
_LARGEST: Final = (3840, 2160)
_LONGEST_S: Final = 3600.0


def write_card(
    out: Annotated[str, typer.Argument(metavar="OUT.png|OUT.mp4", help="The file to write.")],
    size: Annotated[str, typer.Option(metavar="WxH", help="Its size in pixels.")] = "640x360",
    seconds: Annotated[
        float, typer.Option(metavar="N", help="How long a video lasts, seconds.")
    ] = 10.0,
) -> int:
    """Write a harmless card that a guard must cover.

    Show it to what you set up. It is a drawn card with a small computed change that the
    default bundle takes for sexual content. It tests that a set-up covers; it says nothing of
    what real content a network finds.
    """
    path = Path(out)
    rgb = canary.at_size(canary.load("card"), _size(size))
    match path.suffix.lower():
        case ".png":
            write_png(path, rgb)
        case ".mp4":
            if not (math.isfinite(seconds) and 0 < seconds <= _LONGEST_S):
                raise UsageError(
                    f"--seconds {seconds} is out of range", "use more than 0, up to 3600"
                )
            with Film(path, (rgb.shape[1], rgb.shape[0]), rate=RATE) as film:
                for _ in range(max(1, round(seconds * RATE))):
                    film.add(rgb)
        case _:
            raise UsageError(f"{out} is neither .png nor .mp4", "name one of these")
    typer.echo(f"Wrote {out}: a harmless card that the guard must cover.")
    return 0


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if found is None:
        raise UsageError(f"--size {text!r} is not a size", "write for example 1280x720")
    width, height = int(found[1]), int(found[2])
    if width % 2 or height % 2:
        raise UsageError(f"--size {text} is odd", "use even sides")
    if not (_SMALLEST[0] <= width <= _LARGEST[0] and _SMALLEST[1] <= height <= _LARGEST[1]):
        raise UsageError(f"--size {text} is out of range", "use 240x180 to 3840x2160")
    return width, height
