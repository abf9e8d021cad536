"""Promises 1, 3 and 4 on real pictures, through the public API and the real network.

A canary stands for what must not leave; it is a harmless card that the network is made to
misjudge, so these tests are about the system and never about the network's recall.
"""

from __future__ import annotations

from pathlib import Path

import av
import pytest

import safelight
from safelight.media import address
from safelight.media.av_source import AvSource
from safelight.testing import canary, scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.fakes import FakeSink
from safelight.types import Picture, SafeFrame

pytestmark = pytest.mark.slow

BEFORE = 45
AFTER = 60
CLIPS = ("bird.mkv", "eat.mkv", "night.mkv", "one-by-one-person-detection.mp4")


def drawn(name: str, size: tuple[int, int]) -> tuple[Picture, Picture]:
    """A canary and its own clean card, at this size."""
    return (
        scenes.picture_from_rgb(canary.at_size(canary.load(name), size)),
        scenes.picture_from_rgb(canary.at_size(canary.clean(name), size)),
    )


def pictures_of(sink: FakeSink) -> list[SafeFrame]:
    return [safe for safe in sink.frames if isinstance(safe.content, Picture)]


def guard(pictures: list[Picture], state: Path) -> tuple[FakeSink, safelight.Report]:
    sink = FakeSink()
    with safelight.open(DrawnSource(pictures), sink, state=state) as session:
        report = session.wait()
    assert report is not None
    return sink, report


def leaked(sink: FakeSink, banned: set[int]) -> list[int]:
    return [i for i, safe in enumerate(pictures_of(sink)) if id(safe.content) in banned]


def clip(path: Path, count: int) -> list[Picture]:
    source = AvSource(address.parse_source(str(path)))
    source.open()
    pictures: list[Picture] = []
    while len(pictures) < count:
        content = source.read().content
        if isinstance(content, Picture):
            pictures.append(content)
    source.close()
    return pictures


@pytest.mark.parametrize("frames", [1, 2, 10, 60])
@pytest.mark.parametrize("name", ["card", "cup"])
def test_no_canary_frame_leaves_its_own_clean_card(name: str, frames: int, tmp_path: Path) -> None:
    """The hardest place to hide: the clean card differs from the canary by at most 16 of 255."""
    changed, clean = drawn(name, (640, 360))
    sink, report = guard([clean] * BEFORE + [changed] * frames + [clean] * AFTER, tmp_path)
    assert leaked(sink, {id(changed)}) == []
    assert all(safe.released for safe in pictures_of(sink)[:BEFORE])
    assert report.frames.unjudged_released == 0
    assert report.frames.released + report.frames.covered + report.frames.interrupted == len(
        pictures_of(sink)
    )
    assert not any(safe.released for safe in pictures_of(sink)[BEFORE : BEFORE + frames])


@pytest.mark.parametrize("frames", [1, 2, 10, 60])
def test_no_canary_frame_leaves_a_moving_clip(frames: int, media: Path, tmp_path: Path) -> None:
    moving = clip(media / "bird.mkv", 60)
    size = (moving[0].format.width, moving[0].format.height)
    # Same format as the clip, or the change of format alone would close the stream.
    rgb = canary.at_size(canary.load("card"), size)
    changed = scenes.picture_from_rgb(rgb, full_range=moving[0].format.full_range)
    changed = Picture(moving[0].format, changed.y, changed.u, changed.v)
    sink, report = guard(moving[:BEFORE] + [changed] * frames + moving[BEFORE:] * 3, tmp_path)
    assert leaked(sink, {id(changed)}) == []
    assert [safe.content for safe in pictures_of(sink)[:BEFORE]] == moving[:BEFORE]
    assert report.frames.unjudged_released == 0


@pytest.mark.parametrize("offset", range(8))
def test_where_in_a_bracket_the_canary_falls_makes_no_difference(
    offset: int, tmp_path: Path
) -> None:
    changed, clean = drawn("card", (640, 360))
    pictures = [clean] * (BEFORE + offset) + [changed] + [clean] * 20
    sink, _ = guard(pictures, tmp_path)
    assert leaked(sink, {id(changed)}) == []
    assert all(safe.released for safe in pictures_of(sink)[: BEFORE + offset])


