"""Sound follows the picture: it is not judged, so it leaves only under pictures that left.

A chunk waits until the pictures around it are settled, one codec frame further than it
reaches; whatever lies under a cover, or within one codec frame of one, is silenced. A lossy
codec smears a sample over its neighbours, hence the margin.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from safelight.core.limits import Limits
from safelight.types import NS_PER_S, Command, Drop, Frame, Mute, Reason, Sound, Token

_EVER = 1 << 62  # beyond any pts: int64 nanoseconds are 292 years


@dataclass(frozen=True, slots=True)
class _Chunk:
    token: Token
    start_ns: int
    end_ns: int
    arrived_ns: int
    margin_ns: int


class SoundHold:
    """One stream's sound, held until the pictures it goes with have left."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._chunks: deque[_Chunk] = deque()
        self._forget_pictures()

    def _forget_pictures(self) -> None:
        # Silent until the first picture has left.
        self._silent: deque[tuple[int, int]] = deque()
        self._silent_from: int | None = -_EVER
        self._settled_to: int | None = None
        self._covered = False
        self._margin_ns = 0

    def arrive(self, token: Token, frame: Frame, sound: Sound) -> list[Command]:
        """Take in a chunk; beyond the backlog the oldest leaves silenced."""
        start = frame.pts_ns
        length = sound.samples.shape[1] * NS_PER_S // sound.rate
        margin = -(-self._limits.codec_frame_samples * NS_PER_S // sound.rate)
        self._margin_ns = max(self._margin_ns, margin)
        self._chunks.append(_Chunk(token, start, start + length, frame.arrived_ns, margin))
        if len(self._chunks) > self._limits.sound_backlog:
            return [_silenced(self._chunks.popleft())]
        return []

    def picture_left(self, pts_ns: int, *, released: bool) -> None:
        """Note that a picture, or a card in its place, left at this stream time."""
        last = self._settled_to
        if released:
            if self._silent_from is not None:
                tail = self._margin_ns if self._covered else 0
                self._silent.append((self._silent_from, pts_ns + tail))
                self._silent_from = None
                self._covered = False
            elif last is not None and pts_ns - last > self._limits.silence_after_ns:
                self._silent.append((last + self._limits.silence_after_ns, pts_ns))
        else:
            self._covered = True
            if self._silent_from is None:
                self._silent_from = pts_ns - self._margin_ns
        self._settled_to = pts_ns if last is None else max(last, pts_ns)

    def settle(self, now_ns: int, *, ended: bool = False) -> list[Command]:
        """Return what can be said of the sound held: it leaves, in part silenced, or not."""
        out: list[Command] = []
        settled = -_EVER if self._settled_to is None else self._settled_to
        while self._chunks:
            chunk = self._chunks[0]
            if settled >= chunk.end_ns + chunk.margin_ns:
                out.append(Mute(chunk.token, self._spans(chunk, _EVER)))
            elif ended:
                # Nothing follows: sound reaches as far as the last picture's time.
                if chunk.start_ns >= settled:
                    out.append(Drop(chunk.token, Reason.END))
                else:
                    out.append(Mute(chunk.token, self._spans(chunk, settled)))
            elif (at := self._deadline(chunk)) is not None and now_ns >= at:
                out.append(_silenced(chunk))
            else:
                break
            self._chunks.popleft()
        self._trim(settled)
        return out

    def _trim(self, settled: int) -> None:
        # Later chunks may start a little before the last one that was settled.
        while self._silent and self._silent[0][1] < settled - 30 * NS_PER_S:
            if self._chunks and self._chunks[0].start_ns < self._silent[0][1]:
                return
            self._silent.popleft()

    def _spans(self, chunk: _Chunk, beyond: int) -> tuple[tuple[int, int], ...]:
        spans = [*self._silent, (beyond, _EVER)]
        if self._silent_from is not None:
            spans.append((self._silent_from, _EVER))
        inside = (
            (max(start, chunk.start_ns), min(end, chunk.end_ns)) for start, end in sorted(spans)
        )
        return tuple((start, end) for start, end in inside if start < end)

    def _deadline(self, chunk: _Chunk) -> int | None:
        limits = self._limits
        if limits.patient:
            return None
        return chunk.arrived_ns + limits.hold_ns + limits.grace_ns + limits.silence_after_ns

    def wake_ns(self) -> int | None:
        """Return when held sound must leave silenced for want of a picture; None if never."""
        return self._deadline(self._chunks[0]) if self._chunks else None

    def drop_all(self, reason: Reason) -> list[Command]:
        """Drop all sound held, and be silent until the next picture has left."""
        out: list[Command] = [Drop(chunk.token, reason) for chunk in self._chunks]
        self._chunks.clear()
        self._forget_pictures()
        return out


def _silenced(chunk: _Chunk) -> Mute:
    return Mute(chunk.token, ((chunk.start_ns, chunk.end_ns),))
