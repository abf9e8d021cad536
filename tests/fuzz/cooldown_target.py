"""The cool-down's file: read as what it says, or as the first level; damage never loosens."""

from __future__ import annotations

import json
import math
from typing import Final

from tests.fuzz.target import Target, check, check_no_release, scratch

from safelight.cooldown import FORGET_AFTER_S, NAME, CoolDownFile, Kept

NOW: Final = 1_900_000_000.0
_LONGEST_S: Final = 900.0


def _says_nothing_is_kept(data: bytes) -> bool:
    """Whether these bytes plainly say that no level holds any more."""
    try:
        found = json.loads(data.decode("utf-8"))
        level, until = found["level"], found["until"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if type(level) is not int or type(until) not in (int, float) or not 0 <= level <= 4:
        return False
    return math.isfinite(until) and (level == 0 or NOW - until > FORGET_AFTER_S)


def run(data: bytes) -> None:
    path = scratch() / NAME
    path.write_bytes(data)
    kept = CoolDownFile(path.parent).read(NOW)
    check(type(kept.level) is int and 0 <= kept.level <= 4, f"a level of {kept.level!r}")
    check(math.isfinite(kept.until) and kept.until <= NOW + _LONGEST_S, f"until {kept.until!r}")
    if kept == Kept():
        check_no_release(_says_nothing_is_kept(data), "damage loosened the cool-down")
    check(path.exists() == (kept != Kept()), "what is over is erased, and nothing else")
    path.write_bytes(data)
    CoolDownFile(path.parent).raise_to(1, NOW)
    raised = CoolDownFile(path.parent).read(NOW)
    check_no_release(raised.level > kept.level or raised.level == 4, "it did not rise")
    check_no_release(raised.until >= NOW + 10.0, "there is no wait")


def seeds() -> tuple[bytes, ...]:
    made = [(0, 0.0), (1, NOW), (2, NOW + 60), (4, NOW + 900), (3, NOW - 90_000), (4, NOW + 1e9)]
    return tuple(json.dumps({"level": n, "until": round(t)}).encode() for n, t in made)


TARGET = Target(
    run,
    seeds,
    words=tuple(b'"level" "until" 1900000000 1900000900 1899000000 1e308 0.9 4.9 5 "0"'.split()),
    max_len=5000,
)
