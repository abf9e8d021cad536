"""Copy mode: what is shown of what left is what was looked at, coded as it came or anew.

"Looked at" are the pictures that our source decoded. What left is decoded again here, by a
decoder that is told nothing special, as anybody's player is.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.media.helpers import content, picture, psnr, read, safe, write_video
from tests.media.test_side_data import SECRET, captions, user_data

from safelight.errors import EndOfStream
from safelight.media.address import parse_sink, parse_source
from safelight.media.av_sink import AvSink
from safelight.media.av_source import AvSource
from safelight.media.coded import CodedPicture, CodedPictures
from safelight.types import Frame, Picture, Plane

SIZE = (320, 192)
# A key frame every ten pictures, two pictures of three shown before one they refer to.
PLAIN = {"g": "10", "bf": "2", "x264-params": "b-adapt=0:scenecut=0", "crf": "18"}


@dataclass
class Copied:
    came: list[Frame]
    copied: int
    noted: int


def run(
    source: Path,
    sink: Path,
    cards: frozenset[int] = frozenset(),
    drops: Callable[[int, CodedPicture | None], bool] = lambda *_: False,
) -> Copied:
    """Let everything through in copy mode, but a card for each picture number in ``cards``, and
    what ``drops`` says to leave out."""
    coded = CodedPictures()
    reader, writer = (
        AvSource(parse_source(str(source)), coded=coded),
        AvSink(parse_sink(str(sink)), coded=coded),
    )
    writer.open(reader.open())
    came: list[Frame] = []
    noted = 0
    try:
        while True:
            frame = reader.read()
            if not isinstance(frame.content, Picture):
                writer.write(safe(frame.content, frame.pts, frame.time_base))
                continue
            noted += coded.of(frame.content) is not None
            shown = card(frame.content) if len(came) in cards else frame.content
            if not drops(len(came), coded.of(frame.content)):
                writer.write(safe(shown, frame.pts, frame.time_base))
            came.append(frame)
    except EndOfStream:
        writer.close(whole=True)
    finally:
        reader.close()
    return Copied(came, writer.copied, noted)


def read_all(reader: AvSource) -> list[Frame]:
    frames: list[Frame] = []
    try:
        while True:
            frames.append(reader.read())
    except EndOfStream:
        return frames
    finally:
        reader.close()


def card(like: Picture) -> Picture:
    grey = (np.full_like(p, 128) for p in (like.y, like.u, like.v))
    return Picture(like.format, *grey)


def same(a: Picture, b: Picture) -> bool:
    return all(np.array_equal(p, q) for p, q in ((a.y, b.y), (a.u, b.u), (a.v, b.v)))


def plays_without_a_word(path: Path) -> None:
    said = subprocess.run(
        ["ffmpeg", "-hide_banner", "-v", "warning", "-i", str(path), "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stderr == ""


def clip(path: Path, count: int = 60, **options: str) -> Path:
    return write_video(path, range(count), size=SIZE, options=PLAIN | options, sound_s=1.0)


def rewritten(source: Path, to: Path, change: Callable[[int, bytes], bytes | None]) -> Path:
    """Pass every packet on as ``change(number, data)`` has it; None leaves it out."""
    with av.open(str(source)) as came, av.open(str(to), "w") as made:
        stream = came.streams.video[0]
        out = made.add_stream_from_template(stream)
        for number, packet in enumerate(came.demux(stream)):
            data = None if packet.dts is None else change(number, bytes(packet))
            if data is None:
                continue
            again = av.Packet(data)
            again.pts, again.dts, again.time_base = packet.pts, packet.dts, packet.time_base
            again.duration, again.stream = packet.duration, out
            again.is_keyframe = packet.is_keyframe
            made.mux(again)
    return to


def units(path: Path) -> list[bytes]:
    """Every NAL unit of a file's video, in its order."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            found += split(bytes(packet))
    return found


