"""The guarded camera's unit under a systemd that really runs, on a desktop of a test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import desktop
from tests.cli.running import until
from tests.programs import absent
from tests.user_manager import BUS_UNIT, MANAGER, NoManagerError, UserManager, user_manager

from safelight.cli import camera_unit
from safelight.media.camera_sink import NODE

SOURCE = "lavfi:testsrc2=size=640x360:rate=30,realtime"
UNIT = camera_unit.NAME


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[UserManager]:
    desktop.need_pipewire()
    if not MANAGER.exists() or not BUS_UNIT.exists():
        absent("no systemd to start: install the system packages systemd and dbus-user-session")
    try:
        with user_manager(tmp_path) as made:
            until(made.is_up)
            yield made
    except NoManagerError as why:
        pytest.skip(f"no systemd runs here: {why}")


def safelight(manager: UserManager, *words: str) -> subprocess.CompletedProcess[str]:
    return manager.run(sys.executable, "-m", "safelight", *words)


def status(manager: UserManager) -> str:
    return safelight(manager, "camera", "status", "--device", "/dev/video0").stdout.strip()


def is_offered(manager: UserManager) -> bool:
    return NODE in manager.run("pw-cli", "ls", "Node").stdout


def is_live(manager: UserManager) -> bool:
    return status(manager) == "Protected (live)"


def process_of(manager: UserManager) -> str:
    return manager.systemctl("show", "--value", "--property=MainPID", UNIT)


def turn_on(manager: UserManager) -> None:
    done = safelight(manager, "camera", "on", SOURCE)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: is_live(manager), within_s=90)


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.xdist_group("desktop")
def test_on_starts_it_status_says_so_and_off_ends_it(manager: UserManager, tmp_path: Path) -> None:
    turn_on(manager)
    assert is_offered(manager)

    own = manager.run("cat", f"/proc/{process_of(manager)}/status").stdout.split("\n")
    assert "NoNewPrivs:\t1" in own
    assert "Seccomp:\t2" in own

    done = safelight(manager, "camera", "test")
    assert (done.returncode, done.stderr) == (0, "")
    assert " 0 showed it" in done.stdout
    assert "It was covered." in done.stdout

    done = safelight(manager, "camera", "off")
    assert (done.returncode, done.stderr) == (0, "")
    assert status(manager) == "Not protected: the guarded camera is off"
    assert not is_offered(manager)
    # Promise 5: it was covered meanwhile, and the journal does not say so.
    assert manager.journal_of("python") == [
        f"safelight camera: guarding {SOURCE}",
        "safelight camera: ended",
    ]
    assert safelight(manager, "camera", "uninstall").returncode == 0
    assert not list((tmp_path / ".config/systemd/user").rglob(UNIT))


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.xdist_group("desktop")
def test_it_is_back_after_it_was_killed_and_at_the_next_login(manager: UserManager) -> None:
    turn_on(manager)
    first = process_of(manager)
    manager.run("kill", "-KILL", first)
    until(lambda: not is_offered(manager), within_s=5)
    until(lambda: is_live(manager), within_s=90)
    assert manager.systemctl("show", "--value", "--property=NRestarts", UNIT) == "1"
    assert process_of(manager) != first
    assert is_offered(manager)

    manager.systemctl("exit")
    until(lambda: is_live(manager), within_s=90)
    assert manager.systemctl("show", "--value", "--property=NRestarts", UNIT) == "0"


def test_systemd_finds_nothing_wrong_with_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hardening option that is misspelt is only warned of, and then not there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is absent: install the system package systemd")
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    tmp_path.chmod(0o700)
    place = camera_unit.write("rtsp://camera.example.org/1", ["--policy", 'odd "name" 100% $x'])
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(place)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
