"""The last step: what waited long for a live sink may be left out, and is counted as dropped."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from tests.media.helpers import picture, safe

from safelight import writer
from safelight.core.ledger import Ledger
from safelight.media.interface import SourceInfo
from safelight.report import Tally
from safelight.types import SafeFrame


class Passes:
    def leaving(self, _: SafeFrame) -> bool:
        return True


class Slow:
    """Takes its first frame once it is told to, and leaves out what is late."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.took: list[int] = []
        self.late: list[int] = []

    def open(self, info: SourceInfo) -> None: ...

    def write(self, frame: SafeFrame) -> None:
        self.go.wait(10)
        self.took.append(frame.pts)

    def write_late(self, frame: SafeFrame) -> bool:
        self.late.append(frame.pts)
        return False

    def close(self, *, whole: bool) -> None: ...


def run(sink: object, *, live: bool) -> Tally:
    tally = Tally()
    shown = picture()
    info = SourceInfo(live, shown.format, 30.0)
    made = writer.Writer(
        cast(Any, sink),
        cast(Ledger, Passes()),
        tally,
        info=info,
        failed=lambda error: pytest.fail(str(error)),
        leaked=lambda: pytest.fail("leaked"),
    )
    for number in range(3):
        assert made.put(safe(shown, number), 0)
    threading.Timer(0.05, cast(Slow, sink).go.set).start()
    assert made.finish(10)
    return tally


@pytest.mark.parametrize(("live", "late"), [(True, [1, 2]), (False, [])])
def test_only_a_live_sink_leaves_out_what_is_late(
    live: bool, late: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LATE_NS", 20_000_000)
    sink = Slow()
    tally = run(sink, live=live)
    assert sink.late == late
    assert sink.took == [number for number in range(3) if number not in late]
    assert tally.faults[writer.TOO_SLOW] == len(late)


def test_what_is_in_time_is_left_out_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LATE_NS", 10_000_000_000)
    sink = Slow()
    assert not run(sink, live=True).faults
    assert sink.took == [0, 1, 2]
    assert sink.late == []
