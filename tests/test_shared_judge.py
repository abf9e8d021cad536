"""Whole guards that share a judge, with the real networks: what one shows, another never pays.

Canaries are harmless pictures that the network calls sexual (safelight.testing.canary).
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.judge.stub_judge import Order
from tests.judge.stub_judge import drawn as ordered

import safelight
from safelight.bundle import trust
from safelight.errors import BundleError
from safelight.judge.desk import Desk
from safelight.judge.shared import SharedJudge
from safelight.judge.supervisor import ProcessJudge
from safelight.testing import canary, scenes
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.fakes import FakeSink
from safelight.types import Picture, PictureFormat, SafeFrame, State

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the judge is isolated on Linux"),
]

RATE = 15
SIZE = (640, 360)
STUB = "tests.judge.stub_judge"


def street(count: int, start: int = 0) -> list[Picture]:
    return [
        scenes.picture_from_rgb(scenes.scene(n / RATE, SIZE)) for n in range(start, start + count)
    ]


def card() -> Picture:
    return scenes.picture_from_rgb(canary.at_size(canary.load("card"), SIZE))


def busy(count: int, order: Order = Order.CLEAR, at: range = range(0)) -> Iterator[Picture]:
    """Pictures each unlike the last, so that each is asked about; those in ``at`` say ``order``."""
    for n in range(count):
        yield ordered(order if n in at else Order.CLEAR, 160, 96, level=40 + n * 37 % 160)


def shown(sink: FakeSink) -> list[SafeFrame]:
    return [safe for safe in sink.frames if isinstance(safe.content, Picture)]


def released(sink: FakeSink) -> set[int]:
    return {id(safe.content) for safe in shown(sink) if safe.released}


def stubbed() -> SharedJudge:
    bundle = safelight.verify_bundle(trust.stand_in_folder("face"), test_bundle=True)
    return SharedJudge(bundle, make=lambda: ProcessJudge(bundle, worker=STUB))


def common(judge: SharedJudge) -> Desk:
    return judge._common


def judge_pid(desk: Desk) -> int | None:
    return desk._judge.pid if isinstance(desk._judge, ProcessJudge) else None


def until(happens: Callable[[], bool], seconds: float = 30.0) -> bool:
    end_s = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("live", [False, True], ids=["files", "live"])
def test_what_one_stream_shows_covers_no_other(tmp_path: Path, *, live: bool) -> None:
    """A canary on one, a street on the other, at once, through one process."""
    changed = card()
    cover = [changed] * 12
    first = [*street(20), *cover, *street(30, 32)]
    second = street(62)
    sinks = FakeSink(), FakeSink()
    with safelight.shared_judge() as judge:
        sessions = [
            safelight.open(
                DrawnSource(pictures, rate=RATE, live=live), sink, judge=judge, state=tmp_path / at
            )
            for pictures, sink, at in zip((first, second), sinks, "ab", strict=True)
        ]
        assert judge_pid(common(judge)) is not None
        reports = [session.wait(120) for session in sessions]
        assert judge_pid(common(judge)) is None, "the last session to end ends the process"
    with_canary, street_alone = reports
    assert with_canary is not None
    assert street_alone is not None
    assert id(changed) not in released(sinks[0])
    assert with_canary.frames.covered + with_canary.frames.dropped >= len(cover)
    assert with_canary.frames.unjudged_released == street_alone.frames.unjudged_released == 0
    assert street_alone.bundle.purpose != "test"
    assert 0 < with_canary.cpu_s.judge < with_canary.cpu_s.total
    if not live:  # whatever the machine does meanwhile
        assert street_alone.frames.released == street_alone.frames.in_ == len(second)
        assert [span.state for span in street_alone.states] == ["pending", "live"]
    assert not any(span.reason == "sexual_content" for span in street_alone.states)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_judge_killed_or_stopped_covers_all_within_their_deadline_and_all_come_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    pictures = [street(RATE * 12, 400 * n) for n in range(2)]
    sinks = FakeSink(), FakeSink()
    with safelight.shared_judge() as judge:
        sessions = [
            safelight.open(
                DrawnSource(each, rate=RATE, live=True), sink, judge=judge, state=tmp_path / at
            )
            for each, sink, at in zip(pictures, sinks, "ab", strict=True)
        ]
        assert until(lambda: all(session.state is State.LIVE for session in sessions))
        before = judge_pid(common(judge))
        assert before is not None
        os.kill(before, number)
        # Frames that are held have 350 ms; then nothing leaves but cards.
        assert until(lambda: all(session.state is not State.LIVE for session in sessions), 10)
        assert until(lambda: all(session.state is State.LIVE for session in sessions))
        assert judge_pid(common(judge)) not in {before, None}
        for session in sessions:
            session.close()
        reports = [session.wait(30) for session in sessions]
    for report, sink in zip(reports, sinks, strict=True):
        assert report is not None
        assert report.frames.unjudged_released == 0
        # One that is killed may be back before the first frame that is held has to be covered.
        assert report.frames.covered > 0 or number == signal.SIGKILL
        faults = {fault.what for fault in report.faults}
        assert faults & {"the judge ended", "the judge hangs"}
        assert shown(sink)[-1].released or report.states[-1].state == "live"


def test_a_flood_takes_only_its_share(tmp_path: Path) -> None:
    """One at 60 a second, each picture unlike the last; a street beside it stays as it was."""
    still = np.full((96, 160), 90, np.uint8)
    still[0, 0] = Order.CLEAR
    half = np.full((48, 80), 128, np.uint8)
    quiet = Picture(PictureFormat(160, 96), still, half, half.copy())
    sinks = FakeSink(), FakeSink()
    slow = (ordered(Order.BUSY, 160, 96, level=40 + n * 37 % 160) for n in range(60 * 8))
    with stubbed() as judge:
        flood = safelight.open(
            DrawnSource(slow, rate=60, live=True),
            sinks[0],
            judge=judge,
            test_bundle=True,
            state=tmp_path / "a",
        )
        calm = safelight.open(
            DrawnSource([quiet] * (RATE * 8), rate=RATE, live=True),
            sinks[1],
            judge=judge,
            test_bundle=True,
            state=tmp_path / "b",
            hold_ms=2000,
        )
        reports = [session.wait(60) for session in (flood, calm)]
    flooded, calmed = reports
    assert flooded is not None
    assert calmed is not None
    assert calmed.frames.unjudged_released == flooded.frames.unjudged_released == 0
    assert calmed.frames.released > 0
    assert not any("judge" in fault.what for fault in calmed.faults)


def test_who_breaks_the_judge_each_time_ends_up_alone_and_the_other_goes_on(
    tmp_path: Path,
) -> None:
    total = RATE * 14
    bad = range(RATE * 2, total)
    sinks = FakeSink(), FakeSink()
    with stubbed() as judge:
        enemy, honest = (
            safelight.open(
                DrawnSource(each, rate=RATE, live=True),
                sink,
                judge=judge,
                test_bundle=True,
                state=tmp_path / at,
            )
            for each, sink, at in zip(
                (busy(total, Order.CRASH, bad), busy(total)), sinks, "ab", strict=True
            )
        )
        assert until(lambda: enemy.state is State.INTERRUPTED, 60), "its third fault is its own"
        assert until(lambda: honest.state is State.LIVE)
        reports = [session.wait(60) for session in (enemy, honest)]
    broke, went_on = reports
    assert broke is not None
    assert went_on is not None
    assert broke.frames.unjudged_released == went_on.frames.unjudged_released == 0
    assert "interrupted" not in {span.state for span in went_on.states}
    assert went_on.states[-1].state == "live"
    hurt = [fault for fault in went_on.faults if fault.what == "the judge ended"]
    assert sum(fault.count for fault in hurt) == 2


def test_streams_can_end_while_another_goes_on(tmp_path: Path) -> None:
    with stubbed() as judge:
        stays = safelight.open(
            DrawnSource(busy(RATE * 6), rate=RATE, live=True),
            FakeSink(),
            judge=judge,
            test_bundle=True,
            state=tmp_path / "a",
        )
        for n in range(3):
            comes = safelight.open(
                DrawnSource(busy(10)),
                FakeSink(),
                judge=judge,
                test_bundle=True,
                state=tmp_path / "b",
            )
            report = comes.wait(30)
            assert report is not None, n
            assert report.frames.released == 10
        report = stays.wait(30)
    assert report is not None
    assert not any("judge" in fault.what for fault in report.faults)


def test_the_owner_that_ends_it_ends_the_streams_and_they_release_nothing_more(
    tmp_path: Path,
) -> None:
    sink = FakeSink()
    with stubbed() as judge:
        session = safelight.open(
            DrawnSource(busy(RATE * 60), rate=RATE, live=True),
            sink,
            judge=judge,
            test_bundle=True,
            state=tmp_path,
        )
        assert until(lambda: session.state is State.LIVE)
    with pytest.raises(safelight.SafelightError) as caught:
        session.wait(30)
    assert caught.value.exit_status == 4
    assert session.report is not None
    assert session.report.frames.unjudged_released == 0


# --- which bundle -------------------------------------------------------------------------


def test_a_stream_goes_by_the_bundle_of_the_judge_it_shares(tmp_path: Path) -> None:
    face = trust.stand_in_folder("face")
    with safelight.shared_judge(face, test_bundle=True) as judge:
        for bundle in (None, face):
            session = safelight.open(
                DrawnSource(busy(5)),
                FakeSink(),
                judge=judge,
                bundle=bundle,
                test_bundle=True,
                state=tmp_path,
            )
            report = session.wait(60)
            assert report is not None
            assert report.bundle.test
            assert report.bundle.sha256 == judge.bundle.sha256


def test_another_bundle_than_that_of_the_judge_is_refused(tmp_path: Path) -> None:
    face = trust.stand_in_folder("face")
    sink = FakeSink()
    with safelight.shared_judge(face, test_bundle=True) as judge:
        for shared in (judge, judge.seat()):
            with pytest.raises(BundleError, match="does not judge by"):
                safelight.open(
                    DrawnSource(busy(5)),
                    sink,
                    judge=shared,
                    bundle=trust.default_folder(),
                    test_bundle=True,
                    state=tmp_path,
                )
        # Nobody who did not ask for a stand-in is judged by one.
        with pytest.raises(BundleError, match="stand-in"):
            safelight.open(DrawnSource(busy(5)), sink, judge=judge, state=tmp_path)
    with pytest.raises(BundleError, match="stand-in"):
        safelight.shared_judge(face)
    assert sink.frames == []


def test_the_lines_in_the_docs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    text = (Path(__file__).parents[1] / "docs" / "embed.md").read_text("utf-8")
    (lines,) = re.findall(r"^```py\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {
        "safelight": safelight,
        "streams": [(DrawnSource(street(10)), FakeSink()) for _ in range(2)],
    }
    exec(lines, names)  # noqa: S102  (our own docs)
    reports = names["reports"]
    assert isinstance(reports, list)
    assert [report.frames.released for report in reports] == [10, 10]
