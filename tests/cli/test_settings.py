"""``safelight.toml`` says what the flags say, and nothing else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from safelight.cli import settings
from safelight.errors import UsageError


def test_every_flag_has_its_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'policy = "protect"\ndirection = "incoming"\nbundle = "b"\nreport = "r"\nevents = "-"\n'
        'events-socket = "e"\n'
        'hold-ms = 100\nresume-after = 2\nregion = "GB"\nbind = "192.168.0.1"\nstate = "s"\n'
        "quiet = true\n"
    )
    read, path = settings.read(file)
    assert path == file
    assert read.names() == sorted(name.replace("_", "-") for name in settings.Settings.model_fields)


def test_it_is_read_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.read(None)[1] is None
    Path("safelight.toml").write_text('policy = "adult-affirmed"\n')
    assert settings.read(None)[0].policy == "adult-affirmed"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("polcy = 'protect'", "unknown key 'polcy'"),
        ("hold_ms = 250", "unknown key 'hold_ms'"),
        ("quiet = 'no'", "quiet"),
        ("hold-ms = true", "hold-ms"),
        ("policy = ''", "policy"),
        ("direction = 'sideways'", "direction"),
        ("[guard]\npolicy = 'protect'", "unknown key 'guard'"),
        ("policy = ", "not TOML"),
        ("hold-ms = " + "9" * 5000, "not TOML"),
        ("policy = " + "[" * 5000, "not TOML"),
        ("# " + "x" * 100_000, "longer than"),
    ],
    ids=lambda text: text[:32],
)
def test_what_is_not_understood_is_refused(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "safelight.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        settings.read(file)


def test_a_file_that_lies_about_cannot_choose_a_stand_in(tmp_path: Path) -> None:
    """Promise 6: a stand-in judges only when it is asked for by name, on the command line."""
    file = tmp_path / "safelight.toml"
    file.write_text("test-bundle = true\n")
    with pytest.raises(UsageError, match="--test-bundle"):
        settings.read(file)


@pytest.mark.parametrize(
    "line",
    [
        "events = '../victim'",
        "events-socket = 'e'",
        "report = 'r'",
        "state = 's'",
        "bundle = 'b'",
        "policy = './p.toml'",
        "quiet = true",
        "resume-after = 1",
        "bind = '::'",
    ],
)
def test_a_file_that_nobody_named_chooses_no_files(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have come with a folder from elsewhere: it could empty any file, or judge."""
    monkeypatch.chdir(tmp_path)
    Path("safelight.toml").write_text(line + "\n")
    with pytest.raises(UsageError, match="--config"):
        settings.read(None)
    assert settings.read(Path("safelight.toml"))[0].names() == [line.partition(" ")[0]]


def test_a_pipe_that_nobody_named_holds_up_no_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("safelight.toml")
    said: list[str] = []

    def read() -> None:
        try:
            settings.read(None)
        except UsageError as error:
            said.append(str(error))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(10)
    assert said
    assert "--config" in said[0]


def test_a_pipe_that_was_named_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(target=(tmp_path / "pipe").write_text, args=("hold-ms = 0\n",))
    writing.start()
    assert settings.read(tmp_path / "pipe")[0].hold_ms == 0
    writing.join()
