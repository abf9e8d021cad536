"""Promise 6 in the judge's process: what its bundle's files became later never judges."""

from __future__ import annotations

import datetime
import os
import queue
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safelight.bundle import pinned, trust
from safelight.errors import JudgeError
from safelight.judge.judge import Answer, JudgeFault
from safelight.judge.supervisor import ProcessJudge

STUB = "tests.judge.stub_judge"
WAIT = 20.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the judge is isolated on Linux")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file of a copied stand-in bundle."""
    shutil.copytree(trust.stand_in_folder("face"), tmp_path / "bundle")
    return tmp_path / "bundle" / "face.png"


@pytest.fixture
def alone(picture: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessJudge]:
    """A judge of that bundle, no file of which is in memory, whose template has died."""
    monkeypatch.setattr(pinned, "KEPT_BYTES", -1)
    today = datetime.date(2026, 11, 22)
    bundle = trust.verify(picture.parent, allow_test=True, today=today)
    judge = ProcessJudge(bundle, worker=STUB)
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    try:
        judge.start(said.put)
        template = judge._template
        assert template is not None
        os.kill(template.pid, signal.SIGKILL)
        assert isinstance(said.get(timeout=WAIT), JudgeFault)
        yield judge
    finally:
        judge.close()


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    path.write_bytes(raw)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("change", [flip, cut])
def test_no_judge_is_made_of_a_file_that_changed_in_place(
    alone: ProcessJudge, picture: Path, change: Callable[[Path], None]
) -> None:
    whole = picture.read_bytes()
    change(picture)
    for _ in range(2):
        with pytest.raises(JudgeError, match=r"face\.png"):
            alone.restart()
        assert alone.pid is None
    picture.write_bytes(whole)
    alone.restart()
    assert alone.pid is not None


def test_a_bundle_that_is_updated_or_removed_judges_on(alone: ProcessJudge, picture: Path) -> None:
    shutil.rmtree(picture.parent)
    alone.restart()
    assert alone.pid is not None
