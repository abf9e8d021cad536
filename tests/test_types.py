"""The nouns refuse what they cannot be: promises 1 and 2 begin here."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from safelight.errors import NotMintedError
from safelight.types import (
    RELEASE_MINT,
    Action,
    Frame,
    Picture,
    PictureFormat,
    Reason,
    SafeFrame,
    Scores,
    Sound,
    Token,
    Verdict,
)

FORM = PictureFormat(32, 16)


def planes() -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [np.zeros(shape, np.uint8) for shape in ((16, 32), (8, 16), (8, 16))]


def test_a_picture_cannot_be_changed_through_the_array_it_was_made_of() -> None:
    y, u, v = planes()
    picture = Picture(FORM, y, u, v)
    with pytest.raises(ValueError, match="read-only"):
        y[0, 0] = 255
    with pytest.raises(ValueError, match="read-only"):
        picture.u[0, 0] = 255


def test_a_picture_over_a_drivers_buffer_is_copied_once() -> None:
    """A driver that reuses its buffer must not change what was judged."""
    buffer = np.zeros((16, 32), np.uint8)
    _, u, v = planes()
    picture = Picture(FORM, buffer[:, :], u, v)
    buffer[:] = 255
    assert picture.y.max() == 0


def test_a_picture_over_bytes_of_somebody_is_copied() -> None:
    store = bytearray(16 * 32)
    _, u, v = planes()
    picture = Picture(FORM, np.frombuffer(store, np.uint8).reshape(16, 32), u, v)
    store[0] = 255
    assert picture.y[0, 0] == 0


@pytest.mark.parametrize("side", [(15, 16), (16, 14), (17, 16), (0, 0), (-2, 16)])
def test_a_picture_has_even_sides_of_at_least_16(side: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="even sides"):
        PictureFormat(*side)


def test_planes_of_another_shape_or_type_are_refused() -> None:
    y, u, v = planes()
    with pytest.raises(ValueError, match="expected"):
        Picture(FORM, y, u, v[:4])
    with pytest.raises(ValueError, match="expected"):
        Picture(FORM, y.astype(np.float32), u, v)


def test_sound_is_float32_by_channel() -> None:
    with pytest.raises(ValueError, match="float32"):
        Sound(48_000, np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="float32"):
        Sound(0, np.zeros((1, 4), np.float32))


@pytest.mark.parametrize(
    ("pts", "base"),
    [(1 << 63, Fraction(1)), (-(1 << 63), Fraction(1)), (0, Fraction(0)), (0, Fraction(1 << 32))],
)
def test_a_time_that_no_container_can_hold_is_refused(pts: int, base: Fraction) -> None:
    with pytest.raises(ValueError, match="time stamp"):
        Frame(0, pts, base, 0, Sound(8000, np.zeros((1, 1), np.float32)))


def test_pts_is_exact_in_nanoseconds() -> None:
    frame = Frame(0, 1001, Fraction(1, 30_000), 0, Sound(8000, np.zeros((1, 1), np.float32)))
    assert frame.pts_ns == 33_366_666


@pytest.mark.parametrize("mint", [None, object(), True, 1])
def test_a_safe_frame_is_not_built_by_hand(mint: object) -> None:
    picture = Picture(FORM, *planes())
    with pytest.raises(NotMintedError):
        SafeFrame(0, Fraction(1), picture, None, True, mint)


def test_a_safe_frame_is_not_made_of_another() -> None:
    picture = Picture(FORM, *planes())
    safe = SafeFrame(0, Fraction(1), picture, None, True, RELEASE_MINT)
    with pytest.raises((ValueError, TypeError)):
        dataclasses.replace(safe, pts=1)  # type: ignore[call-arg]
    with pytest.raises(NotMintedError):
        copy.copy(safe)
    with pytest.raises(NotMintedError):
        copy.deepcopy(safe)
    with pytest.raises(NotMintedError):
        pickle.dumps(safe)
    bare = object.__new__(SafeFrame)
    with pytest.raises(NotMintedError):
        bare.__setstate__([0, Fraction(1), picture, None, True])


def test_no_repr_shows_a_pixel_a_sample_or_a_score() -> None:
    # A host's crash reporter writes down the repr of every local.
    pixels = Picture(FORM, *(np.full(plane.shape, 177, np.uint8) for plane in planes()))
    sound = Sound(8000, np.full((1, 4), 0.177, np.float32))
    scores = Scores(0.177, 0.177, ("whole",))
    token = Token(0, 0, 0)
    verdict = Verdict(token, Action.COVER, Reason.CLEAR, None, ((token, scores),), 0)
    frames = (Frame(0, 0, Fraction(1), 0, content) for content in (pixels, sound))
    for holder in (*frames, verdict):
        assert "177" not in repr(holder)


@pytest.mark.parametrize("number", [math.nan, 1.5, np.int64(3), True])
def test_a_frame_is_numbered_and_timed_in_whole_numbers(number: Any) -> None:
    # NaN lies within any limit; numpy's integers wrap around when they become nanoseconds.
    sound = Sound(8000, np.zeros((1, 4), np.float32))
    for name in ("seq", "pts", "arrived_ns"):
        given = {"seq": 0, "pts": 0, "arrived_ns": 0, name: number}
        with pytest.raises(ValueError, match="whole"):
            Frame(time_base=Fraction(1), content=sound, **given)
