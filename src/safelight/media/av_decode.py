"""From an opened container to pictures and sound: one video stream, one sound stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, cast

import av
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.container import InputContainer
from av.container.core import Flags
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from safelight.media.av_picture import side_data_of, to_picture
from safelight.media.av_sound import Chunk, SoundReader, is_usable_rate
from safelight.media.coded import CodedPictures
from safelight.media.coded_reader import CodedReader
from safelight.media.libav import LIBAV_ERRORS, MAX_PIXELS, words
from safelight.media.tally import Tally
from safelight.types import Picture, Sound

# So many packets in a row may fail to decode before the stream counts as unreadable.
_MAX_BAD_PACKETS: Final = 300
# So many reads in a row may fail before a file counts as unreadable.
_MAX_BAD_READS: Final = 16

_MIN_RATE: Final = 1.0
_MAX_RATE: Final = 1000.0

_NOT_PICTURES: Final = (
    Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
)


class UnreadableError(Exception):
    """A stream that cannot be read (on): ``what`` is wrong, ``hint`` says what to do."""

    def __init__(self, what: str, hint: str, *, broke_off: bool = False) -> None:
        self.what = what
        self.hint = hint
        self.broke_off = broke_off
        super().__init__(f"{what}: {hint}")


def unreadable() -> UnreadableError:
    """Return what a ``ValueError`` means: the binding's own trouble with what it was sent.

    For example a text that is no UTF-8. Whoever sent it goes; a listener waits for the next.
    """
    return UnreadableError("its data cannot be read", "record or send it again", broke_off=True)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture or a chunk of sound at ``pts`` in units of ``time_base`` seconds."""

    pts: int
    time_base: Fraction
    content: Picture | Sound


@dataclass(frozen=True, slots=True)
class ToldSound:
    """What a sink was told of a source's sound: Hz and channels, 0 of both for none."""

    rate: int = 0
    channels: int = 0


class Decoder:
    """Decodes one container. Everything but its best video and sound goes to the tally.

    ``told`` is what was said of an earlier connection: its sound's rate and channels stay.
    ``coded``: where to note how pictures came, for a sink that passes them on so.
    """

    def __init__(
        self,
        container: InputContainer,
        tally: Tally,
        *,
        live: bool,
        told: ToldSound | None = None,
        coded: CodedPictures | None = None,
    ) -> None:
        # Times that libav makes up by itself are wrong where pictures are stored out of order
        # (seen with AVI): ``_time_of`` does it instead.
        container.flags &= ~cast(int, Flags.gen_pts.value)
        self._container = container
        self._tally = tally
        self._live = live
        self._video = _best_video(container)
        self._audio = _best_audio(container)
        self._sound: SoundReader | None = None
        if told is not None and not told.rate:
            # A sink was opened without sound.
            self._audio = None
        elif told is not None:
            self._sound = SoundReader(told.rate, told.channels)
        elif self._audio is not None:
            self._sound = SoundReader(self._audio.codec_context.sample_rate, self._audio.channels)
        self._last_pts: int | None = None
        self._bad = 0
        _count_left_out(container, (self._video, self._audio), tally)
        context = self._video.codec_context
        context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}
        self._coded = None if coded is None else CodedReader(self._video, coded)
        context.thread_count = 2
        # Threads by frame would hold a live picture back for as many frames as threads.
        context.thread_type = ThreadType.SLICE if live else ThreadType.AUTO

    @property
    def frame_rate(self) -> float:
        """Frames a second as the container claims, 0.0 if it does not."""
        rate = float(self._video.average_rate or self._video.guessed_rate or 0)
        return rate if _MIN_RATE <= rate <= _MAX_RATE else 0.0

    @property
    def sound(self) -> SoundReader | None:
        """The sound's reader, None when there is no sound."""
        return self._sound

    @property
    def duration_s(self) -> float | None:
        """Length as the container claims, in seconds."""
        duration = self._container.duration
        return None if self._live or not duration or duration < 0 else duration / 1e6

    @property
    def frames(self) -> int | None:
        """Number of pictures as the container claims or its length suggests."""
        if self._live:
            return None
        if self._video.frames > 0:
            return self._video.frames
        if self.duration_s is None or not self.frame_rate:
            return None
        return round(self.duration_s * self.frame_rate)

    def __iter__(self) -> Iterator[Decoded]:
        """Decode to the end.

        Raises:
            UnreadableError: it cannot be read on.
            UnfitPictureError: a picture that cannot be guarded.
        """
        try:
            for packet in self._packets():
                # Not packet.stream_index: the packets that flush at the end do not have it set.
                if packet.stream.index == self._video.index:
                    yield from self._pictures(packet)
                else:
                    yield from self._sounds(packet)
        except UnreadableError as error:
            if error.broke_off:
                # What had come before the connection broke is still in the decoder.
                yield from self._pictures(None)
            raise
        yield from self._last_sound()

    def _last_sound(self) -> Iterator[Decoded]:
        if self._sound is None:
            return
        try:
            yield from map(_decoded, self._sound.flush())
        except LIBAV_ERRORS:
            self._tally.add("audio", "sound that does not convert")

    def _pictures(self, packet: Packet[Stream] | None) -> Iterator[Decoded]:
        if self._coded is not None:
            self._coded.packet(packet)
        try:
            frames = self._video.decode(packet)
        except LIBAV_ERRORS as error:
            self._bad += 1
            self._tally.add("video", "packet that does not decode")
            if self._bad > _MAX_BAD_PACKETS:
                raise UnreadableError(
                    "its pictures can no longer be decoded", "copy or record it again"
                ) from error
            return
        for frame in frames:
            self._bad = 0
            yield self._picture(frame)

    def _packets(self) -> Iterator[Packet[Stream]]:
        streams: list[Stream] = [self._video, *([self._audio] if self._audio else [])]
        bad = 0
        while True:
            try:
                for packet in self._container.demux(*streams):
                    bad = 0
                    yield packet
                return
            except EOFError:
                return
            except LIBAV_ERRORS as error:
                bad += 1
                damaged = isinstance(error, av.error.InvalidDataError) and not self._live
                if not damaged or bad > _MAX_BAD_READS:
                    raise UnreadableError(
                        words(error), "start it again when it is back", broke_off=True
                    ) from error
                self._tally.add("data", "damaged part of the file")

    def _picture(self, frame: av.VideoFrame) -> Decoded:
        for name in side_data_of(frame):
            self._tally.add("side_data", name)
        time_base = frame.time_base or self._video.time_base or Fraction(1, 1000)
        pts = self._last_pts = self._time_of(frame, time_base)
        picture = self.take(frame, self._video.sample_aspect_ratio)
        if self._coded is not None:
            self._coded.picture(frame, picture)
        return Decoded(pts, time_base, picture)

    def take(self, frame: av.VideoFrame, sample_aspect: Fraction | None) -> Picture:
        """Take a decoded picture out of libav's memory.

        Raises:
            UnfitPictureError: it cannot be guarded.
        """
        return to_picture(frame, sample_aspect)

    def _time_of(self, frame: av.VideoFrame, time_base: Fraction) -> int:
        """Return a frame's pts; if it has none, that of its packet's turn, or the next step."""
        last = self._last_pts
        if frame.pts is not None:
            return frame.pts
        if frame.dts is not None and (last is None or frame.dts > last):
            return frame.dts
        return 0 if last is None else last + self._step(frame, time_base)

    def _step(self, frame: av.VideoFrame, time_base: Fraction) -> int:
        if frame.duration and frame.duration > 0:
            return frame.duration
        return max(1, round(1 / (Fraction(self.frame_rate or 25) * time_base)))

    def _sounds(self, packet: Packet[Stream]) -> Iterator[Decoded]:
        if self._audio is None or self._sound is None:
            return
        try:
            for frame in self._audio.decode(packet):
                yield from map(_decoded, self._sound.read(frame))
        except LIBAV_ERRORS:
            self._tally.add("audio", "packet that does not decode")


