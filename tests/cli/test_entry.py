"""Asked to stop in its first or last moments, the program stops, and says what that means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.running import LIVE, PROGRAM, environment, lines, run, started, until

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


def closed(*numbers: int) -> Callable[[], None]:
    def act() -> None:
        for number in numbers:
            os.close(number)

    return act


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(2,), (1, 2), (0, 1, 2)], ids=str)
def test_closed_descriptors_change_no_status(numbers: tuple[int, ...], tmp_path: Path) -> None:
    assert (
        run("guard", "absent.mp4", "out.mp4", cwd=tmp_path, before=closed(*numbers)).returncode == 2
    )
    (tmp_path / "bundle").mkdir()
    done = run("bundle", "verify", "bundle", cwd=tmp_path, before=closed(*numbers))
    assert done.returncode == 3


@pytest.mark.slow
def test_no_channel_and_no_file_takes_a_standard_descriptors_place(tmp_path: Path) -> None:
    """Promise 5: what any library says to standard error would be said to the judge, or be
    written into the sink."""
    events = tmp_path / "events"
    command = [*PROGRAM, "guard", LIVE, "out.mp4", "--events", str(events)]
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    with subprocess.Popen(shell, cwd=tmp_path, env=environment(tmp_path)) as guard:
        until(lambda: events.exists() and "live" in events.read_text())
        held = [os.readlink(f"/proc/{guard.pid}/fd/{number}") for number in range(3)]
        guard.send_signal(signal.SIGTERM)
    assert held == [os.devnull] * 3
    assert guard.returncode == 0


def main_with(body: str, *before: str) -> subprocess.CompletedProcess[str]:
    """Run the program's own ending around a command that does this."""
    code = "\n".join(
        [
            "import logging, threading, warnings",
            "from safelight.cli import main",
            "def run(_arguments):",
            *(f"    {line}" for line in body.splitlines()),
            "    return 3",
            "main.run = run",
            *before,
            "main.main()",
        ]
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_no_room_for_a_thread_at_the_end_changes_no_status() -> None:
    done = main_with(
        "threading.Thread.start = refuse",
        "def refuse(_self):",
        "    raise RuntimeError",
    )
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize(
    "said",
    [
        "logging.getLogger('aiohttp.server').error('from 192.0.2.7')",
        "warnings.warn('192.0.2.7')",
        "class Odd:\n    def __del__(self):\n        raise ValueError('192.0.2.7')\nOdd()",
    ],
    ids=["log", "warning", "unraisable"],
)
def test_no_library_says_anything_by_itself(said: str) -> None:
    """Promise 5: its lines may hold addresses, and what somebody sent."""
    done = main_with(said)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


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
