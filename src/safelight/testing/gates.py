"""Symbolic pictures, and a gate that goes by a table instead of pixels.

A symbol is a tiny picture that carries its own name in its first luma row, so a test can
speak of "A" and "S" and say how alike they are, and every copy of a picture means the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np

from safelight.core.gate import UNLIKE, Likeness
from safelight.types import Picture, PictureFormat

SMALL: Final = PictureFormat(16, 16)
SAME: Final = Likeness(True, 0, 0, 0, 0, 0)
CLOSE: Final = Likeness(False, 100, 100, 100, 100, 100)  # and near
SLIGHTLY_CHANGED: Final = Likeness(False, 1000, 1000, 100, 100, 100)  # close, and not near


@lru_cache(maxsize=256)
def symbol(name: str, picture_format: PictureFormat = SMALL) -> Picture:
    """Return the picture that stands for ``name``: one to eight ASCII characters.

    Raises:
        ValueError: the name is empty, too long or not ASCII.
    """
    code = name.encode("ascii", "strict")
    if not 1 <= len(code) <= 8:
        raise ValueError(f"a symbol has one to eight characters, not {name!r}")
    high, wide = picture_format.height, picture_format.width
    y = np.full((high, wide), 128, np.uint8)
    y[0, :8] = 0
    y[0, : len(code)] = np.frombuffer(code, np.uint8)
    u, v = (np.full((high // 2, wide // 2), 128, np.uint8) for _ in "uv")
    return Picture(picture_format, y, u, v)


def name_of(picture: Picture) -> str:
    """Return the name that a symbol carries."""
    return picture.y[0, :8].tobytes().rstrip(b"\0").decode("ascii")


class ScriptedGate:
    """Likeness from a table of unordered pairs of names.

    A name is ``SAME`` as itself unless the table says otherwise; two names that the table
    does not know are unlike, and so are pictures of different formats.
    """

    def __init__(self, table: Mapping[tuple[str, str], Likeness] | None = None) -> None:
        self._table = {frozenset(pair): likeness for pair, likeness in (table or {}).items()}

    def compare(self, a: Picture, b: Picture) -> Likeness:
        """Return what the table says."""
        if a.format != b.format:
            return UNLIKE
        names = frozenset((name_of(a), name_of(b)))
        return self._table.get(names, SAME if len(names) == 1 else UNLIKE)
