"""The feed: a file waits to be asked, a live stream begins at its edge."""

from __future__ import annotations

import dataclasses
import queue
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from safelight import feed as feeding
from safelight.errors import SourceLostError
from safelight.feed import Arrived, Ended, Feed, Lost
from safelight.media.interface import SourceInfo
from safelight.testing.fakes import FakeSource
from safelight.types import Frame, Gap, Picture, PictureFormat, Sound

FORM = PictureFormat(16, 16)


def frames(count: int) -> list[Frame]:
    half = np.zeros((8, 8), np.uint8)
    shown = Picture(FORM, np.zeros((16, 16), np.uint8), half, half.copy())
    return [Frame(i, i, Fraction(1, 30), time.monotonic_ns(), shown) for i in range(count)]


def after_a_burst(count: int) -> Callable[[Frame], None]:
    """So many at once, then thirty a second."""

    def pace(frame: Frame) -> None:
        if frame.seq >= count:
            time.sleep(1 / 30)

    return pace


def run(source: FakeSource, info: SourceInfo, allow: int = 0) -> tuple[Feed, list[object]]:
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    feed = Feed(source, inbox, info)
    feed.start()
    for _ in range(allow):
        feed.allow()
    got: list[object] = []
    while not got or not isinstance(got[-1], Ended):
        try:
            got.append(inbox.get(timeout=1.0))
        except queue.Empty:
            break
    feed.stop()
    return feed, got


def seqs(got: list[object]) -> list[int]:
    return [item.frame.seq for item in got if isinstance(item, Arrived)]


def test_a_live_stream_begins_at_its_edge() -> None:
    info = SourceInfo(True, FORM, 30.0)
    feed, got = run(FakeSource(info, frames(20), pace=after_a_burst(10)), info)
    assert seqs(got) == list(range(9, 20))
    assert feed.skipped == 9


def test_every_picture_is_kept_out_of_dumps_before_anybody_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Promise 5: a host's crash report holds none of what waits to be judged."""
    locked: list[Picture] = []
    monkeypatch.setattr("safelight.feed.lock_picture", locked.append)
    info = SourceInfo(False, FORM, 30.0)
    own = [frames(1)[0] for _ in range(5)]
    _, got = run(FakeSource(info, own), info, allow=5)
    held = [item.frame.content for item in got if isinstance(item, Arrived)]
    assert len(held) == 5
    assert [id(p) for p in held] == [id(p) for p in locked]


def test_sound_between_pictures_does_not_hide_the_edge() -> None:
    """Where sound and picture take turns, a picture comes soon after the sound before it."""
    info = SourceInfo(True, FORM, 30.0, 48_000, 1)
    sound = Sound(48_000, np.zeros((1, 1024), np.float32))
    mixed: list[Frame] = []
    for shown in frames(8):
        tick = Fraction(1, 30)
        mixed.append(Frame(2 * shown.seq, shown.seq, tick, 0, sound))
        mixed.append(Frame(2 * shown.seq + 1, shown.seq, tick, 0, shown.content))

    def pace_sound(frame: Frame) -> None:
        if isinstance(frame.content, Sound):
            time.sleep(1 / 30)

    feed, _ = run(FakeSource(info, mixed, pace=pace_sound), info)
    assert feed.skipped == 0


def test_a_stream_that_ends_in_its_backlog_still_shows_its_last() -> None:
    info = SourceInfo(True, FORM, 30.0)
    _, got = run(FakeSource(info, frames(5)), info)
    assert seqs(got) == [4]
    assert got[-1] == Ended(None)


class KeySource(FakeSource):
    """A source every twelfth of whose pictures is a key picture: the tenth, the 22nd, …"""

    def begins(self, picture: Picture) -> bool:
        return int(picture.y[0, 0]) % 12 == 10


def numbered(count: int) -> list[Frame]:
    half = np.zeros((8, 8), np.uint8)
    return [
        dataclasses.replace(
            frame, content=Picture(FORM, np.full((16, 16), frame.seq, np.uint8), half, half.copy())
        )
        for frame in frames(count)
    ]


