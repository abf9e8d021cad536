"""Copies of an engine, and fingerprints of the states that it is in.

Only what changes is copied: frames, tokens, policies and limits are shared.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Any

from tests.core.oracle import Chunk, Oracle, Seen
from tests.source import words

from safelight.core.engine import Engine
from safelight.core.entry import Entry
from safelight.core.flow import Flow
from safelight.core.held import Held
from safelight.core.load import Load
from safelight.core.sequential import Sequential
from safelight.core.sound import SoundHold, _Chunk
from safelight.core.stream import CoolDown, Stream
from safelight.core.turns import Turns
from safelight.types import NS_PER_MS, NS_PER_S, Absent, Frame, Scores, Token

CHANGING = (
    Engine,
    Stream,
    Held,
    Load,
    Flow,
    SoundHold,
    Sequential,
    Entry,
    Turns,
    Oracle,
    Seen,
    Chunk,
)
COUNTED = words(
    "_shown_ns shown_ns released covered interrupted dropped _last_answer_ns _service_ns"
)
TIMES = words(
    "now_ns came_ns _now_ns due_ns deadline_ns asked_ns said_ns until_ns _last_out_now_ns"
)
STREAM_TIMES = words(
    """_last_out_pts_ns _shown_pts_ns shown_pts_ns _run_from_ns run_from_ns _settled_to
    _silent_from _sound_ns last_sound_ns start_ns end_ns _turn_pts_ns _last_pts_ns"""
)
RECENT_NS = 200 * NS_PER_MS
OLD_NS = 8 * NS_PER_S  # beyond any limit of the model
BY_VALUE = (Token, Scores, Absent, enum.Enum, _Chunk)


def attributes(thing: object) -> list[str]:
    if hasattr(thing, "__dict__"):
        return list(vars(thing))
    slots: tuple[str, ...] = getattr(type(thing), "__slots__", ())
    return list(slots)


def clone(thing: Any, memo: dict[int, Any]) -> Any:
    """Return a copy that shares nothing that changes; things met twice stay one thing."""
    if id(thing) in memo:
        return memo[id(thing)]
    copy: Any
    if isinstance(thing, list | deque):
        copy = memo[id(thing)] = thing.copy()
        copy.clear()
        copy.extend([clone(item, memo) for item in thing])
    elif isinstance(thing, dict):
        copy = memo[id(thing)] = {}
        for key, value in thing.items():
            copy[key] = clone(value, memo)
    elif isinstance(thing, CHANGING):
        copy = memo[id(thing)] = object.__new__(type(thing))
        for name in attributes(thing):
            setattr(copy, name, clone(getattr(thing, name), memo))
    else:
        return thing
    return copy


class Fingerprint:
    """What a state is for the future: equal fingerprints, equal futures.

    Times count from ``now_ns``, stream times from ``pts_ns``: a state that was reached later
    is the same state. Left out is what is only counted, or too old to matter: a sound that
    comes later starts at ``pts_ns`` or beyond, or on another clock.
    """

    def __init__(self, now_ns: int, pts_ns: int, shown_ns: int, *, live: bool) -> None:
        self._now_ns = now_ns
        self._shown_ns = shown_ns
        self._live = live
        self._pts_ns = pts_ns
        self._met: dict[int, int] = {}

    def of(self, thing: Any) -> Any:
        if isinstance(thing, CHANGING):
            if id(thing) in self._met:
                return ("again", self._met[id(thing)])
            self._met[id(thing)] = len(self._met)
            names = (name for name in attributes(thing) if name not in COUNTED)
            return tuple(self._attribute(name, getattr(thing, name)) for name in names)
        if isinstance(thing, list | deque | tuple):
            return tuple(self.of(item) for item in thing)
        if isinstance(thing, dict):
            return tuple((self.of(key), self.of(value)) for key, value in thing.items())
        if isinstance(thing, Frame):
            what = (thing.seq, self._pts(thing.pts_ns), self._now(thing.arrived_ns))
            return (*what, id(thing.content))
        if isinstance(thing, _Chunk):
            span = (self._pts(thing.start_ns), self._pts(thing.end_ns))
            return (thing.token, span, self._now(thing.arrived_ns), thing.clock)
        if isinstance(thing, CoolDown):
            return (thing.level, self._now(thing.until_ns))
        if thing is None or isinstance(thing, int | str | bytes):
            return thing
        # Everything else never changes: its value counts, or there is only one of it.
        return ("value", hash(thing)) if isinstance(thing, BY_VALUE) else ("one", id(thing))

    def _attribute(self, name: str, value: Any) -> Any:
        recent = self._pts_ns - RECENT_NS
        match name:
            case "_changes" | "changes":
                # A viewer's time: a file's own, else the clock.
                times = (self._now_ns - at if self._live else self._shown_ns - at for at in value)
                return tuple(min(at, NS_PER_S) for at in times)
            case "_faults":
                return tuple(self._now(at) for at in value)
            case "_given_up":
                return tuple((token, self._now(at), looks) for token, (at, looks) in value.items())
            case "timeline":
                return tuple((self._pts(pts), left) for pts, left in value[-6:])
            case "audible":
                return tuple((self._pts(a), self._pts(b)) for a, b, _ in value if b >= recent)
            case "_silences":
                spans = [s for s in value if s.end_ns >= recent]
                return tuple((self._pts(s.start_ns), self._pts(s.end_ns), s.cover) for s in spans)
            case "last" | "_picture":
                return value and (self._pts(value[0]), id(value[1]))
        if isinstance(value, int) and name in TIMES:
            return self._now(value)
        if isinstance(value, int) and name in STREAM_TIMES:
            return self._pts(value)
        return self.of(value)

    def _now(self, at_ns: int) -> int:
        return max(at_ns - self._now_ns, -OLD_NS)

    def _pts(self, at_ns: int) -> int:
        return at_ns if abs(at_ns) > 1 << 60 else max(at_ns - self._pts_ns, -OLD_NS)
