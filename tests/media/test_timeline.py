"""Spacing in time is kept exactly, sound stays with its picture, nothing goes backwards."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from safelight.media.av_encode import time_base_for
from safelight.media.timeline import Samples, SoundFramer, Timeline

STEP = Fraction(1, 30)


def ramp(start: int, count: int, channels: int = 1) -> Samples:
    row = np.arange(start, start + count, dtype=np.float32)
    return np.repeat(row[None, :], channels, axis=0)


@given(st.lists(st.fractions(0, 1000), min_size=2, unique=True).map(sorted), st.fractions(-9, 9))
def test_spacing_is_exact(times: list[Fraction], offset: Fraction) -> None:
    line = Timeline(STEP)
    out = [line.of_picture(t + offset) for t in times]
    assert out == [t - times[0] for t in times]
    assert line.of_sound(times[0] + offset) == 0


@given(st.lists(st.fractions(-1000, 1000), min_size=1))
def test_output_time_always_rises(times: list[Fraction]) -> None:
    line = Timeline(STEP)
    out = [line.of_picture(t) for t in times]
    assert out[0] == 0
    assert all(b > a for a, b in pairwise(out))


def test_sound_follows_when_a_stream_starts_over() -> None:
    line = Timeline(STEP)
    assert line.of_sound(Fraction(1)) is None
    line.of_picture(Fraction(100))
    assert line.of_picture(Fraction(0)) == STEP
    assert line.of_sound(Fraction(1, 2)) == STEP + Fraction(1, 2)


@given(st.integers(1, 2_000_000), st.integers(1, 1001))
def test_every_source_time_is_whole_in_the_encoders_base(denominator: int, numerator: int) -> None:
    given_base = Fraction(numerator, denominator)
    base = time_base_for(given_base)
    assert base.denominator <= 1_000_000
    if given_base.denominator <= 1_000_000:
        assert (given_base / base).denominator == 1


@given(st.lists(st.integers(1, 3000), max_size=12))
def test_whatever_the_chunks_the_frames_are_whole_and_in_order(sizes: list[int]) -> None:
    framer = SoundFramer(48000, 1)
    made, at = [], 0
    for size in sizes:
        made += framer.push(at, ramp(at, size))
        at += size
    made += framer.flush()
    heard = np.concatenate([s for _, s in made], axis=1)[0] if made else np.zeros(0)
    assert all(s.shape == (1, 1024) for _, s in made)
    assert [pts for pts, _ in made] == [1024 * i for i in range(len(made))]
    assert np.array_equal(heard[:at], np.arange(at))
    assert (heard[at:] == 0).all()


def test_a_short_gap_is_silence_and_a_long_one_a_gap() -> None:
    framer = SoundFramer(1000, 1, size=10)
    made = framer.push(0, ramp(1, 10)) + framer.push(15, ramp(16, 5))
    assert made[1][1][0].tolist() == [0, 0, 0, 0, 0, 16, 17, 18, 19, 20]
    later = framer.push(5000, ramp(1, 10))
    assert [pts for pts, _ in later] == [5000]


def test_what_overlaps_or_comes_before_zero_is_cut() -> None:
    framer = SoundFramer(1000, 1, size=10)
    made = framer.push(-5, ramp(-5, 10)) + framer.push(0, ramp(0, 10))
    assert made == [(0, made[0][1])]
    assert made[0][1][0].tolist() == list(range(10))
    assert framer.push(3, ramp(3, 5)) == []


def test_channels_are_matched() -> None:
    stereo, mono = SoundFramer(1000, 2, size=4), SoundFramer(1000, 1, size=4)
    assert stereo.push(0, ramp(0, 4))[0][1].shape == (2, 4)
    both = np.stack([np.zeros(4), np.ones(4)]).astype(np.float32)
    assert (mono.push(0, both)[0][1] == 0.5).all()