def split(data: bytes) -> list[bytes]:
    """The units of a packet, each of which has its length before it."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_source_says_where_what_leaves_may_begin(tmp_path: Path, codec: str) -> None:
    """At a key picture; anywhere, if none can be passed on as it came."""
    film = tmp_path / "in.mp4"
    options = PLAIN if codec == "libx264" else {"g": "10"}
    write_video(film, range(30), size=SIZE, codec=codec, options=options)
    came: list[bool] = []
    reader = AvSource(parse_source(str(film)), coded=CodedPictures())
    reader.open()
    for frame in read_all(reader):
        assert isinstance(frame.content, Picture)
        came.append(reader.begins(frame.content))
    keys = [number % 10 == 0 for number in range(30)]
    assert came == (keys if codec == "libx264" else [True] * 30)


def test_a_source_of_which_nothing_more_can_be_copied_may_begin_anywhere(tmp_path: Path) -> None:
    ordinary = clip(tmp_path / "plain.mp4", 12)
    odd = b"\0\0\0\3\x0d\1\2"  # a unit of a kind that ends copying
    hostile = rewritten(
        ordinary, tmp_path / "in.mp4", lambda number, data: data if number else odd + data
    )
    reader = AvSource(parse_source(str(hostile)), coded=CodedPictures())
    reader.open()
    pictures = [f.content for f in read_all(reader) if isinstance(f.content, Picture)]
    assert len(pictures) == 12
    assert all(map(reader.begins, pictures))


def test_a_source_that_notes_nothing_may_begin_anywhere(tmp_path: Path) -> None:
    reader = AvSource(parse_source(str(clip(tmp_path / "in.mp4", 12))))
    reader.open()
    assert all(
        reader.begins(frame.content)
        for frame in read_all(reader)
        if isinstance(frame.content, Picture)
    )


@pytest.mark.e2e
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "flv"])
def test_a_clear_stream_leaves_as_it_came(tmp_path: Path, suffix: str) -> None:
    source = clip(tmp_path / "in.mp4")
    out = tmp_path / f"out.{suffix}"
    copied = run(source, out)
    assert copied.copied == len(copied.came) == 60
    left = read(out)
    assert len(left.pictures) == 60
    assert all(
        same(content(a), content(b)) for a, b in zip(copied.came, left.pictures, strict=True)
    )
    spaced = [a - left.times[0] for a in left.times]
    was = [f.pts * f.time_base for f in copied.came]
    assert max(abs(a - (b - was[0])) for a, b in zip(spaced, was, strict=True)) <= Fraction(1, 1000)
    assert left.sounds
    plays_without_a_word(out)


def test_slices_are_those_that_came_byte_for_byte(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    run(source, out)
    came = [u for u in units(source) if u[0] & 0x1F in (1, 5)]
    assert units(out) == came


@pytest.mark.e2e
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv"])
@pytest.mark.parametrize(
    "cards", [{0}, {13}, {19, 20}, {25, 26, 27, 28}, {30}, {59}, set(range(12, 47)), {5, 17, 29}]
)
def test_a_cover_is_spliced_in_and_nothing_of_what_it_hides_leaves(
    tmp_path: Path, suffix: str, cards: set[int]
) -> None:
    source, out = clip(tmp_path / "in.mp4"), tmp_path / f"out.{suffix}"
    copied = run(source, out, frozenset(cards))
    left = [content(f) for f in read(out).pictures]
    assert len(left) == 60
    exactly = 0
    for number, (came, shown) in enumerate(zip(copied.came, left, strict=True)):
        if number in cards:
            assert psnr(shown.y, card(shown).y) > 40, number
            continue
        exactly += same(content(came), shown)
        assert psnr(content(came).y, shown.y) > 32, number
    assert exactly >= copied.copied > 0
    plays_without_a_word(out)
    # From a cover to the next key picture everything is encoded anew.
    covered_groups = {n // 10 for n in cards}
    assert copied.copied >= 60 - 10 * len(covered_groups) - 2 * len(covered_groups)


@pytest.mark.e2e
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv"])
@pytest.mark.parametrize("pyramid", ["none", "normal"])
def test_what_nothing_refers_to_may_be_dropped(tmp_path: Path, suffix: str, pyramid: str) -> None:
    """A busy machine leaves a picture out; all others still leave as they came."""
    layers = {"bf": "3", "x264-params": f"b-adapt=0:scenecut=0:b-pyramid={pyramid}"}
    source, out = clip(tmp_path / "in.mp4", 60, **layers), tmp_path / f"out.{suffix}"
    gone: set[int] = set()

    def drops(number: int, coded: CodedPicture | None) -> bool:
        assert coded is not None
        if not coded.is_reference and number % 4 != 1:
            gone.add(number)
        return number in gone

    copied = run(source, out, drops=drops)
    assert len(gone) >= 10
    assert copied.copied == 60 - len(gone)
    left = read(out)
    kept = [frame for number, frame in enumerate(copied.came) if number not in gone]
    assert len(left.pictures) == len(kept)
    assert all(same(content(a), content(b)) for a, b in zip(kept, left.pictures, strict=True))
    was = [f.pts * f.time_base for f in kept]
    spaced = zip(left.times, was, strict=True)
    assert max(abs((a - left.times[0]) - (b - was[0])) for a, b in spaced) <= Fraction(1, 1000)
    plays_without_a_word(out)


@pytest.mark.e2e
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_dropped_the_rest_is_what_was_looked_at(tmp_path: Path, seed: int) -> None:
    source, out = clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    odds = random.Random(seed)  # noqa: S311
    gone = {number for number in range(1, 60) if odds.random() < 0.1}
    copied = run(source, out, drops=lambda number, _: number in gone)
    kept = [frame for number, frame in enumerate(copied.came) if number not in gone]
    left = [content(f) for f in read(out).pictures]
    assert len(left) == len(kept)
    assert min(psnr(content(a).y, b.y) for a, b in zip(kept, left, strict=True)) > 32
    assert (
        0
        < copied.copied
        <= sum(same(content(a), b) for a, b in zip(kept, left, strict=True))
        < len(kept)
    )
    plays_without_a_word(out)


def to_a_live_sink(source: Path, sink: Path) -> tuple[AvSink, list[Picture]]:
    """Read a film whole; return its pictures, and a sink that takes them for a live stream's."""
    coded = CodedPictures()
    reader = AvSource(parse_source(str(source)), coded=coded)
    writer = AvSink(parse_sink(str(sink)), coded=coded)
    writer.open(dataclasses.replace(reader.open(), live=True))
    return writer, [content(f) for f in read_all(reader) if isinstance(f.content, Picture)]


