"""A source that shows drawn pictures, for tests, demos and integrators."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from safelight.errors import EndOfStream
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.types import Frame, Picture, Sound

TONE_RATE = 48_000
TONE_CHUNK = 1024


class DrawnSource:
    """Implements ``Source`` over pictures drawn one by one.

    Args:
        pictures: what to show, at ``rate`` pictures a second from pts 0.
        rate: pictures a second.
        tone_hz: a quiet sine wave goes with it; None for no sound.
        live: pace them as a camera would; otherwise they wait, as a file's do.
    """

    def __init__(
        self,
        pictures: Iterable[Picture],
        *,
        rate: int = 30,
        tone_hz: float | None = None,
        live: bool = False,
    ) -> None:
        self._pictures = iter(pictures)
        self._rate = rate
        self._tone_hz = tone_hz
        self._live = live
        self._frames: Iterator[Frame] = iter(())
        self._closed = False

    def open(self) -> SourceInfo:
        """Draw the first picture; it gives the format."""
        first = next(self._pictures)
        self._frames = self._run(first)
        sound = (None, None) if self._tone_hz is None else (TONE_RATE, 1)
        return SourceInfo(self._live, first.format, float(self._rate), *sound)

    def read(self) -> Frame:
        """Return the next picture or chunk of sound.

        Raises:
            EndOfStream: all were shown, or the source was closed.
        """
        if self._closed:
            raise EndOfStream
        try:
            return next(self._frames)
        except StopIteration:
            raise EndOfStream from None

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """Nothing ever is."""
        return ()

    def close(self) -> None:
        """Show no more."""
        self._closed = True

    def _run(self, first: Picture) -> Iterator[Frame]:
        seq = 0
        start = time.monotonic()
        sounded = 0
        for index, picture in enumerate(self._all(first)):
            if self._live:
                time.sleep(max(0.0, start + index / self._rate - time.monotonic()))
            until = (index + 1) * TONE_RATE // self._rate
            while self._tone_hz is not None and sounded < until:
                samples = self._tone(sounded, self._tone_hz)
                yield Frame(seq, sounded, Fraction(1, TONE_RATE), time.monotonic_ns(), samples)
                sounded += TONE_CHUNK
                seq += 1
            yield Frame(seq, index, Fraction(1, self._rate), time.monotonic_ns(), picture)
            seq += 1

    def _all(self, first: Picture) -> Iterator[Picture]:
        yield first
        yield from self._pictures

    @staticmethod
    def _tone(at: int, hz: float) -> Sound:
        phase = 2 * np.pi * hz * (at + np.arange(TONE_CHUNK)) / TONE_RATE
        return Sound(TONE_RATE, (0.1 * np.sin(phase)).astype(np.float32)[np.newaxis])