def test_a_long_canary_interrupts_and_a_short_one_only_covers(tmp_path: Path) -> None:
    changed, clean = drawn("card", (640, 360))
    _, short = guard([clean] * BEFORE + [changed] * 5 + [clean] * 90, tmp_path / "a")
    _, long = guard([clean] * BEFORE + [changed] * 60 + [clean] * 90, tmp_path / "b")
    assert [span.state for span in short.states] == ["pending", "live", "covered", "live"]
    assert [span.state for span in long.states] == ["pending", "live", "covered", "interrupted"]
    assert long.frames.interrupted > 90


def test_a_moving_canary_in_front_of_a_scene_does_not_leave(tmp_path: Path) -> None:
    benign = [scenes.picture_from_rgb(scenes.scene(i / 30)) for i in range(BEFORE)]
    moving = [scenes.picture_from_rgb(canary.moving(i / 30)) for i in range(30)]
    sink, report = guard(benign + moving, tmp_path)
    # The judge is another process, and its time is part of the whole.
    assert 0 < report.cpu_s.judge < report.cpu_s.total
    assert report.cpu_s.source == 0, "these pictures come from memory"
    assert leaked(sink, {id(picture) for picture in moving}) == []
    assert all(safe.released for safe in pictures_of(sink)[:BEFORE])
    assert report.frames.unjudged_released == 0


def test_a_stream_of_canaries_alone_never_opens(tmp_path: Path) -> None:
    changed, _ = drawn("card", (640, 360))
    sink, report = guard([changed] * 40, tmp_path)
    assert not any(safe.released for safe in pictures_of(sink))
    assert report.frames.released == 0


def beginning(clip: Path, out: Path, seconds: float = 15.0) -> Path:
    """Copy what a film shows in its first seconds, packet by packet."""
    with av.open(str(clip)) as film, av.open(str(out), "w") as copy:
        stream = copy.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(video=0):
            # Matroska's first packets have no decoding time; what ends a film has no bytes.
            if packet.size and (packet.dts or 0) * packet.time_base < seconds:
                packet.stream = stream
                copy.mux(packet)
    return out


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_leaves_as_it_came(name: str, media: Path, tmp_path: Path) -> None:
    """Same number of frames, none covered, spacing kept, the picture up to the encoder."""
    clip, out = beginning(media / name, tmp_path / f"clip{Path(name).suffix}"), tmp_path / "out.mkv"
    with safelight.open(str(clip), str(out), state=tmp_path) as session:
        report = session.wait()
    assert report is not None
    count = report.frames.in_
    assert report.frames.released == count
    with av.open(str(clip)) as before, av.open(str(out)) as after:
        pairs = zip(before.decode(video=0), after.decode(video=0), strict=True)
        checked = 0
        start: tuple[float, float] | None = None
        for a, b in pairs:
            assert a.time is not None
            assert b.time is not None
            start = start or (a.time, b.time)
            assert abs((a.time - start[0]) - (b.time - start[1])) < 0.0015
            if checked % 30 == 0:
                assert a.to_ndarray(format="gray").shape == b.to_ndarray(format="gray").shape
                difference = a.to_ndarray(format="gray").astype(int) - b.to_ndarray(format="gray")
                assert abs(difference).mean() < 3.0
            checked += 1
        assert checked == count


def test_the_other_clips_are_released_whole(media: Path, tmp_path: Path) -> None:
    for path in sorted(set(media.glob("*.mkv")) - {media / name for name in CLIPS}):
        with safelight.open(str(path), "null:", state=tmp_path) as session:
            report = session.wait()
        assert report is not None
        assert report.frames.released == report.frames.in_ > 0, path.name


def test_the_same_file_is_judged_the_same_way_twice(tmp_path: Path) -> None:
    pictures = [scenes.picture_from_rgb(scenes.scene(i / 30)) for i in range(90)]
    runs = [guard(pictures, tmp_path) for _ in range(2)]
    shapes = [[(safe.released, safe.pts) for safe in pictures_of(sink)] for sink, _ in runs]
    assert shapes[0] == shapes[1]
