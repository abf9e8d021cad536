"""What a source and a sink are to the rest of the guard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from safelight.types import Frame, Picture, PictureFormat, SafeFrame


@dataclass(frozen=True, slots=True)
class DroppedStream:
    """Something of a source that is not passed on, and why: never silently."""

    kind: str  # video, audio, subtitle, data, attachment, chapters, metadata, side_data
    what: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source knows once it is open.

    ``live``: frames come at the pace of the world and cannot wait. ``frame_rate``: frames a
    second, 0.0 if unknown. ``frames`` and ``duration_s``: estimates for a progress bar, None
    if unknown. ``sound_rate`` in Hz and ``sound_channels``: None when there is no sound.
    """

    live: bool
    format: PictureFormat
    frame_rate: float
    sound_rate: int | None = None
    sound_channels: int | None = None
    frames: int | None = None
    duration_s: float | None = None


class Source(Protocol):
    """Where frames come from. One thread calls ``open`` and ``read``; any may ``close``."""

    def open(self) -> SourceInfo:
        """Open it and wait for the first picture.

        Raises:
            SourceError: it cannot be opened, or holds no video that can be guarded.
            EndOfStream: it was closed while it waited.
        """
        ...

    def read(self) -> Frame:
        """Return the next frame, pictures and sound in the order they arrive.

        Never returns None. Blocks as long as it must.

        Raises:
            EndOfStream: it ended as it should.
            SourceLostError: it broke off.
        """
        ...

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """What was not passed on so far."""
        ...

    def close(self) -> None:
        """Let go of it. Safe to call twice, and from another thread while ``read`` blocks."""
        ...


@runtime_checkable
class MayLeave(Protocol):
    """What a source offers besides, if whoever feeds it may leave and come back."""

    @property
    def back_within_s(self) -> float | None:
        """How long it has to come back yet, in seconds; None while it is there."""
        ...


@runtime_checkable
class MayWorkElsewhere(Protocol):
    """What a source offers besides, if other processes work for it."""

    def cpu_seconds(self) -> float:
        """CPU time that they have used so far, in seconds; those that ended count on."""
        ...


@runtime_checkable
class MayBeginAtKeys(Protocol):
    """What a source offers besides, if what leaves is better begun at some pictures than others."""

    def begins(self, picture: Picture) -> bool:
        """Whether a stream may as well begin with ``picture``, which ``read`` returned."""
        ...


@runtime_checkable
class MayCopy(Protocol):
    """What a sink offers besides, if it can pass pictures on as they came, coded."""

    @property
    def copied(self) -> int:
        """How many pictures left so."""
        ...


@runtime_checkable
class MayLeaveOut(Protocol):
    """What a sink offers besides, if some pictures cost it far more than others."""

    def write_late(self, frame: SafeFrame) -> bool:
        """Let a picture leave that waited long for it, as ``write`` does, or leave it out.

        Left out are only such as cost much, and whose absence makes none that follow cost more.

        Returns:
            Whether it left.
        """
        ...


class Sink(Protocol):
    """Where safe frames go. One thread calls everything but the constructor."""

    def open(self, info: SourceInfo) -> None:
        """Open it. A file is made under a name that does not look whole until ``close``.

        Raises:
            SinkError: it cannot be opened.
        """
        ...

    def write(self, frame: SafeFrame) -> None:
        """Let one frame leave.

        ``pts`` falls or leaps where a source began a new clock; the sink goes on one step
        after what it wrote last.

        Raises:
            SinkLostError: it broke off.
            TypeError: anything but a SafeFrame was offered.
        """
        ...

    def close(self, *, whole: bool) -> None:
        """Finish. ``whole=False`` leaves nothing behind that looks whole. Safe to call twice.

        Raises:
            SinkLostError: finishing failed.
        """
        ...
