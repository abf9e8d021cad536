"""Tracks as a source and a sink: nothing waits, nothing old passes, sound stays by its picture."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from safelight.core import release
from safelight.errors import EndOfStream, SourceLostError
from safelight.media.webrtc_clock import LipSync
from safelight.media.webrtc_sink import TrackSink
from safelight.media.webrtc_source import TrackSource
from safelight.types import (
    NS_PER_MS,
    CardText,
    Frame,
    Gap,
    Mute,
    Picture,
    PictureFormat,
    Sound,
    Token,
)

TICKS = Fraction(1, 90_000)


def frame(index: int, size: tuple[int, int] = (64, 48), level: int = 100) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(
        np.full((size[1] * 3 // 2, size[0]), level, np.uint8), format="yuv420p"
    )
    made.pts, made.time_base = index * 3000, TICKS
    return made


def sound(index: int) -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(
        np.full((1, 1920), 1000, np.int16), format="s16", layout="stereo"
    )
    made.sample_rate, made.pts, made.time_base = 48_000, index * 960, Fraction(1, 48_000)
    return made


def opened(*frames: av.VideoFrame | av.AudioFrame) -> TrackSource:
    source = TrackSource()
    for one in frames:
        source.offer(one)
    source.open()
    return source


def test_times_and_planes_are_carried_through() -> None:
    source = opened(frame(5), frame(6, level=7))
    first, second = source.read(), source.read()
    assert (first.pts, second.pts) == (15_000, 18_000)
    assert first.time_base == TICKS
    assert isinstance(second.content, Picture)
    assert (second.content.y == 7).all()


def test_behind_the_oldest_are_dropped_and_counted() -> None:
    source = opened(*(frame(i) for i in range(10)))
    assert source.read().pts == 6 * 3000
    (dropped,) = source.dropped
    assert (dropped.kind, dropped.count) == ("video", 6)


@pytest.mark.parametrize(
    ("after", "gap"),
    [
        (frame(1, (96, 48)), Gap.FORMAT),
        (frame(1, (48, 64)), Gap.FORMAT),
        (frame(-9), Gap.TIME),
        (frame(400), Gap.TIME),
    ],
    ids=["larger", "turned", "back", "forward"],
)
def test_another_size_a_turn_or_a_jump_breaks_the_flow(after: av.VideoFrame, gap: Gap) -> None:
    source = opened(frame(0), after)
    assert source.read().gap is None
    assert source.read().gap is gap


def test_what_cannot_be_judged_is_left_out_and_the_call_goes_on() -> None:
    small = av.VideoFrame(8, 8, "yuv420p")
    small.pts, small.time_base = 0, TICKS
    source = opened(small, frame(1))
    assert source.read().pts == 3000
    assert [dropped.what for dropped in source.dropped] == ["picture that cannot be judged"]


def test_an_end_drops_what_waits_and_a_fault_says_so() -> None:
    source = opened(frame(0), frame(1))
    source.read()
    source.end()
    with pytest.raises(EndOfStream):
        source.read()
    source = opened(frame(0), frame(1))
    source.read()
    source.fail(SourceLostError("it broke", "see"))
    with pytest.raises(SourceLostError):
        source.read()


def test_close_frees_whoever_waits_for_a_first_picture() -> None:
    source = TrackSource()
    came: list[BaseException] = []

    def wait() -> None:
        try:
            source.open()
        except EndOfStream as error:
            came.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    source.offer(sound(0))
    source.close()
    thread.join(10)
    assert len(came) == 1
    source.offer(frame(0))
    with pytest.raises(EndOfStream):
        source.read()


# --- sound by its picture ------------------------------------------------------------------------


def ms(value: int) -> int:
    return value * NS_PER_MS


def test_sound_lies_where_its_picture_does_whatever_numbers_they_count_from() -> None:
    sync = LipSync()
    for step in range(50):
        sync.picture(ms(7_000 + 40 * step), ms(500 + 40 * step))
        at = sync.sound(ms(40 * step), ms(500 + 40 * step))
        assert at == ms(7_000 + 40 * step)


def test_a_slow_first_picture_does_not_set_sound_apart_for_good() -> None:
    sync = LipSync()
    sync.picture(0, ms(400))  # a key frame that took 400 ms to decode
    for step in range(1, 50):
        sync.picture(ms(40 * step), ms(40 * step + 10))
        at = sync.sound(ms(40 * step), ms(40 * step + 5))
        assert at is not None
        assert abs(at - ms(40 * step)) <= ms(30)


@pytest.mark.parametrize(("said", "at"), [(-60, 0), (60, 120), (-400, 60), (400, 60)])
def test_what_reports_say_counts_where_it_is_near_to_when_things_came(said: int, at: int) -> None:
    """Sound came 60 ms later than its picture, as from behind a jitter buffer."""
    sync = LipSync()
    for step in range(50):
        sync.picture(ms(40 * step), ms(40 * step), ms(9_000))
        where = sync.sound(ms(40 * step), ms(40 * step + 60), ms(9_060 + said))
        assert where == ms(40 * step + at)


def test_one_track_that_says_nothing_leaves_the_other_unheard() -> None:
    sync = LipSync()
    sync.picture(0, 0)
    assert sync.sound(0, ms(60), ms(9_000)) == ms(60)


def test_sound_without_a_picture_lies_nowhere() -> None:
    assert LipSync().sound(0, 0) is None


# --- out again -----------------------------------------------------------------------------------


class Outlet:
    def __init__(self) -> None:
        self.came: list[av.VideoFrame | av.AudioFrame] = []
        self.over = False

    def put(self, frame: av.VideoFrame | av.AudioFrame) -> None:
        self.came.append(frame)

    def finish(self) -> None:
        self.over = True


def sinks() -> tuple[TrackSink, Outlet, Outlet]:
    picture, heard = Outlet(), Outlet()
    source = TrackSource()
    source.offer(frame(0))
    sink = TrackSink(picture, heard)
    sink.open(source.open())
    return sink, picture, heard


def test_only_safe_frames_pass_and_nothing_after_close() -> None:
    sink, picture, heard = sinks()
    for stranger in (frame(0), None, b"", 1):
        with pytest.raises(TypeError):
            sink.write(stranger)  # type: ignore[arg-type]
    card = release.lone_card(PictureFormat(64, 48), 0, CardText("m", "Paused"))
    sink.write(card)
    sink.close(whole=True)
    sink.write(card)
    assert len(picture.came) == 1
    assert picture.over
    assert heard.over


def test_time_never_goes_back_on_the_way_out() -> None:
    sink, picture, _ = sinks()
    text = CardText("m", "Paused")
    for at_ms in (5_000, 5_040, 4_000, 4_040, 90_000):
        sink.write(release.lone_card(PictureFormat(64, 48), ms(at_ms), text))
    times = [shown.pts for shown in picture.came]
    assert times[:2] == [0, 3600]
    assert all(b > a for a, b in itertools.pairwise(times))  # type: ignore[operator]


def test_full_range_says_so_in_a_way_that_encoders_read() -> None:
    sink, picture, _ = sinks()
    text = CardText("m", "Paused")
    sink.write(release.lone_card(PictureFormat(64, 48, full_range=True), 0, text))
    sink.write(release.lone_card(PictureFormat(64, 48), ms(40), text))
    names = [shown.format.name for shown in picture.came if isinstance(shown, av.VideoFrame)]
    assert names == ["yuvj420p", "yuv420p"]


def test_silenced_sound_leaves_silent_in_whole_opus_frames() -> None:
    sink, _, heard = sinks()
    sink.write(release.lone_card(PictureFormat(64, 48), 0, CardText("m", "Paused")))
    loud = Sound(48_000, np.full((2, 1024), 0.5, np.float32))
    for seq in range(4):
        one = Frame(seq, seq * 1024, Fraction(1, 48_000), 0, loud)
        spans = ((0, 10**12),) if seq < 2 else ()
        sink.write(release.sound(one, Mute(Token(0, seq, 0), spans)))
    made = [one.to_ndarray() for one in heard.came if isinstance(one, av.AudioFrame)]
    assert [one.shape for one in made] == [(1, 1920)] * 4
    assert not np.concatenate(made, axis=1)[0, : 2 * 2048].any()
    assert made[3].min() > 16_000
