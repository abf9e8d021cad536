"""Memory is bounded: fewer pictures wait where they are large."""

from __future__ import annotations

from safelight import backlog
from safelight.types import PictureFormat


def test_small_pictures_are_bounded_by_count_and_large_ones_by_bytes() -> None:
    assert backlog.depth(PictureFormat(640, 480), 60) == 60
    large = PictureFormat(7680, 4320)
    depth = backlog.depth(large, 60)
    assert backlog.FEWEST <= depth <= 60
    assert depth * 7680 * 4320 * 3 // 2 <= max(
        backlog.MOST_BYTES, backlog.FEWEST * 7680 * 4320 * 3 // 2
    )


def test_some_always_fit() -> None:
    assert backlog.depth(PictureFormat(1 << 15, 1 << 15), 60) == backlog.FEWEST