def test_late_pictures_are_left_out_and_the_rest_plays(tmp_path: Path) -> None:
    """What has to be encoded is left out, as on a machine that is behind; nothing is broken."""
    out = tmp_path / "out.mp4"
    writer, came = to_a_live_sink(clip(tmp_path / "in.mp4"), out)
    grey = card(came[0])
    left = [
        writer.write_late(safe(grey if number in {13, 14} else one, number, Fraction(1, 30)))
        for number, one in enumerate(came)
    ]
    writer.close(whole=True)
    gone = [number for number, one in enumerate(left) if not one]
    # Behind the first of the cards, up to the next key picture.
    assert set(gone) <= set(range(11, 20))
    assert {14, 18, 19} <= set(gone)
    assert writer.copied >= 50
    shown = [content(f) for f in read(out).pictures]
    assert len(shown) == 60 - len(gone)
    kept = [one for number, one in enumerate(came) if number not in {*gone, 13, 14}]
    whole = [one for one in shown if psnr(one.y, grey.y) < 30]
    assert all(psnr(a.y, b.y) > 32 for a, b in zip(whole, kept, strict=True))
    plays_without_a_word(out)


def test_a_live_cover_is_encoded_five_times_a_second(tmp_path: Path) -> None:
    """It is one card all the time; whatever else is shown is not taken for it."""
    out = tmp_path / "out.mp4"
    writer, came = to_a_live_sink(clip(tmp_path / "in.mp4"), out)
    grey = card(came[0])
    for number, one in enumerate(came):
        writer.write(safe(grey if 10 <= number < 40 else one, number, Fraction(1, 30)))
    writer.close(whole=True)
    left = read(out)
    cards = [
        time
        for frame, time in zip(left.pictures, left.times, strict=True)
        if psnr(content(frame).y, grey.y) > 40
    ]
    assert 5 <= len(cards) <= 6
    assert max(b - a for a, b in itertools.pairwise(cards)) <= Fraction(7, 30)
    assert len(left.pictures) == 30 + len(cards)
    plays_without_a_word(out)