def _decoded(chunk: Chunk) -> Decoded:
    return Decoded(chunk.pts, Fraction(1, chunk.sound.rate), chunk.sound)


def _best_video(container: InputContainer) -> VideoStream:
    hint = "give a file or stream with video"
    moving = [s for s in container.streams.video if not s.disposition & _NOT_PICTURES]
    if not len(container.streams):
        raise UnreadableError("it holds no video and no sound", hint, broke_off=True)
    if not moving:
        raise UnreadableError("it has sound or data but no video", hint)
    decodable = [s for s in moving if s.codec_context is not None]
    if not decodable:
        raise UnreadableError("its video is in a format that cannot be decoded", "convert it")
    sized = [s for s in decodable if s.width > 0 and s.height > 0]
    if not sized:
        raise UnreadableError("its video holds no pictures", "record it again")
    best = container.streams.best("video")
    return next((s for s in sized if best is not None and s.index == best.index), sized[0])


def _best_audio(container: InputContainer) -> AudioStream | None:
    decodable = [
        s
        for s in container.streams.audio
        if s.codec_context is not None
        and is_usable_rate(s.codec_context.sample_rate)
        and s.channels > 0
    ]
    best = container.streams.best("audio")
    return next(
        (s for s in decodable if best is not None and s.index == best.index),
        decodable[0] if decodable else None,
    )


def _count_left_out(
    container: InputContainer, kept: tuple[Stream | None, ...], tally: Tally
) -> None:
    indices = {stream.index for stream in kept if stream is not None}
    tags = len(container.metadata)
    for stream in container.streams:
        tags += len(stream.metadata)
        if stream.index in indices:
            continue
        cover = stream.type == "video" and bool(stream.disposition & _NOT_PICTURES)
        tally.add(stream.type, "cover art" if cover else _codec_name(stream))
    tally.add("chapters", "chapter", len(container.chapters()))
    tally.add("metadata", "tag", tags)


def _codec_name(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "unknown format"
