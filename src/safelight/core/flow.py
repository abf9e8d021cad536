"""Where a stream's flow breaks: numbers, times and formats of frames against those before."""

from __future__ import annotations

from safelight.core.limits import Limits
from safelight.types import Frame, Gap, PictureFormat


class Flow:
    """What the last frames of one stream were like."""

    def __init__(self, limits: Limits) -> None:
        self._jump_ns = limits.jump_ns
        self._seq: int | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew: the next frames are compared with nothing before them."""
        self._picture: tuple[int, PictureFormat] | None = None
        self._sound_ns: int | None = None

    def rises(self, frame: Frame) -> bool:
        """Whether a frame has a number above all before: else two would share a token."""
        if self._seq is not None and frame.seq <= self._seq:
            return False
        self._seq = frame.seq
        return True

    def gap_before(self, pts_ns: int, picture_format: PictureFormat) -> Gap | None:
        """Return what breaks between the last picture and this one."""
        if self._picture is None:
            return None
        last_ns, last_format = self._picture
        if picture_format != last_format:
            return Gap.FORMAT
        if pts_ns < last_ns or pts_ns - last_ns > self._jump_ns:
            return Gap.TIME
        return None

    def picture(self, pts_ns: int, picture_format: PictureFormat) -> None:
        """Note a picture."""
        self._picture = (pts_ns, picture_format)

    def sound_fell_back(self, pts_ns: int) -> bool:
        """Whether this sound is on another clock than the sound before."""
        return self._sound_ns is not None and pts_ns < self._sound_ns - self._jump_ns

    def sound(self, pts_ns: int) -> None:
        """Note a chunk of sound."""
        self._sound_ns = pts_ns if self._sound_ns is None else max(self._sound_ns, pts_ns)