def test_what_is_passed_on_as_it_came_begins_with_a_key_picture() -> None:
    """Else each until the next would be encoded, while each is judged, too."""
    info = SourceInfo(True, FORM, 30.0, 48_000, 1)
    sound = Sound(48_000, np.zeros((1, 1024), np.float32))
    mixed = numbered(30)
    mixed[15] = dataclasses.replace(mixed[15], content=sound)
    mixed[25] = dataclasses.replace(mixed[25], content=sound)

    feed, got = run(KeySource(info, mixed, pace=after_a_burst(12)), info)
    assert seqs(got) == list(range(22, 30))
    assert feed.skipped == 21  # pictures; the sound among them belongs to none that is shown


def test_a_key_picture_at_the_edge_is_begun_with() -> None:
    info = SourceInfo(True, FORM, 30.0)

    feed, got = run(KeySource(info, numbered(16), pace=after_a_burst(11)), info)
    assert seqs(got) == list(range(10, 16))
    assert feed.skipped == 10


def test_a_key_picture_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeding, "MOST_KEY_WAIT_S", 0.1)
    info = SourceInfo(True, FORM, 30.0)
    _, got = run(KeySource(info, numbered(9), pace=lambda _: time.sleep(1 / 30)), info)
    begun = seqs(got)
    assert begun == list(range(begun[0], 9))
    assert begun[0] > 2


def test_a_file_begins_with_its_first_picture_whatever_that_is() -> None:
    info = SourceInfo(False, FORM, 30.0)
    _, got = run(KeySource(info, numbered(3)), info, allow=5)
    assert seqs(got) == [0, 1, 2]


def test_a_stream_at_its_edge_loses_nothing() -> None:
    info = SourceInfo(True, FORM, 30.0)
    feed, got = run(FakeSource(info, frames(6), pace=lambda _: time.sleep(1 / 30)), info)
    assert seqs(got) == list(range(6))
    assert feed.skipped == 0


def test_a_break_before_a_dropped_picture_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A publisher that came back must start closed, even if its first picture was dropped."""
    monkeypatch.setattr(feeding, "LIVE_BACKLOG", 3)
    info = SourceInfo(True, FORM, 30.0)
    shown = frames(12)
    shown[6] = dataclasses.replace(shown[6], gap=Gap.SOURCE)
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    Feed(FakeSource(info, shown, pace=lambda _: time.sleep(0.03)), inbox, info).start()
    time.sleep(0.3)  # nobody takes what comes: from the fourth on it is dropped
    got: list[object] = []
    while not got or not isinstance(got[-1], Ended):
        got.append(inbox.get(timeout=2.0))
    arrived = [item.frame for item in got if isinstance(item, Arrived)]
    assert any(isinstance(item, Lost) for item in got)
    assert [frame.gap for frame in arrived if frame.gap is not None] == [Gap.SOURCE]
    assert arrived[-1].seq > 6


def test_a_file_is_read_only_as_far_as_allowed() -> None:
    info = SourceInfo(False, FORM, 30.0)
    _, got = run(FakeSource(info, frames(9)), info, allow=3)
    assert seqs(got) == [0, 1, 2]


def test_what_breaks_is_told_last() -> None:
    info = SourceInfo(False, FORM, 30.0)
    lost = SourceLostError("it broke", "try again")
    _, got = run(FakeSource(info, frames(2), error=lost), info, allow=5)
    assert got[-1] == Ended(lost)


def test_an_error_nobody_foresaw_is_a_lost_source_and_tells_its_kind_only() -> None:
    info = SourceInfo(False, FORM, 30.0)
    _, got = run(FakeSource(info, [], error=ValueError("pixel 12 34 56")), info, allow=1)
    ended = got[-1]
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, SourceLostError)
    assert "pixel" not in str(ended.error)
