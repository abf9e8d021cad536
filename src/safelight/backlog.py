"""How many pictures may wait at one place: fewer of large ones, so that memory is bounded."""

from __future__ import annotations

from typing import Final

from safelight.types import PictureFormat

MOST_BYTES: Final = 128 * 1024 * 1024
FEWEST: Final = 4


def depth(form: PictureFormat, most: int) -> int:
    """Return how many pictures of this format may wait, between 4 and ``most``."""
    size = form.width * form.height * 3 // 2
    return max(FEWEST, min(most, MOST_BYTES // size))
