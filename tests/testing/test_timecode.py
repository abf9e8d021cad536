"""The time code of benches: read back as drawn, and never out of anything else."""

from __future__ import annotations

import time

import numpy as np
import pytest

from safelight.testing import timecode
from safelight.testing.scenes import picture_from_rgb, scene

SIZE = (320, 180)
NOW_NS = 123_456_789_000_000


@pytest.mark.parametrize("age", [0.0, 0.1, 73.4, 2500.0])
def test_the_age_is_read_back_from_colour_and_after_a_codecs_noise(age: float) -> None:
    rgb = timecode.stamp(scene(1.0, SIZE), NOW_NS - round(age * 1e6))
    noise = np.random.default_rng(1).normal(0, 12, SIZE[::-1])
    luma = np.clip(picture_from_rgb(rgb).y + noise, 0, 255).astype(np.uint8)
    assert timecode.age_ms(luma, NOW_NS) == pytest.approx(age, abs=0.11)


def test_it_is_read_back_when_its_clock_begins_anew() -> None:
    turn_ns = (1 << 24) * 100_000
    luma = timecode.stamp(picture_from_rgb(scene(1.0, SIZE)).y, turn_ns - 5_000_000)
    assert timecode.age_ms(luma, turn_ns + 5_000_000) == pytest.approx(10.0)


def test_what_is_drawn_into_is_left_as_it_was() -> None:
    rgb = scene(1.0, SIZE)
    before = rgb.copy()
    timecode.stamp(rgb, NOW_NS)
    assert (rgb == before).all()


def test_anything_else_reads_as_nothing() -> None:
    grey = np.full(SIZE[::-1], 128, np.uint8)
    for luma in (
        grey,
        np.zeros_like(grey),
        np.full_like(grey, 255),
        picture_from_rgb(scene(1.0, SIZE)).y,
    ):
        assert timecode.age_ms(luma, NOW_NS) is None
    damaged = timecode.stamp(grey, NOW_NS)
    damaged[:16, :20] = 255 - damaged[:16, :20]  # one bit
    assert timecode.age_ms(damaged, NOW_NS) is None
    ahead = timecode.stamp(grey, NOW_NS + 1_000_000_000)  # not drawn yet
    assert timecode.age_ms(ahead, NOW_NS) is None


def test_ages_count_what_came_after_the_start_and_what_had_no_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = [NOW_NS]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns[0])
    ages = timecode.Ages()
    grey = np.full(SIZE[::-1], 60, np.uint8)
    assert ages.figures() == {"pictures": 0, "others": 0, "p50": None, "p99": None, "max": None}
    ages.note(grey)  # a card before the first picture is no loss, if one comes
    assert ages.figures()["others"] == 1
    for after_s in (0, 1, 4, 5):
        now_ns[0] = NOW_NS + after_s * 10**9
        ages.note(timecode.stamp(grey, now_ns[0] - 20_000_000))
    ages.note(grey)
    found = ages.figures()
    assert (found["pictures"], found["others"]) == (2, 1)
    assert found["p50"] == found["max"] == pytest.approx(20.0)
