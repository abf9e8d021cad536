"""Promise 4: *only* the judged picture leaves. Whatever else PyAV lets through is put in here.

Captions and SEI were measured to survive a decode and re-encode that does nothing about them.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
from tests.media.helpers import MS, pass_through, picture, video_frame, write_video

SECRET = b"SECRET-TEXT-ABOUT-SOMEONE"


def sei(kind: int, payload: bytes) -> bytes:
    """A NAL unit with one SEI message, start code included."""
    body = bytes([6, kind])
    size = len(payload)
    while size >= 255:
        body, size = body + b"\xff", size - 255
    body += bytes([size]) + payload + b"\x80"
    # No start code may appear inside; these payloads hold no zero pairs to escape.
    assert b"\x00\x00" not in body
    return b"\x00\x00\x00\x01" + body


def captions(text: bytes) -> bytes:
    """A53 closed captions (ATSC A/53, GA94), three bytes for every two letters."""
    pairs = [text[i : i + 2].ljust(2, b" ") for i in range(0, min(len(text), 62), 2)]
    triplets = b"".join(b"\xfc" + pair for pair in pairs)
    head = b"\xb5\x00\x31GA94\x03" + bytes([0x40 | len(pairs), 0xFF])
    return sei(4, head + triplets + b"\xff")


def user_data(text: bytes) -> bytes:
    return sei(5, bytes(range(1, 17)) + text)


def annotated(path: Path, units: bytes, count: int = 12) -> Path:
    """A raw H.264 stream with ``units`` before every picture."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.options = {"bf": "0", "x264-params": "repeat-headers=1:aud=0"}
    packets = []
    for number in range(count):
        packets += encoder.encode(video_frame(picture(number), number, Fraction(1, 30)))
    packets += encoder.encode(None)
    with path.open("wb") as file:
        for packet in packets:
            data = bytes(packet)
            # Parameter sets come first in a picture; SEI goes after them, before its slices.
            cut = min(at for at in (data.find(b"\x00\x00\x01\x65"), _slice(data)) if at >= 0)
            cut -= data[cut - 1 : cut] == b"\x00"
            file.write(data[:cut] + units + data[cut:])
    return path


def _slice(data: bytes) -> int:
    found = [data.find(bytes([0, 0, 1, head])) for head in (0x41, 0x61, 0x21, 0x01)]
    return min((at for at in found if at >= 0), default=-1)


def side_data_in(path: Path) -> set[str]:
    with av.open(str(path)) as container:
        return {
            item.type.name
            for frame in container.decode(video=0)
            for item in cast(Any, frame.side_data)
        }


@pytest.mark.parametrize(
    ("units", "kind"),
    [(captions(SECRET), "A53_CC"), (user_data(SECRET), "SEI_UNREGISTERED")],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv", "ts"])
def test_captions_and_sei_stay_behind(tmp_path: Path, units: bytes, kind: str, suffix: str) -> None:
    source = annotated(tmp_path / "in.h264", units)
    assert kind in side_data_in(source), "the input has to hold what is looked for"
    came, left = pass_through(source, tmp_path / f"out.{suffix}")
    assert came.counts()["side_data", kind.lower()] >= 12
    assert len(left.pictures) == 12
    assert side_data_in(tmp_path / f"out.{suffix}") == set()
    data = (tmp_path / f"out.{suffix}").read_bytes()
    assert SECRET not in data
    assert b"GA94" not in data


def test_the_check_can_fail(tmp_path: Path) -> None:
    """The same captions do pass through PyAV's plain decode and encode, as facts.md says."""
    source = annotated(tmp_path / "in.h264", captions(SECRET))
    with av.open(str(source)) as came, av.open(str(tmp_path / "o.ts"), "w") as sink:
        stream = sink.add_stream("libx264", rate=30)
        stream.width, stream.height = 64, 48
        for number, frame in enumerate(came.decode(video=0)):
            frame.pts, frame.time_base = number, Fraction(1, 30)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    assert "A53_CC" in side_data_in(tmp_path / "o.ts")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_what_a_container_holds_besides_stays_behind(tmp_path: Path, suffix: str) -> None:
    def besides(container: av.container.OutputContainer, stream: av.VideoStream) -> None:
        container.metadata["title"] = container.metadata["comment"] = SECRET.decode()
        stream.metadata["handler_name"] = SECRET.decode()
        tags = {"title": SECRET.decode()}
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 99, "time_base": MS, "metadata": tags}]
        )
        container.add_attachment("a.txt", "text/plain", SECRET)

    source = write_video(tmp_path / "in.mkv", extra=besides)
    assert source.read_bytes().count(SECRET) >= 3
    _, left = pass_through(source, tmp_path / f"out.{suffix}")
    assert len(left.pictures) == 10
    assert SECRET not in (tmp_path / f"out.{suffix}").read_bytes()
    with av.open(str(tmp_path / f"out.{suffix}")) as container:
        assert [s.type for s in container.streams] == ["video"]
        assert container.chapters() == []


def test_a_turned_picture_leaves_upright_and_without_a_matrix(tmp_path: Path) -> None:
    """A default re-encode lost the matrix and left the picture lying on its side."""
    source = write_video(
        tmp_path / "in.mp4", extra=lambda _, stream: stream.set_display_rotation(90)
    )
    came, left = pass_through(source, tmp_path / "out.mp4")
    assert came.info.format == left.info.format
    assert (left.info.format.width, left.info.format.height) == (48, 64)
    assert "DISPLAYMATRIX" not in side_data_in(tmp_path / "out.mp4")


def test_b_frames_do_not_shift_flv(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.flv", range(30), options={"bf": "3"})
    came, left = pass_through(source, tmp_path / "out.flv")
    assert left.times[0] == 0
    assert [t - came.times[0] for t in came.times] == left.times
