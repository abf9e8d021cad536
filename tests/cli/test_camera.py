"""The guarded camera: what it tells of itself, and the unit that starts it."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.running import run, until

from safelight import StreamEvent
from safelight.cli import camera, camera_running, camera_unit, notify
from safelight.cli.camera_users import users
from safelight.errors import UsageError
from safelight.types import CardText, Reason, State

CARD = CardText("card.local_outgoing", 'It "paused" $HOME %h', ("It can be wrong.",))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (tmp_path / "xdg_runtime_dir").mkdir(mode=0o700)


# --- who uses the real camera ---------------------------------------------------------------------


def test_a_program_that_has_the_camera_open_is_named(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    assert users([device]) == ((), users([device])[1])
    program = subprocess.Popen(["sleep", "60"], stdin=device.open("rb"))
    try:
        found, _ = users([device])
        assert [(user.pid, user.name, user.device) for user in found] == [
            (program.pid, "sleep", str(device))
        ]
        assert users([device], but=program.pid)[0] == (), "the guard itself does not count"
    finally:
        program.kill()
        program.wait()


def test_a_link_to_the_camera_is_the_camera(tmp_path: Path) -> None:
    device, link = tmp_path / "video0", tmp_path / "by-id"
    device.touch()
    link.symlink_to(device)
    program = subprocess.Popen(["sleep", "60"], stdin=link.open("rb"))
    try:
        assert [user.pid for user in users([device])[0]] == [program.pid]
    finally:
        program.kill()
        program.wait()


def test_another_node_of_the_same_device_is_the_camera() -> None:
    """A device is its number, not its name."""
    with Path("/dev/zero").open("rb") as device:
        program = subprocess.Popen(["sleep", "60"], stdin=device)
    try:
        assert program.pid in [user.pid for user in users([Path("/dev/zero")])[0]]
    finally:
        program.kill()
        program.wait()


def test_what_cannot_be_looked_at_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.listdir

    def refused(path: object) -> list[str]:
        if str(path).endswith("/fd"):
            raise PermissionError
        return real(str(path))

    monkeypatch.setattr("safelight.cli.camera_users.os.listdir", refused)
    seen, hidden = users([Path("/dev/null")])
    assert seen == ()
    assert hidden > 0


def test_without_a_guard_nothing_is_protected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camera.status([tmp_path / "video0"]) == 3
    assert "Not protected: the guarded camera is off" in capsys.readouterr().out


def test_a_guard_does_not_protect_where_the_camera_is_used_directly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "video0"
    device.touch()
    monkeypatch.setattr(camera, "find", lambda: camera_running.Running(os.getpid(), "live"))
    assert camera.status([device]) == 0
    assert capsys.readouterr().out.startswith("Protected (live)")
    program = subprocess.Popen(["sleep", "60"], stdin=device.open("rb"))
    try:
        assert camera.status([device]) == 3
    finally:
        program.kill()
        program.wait()
    said = capsys.readouterr().out
    assert f"Not protected: sleep uses {device} directly" in said
    assert "\nProtected" not in f"\n{said}"


def test_a_socket_that_says_nothing_is_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_running, "_PATIENCE_S", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(camera_running.place()))
        silent.listen()
        assert camera_running.find() is None


# --- the unit -------------------------------------------------------------------------------------


def test_the_unit_names_the_command_and_is_removed() -> None:
    place = camera_unit.write("device:/dev/video0", ["--policy", 'odd "name" 100% $x'])
    assert place == camera_unit.path()
    (line,) = [
        text.partition("=")[2]
        for text in place.read_text().splitlines()
        if text.startswith("ExecStart=")
    ]
    words = shlex.split(line.replace("%%", "%").replace("$$", "$"))
    assert words == [
        sys.executable, "-P", "-m", "safelight", "camera", "run",
        "--policy", 'odd "name" 100% $x', "device:/dev/video0",
    ]  # fmt: skip
    text = place.read_text()
    assert "100%% $$x" in text, "systemd would expand it"
    for hardened in ("NoNewPrivileges=yes", "LimitCORE=0", "AF_UNIX AF_NETLINK\n", "UMask=0077"):
        assert hardened in text
    assert "AF_INET" in camera_unit.text("rtsp://camera.example.org/1", [])
    # A camera that was off for a while ended its stream with status 0, and has to come back.
    assert "Restart=always" in camera_unit.text("rtsp://camera.example.org/1", [])
    assert camera_unit.remove()
    assert not place.exists()
    assert not camera_unit.remove()


@pytest.mark.parametrize("word", ["a\nExecStartPre=/bin/true", "a\x1b"])
def test_a_word_cannot_add_a_line_to_the_unit(word: str) -> None:
    with pytest.raises(UsageError):
        camera_unit.write("device:/dev/video0", ["--policy", word])
    assert not camera_unit.path().exists()


def test_no_unit_is_left_where_systemd_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: str) -> None:
        raise UsageError("the user's systemd refuses", "run it by hand")

    monkeypatch.setattr(camera_unit, "systemctl", refuses)
    with pytest.raises(UsageError):
        camera.on("device:/dev/video0")
    assert not camera_unit.path().exists()


def test_on_refuses_what_is_no_source_before_it_writes_anything() -> None:
    with pytest.raises(UsageError):
        camera.on("http://example.org/camera")
    assert not camera_unit.path().exists()


def test_on_starts_it_now_and_at_login_and_uninstall_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(camera_unit, "systemctl", lambda *words: told.append(words))
    assert camera.on("device:/dev/video0", policy="protect", region="GB") == 0
    assert told == [
        ("daemon-reload",),
        ("enable", camera_unit.NAME),
        ("restart", camera_unit.NAME),
    ]
    assert camera.uninstall() == 0
    assert ("disable", "--now", camera_unit.NAME) in told
    assert not camera_unit.path().exists()


def test_uninstall_removes_the_unit_even_where_systemd_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera_unit.write("device:/dev/video0", [])

    def refuses(*_: str) -> None:
        raise UsageError("there is no systemd here", "")

    monkeypatch.setattr(camera_unit, "systemctl", refuses)
    assert camera.uninstall() == 0
    assert not camera_unit.path().exists()


# --- notifications --------------------------------------------------------------------------------


def program(folder: Path, name: str) -> Path:
    """A stand-in that notes how it was called."""
    place = folder / name
    place.write_text(f'#!/bin/sh\nfor a in "$@"; do printf "%s\\n" "$a"; done >{folder}/said\n')
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return place


def test_a_notification_says_what_the_card_says_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "notify-send")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    notifier = notify.Notifier()
    event = StreamEvent("state", State.COVERED, Reason.SEXUAL_CONTENT, 1.0, CARD, "Paused.")
    notifier.tell(StreamEvent("fault", State.LIVE, Reason.FAULT, 1.0, None, "not shown"))
    notifier.tell(event)
    until(lambda: (tmp_path / "said").exists() and "wrong" in (tmp_path / "said").read_text())
    said = (tmp_path / "said").read_text()
    assert 'It "paused" $HOME %h It can be wrong.' in said
    assert "sexual" not in said
    notifier.close()


def test_without_notify_send_the_bus_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"gdbus": "/usr/bin/gdbus"}
    monkeypatch.setattr("safelight.cli.notify.shutil.which", there.get)
    line = notify.command('a "b" [c]')
    assert line is not None
    assert r'"a \"b\" [c]"' in line
    there.clear()
    assert notify.command("text") is None


def test_a_notifier_without_a_desktop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight.cli.notify.shutil.which", lambda _name: None)
    notifier = notify.Notifier()
    notifier.tell(StreamEvent("state", State.LIVE, Reason.CLEAR, 1.0, None, "Live."))
    notifier.close()


@pytest.mark.slow
def test_the_command_line_says_what_is_missing(tmp_path: Path) -> None:
    done = run("camera", "test", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = run("camera", cwd=tmp_path)
    assert "uninstall" in done.stdout + done.stderr
