"""Numbers decoded frames, and says where their flow broke."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from safelight.media.av_decode import Decoded
from safelight.media.tally import Tally
from safelight.types import NS_PER_S, Frame, Gap, Picture, PictureFormat, Sound

_JUMP_NS: Final = NS_PER_S
# Sound that waits for a first picture: about 40 s of it at 48 kHz.
_MAX_WAITING: Final = 2000


class Flow:
    """Makes ``Frame``s: the first is always a picture, and ``seq`` never skips."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._seq = 0
        self._gap: Gap | None = None
        self._last_ns: int | None = None
        self._last_format: PictureFormat | None = None
        self._waiting: deque[tuple[Decoded, int]] = deque(maxlen=_MAX_WAITING)
        self._waits = True

    def source_came_back(self) -> None:
        """Say that what follows is from another connection, on a clock of its own."""
        self._gap = Gap.SOURCE
        self._last_ns = None
        self._waiting.clear()
        self._waits = True

    def frames(self, decoded: Decoded, arrived_ns: int) -> Iterator[Frame]:
        """Yield the frames that can go on now that ``decoded`` has come."""
        if not isinstance(decoded.content, Picture):
            if self._waits:
                self._waiting.append((decoded, arrived_ns))
            else:
                yield self._frame(decoded, arrived_ns, None)
            return
        at_ns = _ns(decoded.pts, decoded.time_base)
        if at_ns == self._last_ns:
            self._tally.add("video", "picture at the same time as the one before")
            return
        yield self._frame(decoded, arrived_ns, self._gap_before(at_ns, decoded.content.format))
        self._last_ns = at_ns
        self._last_format = decoded.content.format
        if self._waits:
            self._waits = False
            yield from self._sound_since(at_ns)

    def _gap_before(self, at_ns: int, form: PictureFormat) -> Gap | None:
        gap, self._gap = self._gap, None
        if gap is not None:
            return gap
        if self._last_format is not None and form != self._last_format:
            return Gap.FORMAT
        last = self._last_ns
        if last is not None and (at_ns < last or at_ns - last > _JUMP_NS):
            return Gap.TIME
        return None

    def _sound_since(self, at_ns: int) -> Iterator[Frame]:
        """Yield the sound that came before the first picture but is not older than it."""
        while self._waiting:
            decoded, arrived_ns = self._waiting.popleft()
            left = _from(decoded, at_ns)
            if left is not None:
                yield self._frame(left, arrived_ns, None)
            else:
                self._tally.add("audio", "chunk older than the first picture")

    def _frame(self, decoded: Decoded, arrived_ns: int, gap: Gap | None) -> Frame:
        seq, self._seq = self._seq, self._seq + 1
        return Frame(seq, decoded.pts, decoded.time_base, arrived_ns, decoded.content, gap)


def _from(decoded: Decoded, at_ns: int) -> Decoded | None:
    """Return what of a chunk of sound is not older than ``at_ns``; None if nothing is."""
    sound = decoded.content
    early_ns = at_ns - _ns(decoded.pts, decoded.time_base)
    if early_ns <= 0 or not isinstance(sound, Sound):
        return decoded
    early = -(-early_ns * sound.rate // NS_PER_S)
    if early >= sound.samples.shape[1] or decoded.time_base != Fraction(1, sound.rate):
        return None
    samples = np.ascontiguousarray(sound.samples[:, early:])
    return Decoded(decoded.pts + early, decoded.time_base, Sound(sound.rate, samples))


def _ns(pts: int, time_base: Fraction) -> int:
    return pts * time_base.numerator * NS_PER_S // time_base.denominator
