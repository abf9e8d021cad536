"""Whole files as a stranger may send them: frames that are what they say, or our own error."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
from tests.fuzz import clips
from tests.fuzz.target import Target, check, check_one_line, scratch

from safelight.errors import EndOfStream, SafelightError
from safelight.media.address import Address, Kind
from safelight.media.av_source import AvSource
from safelight.types import Frame, Picture

# A picture takes at least one byte; what makes more of them out of nothing fills memory.
_MOST_PICTURES_A_BYTE: Final = 1
# A codec's silence is a few bytes for some thousand samples.
_MOST_SAMPLES_A_BYTE: Final = 65_536


def run(data: bytes) -> None:
    path = scratch() / "clip"
    path.write_bytes(data)
    source = AvSource(Address(Kind.FILE, str(path)))
    pictures = samples = 0
    try:
        source.open()
        for number in itertools.count():
            frame = source.read()
            check(frame.seq == number, "a frame is missing")
            check(number > 0 or isinstance(frame.content, Picture), "the first is no picture")
            pictures += isinstance(frame.content, Picture)
            samples += _looked_at(frame)
            check(pictures <= len(data) * _MOST_PICTURES_A_BYTE, "pictures out of nothing")
            check(samples <= len(data) * _MOST_SAMPLES_A_BYTE, "sound out of nothing")
    except EndOfStream:
        pass
    except SafelightError as error:
        check_one_line(str(error))
    finally:
        source.close()
    for dropped in source.dropped:
        check(dropped.count >= 1 and dropped.what.isprintable(), "a count of nothing")


def _looked_at(frame: Frame) -> int:
    """Check one frame; return how many samples of sound it holds."""
    content = frame.content
    if not isinstance(content, Picture):
        check(content.samples.shape[0] in (1, 2), "sound is mono or stereo")
        check(bool(np.isfinite(content.samples).all()), "a sample that is no number")
        check(bool((np.abs(content.samples) <= 1.0).all()), "a sample out of range")
        return int(content.samples.shape[1])
    form = content.format
    half = (form.height // 2, form.width // 2)
    check(content.y.shape == (form.height, form.width), "luma disagrees with its format")
    check(content.u.shape == half and content.v.shape == half, "chroma disagrees with its format")
    check(min(form.width, form.height) >= 16 and max(form.width, form.height) <= 7680, "a size")
    check(not content.y.flags.writeable and content.y.flags.owndata, "planes of somebody else")
    check(form.sample_aspect > 0, "an aspect that is none")
    return 0


def seeds() -> tuple[bytes, ...]:
    return (*(clips.make(clip) for clip in clips.CLIPS), clips.with_slow_sound())


TARGET = Target(
    run,
    seeds,
    words=(b"ftyp", b"moov", b"trak", b"tkhd", b"stsd", b"avc1", b"\x1a\x45\xdf\xa3", b"FLV\x01"),
    text=False,
    pieces=400,
    max_len=65_536,
    timeout_s=20,
    rss_mb=2048,
)
