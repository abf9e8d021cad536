"""Sound beside pictures, told as stories."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from tests.core.simulate import Stream, arrivals
from tests.core.story import (
    CALL,
    FILE,
    LIVE,
    MS,
    engine,
    film,
    interrupted,
    moving,
    say,
    watching,
)

from safelight.core.limits import Limits
from safelight.testing.gates import symbol
from safelight.types import (
    NS_PER_MS,
    NS_PER_S,
    Action,
    AudioArrived,
    EmitCard,
    Frame,
    Gap,
    PictureArrived,
    Sound,
    Tick,
)


def with_sound(frames: list[Frame], rate: int = 48000) -> list[Frame]:
    """Pictures and chunks of 1024 samples in the order of their times, numbered anew."""
    last = max(f.pts_ns for f in frames)
    chunks, at = [], min(f.pts_ns for f in frames)
    while at < last:
        sound = Sound(rate, np.zeros((1, 1024), np.float32))
        chunks.append(Frame(0, at, Fraction(1, NS_PER_S), at, sound))
        at += 1024 * NS_PER_S // rate
    both = sorted([*frames, *chunks], key=lambda f: (f.arrived_ns, isinstance(f.content, Sound)))
    return [dataclasses.replace(frame, seq=seq) for seq, frame in enumerate(both)]


@pytest.mark.parametrize("limits", [LIVE, CALL, FILE])
def test_sound_is_silent_from_a_codec_frame_before_a_cover_to_one_after(limits: Limits) -> None:
    frames = with_sound(film(moving(40) + "S" + moving(80)))
    made = engine(limits)
    stream = Stream(made, say, oracle=watching(limits))
    events = arrivals(frames)
    log = stream.patient(events) if limits.patient else stream.live(events)
    by_seq = {frame.seq: frame for frame in frames}
    covered = [by_seq[s].pts_ns for s in log.seqs(Action.COVER)]
    first = min(at for at in covered if at > NS_PER_S)
    lifted = min(at for s in log.released if (at := by_seq[s].pts_ns) > first)
    margin = 1024 * NS_PER_S // 48000
    heard = [span for seq, spans in log.sound.items() for span in audible(by_seq[seq], spans)]
    assert not [span for span in heard if span[1] > first - margin and span[0] < lifted + margin]
    # And no more than that is lost: a chunk, at the most, on either side.
    assert max(end for _, end in heard if end <= first) >= first - 2 * margin
    assert min(start for start, _ in heard if start >= lifted) <= lifted + 2 * margin


def audible(frame: Frame, spans: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """What of a chunk is heard."""
    assert isinstance(frame.content, Sound)
    at = frame.pts_ns
    end = at + frame.content.samples.shape[1] * NS_PER_S // frame.content.rate
    out = []
    for silent_from, silent_to in [*spans, (end, end)]:
        if at < silent_from:
            out.append((at, silent_from))
        at = max(at, silent_to)
    return out


def test_sound_of_a_new_clock_waits_for_the_pictures_of_that_clock() -> None:
    """A file whose time starts again: its sound must not pass for sound of long ago."""
    start = film(moving(60))
    again = film("S" * 30)
    frames = with_sound(start) + with_sound(again)
    frames = [dataclasses.replace(frame, seq=seq) for seq, frame in enumerate(frames)]
    oracle = watching(FILE)
    log = Stream(engine(FILE), say, service_ns=NS_PER_MS, oracle=oracle).patient(arrivals(frames))
    second = {f.seq for f in frames[len(with_sound(start)) :]}
    assert not [seq for seq, spans in log.sound.items() if seq in second and not spans]


def test_nothing_is_heard_in_an_interruption_when_time_starts_again() -> None:
    """A publisher that comes back counts from 0: before everything that was covered."""
    book = interrupted()
    before = len(book.told)
    now = book.now_ns
    seq = 1000
    for index in range(40):
        chunk = Sound(48000, np.zeros((1, 1024), np.float32))
        at = now + index * 21 * NS_PER_MS
        book.feed(AudioArrived(at, Frame(seq, index * 21, MS, at, chunk)))
        gap = Gap.SOURCE if index == 0 else None
        frame = Frame(seq + 1, index * 21, MS, at, symbol("A"), gap)
        book.feed(PictureArrived(at, frame))
        seq += 2
    book.feed(Tick(book.now_ns + 2 * NS_PER_S))
    sound = [t for t in book.told[before:] if t.startswith("sound")]
    assert sound
    assert not [t for t in sound if t.endswith("as it came")]


def test_sound_does_not_run_ahead_of_pictures_after_a_stall() -> None:
    """Two seconds without a picture bring a card; then all comes at once, times unbroken."""
    made = engine(LIVE)
    oracle = watching(LIVE)
    stream = Stream(made, say, service_ns=NS_PER_MS, oracle=oracle)
    frames = with_sound(film(moving(60) + "S" * 20))
    late = [
        f if f.pts_ns < NS_PER_S else dataclasses.replace(f, arrived_ns=f.arrived_ns + 3 * NS_PER_S)
        for f in frames
    ]
    log = stream.live(arrivals(late))
    assert [c for c in log.commands if isinstance(c, EmitCard)]


def test_a_chunk_beyond_the_last_picture_does_not_leave() -> None:
    frames = film(moving(30))
    chunk = Sound(48000, np.zeros((1, 1024), np.float32))
    beyond = Frame(30, 5 * NS_PER_S, Fraction(1, NS_PER_S), frames[-1].arrived_ns, chunk)
    log = Stream(engine(FILE), say).patient(arrivals([*frames, beyond]))
    assert log.sound == {}
    assert log.dropped == {30: "end"}
