"""A sink that only counts what left, for benches and tests."""

from __future__ import annotations

from safelight.media.interface import SourceInfo
from safelight.types import Picture, SafeFrame


class CountingSink:
    """Implements ``Sink``; keeps no picture. ``released``: numbers of pictures, from 0, that
    left as themselves."""

    def __init__(self) -> None:
        self.released: list[int] = []
        self._count = 0

    def open(self, info: SourceInfo) -> None:
        """Take anything."""

    def write(self, frame: SafeFrame) -> None:
        """Count one frame.

        Raises:
            TypeError: anything but a SafeFrame was offered.
        """
        if type(frame) is not SafeFrame:
            raise TypeError(f"a sink takes a SafeFrame, not a {type(frame).__name__}")
        if isinstance(frame.content, Picture):
            if frame.released:
                self.released.append(self._count)
            self._count += 1

    def close(self, *, whole: bool) -> None:
        """Nothing is left to do."""