def test_whatever_else_a_packet_holds_stays_behind(tmp_path: Path) -> None:
    """Promise 4 in copy mode: captions and user data are in the packets, and do not pass."""
    plain = clip(tmp_path / "plain.mp4")
    source, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    with av.open(str(plain)) as came, av.open(str(source), "w") as made:
        stream = came.streams.video[0]
        to = made.add_stream_from_template(stream)
        for packet in came.demux(stream):
            if packet.dts is None:
                continue
            extra = [part[4:] for part in (captions(SECRET), user_data(SECRET))]
            extra.append(b"\x0c\xff" + SECRET + b"\x80")  # filler
            data = b"".join(len(u).to_bytes(4, "big") + u for u in extra) + bytes(packet)
            again = av.Packet(data)
            again.pts, again.dts, again.time_base = packet.pts, packet.dts, packet.time_base
            again.is_keyframe, again.stream = packet.is_keyframe, to
            made.mux(again)
    assert source.read_bytes().count(SECRET) > 20
    copied = run(source, out)
    assert copied.copied == 60
    assert SECRET not in out.read_bytes()
    assert {u[0] & 0x1F for u in units(out)} == {1, 5}


@pytest.mark.parametrize("seed", range(6))
def test_of_damaged_packets_nothing_is_shown_that_was_not_looked_at(
    tmp_path: Path, seed: int
) -> None:
    """Flipped bits: a player guesses what is missing; we pass on nothing that was guessed."""
    chance = random.Random(seed)  # noqa: S311
    source, out = clip(tmp_path / "in.mp4", 90), tmp_path / "out.mp4"
    data = bytearray(source.read_bytes())
    start = bytes(data).index(b"mdat") + 4
    end = bytes(data).rindex(b"moov") - 4
    for _ in range(12):
        data[chance.randrange(start, end)] ^= 1 << chance.randrange(8)
    source.write_bytes(bytes(data))
    copied = run(source, out)
    looked_at = [content(f) for f in copied.came]
    exactly = 0
    with av.open(io.BytesIO(out.read_bytes()), "r") as container:
        shown: list[Plane] = [
            frame.to_ndarray(format="yuv420p")[: SIZE[1]].astype(np.uint8)
            for frame in container.decode(video=0)
        ]
    for luma in shown:
        near = [p for p in looked_at if psnr(p.y, luma) > 30]
        assert near, "a picture that nobody looked at"
        exactly += any(np.array_equal(p.y, luma) for p in near)
    assert exactly >= copied.copied
    assert copied.copied < 90


def test_a_turned_picture_is_encoded_anew(tmp_path: Path) -> None:
    """What leaves is upright; what came is not."""
    source = clip(tmp_path / "plain.mp4", 20)
    turned = tmp_path / "in.mp4"
    data = source.read_bytes()
    unit = bytes.fromhex("00010000 00000000 00000000 00000000 00010000 00000000 00000000")
    half = bytes.fromhex("ffff0000 00000000 00000000 00000000 ffff0000 00000000 00000000")
    at = data.index(b"tkhd")
    turned.write_bytes(data[:at] + data[at:].replace(unit, half, 1))
    copied = run(turned, tmp_path / "out.mp4")
    assert (copied.noted, copied.copied) == (0, 0)
    left = read(tmp_path / "out.mp4").pictures
    assert psnr(content(left[0]).y, picture(0, *SIZE).y[::-1, ::-1]) > 30


@pytest.mark.parametrize(
    ("codec", "kind", "suffix"),
    [("mpeg4", "yuv420p", "mp4"), ("libx264", "yuv422p", "mp4"), ("libx264", "yuv420p", "ts")],
)
def test_what_is_not_plain_is_encoded_anew(
    tmp_path: Path, codec: str, kind: str, suffix: str
) -> None:
    source = write_video(tmp_path / f"in.{suffix}", size=SIZE, codec=codec, kind=kind)
    copied = run(source, tmp_path / "out.mp4")
    assert (copied.noted, copied.copied) == (0, 0)
    assert len(read(tmp_path / "out.mp4").pictures) == 10
