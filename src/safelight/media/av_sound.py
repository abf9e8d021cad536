"""Decoded libav sound in, float32 planar ``Sound`` chunks with a steady clock out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from safelight.types import Sound

# What AAC can carry.
AAC_RATES: Final = frozenset(
    {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
)
DEFAULT_RATE: Final = 48000
CHUNK: Final = 1024

# Telephones' 8 kHz and studios' 192 kHz lie well inside. Outside, a few bytes of sound would
# become gigabytes of it (measured: 5 kB at 1 Hz took 5.3 GB to bring to 48 kHz).
_LEAST_RATE: Final = 4000
_MOST_RATE: Final = 768_000

# FLV and Matroska count milliseconds, so pts wobble by half of one; beyond this it is a gap.
_WOBBLE_S: Final = Fraction(30, 1000)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """At most 1024 samples a channel. ``pts`` counts samples, in 1/``sound.rate`` s."""

    pts: int
    sound: Sound


def is_usable_rate(rate: int) -> bool:
    """Whether sound of so many samples a second is taken at all."""
    return _LEAST_RATE <= rate <= _MOST_RATE


class SoundReader:
    """Turns one stream's decoded sound into chunks of one rate and one or two channels.

    The rate is kept if AAC can carry it, else 48000 Hz; more than two channels are mixed
    down to two. Both stay fixed from the start even if the stream changes later.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.rate = rate if rate in AAC_RATES else DEFAULT_RATE
        self.channels = 1 if channels == 1 else 2
        self._resampler: AudioResampler | None = None
        self._setup: tuple[str, str, int] | None = None
        self._next: int | None = None

    def read(self, frame: av.AudioFrame) -> Iterator[Chunk]:
        """Yield what one decoded frame holds: nothing, at a rate that is not taken."""
        if not is_usable_rate(frame.sample_rate):
            return
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or setup != self._setup:
            yield from self.flush()
            self._setup = setup
            layout = "mono" if self.channels == 1 else "stereo"
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=self.rate)
        for made in self._resampler.resample(frame):
            yield from self._chunks(made)

    def flush(self) -> Iterator[Chunk]:
        """Yield what the resampler still holds; the next frame starts afresh."""
        if self._resampler is None:
            return
        resampler, self._resampler = self._resampler, None
        for made in resampler.resample(None):
            if made is not None:
                yield from self._chunks(made)

    def forget(self) -> None:
        """Forget where the sound had got to: what comes next is another stream."""
        self._resampler = None
        self._next = None

    def _chunks(self, frame: av.AudioFrame) -> Iterator[Chunk]:
        samples = np.array(frame.to_ndarray(), dtype=np.float32)
        pts = self._steady(frame)
        self._next = pts + samples.shape[1]
        for start in range(0, samples.shape[1], CHUNK):
            part = _sane(samples[:, start : start + CHUNK])
            yield Chunk(pts + start, Sound(self.rate, part))

    def _steady(self, frame: av.AudioFrame) -> int:
        if frame.pts is None or frame.time_base is None:
            return self._next or 0
        pts = round(frame.pts * frame.time_base * self.rate)
        if self._next is not None and abs(pts - self._next) <= _WOBBLE_S * self.rate:
            return self._next
        return pts


def _sane(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy, with what is not a number silenced and the rest held within [-1, 1]."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return np.ascontiguousarray(np.clip(finite, -1.0, 1.0), dtype=np.float32)
