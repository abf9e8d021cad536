"""Policy files: a ``PolicyError`` of one line, or a policy that permits what every policy may."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target, check, check_no_release, check_one_line, scratch

from safelight import policies
from safelight.core.policy import Policy, decide
from safelight.errors import PolicyError
from safelight.types import Absent, AbsentReason, Action, Scores

# docs/policies.md: from here on no policy may release, whatever it says.
_SURE: Final = 0.8
_P_UNDER_18: Final = 0.5
_GRID: Final = (0.0, 1e-9, 0.05, 0.2, 0.3, 0.5, 0.79, 0.8, 0.9, 1.0)


def _released(policy: Policy, sexual: float, minor: float | None) -> bool:
    return decide(policy, Scores(sexual, minor, ("reference",)))[0] is Action.RELEASE


def run(data: bytes) -> None:
    path = scratch() / "policy.toml"
    path.write_bytes(data)
    try:
        policy = policies.load(str(path))
    except PolicyError as error:
        check_one_line(str(error))
        return
    check(policy.name.isprintable() and len(policy.name) <= 32, "a name that is none")
    for reason in AbsentReason:
        check_no_release(decide(policy, Absent(reason))[0] is not Action.RELEASE, reason.value)
    for minor in (None, *_GRID):
        check_no_release(not _released(policy, _SURE, minor), f"0.8 is released beside {minor}")
        check_no_release(not _released(policy, 1.0, minor), f"1.0 is released beside {minor}")
    at = min(policy.with_minor_at, policy.cover_at)
    check_no_release(not _released(policy, at, _P_UNDER_18), "beside a minor it must restrict")
    for (low, high), minor in itertools.product(itertools.pairwise(_GRID), (None, *_GRID)):
        if _released(policy, high, minor):
            check_no_release(_released(policy, low, minor), "a higher score is freer")
            check_no_release(_released(policy, high, None), "a minor in view makes it freer")
    check_no_release(policy.sequential_interrupt_at <= 20_000, "it would never interrupt")


def seeds() -> tuple[bytes, ...]:
    folder = Path(policies.__file__).parent
    return tuple(path.read_bytes() for path in sorted(folder.glob("*.toml")))


TARGET = Target(
    run,
    seeds,
    words=tuple(
        b'"cover" "cover-unless-adults-counted" "release" "allow" action cover_at sexual_at '
        b"p_under_18_at interrupt_at [sexual_content] [minor_with_sexual_content] [over_time] "
        b"[budget] schema 0.8 0.81 0.500001 20.0 20.1 0.49 -0.0 +nan -inf".split()
    ),
)
