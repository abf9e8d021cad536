"""A sink that keeps nothing: for trying a guard, and for measuring it."""

from __future__ import annotations

from safelight.media.interface import SourceInfo
from safelight.types import Picture, SafeFrame


class NullSink:
    """Implements ``Sink``: counts what would have left, and forgets it."""

    def __init__(self) -> None:
        self.pictures = 0
        self.sounds = 0

    def open(self, info: SourceInfo) -> None:
        """Nothing can go wrong."""

    def write(self, frame: SafeFrame) -> None:
        """Count one frame.

        Raises:
            TypeError: anything but a SafeFrame was offered.
        """
        if type(frame) is not SafeFrame:
            raise TypeError(f"a sink takes a SafeFrame, not a {type(frame).__name__}")
        if isinstance(frame.content, Picture):
            self.pictures += 1
        else:
            self.sounds += 1

    def close(self, *, whole: bool) -> None:
        """Nothing is left behind."""
