"""Asked to stop in its first or last moments, the program stops, and says what that means."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.running import LIVE, lines, started, until

import safelight
from safelight import public
from safelight.cli import entry


def listens(pid: int) -> bool:
    """Whether the program has begun: Python by itself does not catch SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_a_signal_while_it_loads(number: signal.Signals, after_s: float, tmp_path: Path) -> None:
    with started("guard", LIVE, "null:", cwd=tmp_path) as guard:
        until(lambda: listens(guard.pid))
        time.sleep(after_s)
        guard.send_signal(number)
        out, err = guard.communicate(timeout=60)
    assert "Traceback" not in err
    assert (guard.returncode, out) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.4])
def test_a_check_that_is_cut_short_says_no_yes(after_s: float, tmp_path: Path) -> None:
    """Absence is never permission: a script must not take it for "verifies"."""
    with started("doctor", cwd=tmp_path) as check:
        until(lambda: listens(check.pid))
        time.sleep(after_s)
        check.send_signal(signal.SIGTERM)
        out, err = check.communicate(timeout=60)
    assert check.returncode == 2, out
    assert lines(err) == [f"safelight: {entry.INTERRUPTED}"]
    assert "can run here" not in out


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_guard_that_is_asked_again_and_again_still_finishes(
    number: signal.Signals, tmp_path: Path
) -> None:
    events = tmp_path / "events"
    outputs = ("--report", "report.json", "--events", str(events))
    with started("guard", LIVE, "out.mp4", *outputs, cwd=tmp_path) as guard:
        until(lambda: events.exists() and "live" in events.read_text())
        while guard.poll() is None:
            guard.send_signal(number)
            time.sleep(0.005)
        _, err = guard.communicate(timeout=60)
    assert guard.returncode == 0, err
    assert (tmp_path / "report.json").exists()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("module", ["safelight", "safelight.cli.entry"])
def test_nothing_heavy_is_loaded_before_signals_are_listened_to(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert module in loaded
    assert not {"numpy", "av", "pydantic", "typer", "onnxruntime"}.intersection(loaded)


def test_the_public_names_are_all_there() -> None:
    assert set(safelight.__all__) == set(public.__all__)
    assert set(safelight.__all__) <= set(dir(safelight))
    for name in safelight.__all__:
        assert getattr(safelight, name) is getattr(public, name)
    assert not hasattr(safelight, "nonsense")
