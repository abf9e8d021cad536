"""What may leave, as frames of one direction's two tracks of a call."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from safelight.media.av_encode import video_frame
from safelight.media.interface import SourceInfo
from safelight.media.timeline import SoundFramer, Timeline
from safelight.media.webrtc_source import SOUND_CHANNELS, SOUND_RATE
from safelight.types import Picture, SafeFrame, Sound

VIDEO_TIME_BASE: Final = Fraction(1, 90_000)
_SOUND_FRAME: Final = 960  # 20 ms: what Opus takes at a time
_STEP: Final = Fraction(1, 30)


class Outlet(Protocol):
    """Where a track's frames go, from any thread."""

    def put(self, frame: av.VideoFrame | av.AudioFrame) -> None:
        """Take a frame; never wait, drop the oldest instead.

        Raises:
            SinkLostError: nobody can take it any more.
        """
        ...

    def finish(self) -> None:
        """Nothing more comes; what waits is forgotten."""
        ...


class TrackSink:
    """Implements ``Sink``: new frames that hold a safe frame's planes or samples, no more.

    Pictures keep their size and their spacing in time; where the source began a new clock,
    time goes on one step after the last picture.
    """

    def __init__(self, picture: Outlet, sound: Outlet) -> None:
        self._picture = picture
        self._sound = sound
        self._timeline = Timeline(_STEP)
        self._framer = SoundFramer(SOUND_RATE, SOUND_CHANNELS, _SOUND_FRAME)
        self._last_pts: int | None = None
        self._open = False

    def open(self, info: SourceInfo) -> None:  # noqa: ARG002  (a call needs no format)
        """Nothing can go wrong."""
        self._open = True

    def write(self, frame: SafeFrame) -> None:
        """Let one frame leave.

        Raises:
            SinkLostError: the call's event loop is gone.
            TypeError: anything but a SafeFrame was offered.
        """
        if type(frame) is not SafeFrame:
            raise TypeError(f"a sink takes a SafeFrame, not a {type(frame).__name__}")
        if not self._open:
            return
        at = frame.pts * frame.time_base
        if isinstance(frame.content, Picture):
            self._write_picture(frame.content, at)
        else:
            self._write_sound(frame.content, at)

    def _write_picture(self, picture: Picture, at: Fraction) -> None:
        pts = round(self._timeline.of_picture(at) / VIDEO_TIME_BASE)
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
        self._last_pts = pts
        # Encoders of calls read the range from the name of the format, if from anything.
        stored_as = "yuvj420p" if picture.format.full_range else "yuv420p"
        made = video_frame((picture.y, picture.u, picture.v), picture.format, stored_as)
        made.pts, made.time_base = pts, VIDEO_TIME_BASE
        self._picture.put(made)

    def _write_sound(self, sound: Sound, at: Fraction) -> None:
        out = self._timeline.of_sound(at)
        if out is None or sound.rate != SOUND_RATE:
            return
        start = (out * SOUND_RATE).__floor__()
        for pts, samples in self._framer.push(start, sound.samples):
            self._sound.put(_audio_frame(pts, samples))

    def close(self, *, whole: bool) -> None:  # noqa: ARG002  (nothing is left behind)
        """End both tracks, whatever waits in them: whoever reads on gets an error."""
        self._open = False
        for outlet in (self._picture, self._sound):
            outlet.finish()


def _audio_frame(pts: int, samples: NDArray[np.float32]) -> av.AudioFrame:
    whole = np.rint(samples * 32767.0).astype(np.int16)
    packed = np.ascontiguousarray(whole.T).reshape(1, -1)
    made = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
    made.sample_rate = SOUND_RATE
    made.pts, made.time_base = pts, Fraction(1, SOUND_RATE)
    return made
