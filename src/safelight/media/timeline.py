"""Where frames fall on a sink's own clock, which starts with its first picture."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class Timeline:
    """Maps stream time to output time: zero at the first picture, spacing kept exactly.

    Pictures may not go back in time; if a stream does (a publisher came back), everything
    from there on is shifted to continue one step after the last picture.
    """

    def __init__(self, usual_step: Fraction) -> None:
        self._step = usual_step
        self._shift: Fraction | None = None
        self._last: Fraction | None = None

    def of_picture(self, at: Fraction) -> Fraction:
        """Return the output time in seconds of a picture at stream time ``at``."""
        if self._shift is None:
            self._shift = -at
        out = at + self._shift
        if self._last is not None and out <= self._last:
            self._shift += self._last + self._step - out
            out = self._last + self._step
        self._last = out
        return out

    def of_sound(self, at: Fraction) -> Fraction | None:
        """Return the output time of sound, None while there was no picture yet."""
        return None if self._shift is None else at + self._shift


class SoundFramer:
    """Cuts sound into the encoder's frames on one unbroken count of samples.

    A gap of up to a second is filled with silence, a longer one is left a gap; what
    overlaps, or lies before zero, is cut off.
    """

    def __init__(self, rate: int, channels: int, size: int = 1024) -> None:
        self._rate = rate
        self._channels = channels
        self._size = size
        self._start = 0
        self._parts: list[Samples] = []
        self._held = 0
        self._began = False

    def push(self, start: int, samples: Samples) -> list[tuple[int, Samples]]:
        """Add ``(channels, n)`` samples that start at sample ``start``; return full frames."""
        made: list[tuple[int, Samples]] = []
        samples = self._mixed(samples)
        expected = self._start + self._held
        cut = max(0, -start, expected - start if self._began else 0)
        if cut >= samples.shape[1]:
            return made
        samples, start = samples[:, cut:], start + cut
        if not self._began:
            self._start, self._began = start, True
        elif start - expected > self._rate:
            made += self.flush()
            self._start = start
        elif start > expected:
            self._add(np.zeros((self._channels, start - expected), dtype=np.float32))
        self._add(samples)
        return made + self._full()

    def flush(self) -> list[tuple[int, Samples]]:
        """Return what is left, filled up with silence to a whole frame."""
        if self._held:
            self._add(np.zeros((self._channels, -self._held % self._size), dtype=np.float32))
        return self._full()

    def _add(self, samples: Samples) -> None:
        self._parts.append(samples)
        self._held += samples.shape[1]

    def _full(self) -> list[tuple[int, Samples]]:
        if self._held < self._size:
            return []
        joined = np.concatenate(self._parts, axis=1)
        made = []
        while joined.shape[1] >= self._size:
            made.append((self._start, np.ascontiguousarray(joined[:, : self._size])))
            joined = joined[:, self._size :]
            self._start += self._size
        self._parts, self._held = [joined], joined.shape[1]
        return made

    def _mixed(self, samples: Samples) -> Samples:
        if samples.shape[0] == self._channels:
            return samples
        if self._channels == 1:
            mixed: Samples = np.mean(samples, axis=0, keepdims=True, dtype=np.float32)
            return mixed
        return np.repeat(samples[:1], self._channels, axis=0)
