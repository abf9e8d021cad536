"""A live source that is open and shows nothing: what a guard costs while it waits."""

from __future__ import annotations

import threading

from safelight.errors import EndOfStream
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.types import Frame, PictureFormat


class IdleSource:
    """Implements ``Source``; no frame ever comes."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def open(self) -> SourceInfo:
        """Say what would come."""
        return SourceInfo(True, PictureFormat(1280, 720), 30.0)

    def read(self) -> Frame:
        """Wait until it is closed.

        Raises:
            EndOfStream: it was closed.
        """
        self._closed.wait()
        raise EndOfStream

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """Nothing ever is."""
        return ()

    def close(self) -> None:
        """Show no more."""
        self._closed.set()
