"""Who judges: a judge that is apart, or none; never quietly one that is not."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import safelight
from safelight import judging, opening, policies
from safelight.errors import JudgeError, UsageError
from safelight.judge import sandbox
from safelight.judge.supervisor import ProcessJudge
from safelight.media.interface import SourceInfo
from safelight.testing import scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.fakes import FakeJudge, Says, scores
from safelight.testing.film import Film
from safelight.testing.gates import symbol
from safelight.types import NS_PER_MS, Frame, PictureArrived, VerifiedBundle

BLANK = symbol("A")


@pytest.fixture
def film(tmp_path: Path) -> str:
    with Film(tmp_path / "in.mp4", (320, 180)) as out:
        for index in range(10):
            out.add(scenes.scene(index / 30, (320, 180)))
    return str(tmp_path / "in.mp4")


@pytest.fixture
def unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "unsupported", lambda: "unsupported until isolated: a test")


@pytest.mark.usefixtures("unsupported")
def test_where_no_judge_can_be_isolated_nothing_starts(film: str, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="unsupported until isolated") as caught:
        safelight.open(film, str(tmp_path / "out.mp4"))
    assert caught.value.exit_status == 3
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unsupported")
def test_unless_whoever_runs_it_says_so(film: str, tmp_path: Path) -> None:
    with safelight.open(film, str(tmp_path / "out.mp4"), allow_weak_sandbox=True) as session:
        report = session.wait()
    assert report is not None
    assert report.frames.released == 10


@pytest.mark.parametrize(
    ("options", "grace_ms"),
    [({}, 500), ({"hold_ms": 0}, 100), ({"grace_ms": 100}, 100), ({"grace_ms": 0}, 0)],
)
def test_a_livestream_s_answer_may_be_later_than_a_call_s(
    options: dict[str, Any], grace_ms: int, tmp_path: Path
) -> None:
    """Counted from when a picture is due, up to where it is covered unanswered."""
    source = DrawnSource([BLANK], live=True)
    judge = FakeJudge(lambda *_: Says(scores(0.0)))
    session, _ = opening.prepare(source, "null:", judge=judge, state=tmp_path, **options)
    engine = session._parts.make_engine(SourceInfo(True, BLANK.format, 30.0))
    frame = Frame(0, 0, Fraction(1, 30), 0, BLANK)
    engine.handle(PictureArrived(0, frame))
    due_ms = options.get("hold_ms", 250)
    assert engine.wake_ns() == (due_ms + grace_ms) * NS_PER_MS


def test_a_grace_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a grace of 1001 ms is out of range"):
        safelight.open("lavfi:testsrc2", "null:", grace_ms=1001, state=tmp_path)


@pytest.mark.slow
def test_the_guard_itself_loads_no_network(film: str) -> None:
    # What is not loaded there cannot be broken into there, nor report anything from there.
    program = (
        "import sys, safelight\n"
        f"with safelight.open({film!r}, 'null:') as session:\n"
        "    session.wait()\n"
        "heavy = {'onnxruntime', 'dlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("secret", "own_limit", "below"),
    [(None, "0.2", 0.08), (b"s" * 16, "0.2", 0.0), (None, "0.06", 0.01)],
)
def test_who_opens_says_up_to_where_a_quicker_network_may_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: bytes, own_limit: str, below: float
) -> None:
    asked: list[float] = []

    class Asked(ProcessJudge):
        def __init__(
            self, bundle: VerifiedBundle, *, allow_weak: bool, first_look_below: float
        ) -> None:
            asked.append(first_look_below)
            raise JudgeError("seen", "nothing")

    monkeypatch.setattr(judging, "ProcessJudge", Asked)
    text = policies.text("protect").replace('"protect"', '"own"')
    policy = tmp_path / "own.toml"
    policy.write_text(text.replace("sexual_at = 0.2", f"sexual_at = {own_limit}"), encoding="utf-8")
    with pytest.raises(JudgeError, match="seen"):
        safelight.open("lavfi:testsrc2", "null:", policy=str(policy), secret=secret)
    assert asked == [pytest.approx(below)]


@pytest.mark.slow
def test_a_report_says_what_looked_first(film: str, tmp_path: Path) -> None:
    judge = ProcessJudge(safelight.verify_bundle(), first_look_below=0.08)
    with safelight.open(film, "null:", state=tmp_path, judge=judge) as session:
        report = session.wait()
    assert report is not None
    assert ("openvino" in report.versions) is judge.looks_first
    exact = ProcessJudge(safelight.verify_bundle())
    with safelight.open(film, "null:", state=tmp_path, judge=exact) as session:
        report = session.wait()
    assert report is not None
    assert not exact.looks_first
    assert "openvino" not in report.versions
