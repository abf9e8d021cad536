"""Sound leaves only under pictures that left, and is silent under covers (promise 2)."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest

from safelight.core.limits import Limits
from safelight.core.sound import SoundHold
from safelight.types import NS_PER_MS, Command, Drop, Frame, Mute, Reason, Sound, Token

MS = Fraction(1, 1000)
LIMITS = Limits(grace_ns=100 * NS_PER_MS, codec_frame_samples=480)  # 10 ms at 48 kHz
PATIENT = dataclasses.replace(LIMITS, patient=True)


def spans_ms(command: Command) -> list[tuple[float, float]]:
    assert isinstance(command, Mute)
    return [(a / NS_PER_MS, b / NS_PER_MS) for a, b in command.spans]


class Ear:
    """A SoundHold spoken to in milliseconds."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.hold = SoundHold(limits)
        self.seq = 0

    def chunk(self, start: int, length: int = 20, clock: int = 0, arrived: int = 0) -> None:
        self.seq += 1
        sound = Sound(48000, np.zeros((1, length * 48), np.float32))
        frame = Frame(self.seq, start, MS, arrived * NS_PER_MS, sound)
        assert self.hold.arrive(Token(0, self.seq, 0), frame, sound, clock) == []

    def picture(self, pts: int, *, released: bool = True) -> None:
        self.hold.picture_left(pts * NS_PER_MS, released=released)

    def settle(
        self, now: int = 0, *, ended: bool = False, shut: bool = False
    ) -> list[list[tuple[float, float]]]:
        said = self.hold.settle(now * NS_PER_MS, ended=ended, shut=shut)
        return [spans_ms(c) for c in said if isinstance(c, Mute)]


def test_a_chunk_waits_for_the_pictures_around_it() -> None:
    ear = Ear()
    ear.picture(0)
    ear.chunk(0)
    assert ear.settle() == []
    ear.picture(29)  # 20 ms of sound and a codec frame of 10 reach further
    assert ear.settle() == []
    ear.picture(30)
    assert ear.settle() == [[]]


def test_what_comes_before_the_first_picture_is_silent() -> None:
    ear = Ear()
    ear.chunk(0, 40)
    ear.picture(15)
    ear.picture(60)
    assert ear.settle() == [[(0, 15)]]


@pytest.mark.parametrize(("limits", "silent"), [(LIMITS, True), (PATIENT, False)])
def test_sound_that_comes_late_is_not_heard_under_a_cover(limits: Limits, silent: bool) -> None:
    """A hole is left in the sound while pictures are clear, and filled once there is a cover."""
    ear = Ear(limits)
    for pts in range(0, 1000, 20):
        ear.picture(pts)
    ear.chunk(500)
    assert ear.settle() == [[]], "late, but nothing is covered"
    for pts in range(1000, 1300, 20):
        ear.picture(pts, released=False)
    ear.chunk(600)
    ear.chunk(1020)
    assert ear.settle() == [[(600, 620)] if silent else [], [(1020, 1040)]]
    ear.picture(1300)
    ear.chunk(620)
    assert ear.settle() == [[]]


def test_a_cover_is_silent_from_a_codec_frame_before_to_one_after() -> None:
    ear = Ear()
    ear.picture(0)
    ear.picture(40, released=False)
    ear.picture(80, released=False)
    ear.picture(120)
    ear.picture(200)
    ear.chunk(0, 180)
    assert ear.settle() == [[(30, 130)]]


