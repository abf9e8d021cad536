"""From pictures and sound to H.264 and AAC packets that carry nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags as CodecFlags
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from safelight.media.fit import fit
from safelight.media.h264 import OUR_ID
from safelight.media.interface import SourceInfo
from safelight.media.timeline import SoundFramer, Timeline
from safelight.types import Picture, PictureFormat, Plane, Sound

_USUAL_RATE: Final = Fraction(30)
_SOUND_BITS: Final = 128_000
_FINEST: Final = 1_000_000
_FINE_ENOUGH: Final = 10_000
_FALLBACK: Final = Fraction(1, 90_000)
_THREADS: Final = 2
# Without look-ahead each picture is handed to the threads and waited for, which on a busy machine
# takes longer than a second one saves; up to this size one is quick enough.
_ALONE_UP_TO: Final = 1920 * 1088

# NAL units of type 6 are SEI: x264 puts its settings there, and nothing of ours needs any.
_NO_SEI: Final = "filter_units=remove_types=6"


# In quotes: the class can be subscripted in its stubs only.
Put: TypeAlias = "Callable[[Packet[Any]], None]"


@dataclass(frozen=True, slots=True)
class Quality:
    """How to encode.

    ``live``: no B-frames, no look-ahead, a bitrate by size and rate, a key frame every two
    seconds. Otherwise constant quality ``crf``. ``b_frames``: whether a file may have them.
    ``splices``: what is encoded stands between pictures of somebody else's encoder.
    """

    live: bool
    b_frames: bool = True
    preset: str = "veryfast"
    crf: int = 20
    bits_per_pixel: float = 0.1
    splices: bool = False


def time_base_for(given: Fraction) -> Fraction:
    """Return a time base in which every multiple of ``given`` is whole, fine but not too fine.

    One that is finer than a microsecond is not a container's; 1/90000 stands in for it.
    """
    if given <= 0 or given.denominator > _FINEST:
        return _FALLBACK
    return Fraction(1, given.denominator * -(-_FINE_ENOUGH // given.denominator))


class Encoder:
    """Encodes into one container's two streams. ``put`` takes the packets."""

    def __init__(
        self,
        container: OutputContainer,
        info: SourceInfo,
        form: PictureFormat,
        quality: Quality,
        time_base: Fraction,
    ) -> None:
        self._form = form
        self._time_base = time_base
        rate = usual_rate(info)
        self._timeline = Timeline(1 / rate)
        self._last_pts: int | None = None
        self._video = add_video(container, form, quality, rate, time_base)
        self._sound = SoundEncoder(container, info)
        self._filter: BitStreamFilterContext | None = None

    def picture(self, picture: Picture, at: Fraction, put: Put) -> None:
        """Encode a picture shown at stream time ``at``, in seconds."""
        frame = video_frame(fit(picture, self._form), self._form)
        pts = round(self._timeline.of_picture(at) / self._time_base)
        # Two pictures closer than the time base can tell still follow each other.
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
        self._last_pts = pts
        frame.pts = pts
        frame.time_base = self._time_base
        self._send(self._video.encode(frame), put)

    def sound(self, sound: Sound, at: Fraction, put: Put) -> None:
        """Encode sound that starts at stream time ``at``; before a first picture it is left out."""
        self._sound.encode(sound, self._timeline.of_sound(at), put)

    def finish(self, put: Put) -> None:
        """Encode what is still held back."""
        self._send(self._video.encode(None), put)
        self._sound.finish(put)

    def _send(self, packets: list[Packet[VideoStream]], put: Put) -> None:
        if self._filter is None:
            self._filter = BitStreamFilterContext(_NO_SEI, in_stream=self._video)
        for packet in packets:
            for clean in self._filter.filter(packet):
                put(clean)


