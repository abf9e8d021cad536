"""What detectors and judges answer: checked, or absent; and only clear scores release."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

import numpy as np
from tests.fuzz.target import Target, check, check_no_release

from safelight import policies
from safelight.core.policy import checked, decide, vouches
from safelight.detect.age import under_age
from safelight.detect.runtime import are_probabilities
from safelight.types import Absent, Action, Scores

_EVERY: Final = ("reference", "whole")
_POLICIES: Final = tuple(policies.load(name) for name in policies.names())
_HEAD: Final = 11


def run(data: bytes) -> None:
    head, rest = data[:_HEAD].ljust(_HEAD, b"\0"), data[_HEAD:]
    sexual = _number(head[0], head[3:11])
    minor = _number(head[1], rest[:8].ljust(8, b"\0"))
    every = _number(rest[16] if len(rest) > 16 else 4, rest[8:16].ljust(8, b"\0"))
    _scores(sexual, minor, every, head[2])
    _rows(head[0], rest)


def _number(kind: int, raw: bytes) -> Any:
    """A score as a judge that lies, or is broken, might give it."""
    value = struct.unpack("<d", raw)[0]
    odd: tuple[Any, ...] = (
        None, True, "0.1", 10**400, -1, raw, Absent, np.float32(0.5), np.array([0.1, 0.2]),
        complex(0.1), [0.1], math.nan, -math.inf, 5e-324, -0.0, 1.0 + 2**-52,
    )  # fmt: skip
    match kind % 4:
        case 0:
            return value
        case 1:
            return math.fabs(math.fmod(value, 1.25)) if math.isfinite(value) else value
        case 2:
            return (raw[0] - 20) / 200
        case _:
            return odd[kind // 4 % len(odd)]


def _scores(sexual: Any, minor: Any, every: Any, how: int) -> None:
    views: Any = (_EVERY, (*_EVERY, "more"), _EVERY[:1], (), None, "reference whole", 7,
                  (np.array([1, 2]), *_EVERY), list(_EVERY))[how % 9]  # fmt: skip
    made: Any = Scores(sexual, minor, views, every) if how < 250 else (None, sexual, 0.0)[how % 3]
    for required in (_EVERY, _EVERY[:1], ()):
        found = checked(made, required)
        check(isinstance(found, Scores | Absent), "it is neither scores nor absent")
        sound = (
            isinstance(made, Scores)
            and _is_score(sexual)
            and (minor is None or _is_score(minor))
            and (every is None or (_is_score(every) and every <= sexual))
            and isinstance(views, tuple)
            and bool(required)
            and {*required} <= {view for view in views if isinstance(view, str)}
        )
        check_no_release(not isinstance(found, Scores) or sound, "it is taken for evidence")
        for policy in _POLICIES:
            action = decide(policy, found)[0]
            clear = sound and sexual < policy.cover_at
            if clear and minor is not None and minor >= policy.p_under_18_at:
                clear = sexual < policy.with_minor_at
            check_no_release(action is not Action.RELEASE or clear, "it is released")
            near = sexual if every is None else every
            far = clear and near < min(policy.cover_at, policy.with_minor_at) / 2
            check_no_release(not vouches(policy, found, 500) or far, "others rest on it")


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _rows(shape: int, raw: bytes) -> None:
    width = (2, 81, 1, 3)[shape % 4]
    usable = raw[: len(raw) // (4 * width) * 4 * width]
    rows = np.frombuffer(usable, dtype=np.float32).reshape(-1, width)
    with np.errstate(all="ignore"):
        _judge_rows(rows.copy(), width)
        # The same numbers as a network would give them: positive, each row summing to 1.
        scaled = np.abs(np.nan_to_num(rows, nan=0.0, posinf=1.0, neginf=1.0)).astype(np.float64)
        total = scaled.sum(axis=1, keepdims=True)
        _judge_rows((scaled / np.where(total > 0, total, 1)).astype(np.float32), width)


def _judge_rows(rows: np.ndarray[Any, np.dtype[np.float32]], width: int) -> None:
    good = len(rows) > 0
    for row in rows.tolist():
        finite = all(math.isfinite(value) for value in row)
        good = good and finite and all(0.0 <= value <= 1.001 for value in row)
        good = good and math.isclose(math.fsum(row), 1.0, rel_tol=0, abs_tol=1.0001e-3)
    told = are_probabilities(rows)
    check_no_release(good or not told, "rows that are no probabilities are taken for some")
    if told and width == 81:
        minor = under_age(rows)
        check_no_release(minor is None or 0.0 <= minor <= 1.0, f"P(<18) of {minor!r}")


def seeds() -> tuple[bytes, ...]:
    pair = struct.pack("<dd", 0.1, 0.4)
    rows = np.full((2, 81), 1 / 81, np.float32).tobytes()
    made = [bytes([kind, kind, how]) + pair for kind in range(0, 70, 3) for how in (0, 1, 7, 252)]
    one = bytes([0, 0, 0]) + pair + np.array([[0.25, 0.75]], np.float32).tobytes()
    return (*made, one, bytes([1, 2, 0]) + pair[:8] + rows)


TARGET = Target(run, seeds, text=False, max_len=2048)
