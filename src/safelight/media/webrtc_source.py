"""The frames of one direction of a call, from an event loop to the guard's own threads.

Nothing here knows of WebRTC: an event loop hands over decoded frames as they come, and never
waits. Where the guard is slower than that, the oldest are dropped and counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av

from safelight.errors import EndOfStream, SafelightError, SourceError
from safelight.media.av_decode import Decoded
from safelight.media.av_picture import side_data_of, to_picture
from safelight.media.av_sound import Chunk, SoundReader
from safelight.media.fitness import UnfitPictureError
from safelight.media.flow import Flow
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.media.libav import LIBAV_ERRORS
from safelight.media.tally import Tally
from safelight.media.webrtc_clock import LipSync
from safelight.types import NS_PER_S, Frame, Picture

SOUND_RATE: Final = 48_000
SOUND_CHANNELS: Final = 2
# A call's picture is worth nothing when it is old: fewer wait than anybody would notice.
_PICTURES: Final = 4
_SOUNDS: Final = 100  # two seconds, at 20 ms each
_NANOSECOND: Final = Fraction(1, NS_PER_S)


@dataclass(frozen=True, slots=True, eq=False)
class _Came:
    frame: av.VideoFrame | av.AudioFrame
    arrived_ns: int
    ahead_ns: int | None


class TrackSource:
    """Implements ``Source``. ``offer``, ``end`` and ``fail`` are for the event loop's side."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pictures: deque[_Came] = deque()
        self._sounds: deque[_Came] = deque()
        self._end: Exception | None = None
        self._tally = Tally()
        self._flow = Flow(self._tally)
        self._sync = LipSync()
        self._reader = SoundReader(SOUND_RATE, SOUND_CHANNELS)
        self._frames = self._run()
        self._first: Frame | None = None

    # --- what the event loop calls ----------------------------------------------------------

    def offer(self, frame: av.VideoFrame | av.AudioFrame, ahead_ns: int | None = None) -> None:
        """Take in a decoded frame that came just now. Never waits.

        ``ahead_ns``: how far the sender's clock is ahead of the frame's pts, if it said so.
        """
        came = _Came(frame, time.monotonic_ns(), ahead_ns)
        with self._changed:
            if self._end is not None:
                return
            if isinstance(frame, av.VideoFrame):
                self._keep(self._pictures, came, _PICTURES, "video")
            else:
                self._keep(self._sounds, came, _SOUNDS, "audio")
            self._changed.notify_all()

    def _keep(self, queue: deque[_Came], came: _Came, most: int, kind: str) -> None:
        if len(queue) >= most:
            queue.popleft()
            self._tally.add(kind, "came faster than it could be taken")
        queue.append(came)

    def end(self) -> None:
        """Nothing more comes: the picture's track has ended."""
        self._over(EndOfStream())

    def fail(self, error: SafelightError) -> None:
        """Nothing more comes, and that is a fault."""
        self._over(error)

    def _over(self, why: Exception) -> None:
        with self._changed:
            self._end = self._end or why
            self._changed.notify_all()

    # --- what the guard's threads call --------------------------------------------------------

    def open(self) -> SourceInfo:
        """Wait for the first picture.

        Raises:
            SourceError: what came cannot be guarded.
            EndOfStream: it ended before a picture came.
        """
        if self._first is not None:
            raise SourceError("the track is guarded already", "guard it once")
        self._first = self.read()
        content = self._first.content
        if not isinstance(content, Picture):
            raise SourceError("there is sound without a picture", "guard the picture's track too")
        self._frames = self._again(self._first, self._frames)
        # Sound's track may be added later, so it is counted on; without one there is none.
        return SourceInfo(True, content.format, 0.0, SOUND_RATE, SOUND_CHANNELS)

    def read(self) -> Frame:
        """Return the next frame.

        Raises:
            EndOfStream: the picture's track ended, or the source was closed.
            SourceLostError: it broke off.
        """
        frame = next(self._frames, None)
        if frame is None:
            raise EndOfStream
        return frame

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """What was not passed on so far."""
        return self._tally.dropped()

    def close(self) -> None:
        """Let go of it. Safe to call twice, and from another thread while ``read`` blocks."""
        self.end()
        with self._changed:
            self._pictures.clear()
            self._sounds.clear()

    # --- frames -------------------------------------------------------------------------------

    @staticmethod
    def _again(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
        yield first
        yield from rest

    def _run(self) -> Iterator[Frame]:
        while (came := self._next()) is not None:
            for decoded in self._decoded(came):
                yield from self._flow.frames(decoded, came.arrived_ns)

    def _next(self) -> _Came | None:
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._pictures) or bool(self._sounds) or self._end is not None
            )
            if self._end is not None:
                # What is left was not judged, and nobody waits for the tail of a call.
                self._pictures.clear()
                self._sounds.clear()
                if isinstance(self._end, SafelightError):
                    raise self._end
                return None
            if not self._sounds:
                return self._pictures.popleft()
            if not self._pictures:
                return self._sounds.popleft()
            first = self._pictures[0].arrived_ns <= self._sounds[0].arrived_ns
            return (self._pictures if first else self._sounds).popleft()

    def _decoded(self, came: _Came) -> Iterator[Decoded]:
        frame, arrived_ns = came.frame, came.arrived_ns
        if isinstance(frame, av.AudioFrame):
            for chunk in self._reader.read(frame):
                yield from self._sound(chunk, came)
            return
        pts, time_base = _time_of(frame, arrived_ns)
        try:
            picture = to_picture(frame)
        except (UnfitPictureError, *LIBAV_ERRORS):
            # Whoever is at the other end decides what comes: that must not end the call.
            self._tally.add("video", "picture that cannot be judged")
            return
        for kind in side_data_of(frame):
            self._tally.add("side_data", kind)
        self._sync.picture(int(pts * time_base * NS_PER_S), arrived_ns, came.ahead_ns)
        yield Decoded(pts, time_base, picture)

    def _sound(self, chunk: Chunk, came: _Came) -> Iterator[Decoded]:
        pts_ns = chunk.pts * NS_PER_S // chunk.sound.rate
        at_ns = self._sync.sound(pts_ns, came.arrived_ns, came.ahead_ns)
        if at_ns is None:
            self._tally.add("audio", "chunk older than the first picture")
            return
        pts = round(Fraction(at_ns * chunk.sound.rate, NS_PER_S))
        yield Decoded(pts, Fraction(1, chunk.sound.rate), chunk.sound)


def _time_of(frame: av.VideoFrame, arrived_ns: int) -> tuple[int, Fraction]:
    """Return a picture's pts and time base; where it has none, when it came."""
    if frame.pts is None or not frame.time_base:
        return arrived_ns, _NANOSECOND
    return frame.pts, Fraction(frame.time_base.numerator, frame.time_base.denominator)
