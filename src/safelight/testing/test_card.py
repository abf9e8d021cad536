"""Shows the test card in a running guard, in place of what its source shows."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Final

from safelight.media.interface import DroppedStream, MayLeave, Source, SourceInfo
from safelight.testing import canary
from safelight.testing.scenes import picture_from_rgb
from safelight.types import Frame, Picture, PictureFormat

# Long enough to be covered, too short to be confirmed: an interruption would cool down.
SHOWN_S: Final = 0.5


class WithTestCard:
    """Implements ``Source`` around another one. ``show`` may be called from any thread.

    While the test card is shown nothing of the source passes: neither picture nor sound.
    """

    def __init__(self, source: Source, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._until_s = 0.0
        self._drawn: Picture | None = None

    def show(self, seconds: float = SHOWN_S) -> None:
        """Show the test card from the next picture on."""
        with self._lock:
            self._until_s = self._clock() + seconds

    @property
    def back_within_s(self) -> float | None:
        """How long whoever feeds the source has to come back; None while it is there."""
        return self._source.back_within_s if isinstance(self._source, MayLeave) else None

    def open(self) -> SourceInfo:
        """Open the source; its sound is left out."""
        info = self._source.open()
        return dataclasses.replace(info, sound_rate=None, sound_channels=None)

    def read(self) -> Frame:
        """Return the source's next picture, or the test card at its time."""
        while True:
            frame = self._source.read()
            if isinstance(frame.content, Picture):
                break
        with self._lock:
            showing = self._clock() < self._until_s
        if not showing:
            return frame
        return dataclasses.replace(frame, content=self._card(frame.content.format))

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """What the source did not pass on."""
        return self._source.dropped

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()

    def _card(self, form: PictureFormat) -> Picture:
        if self._drawn is None or self._drawn.format != form:
            drawn = picture_from_rgb(canary.at_size(canary.load("card"), (form.width, form.height)))
            self._drawn = Picture(form, drawn.y, drawn.u, drawn.v)
        return self._drawn
