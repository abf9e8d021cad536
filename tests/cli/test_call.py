"""``safelight call`` on the command line: what it refuses, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.running import started

import safelight
from safelight.cli import entry, main

KEY = "live-key-of-somebody"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", ""),
        ("--to", f"http://service.example/{KEY}"),
        ("--to", f"rtmp://127.0.0.1/app/{KEY}"),
        ("--to-token-file", "token"),
        ("--from", ""),
        ("--from", f"http://service.example/{KEY}"),
        ("--from-token-file", "token"),
        ("--port", "70000"),
        ("--bind", " "),
        ("--bind", "203.0.113.7"),
        ("--direction", "both"),
        ("--policy", "nobodys"),
        ("--bundle", "nowhere"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(KEY, "KEY"),
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(safelight, "hide_this_process", lambda: None)
    status = main.run(["call", "--state", str(tmp_path / "state"), *arguments])
    out, error = capsys.readouterr()
    assert status in (2, 3), error
    assert len(error.splitlines()) == 1
    assert "Open" not in out
    assert KEY not in error


@pytest.mark.parametrize("content", ["", " \n", "two words\n", "line\nline\n", "\x00", "é"])
def test_a_token_that_is_none_is_refused_and_not_shown(
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(safelight, "hide_this_process", lambda: None)
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    to = "https://127.0.0.1:1/whip"
    assert main.run(["call", "--to", to, "--to-token-file", str(file)]) == 2
    _, error = capsys.readouterr()
    assert "token" in error
    assert not content.strip() or content.strip() not in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_asked_to_stop_ends_it_as_asked(number: signal.Signals, tmp_path: Path) -> None:
    with started("call", "--quiet", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Open http://127.0.0.1:")
        process.send_signal(number)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, "", "")


def test_being_stopped_while_it_loads_is_no_error() -> None:
    assert entry.status_when_stopped(["call", "--quiet"]) == 0


@pytest.mark.parametrize("absent", ["aiohttp", "aiortc"])
def test_without_its_libraries_it_says_which_extra_to_install(absent: str) -> None:
    program = (
        f"import sys\nsys.modules[{absent!r}] = None\nsys.argv = ['safelight', 'call']\n"
        "from safelight.cli.entry import main\nmain()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "pip install 'safelight[webrtc]'" in ran.stderr
