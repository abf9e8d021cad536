"""Who judges: a judge that is apart, or none; never quietly one that is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import safelight
from safelight.errors import JudgeError
from safelight.judge import sandbox
from safelight.testing import scenes
from safelight.testing.film import Film


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
