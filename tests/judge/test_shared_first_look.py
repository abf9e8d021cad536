"""A shared judge that looks first: for streams whose policies leave room, and for no other."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from tests.judge.seats import VIEWS, Said, by_luma, pid_of
from tests.media.helpers import write_video

import safelight
from safelight import policies
from safelight.core.policy import MOST_FIRST_LOOK
from safelight.judge import shared as shares
from safelight.judge.judge import Judge
from safelight.judge.seat import Seat
from safelight.judge.shared import SharedJudge
from safelight.testing.fakes import FakeJudge
from safelight.types import VerifiedBundle


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Up to which score a quicker network may answer, for each process that is started."""
    limits: list[float] = []

    def make(_: VerifiedBundle, *, allow_weak: bool, first_look_below: float) -> Judge:
        assert not allow_weak
        limits.append(first_look_below)
        return FakeJudge(by_luma, every=VIEWS)

    monkeypatch.setattr(shares, "ProcessJudge", make)
    return limits


def seat(shared: SharedJudge, below: float) -> Seat:
    one = shared.seat()
    one.first_look_below = below
    one.start(Said().put)
    return one


def test_streams_that_leave_room_share_and_any_other_has_a_judge_of_its_own(
    bundle: VerifiedBundle, made: list[float]
) -> None:
    with SharedJudge(bundle, first_look_below=0.08) as shared:
        for below in (0.08, 0.03, 0.08, 0.0):
            seat(shared, below)
        assert made == [0.08, 0.03, 0.0]


def test_where_f32_alone_judges_all_share(bundle: VerifiedBundle, made: list[float]) -> None:
    with SharedJudge(bundle) as shared:
        for below in (0.08, 0.03, 0.0):
            seat(shared, below)
        assert made == [0.0]


@pytest.mark.parametrize("installed", [False, True])
def test_a_policy_decides_whether_its_stream_shares(
    made: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    there = ModuleType("openvino")
    there.__spec__ = ModuleSpec("openvino", None)
    monkeypatch.setitem(sys.modules, "openvino", there if installed else None)
    strict = tmp_path / "own.toml"
    text = policies.text("protect").replace('"protect"', '"own"')
    strict.write_text(text.replace("sexual_at = 0.2", "sexual_at = 0.1"), encoding="utf-8")
    film = str(write_video(tmp_path / "film.mp4", range(3)))
    with safelight.shared_judge() as shared:
        for policy in ("protect", str(strict), "protect"):
            safelight.open(film, "null:", policy=policy, judge=shared, state=tmp_path).close()
            seat(shared, MOST_FIRST_LOOK)  # keeps the common judge
    assert made == ([MOST_FIRST_LOOK, pytest.approx(0.03)] if installed else [0.0])


@pytest.mark.slow
def test_the_reports_of_those_that_share_say_what_looked_first(tmp_path: Path) -> None:
    film = str(write_video(tmp_path / "film.mp4", range(6)))
    with safelight.shared_judge() as shared:
        first = seat(shared, MOST_FIRST_LOOK)
        assert pid_of(first)
        looks = first.looks_first
        for secret in (None, b"sixteen bytes and more"):
            with safelight.open(film, "null:", state=tmp_path, judge=shared, secret=secret) as one:
                report = one.wait(60)
            assert report is not None
            assert report.frames.released == 6
            assert ("openvino" in report.versions) is (looks and secret is None)