@pytest.mark.parametrize("start", [0, -(1 << 60), (1 << 62) // NS_PER_MS, (1 << 62) - 200])
def test_a_cover_is_silent_however_far_the_time_stamps_are(start: int) -> None:
    """Time stamps beyond 146 years once ran past what stood for "ever", and were heard."""
    ear = Ear()
    ear.picture(start, released=False)
    for at in (start, start + 40, start + 80):
        ear.chunk(at, 40)
    ear.picture(start + 100, released=False)
    said = [*ear.hold.settle(0), *ear.hold.settle(0, ended=True)]
    spans = [span for mute in said if isinstance(mute, Mute) for span in mute.spans]
    edges = [(start + step) * NS_PER_MS for step in (0, 40, 80, 120)]
    # Whole, without a hole: what is not in a span is heard.
    assert spans[0][0] == edges[0]
    assert spans[-1][1] == edges[-1]
    assert all(left[1] >= right[0] for left, right in itertools.pairwise(spans))


def test_the_margin_holds_for_sound_that_was_not_there_yet() -> None:
    """The first chunk of a stream may come after the cover that it lies under."""
    ear = Ear()
    ear.picture(0)
    ear.picture(100, released=False)
    ear.picture(140)
    ear.picture(300)
    ear.chunk(90, 10)
    ear.chunk(140, 10)
    ear.chunk(150, 10)
    assert ear.settle() == [[(90, 100)], [(140, 150)], []]


def test_no_picture_for_250_ms_is_silence_whether_a_card_follows_or_not() -> None:
    for released in (True, False):
        ear = Ear()
        ear.picture(0)
        ear.chunk(100, 500)
        ear.picture(1000, released=released)
        ear.picture(1100, released=released)
        assert ear.settle() == [[(250, 600)]], released


def test_a_pause_of_250_ms_is_not_yet_silence() -> None:
    ear = Ear()
    ear.picture(0)
    ear.picture(250)
    ear.picture(400)
    ear.chunk(100, 200)
    assert ear.settle() == [[]]


def test_sound_that_comes_late_is_silent_under_a_cover_of_long_ago() -> None:
    ear = Ear(PATIENT)
    ear.picture(0)
    ear.picture(100, released=False)
    ear.picture(200)
    for pts in range(1000, 120_000, 200):
        ear.picture(pts)
    ear.settle()
    ear.chunk(120, 20)
    assert ear.settle() == [[(120, 140)]]


def test_what_is_forgotten_of_the_pictures_is_silence() -> None:
    ear = Ear(PATIENT)
    for index in range(2000):
        ear.picture(index * 100, released=index % 2 == 0)
    assert len(ear.hold._silences) <= 256
    for index in (101, 777, 1501, 1999):
        ear.chunk(index * 100 + 10, 20)
    out = ear.settle()
    assert len(out) == 3  # the last lies beyond the last picture
    assert out == [[(i * 100 + 10, i * 100 + 30)] for i in (101, 777, 1501)]


def test_at_the_end_sound_reaches_as_far_as_the_last_picture() -> None:
    ear = Ear()
    ear.picture(0)
    ear.picture(100)
    ear.chunk(80, 40)
    ear.chunk(120, 40)
    said = ear.hold.settle(0, ended=True)
    assert spans_ms(said[0]) == [(100, 120)]
    assert said[1] == Drop(Token(0, 2, 0), Reason.END)


def test_live_sound_without_pictures_leaves_silenced_in_time() -> None:
    ear = Ear()
    ear.chunk(0, arrived=0)
    deadline = 250 + 100 + 250
    assert ear.hold.wake_ns() == deadline * NS_PER_MS
    assert ear.settle(deadline - 1) == []
    assert ear.settle(deadline) == [[(0, 20)]]


def test_a_file_s_sound_waits_for_ever() -> None:
    ear = Ear(PATIENT)
    ear.chunk(0)
    assert ear.hold.wake_ns() is None
    assert ear.settle(10**9) == []


def test_an_interruption_silences_all_sound_whatever_its_time() -> None:
    ear = Ear()
    ear.picture(0)
    ear.picture(1000)
    ear.chunk(100)
    assert ear.settle(shut=True) == [[(100, 120)]]


def test_sound_of_a_new_clock_waits_for_pictures_of_that_clock() -> None:
    ear = Ear(PATIENT)
    ear.picture(0)
    ear.picture(100_000)
    ear.chunk(50, clock=1)
    assert ear.settle() == []
    assert ear.hold.enter(1) == []
    ear.picture(0, released=False)
    ear.picture(200, released=False)
    assert ear.settle() == [[(50, 70)]]


def test_sound_of_an_old_clock_is_dropped_when_a_new_one_begins() -> None:
    ear = Ear(PATIENT)
    ear.picture(0)
    ear.chunk(50)
    ear.chunk(0, clock=1)
    said = ear.hold.enter(1)
    assert said == [Drop(Token(0, 1, 0), Reason.DISCONTINUITY)]
    ear.picture(0)
    ear.picture(100)
    assert ear.settle() == [[]]


def test_after_a_break_all_is_silent_until_a_picture_left() -> None:
    ear = Ear()
    ear.picture(0)
    ear.hold.drop_all(Reason.DISCONTINUITY)
    ear.chunk(10)
    assert ear.settle(599) == []
    assert ear.settle(600) == [[(10, 30)]]


def test_a_flood_of_sound_leaves_silenced_oldest_first() -> None:
    ear = Ear(dataclasses.replace(LIMITS, sound_backlog=2))
    ear.chunk(0)
    ear.chunk(20)
    sound = Sound(48000, np.zeros((1, 960), np.float32))
    said = ear.hold.arrive(Token(0, 9, 0), Frame(9, 40, MS, 0, sound), sound, 0)
    assert [spans_ms(c) for c in said] == [[(0, 20)]]
