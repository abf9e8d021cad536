"""How long an interruption lasts, and that the other direction of a call hears of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from safelight.errors import UsageError
from safelight.rest import Rest
from safelight.types import NS_PER_S, CoolDownStarted, Reason


@dataclass
class Parts:
    resume_after_s: float | None = None
    others_s: float = 0.0
    keeps: bool = True
    told: list[tuple[int, int]] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)

    def keep_cool_down(self, level: int) -> None:
        if not self.keeps:
            raise UsageError("the folder is gone", "make one")
        self.kept.append(level)

    def others_wait_s(self) -> float:
        return self.others_s

    def interrupted(self, level: int, until_ns: int) -> None:
        self.told.append((level, until_ns))


def test_the_other_direction_hears_of_the_cool_down_even_if_no_file_can() -> None:
    parts = Parts(keeps=False)
    rest = Rest(parts, live=True)
    assert not rest.cool_down(CoolDownStarted(2, 60 * NS_PER_S))
    assert rest.begin(Reason.SEXUAL_CONTENT, 0) == 60
    assert parts.told == [(2, 60 * NS_PER_S)]


def test_what_the_other_direction_said_is_not_said_back() -> None:
    parts = Parts()
    Rest(parts, live=True).begin(Reason.OTHER_DIRECTION, 0)
    assert parts.told == []


def test_a_refused_resume_holds_the_other_direction_too() -> None:
    parts = Parts()
    Rest(parts, live=True).refused(5 * NS_PER_S, 0)
    assert parts.told == [(0, 5 * NS_PER_S)]


@pytest.mark.parametrize(("live", "wait_s"), [(True, 30.0), (False, 0.0)])
def test_another_guards_cool_down_holds_for_live_streams_only(live: bool, wait_s: float) -> None:
    rest = Rest(Parts(others_s=30.0), live=live)
    assert rest.begin(Reason.SEXUAL_CONTENT, NS_PER_S) == wait_s


def test_it_resumes_by_itself_once_and_never_before_the_cool_down_is_over() -> None:
    rest = Rest(Parts(resume_after_s=1.0), live=True)
    rest.cool_down(CoolDownStarted(1, 10 * NS_PER_S))
    rest.begin(Reason.SEXUAL_CONTENT, 0)
    assert not rest.is_due(9 * NS_PER_S)
    assert rest.is_due(10 * NS_PER_S)
    assert not rest.is_due(11 * NS_PER_S)
