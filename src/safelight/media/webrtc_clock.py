"""Puts the sound of a call on its picture's clock.

RTP counts sound and picture each from a number of its own, so the two say nothing of one
another. What they share is when they come: of two that were taken at one moment, the least
delayed come together, or nearly. How nearly, the sender's own reports say; they are believed
where they are near that.
"""

from __future__ import annotations

from typing import Final

from safelight.types import NS_PER_MS, NS_PER_S

# Delays come and go (a key frame is large, a decoder starts slowly): the least of the last
# seconds counts. Both clocks are crystals, so more than a few seconds back says little.
_WINDOW_NS: Final = 2 * NS_PER_S
# Smaller shifts are not made: each one cuts or stretches sound where nothing is wrong with it.
_TOLERANCE_NS: Final = 25 * NS_PER_MS
# Jitter buffers and few pictures a second explain so much. Whoever sends can say anything:
# sound said to be of long ago would leave without the picture that it came with.
_BELIEVED_NS: Final = 250 * NS_PER_MS


class _LeastDelay:
    """The least of (arrival - pts) over the last two to four seconds, in ns."""

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._before: int | None = None
        self._now: int | None = None

    def note(self, pts_ns: int, arrived_ns: int) -> int:
        delay = arrived_ns - pts_ns
        if self._since_ns is None or arrived_ns - self._since_ns > _WINDOW_NS:
            self._since_ns, self._before, self._now = arrived_ns, self._now, None
        self._now = delay if self._now is None else min(self._now, delay)
        return self._now if self._before is None else min(self._now, self._before)

    def forget(self) -> None:
        self._since_ns = self._before = self._now = None


class LipSync:
    """One direction's picture and sound. One thread calls it."""

    def __init__(self) -> None:
        self._pictures = _LeastDelay()
        self._sounds = _LeastDelay()
        self._picture_ns: int | None = None
        self._last_picture_ns: int | None = None
        self._shift_ns: int | None = None
        self._picture_ahead_ns: int | None = None

    def picture(self, pts_ns: int, arrived_ns: int, ahead_ns: int | None = None) -> None:
        """Note a picture. ``ahead_ns``: how far its sender says its clock is ahead of pts."""
        self._picture_ahead_ns = ahead_ns
        last = self._last_picture_ns
        if last is not None and abs(pts_ns - last) > NS_PER_S:
            self._pictures.forget()  # another clock
        self._last_picture_ns = pts_ns
        self._picture_ns = self._pictures.note(pts_ns, arrived_ns)

    def sound(self, pts_ns: int, arrived_ns: int, ahead_ns: int | None = None) -> int | None:
        """Return where a chunk of sound lies on the picture's clock, in ns.

        None while no picture has come: there is nothing that it could go with.
        """
        sounds_ns = self._sounds.note(pts_ns, arrived_ns)
        if self._picture_ns is None:
            return None
        shift = sounds_ns - self._picture_ns
        if ahead_ns is not None and self._picture_ahead_ns is not None:
            said = ahead_ns - self._picture_ahead_ns
            if abs(said - shift) <= _BELIEVED_NS:
                shift = said
        if self._shift_ns is None or abs(shift - self._shift_ns) > _TOLERANCE_NS:
            self._shift_ns = shift
        return pts_ns + self._shift_ns
