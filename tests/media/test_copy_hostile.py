"""Promises 1 and 4 in copy mode, against a publisher who has one decoder show something else
than another: what leaves as it came must be what was looked at, to anybody who gets it.

Each of these once left: our decoder had been told what a receiver's is not (by a unit that
stays behind, by the container), and its picture, not the receiver's, was judged.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from tests.media.helpers import content, read
from tests.media.test_copy import Copied, clip, rewritten, run, same, split
from tests.media.test_h264 import RECORD, packed
from tests.media.test_side_data import SECRET, sei, user_data

from safelight.errors import SourceError
from safelight.media.av_decode import Decoder
from safelight.media.av_picture import to_picture
from safelight.media.coded import CodedPictures
from safelight.media.coded_reader import CodedReader
from safelight.media.h264 import ParameterSets, access_unit, parameter_sets
from safelight.media.h264_sets import Bits, NotCopyableError, unescaped
from safelight.media.tally import Tally
from safelight.types import Picture, PictureFormat, Plane

# Without arithmetic coding, whose start hangs on the quantiser, and with one for all pictures.
LADEN = "cabac=0:qp=32:ipratio=1.0:sliced-threads=0:keyint=5:bframes=0:scenecut=0"


def sets_of(path: Path) -> ParameterSets:
    with av.open(str(path)) as container:
        return parameter_sets(container.streams.video[0].codec_context.extradata)


def what_leaves_is_what_was_looked_at(copied: Copied, out: Path) -> None:
    left = [content(frame) for frame in read(out).pictures]
    assert len(left) == len(copied.came)
    exactly = sum(same(content(a), b) for a, b in zip(copied.came, left, strict=True))
    assert exactly >= copied.copied
    repackaged = [content(frame).y for frame in read(as_a_byte_stream(out)).pictures]
    assert len(repackaged) == len(left)
    joined = from_the_second_key_picture(out)
    assert joined
    for shown in ([picture.y for picture in left], repackaged, joined):
        for came, luma in zip(copied.came[-len(shown) :], shown, strict=True):
            assert float(np.abs(content(came).y.astype(int) - luma).mean()) < 4


def as_a_byte_stream(path: Path) -> Path:
    """The same with start codes for lengths, as in HLS."""
    to = path.with_suffix(".ts")
    with av.open(str(path)) as came, av.open(str(to), "w") as made:
        out = made.add_stream_from_template(came.streams.video[0])
        for packet in came.demux(video=0):
            if packet.dts is not None:
                packet.stream = out
                made.mux(packet)
    return to


def from_the_second_key_picture(path: Path) -> list[Plane]:
    """The luma that a player shows who comes later, and has the sets in the header alone."""
    with av.open(str(path)) as container:
        keys, shown = 0, []
        for packet in container.demux(video=0):
            keys += packet.is_keyframe and packet.dts is not None
            if keys > 1:
                shown += [_luma(frame) for frame in packet.decode()]
    return shown


def _luma(frame: av.VideoFrame) -> Plane:
    return np.asarray(frame.to_ndarray()[: frame.height], np.uint8)


class Write:
    """Bits, highest first, and Exp-Golomb numbers."""

    def __init__(self) -> None:
        self.bits = ""

    def take(self, count: int, value: int) -> Write:
        self.bits += f"{value:0{count}b}"
        return self

    def number(self, *values: int) -> Write:
        for value in values:
            coded = f"{value + 1:b}"
            self.bits += "0" * (len(coded) - 1) + coded
        return self

    def signed(self, *values: int) -> Write:
        return self.number(*(2 * v - 1 if v > 0 else -2 * v for v in values))

    def end(self) -> bytes:
        whole = self.bits + "1" + "0" * (-(len(self.bits) + 1) % 8)
        return escaped(int(whole, 2).to_bytes(len(whole) // 8, "big"))


def escaped(data: bytes) -> bytes:
    out = bytearray()
    for byte in data:
        if out[-2:] == b"\0\0" and byte <= 3:
            out.append(3)
        out.append(byte)
    return bytes(out)


def faint(pps: bytes) -> bytes:
    """The set with another quantiser: what is drawn with 32 comes out in a twentieth of its
    strength."""
    bits = Bits(unescaped(pps[1:]))
    made = Write().number(bits.number(), bits.number()).take(2, bits.take(2))
    made.number(bits.number(), bits.number(), bits.number()).take(3, bits.take(3))
    bits.signed()
    made.signed(-26, bits.signed(), bits.signed()).take(3, bits.take(3))
    if bits.more():
        made.take(2, bits.take(2)).signed(bits.signed())
    return pps[:1] + made.end()


def test_a_parameter_set_changed_for_one_packet_ends_copying(tmp_path: Path) -> None:
    source = clip(tmp_path / "plain.mp4", 60, **{"x264-params": LADEN})
    changed = packed(faint(sets_of(source).pps[0]))
    hostile = rewritten(
        source, tmp_path / "in.mp4", lambda n, data: changed + data if n == 0 else data
    )
    copied = run(hostile, tmp_path / "out.mp4")
    assert content(copied.came[20]).y.std() < 10, "the attack is none"
    assert copied.copied == 0
    what_leaves_is_what_was_looked_at(copied, tmp_path / "out.mp4")


def test_a_parameter_set_behind_a_start_code_ends_copying(tmp_path: Path) -> None:
    """Our decoder would go by it for good; nobody else who comes later has it."""
    source = clip(tmp_path / "plain.mp4", 60, **{"x264-params": LADEN})
    changed = b"\0\0\1" + faint(sets_of(source).pps[0])

    def behind_the_slice(number: int, data: bytes) -> bytes:
        *before, last = split(data)
        return data if number else packed(*before, last + changed)

    copied = run(rewritten(source, tmp_path / "in.mp4", behind_the_slice), tmp_path / "out.mp4")
    assert content(copied.came[20]).y.std() < 10, "the attack is none"
    assert copied.copied == 0
    what_leaves_is_what_was_looked_at(copied, tmp_path / "out.mp4")


def test_what_hides_behind_a_start_code_stays_behind(tmp_path: Path) -> None:
    source = clip(tmp_path / "plain.mp4", 20)
    hidden = b"\0\0\1" + user_data(SECRET)[4:]
    hostile = rewritten(
        source,
        tmp_path / "in.mp4",
        lambda _, data: packed(*(unit + hidden for unit in split(data))),
    )
    assert SECRET in hostile.read_bytes(), "the attack is none"
    run(hostile, tmp_path / "out.mp4")
    assert SECRET not in (tmp_path / "out.mp4").read_bytes()


def grain() -> bytes:
    """Film grain, as strong as it gets: a decoder lays it over its picture."""
    made = Write().take(1, 0).take(2, 0).take(1, 0).take(2, 0).take(4, 2).take(3, 0b100)
    made.take(8, 0).take(3, 2).take(8, 0).take(8, 255).signed(255, 8, 8).number(1)
    bits = made.bits + "1" + "0" * (-(len(made.bits) + 1) % 8)
    return sei(19, int(bits, 2).to_bytes(len(bits) // 8, "big"))[4:]


def test_film_grain_is_not_laid_over_what_is_judged(tmp_path: Path) -> None:
    source = clip(tmp_path / "plain.mp4")
    hostile = rewritten(source, tmp_path / "in.mp4", lambda _, data: packed(grain()) + data)
    plain, noisy = read(source).pictures[20], read(hostile).pictures[20]
    assert np.abs(content(plain).y.astype(int) - content(noisy).y).mean() > 8, "the attack is none"
    copied = run(hostile, tmp_path / "out.mp4")
    assert copied.copied == 60
    what_leaves_is_what_was_looked_at(copied, tmp_path / "out.mp4")


def test_a_container_that_hides_a_part_of_the_picture_is_not_copied(tmp_path: Path) -> None:
    """A player may go by the stream and show what our decoder was told to cut off."""
    data = clip(tmp_path / "plain.mp4").read_bytes()
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    narrow = tmp_path / "in.mp4"
    narrow.write_bytes(data[:at] + (306).to_bytes(2, "big") + data[at + 2 :])
    copied = run(narrow, tmp_path / "out.mp4")
    assert content(copied.came[0]).format.width == 306, "the attack is none"
    assert (copied.noted, copied.copied) == (0, 0)


def test_a_unit_that_stays_behind_does_not_say_what_light_it_is(tmp_path: Path) -> None:
    source = clip(tmp_path / "plain.mp4", 20, **{"x264-params": "transfer=smpte2084"})
    ordinary = packed(sei(147, b"\x01")[4:])
    hostile = rewritten(source, tmp_path / "in.mp4", lambda _, data: ordinary + data)
    with pytest.raises(SourceError, match="HDR"):
        run(hostile, tmp_path / "out.mp4")


def test_behind_a_picture_that_is_missing_nothing_is_copied(tmp_path: Path) -> None:
    """Its place is guessed, by each decoder in its own way."""
    source = clip(tmp_path / "plain.mp4", 60, **{"x264-params": LADEN.replace("int=5", "int=10")})
    hostile = rewritten(
        source, tmp_path / "in.mp4", lambda n, data: None if n % 10 == 4 and n > 10 else data
    )
    copied = run(hostile, tmp_path / "out.mp4")
    assert copied.copied == 10 + 5 * 4
    what_leaves_is_what_was_looked_at(copied, tmp_path / "out.mp4")


@pytest.mark.parametrize("live", [False, True])
def test_slices_that_overlap_are_not_copied(tmp_path: Path, live: bool) -> None:
    """The last of them holds, or the first, or a guess: that is up to the decoder."""
    whole, halves = (
        clip(tmp_path / f"{count}.mp4", 20, **{"x264-params": f"{LADEN}:slices={count}"})
        for count in (1, 2)
    )
    with av.open(str(halves)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.dts is not None]
    second = [packet[4 + int.from_bytes(packet[:4], "big") :] for packet in packets]
    # What SEI and sets come first in the first packet is of no interest here.
    hostile = rewritten(whole, tmp_path / "in.mp4", lambda n, data: data + second[n] if n else data)
    coded = CodedPictures()
    with av.open(str(hostile)) as container:
        decoder = Decoder(container, Tally(), live=live, coded=coded)
        pictures = [d.content for d in decoder if isinstance(d.content, Picture)]
        assert [coded.of(picture) is not None for picture in pictures[:2]] == [True, False]
        # Those that refer to a corrupt one may be sound; the next key picture is not.
        assert coded.of(pictures[5]) is None


def test_two_pictures_of_one_packet_are_not_copied(tmp_path: Path) -> None:
    """None is known that decodes to two; then neither is what the packet is, nor any after."""
    coded = CodedPictures()
    seen: list[Picture] = []
    with av.open(str(clip(tmp_path / "in.mp4", 12, bf="0"))) as container:
        reader = CodedReader(container.streams.video[0], coded, Tally())
        for packet in container.demux(video=0):
            reader.packet(packet)
            for frame in packet.decode():
                seen.append(to_picture(frame))
                reader.picture(frame, seen[-1])
                if len(seen) == 5:
                    place = coded.of(seen[4])
                    assert place is not None
                    reader.picture(frame, to_picture(frame))
                    assert coded.place(place.index) is None
    assert [coded.of(each) is not None for each in seen] == [True] * 4 + [False] * 8


def test_fields_are_encoded_anew(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 20, **{"x264-params": "tff=1"})
    copied = run(source, tmp_path / "out.mp4")
    assert (copied.noted, copied.copied) == (0, 0)


def test_what_lies_behind_the_sets_stays_behind(tmp_path: Path) -> None:
    source = clip(tmp_path / "plain.mp4", 20)
    data = source.read_bytes()
    sets = sets_of(source)
    tail = data.index(sets.pps[0]) + len(sets.pps[0])
    assert data[tail : tail + 4] == sets.tail == b"\xfd\xf8\xf8\x00"
    secret = SECRET.ljust(64)
    longer = bytearray(data[:tail] + secret + data[tail + 4 :])
    for box in (b"avcC", b"avc1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(box, 0, tail) - 4
        size = int.from_bytes(data[at : at + 4], "big") + len(secret) - 4
        longer[at : at + 4] = size.to_bytes(4, "big")
    hostile, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    hostile.write_bytes(bytes(longer))
    assert run(hostile, out).copied == 20
    assert SECRET not in out.read_bytes()


# Profile, what High adds, frame numbers, order, references, gaps, size, frames only, vectors.
def sequence(  # noqa: PLR0917
    gaps: int = 0,
    frames: int = 1,
    left: int = 0,
    more: bytes = b"",
    kind: int = 1,
    bits: int = 0,
    profile: int = 100,
    references: int = 1,
    level: int = 31,
    room: tuple[int, int] | None = None,
) -> bytes:
    made = Write().number(0)
    if profile == 100:
        made.number(kind, bits, bits).take(2, 0)
    made.number(0, 2, references).take(1, gaps)
    made.number(19, 11).take(1, frames)
    made.take(1 if frames else 2, 0)
    made.take(1, 1).number(left, 0, 0, 2).take(1, room is not None)
    if room is not None:  # all else that annex E knows is left out
        made.take(8, 0).take(2, 0b11).number(0, 0, 0, 0, *room)
    return bytes([0x67, profile, 0x40 if profile < 100 else 0, level]) + made.end() + more


# Number, coding, groups, references, weights, quantisers, filter, twice, what High adds.
def pictures(  # noqa: PLR0917
    number: int = 0,
    groups: int = 0,
    twice: int = 0,
    more: bytes = b"",
    coding: int = 0,
    weights: int = 0,
    large: bool = False,
    quantiser: int = 0,
) -> bytes:
    made = Write().number(number, 0).take(1, coding).take(1, 0).number(groups, 0, 0)
    made.take(3, weights).signed(quantiser, 0, 0).take(2, 0).take(1, twice)
    if large:
        made.take(2, 2).signed(0)
    return b"\x68" + made.end() + more


def record(sps: bytes, *pps: bytes) -> bytes:
    return (
        b"\x01" + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2, "big") + sps
        + bytes([len(pps)]) + b"".join(len(u).to_bytes(2, "big") + u for u in pps)
    )  # fmt: skip


def test_plain_sets_are_read() -> None:
    sets = parameter_sets(record(sequence(), pictures(0), pictures(1)))
    assert (sets.sequence.width, sets.sequence.height) == (320, 188)
    assert sets.pps_ids == {0, 1}
    assert sets.sequence.describes(PictureFormat(320, 188))
    assert not sets.sequence.describes(PictureFormat(306, 188))
    assert not sets.sequence.describes(PictureFormat(320, 188, full_range=True))
    assert parameter_sets(RECORD).sequence.describes(PictureFormat(1280, 720, full_range=True))
    for profile, pps in ((100, {"large": True}), (77, {"coding": 1, "weights": 4}), (66, {})):
        parameter_sets(record(sequence(profile=profile), pictures(**pps)))
    # 20 x 12 macroblocks: at level 1.1 there is room for three.
    for most in ({"references": 3, "level": 11}, {"references": 2, "room": (1, 2)}):
        parameter_sets(record(sequence(**most), pictures(quantiser=-26)))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(record(sequence(gaps=1), pictures()), id="gaps"),
        pytest.param(record(sequence(frames=0), pictures()), id="fields"),
        pytest.param(record(sequence(left=3), pictures()), id="cut on the left"),
        pytest.param(record(sequence(kind=2), pictures()), id="4:2:2"),
        pytest.param(record(sequence(bits=2), pictures()), id="10 bits"),
        pytest.param(record(sequence(more=SECRET), pictures()), id="more behind the SPS"),
        pytest.param(record(sequence(), pictures(more=SECRET)), id="more behind a PPS"),
        pytest.param(record(sequence(), pictures(groups=1)), id="slice groups"),
        pytest.param(record(sequence(), pictures(twice=1)), id="redundant pictures"),
        pytest.param(record(sequence(), pictures(), pictures()), id="one number twice"),
        pytest.param(record(sequence(references=4, level=11), pictures()), id="more than fit"),
        pytest.param(record(sequence(references=17), pictures()), id="more than there may be"),
        pytest.param(record(sequence(level=99), pictures()), id="an unknown level"),
        pytest.param(record(sequence(references=2, room=(0, 1)), pictures()), id="no room said"),
        pytest.param(record(sequence(room=(2, 1)), pictures()), id="no room for the order"),
        pytest.param(record(sequence(room=(0, 17)), pictures()), id="too much room"),
        pytest.param(record(sequence(), pictures(quantiser=27)), id="no such quantiser"),
        # Our decoder leaves what follows unread, another does not.
        pytest.param(record(sequence(profile=77), pictures(large=True)), id="High in Main"),
        pytest.param(record(sequence(profile=66), pictures(large=True)), id="High in Baseline"),
        pytest.param(record(sequence(profile=66), pictures(coding=1)), id="Main in Baseline"),
        pytest.param(record(sequence(profile=66), pictures(weights=4)), id="weights in Baseline"),
    ],
)
def test_sets_that_can_be_taken_in_two_ways_are_not_copied(given: bytes) -> None:
    with pytest.raises(NotCopyableError):
        parameter_sets(given)


def test_slices_that_a_profile_has_not_are_not_copied() -> None:
    both_ways = Write().number(0, 1, 0).take(16, 0)  # the first of a picture, B, its set
    b_slice = b"\x01" + both_ways.end()
    for profile, taken in ((100, True), (77, True), (66, False)):
        sets = parameter_sets(record(sequence(profile=profile), pictures()))
        if taken:
            assert access_unit(packed(b_slice), sets).data == packed(b_slice)
        else:
            with pytest.raises(NotCopyableError):
                access_unit(packed(b_slice), sets)
