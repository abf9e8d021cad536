"""Sound follows the picture: it is not judged, so it leaves only under pictures that left.

A chunk waits until the pictures around it are settled, one codec frame further than it
reaches; whatever lies under a cover, or within one codec frame of one, is silenced, and so is
what comes late while there is one. A lossy codec smears a sample over its neighbours, hence
the margin.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from safelight.core.limits import Limits
from safelight.types import NS_PER_S, Command, Drop, Frame, Mute, Reason, Sound, Token

# Beyond any stream time: Frame bounds pts to 63 bits and a time base to 32 bits of seconds,
# which in nanoseconds stays below 2 ** 126.
_EVER: Final = 1 << 200
_MOST_SPANS: Final = 256


@dataclass(frozen=True, slots=True)
class _Chunk:
    token: Token
    start_ns: int
    end_ns: int
    arrived_ns: int
    margin_ns: int
    clock: int
    late: bool


class _Silence(NamedTuple):
    """A stretch of stream time; ``cover``: sound is silenced a codec frame around it too."""

    start_ns: int
    end_ns: int
    cover: bool


class SoundHold:
    """One stream's sound, held until the pictures it goes with have left."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._chunks: deque[_Chunk] = deque()
        self._clock = 0
        self._forget_pictures()

    def _forget_pictures(self) -> None:
        # Silent until the first picture has left.
        self._silences: deque[_Silence] = deque()
        self._silent_from: int | None = -_EVER
        self._covered = False
        self._settled_to: int | None = None

    def arrive(self, token: Token, frame: Frame, sound: Sound, clock: int) -> list[Command]:
        """Take in a chunk; beyond the backlog the oldest leaves silenced.

        ``clock`` counts the breaks of the stream's flow: sound waits for pictures of its own.
        """
        start = frame.pts_ns
        length = -(-sound.samples.shape[1] * NS_PER_S // sound.rate)
        margin = -(-self._limits.codec_frame_samples * NS_PER_S // sound.rate)
        end = start + length
        # Who listens to a live stream as it comes does not look at stream time, and would hear
        # this with what is shown now.
        late = (
            not self._limits.patient
            and self._settled_to is not None
            and clock == self._clock
            and self._settled_to - end - margin > self._limits.silence_after_ns
        )
        self._chunks.append(_Chunk(token, start, end, frame.arrived_ns, margin, clock, late))
        if len(self._chunks) > self._limits.sound_backlog:
            return [_silenced(self._chunks.popleft())]
        return []

    def enter(self, clock: int) -> list[Command]:
        """Note that the pictures that leave from here on are on this clock."""
        if clock == self._clock:
            return []
        self._clock = clock
        out: list[Command] = []
        while self._chunks and self._chunks[0].clock < clock:
            out.append(Drop(self._chunks.popleft().token, Reason.DISCONTINUITY))
        self._forget_pictures()
        return out

    def picture_left(self, pts_ns: int, *, released: bool) -> None:
        """Note that a picture, or a card in its place, left at this stream time."""
        last, silence_after = self._settled_to, self._limits.silence_after_ns
        if self._silent_from is None and last is not None and pts_ns - last > silence_after:
            self._silence(_Silence(last + silence_after, pts_ns, False))
        if not released:
            self._covered = True
            if self._silent_from is None:
                self._silent_from = pts_ns
        elif self._silent_from is not None:
            self._silence(_Silence(self._silent_from, pts_ns, self._covered))
            self._silent_from, self._covered = None, False
        self._settled_to = pts_ns if last is None else max(last, pts_ns)

    def _silence(self, silence: _Silence) -> None:
        self._silences.append(silence)
        if len(self._silences) > _MOST_SPANS:
            # Late sound may still come: what is forgotten of the pictures is silence.
            first, second = self._silences.popleft(), self._silences.popleft()
            self._silences.appendleft(_Silence(first.start_ns, second.end_ns, True))

    def settle(self, now_ns: int, *, ended: bool = False, shut: bool = False) -> list[Command]:
        """Return what can be said of the sound held: it leaves, in part silenced, or not.

        Args:
            now_ns: the time.
            ended: no picture follows.
            shut: the stream is interrupted; nothing is heard whatever its stream time.
        """
        out: list[Command] = []
        while self._chunks:
            chunk = self._chunks[0]
            reach = -_EVER
            if self._settled_to is not None and chunk.clock == self._clock:
                reach = self._settled_to
            whole = reach >= chunk.end_ns + chunk.margin_ns
            if ended and not whole and chunk.start_ns >= reach:
                out.append(Drop(chunk.token, Reason.END))
            elif (shut or (chunk.late and self._covered)) and (whole or ended):
                out.append(_silenced(chunk))
            elif whole or ended:
                # At the end sound reaches as far as the last picture's time.
                out.append(Mute(chunk.token, self._spans(chunk, _EVER if whole else reach)))
            elif (at := self._deadline(chunk)) is not None and now_ns >= at:
                out.append(_silenced(chunk))
            else:
                break
            self._chunks.popleft()
        return out

    def _spans(self, chunk: _Chunk, beyond: int) -> tuple[tuple[int, int], ...]:
        silences = [*self._silences, _Silence(beyond, _EVER, False)]
        if self._silent_from is not None:
            silences.append(_Silence(self._silent_from, _EVER, self._covered))
        inside: list[tuple[int, int]] = []
        for silence in silences:
            around = chunk.margin_ns if silence.cover else 0
            start = max(silence.start_ns - around, chunk.start_ns)
            end = min(silence.end_ns + around, chunk.end_ns)
            if start < end:
                inside.append((start, end))
        spans: list[tuple[int, int]] = []
        for start, end in sorted(inside):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], end))
            else:
                spans.append((start, end))
        return tuple(spans)

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