class SoundEncoder:
    """Encodes into one container's stream of sound, if ``info`` says that there is sound."""

    def __init__(self, container: OutputContainer, info: SourceInfo) -> None:
        self._rate = info.sound_rate or 0
        self._stream: AudioStream | None = None
        self._framer: SoundFramer | None = None
        if info.sound_rate is not None and info.sound_channels is not None:
            self._stream = _add_audio(container, info.sound_rate, info.sound_channels)
            self._framer = SoundFramer(info.sound_rate, info.sound_channels)

    def encode(self, sound: Sound, out: Fraction | None, put: Put) -> None:
        """Encode sound that starts ``out`` seconds into the output; None leaves it out."""
        if out is None or self._framer is None or sound.rate != self._rate:
            return
        start = out * self._rate
        for pts, samples in self._framer.push(start.__floor__(), sound.samples):
            self._encode(pts, samples, put)

    def finish(self, put: Put) -> None:
        """Encode what is still held back."""
        if self._stream is not None and self._framer is not None:
            for pts, samples in self._framer.flush():
                self._encode(pts, samples, put)
            for packet in self._stream.encode(None):
                put(packet)

    def _encode(self, pts: int, samples: np.ndarray[Any, np.dtype[np.float32]], put: Put) -> None:
        if self._stream is None:
            return
        layout = "mono" if samples.shape[0] == 1 else "stereo"
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = self._rate
        frame.pts = pts
        frame.time_base = Fraction(1, self._rate)
        for packet in self._stream.encode(frame):
            put(packet)


def usual_rate(info: SourceInfo) -> Fraction:
    """Return frames a second, as a source says or as is usual."""
    return Fraction(info.frame_rate).limit_denominator(1001) or _USUAL_RATE


def add_video(
    container: OutputContainer,
    form: PictureFormat,
    quality: Quality,
    rate: Fraction,
    time_base: Fraction,
) -> VideoStream:
    """Add a stream of H.264 to a container: sizes, colours and rate of ``form`` and ``rate``."""
    options = {"preset": quality.preset}
    extra: dict[str, Any] = {"width": form.width, "height": form.height, "time_base": time_base}
    if quality.live:
        bits = round(form.width * form.height * float(rate) * quality.bits_per_pixel)
        bits = min(max(bits, 300_000), 12_000_000)
        extra["bit_rate"] = bits
        options |= {"tune": "zerolatency", "maxrate": str(bits), "bufsize": str(bits)}
    else:
        options["crf"] = str(quality.crf)
    if quality.splices:
        # Every picture comes out at once, the first of a stretch refers to nothing, and its
        # parameter sets bear a number that others hardly use.
        options |= {"tune": "zerolatency", "forced-idr": "1", "x264-params": f"sps-id={OUR_ID}"}
    stream = cast(VideoStream, container.add_stream("libx264", rate=rate, options=options, **extra))
    context = stream.codec_context
    context.pix_fmt = "yuv420p"
    alone = quality.splices and form.width * form.height <= _ALONE_UP_TO
    context.thread_count = 1 if alone else _THREADS
    if quality.live:
        context.gop_size = max(1, round(2 * rate))
    if quality.live or quality.splices or not quality.b_frames:
        context.max_b_frames = 0
    context.color_range = 2 if form.full_range else 1
    context.colorspace = form.matrix
    context.color_primaries = form.primaries
    context.color_trc = form.transfer
    context.sample_aspect_ratio = form.sample_aspect
    return stream


def _add_audio(container: OutputContainer, rate: int, channels: int) -> AudioStream:
    layout = "mono" if channels == 1 else "stereo"
    stream = container.add_stream(
        "aac", rate=rate, bit_rate=_SOUND_BITS, time_base=Fraction(1, rate), layout=layout
    )
    # Without this the encoder signs its stream with the library's name and version.
    stream.codec_context.flags |= CodecFlags.bitexact
    return stream


def video_frame(
    planes: tuple[Plane, Plane, Plane], form: PictureFormat, stored_as: str = "yuv420p"
) -> av.VideoFrame:
    """Return a new libav frame that holds these planes and nothing else.

    ``stored_as``: "yuv420p", or "yuvj420p" where whoever takes it reads the range from that.
    """
    frame = av.VideoFrame(form.width, form.height, stored_as)
    for made, plane in zip(frame.planes, planes, strict=True):
        # The binding's stubs do not say that a plane is a buffer.
        memory = memoryview(cast(Any, made))
        rows = np.frombuffer(memory, dtype=np.uint8).reshape(made.height, made.line_size)
        rows[:, : plane.shape[1]] = plane
    frame.color_range = 2 if form.full_range else 1
    frame.colorspace = form.matrix
    frame.color_primaries = form.primaries
    frame.color_trc = form.transfer
    return frame
