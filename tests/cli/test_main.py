"""The contract of exit statuses: 0, 2, 3 or 4, never 1; errors are one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.running import lines, run

from safelight.cli import entry, main, stopping
from safelight.errors import (
    BundleError,
    EngineFaultError,
    JudgeError,
    PolicyError,
    SinkError,
    SinkLostError,
    SourceError,
    SourceLostError,
    UsageError,
)


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def break_off(*_: object) -> str:
        raise error

    monkeypatch.setattr("safelight.policy_names", break_off)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("a", "b"), 2),
        (SourceError("a", "b"), 2),
        (SinkError("a", "b"), 2),
        (PolicyError("a", "b"), 2),
        (BundleError("a", "b"), 3),
        (JudgeError("a", "b"), 3),
        (SourceLostError("a", "b"), 4),
        (SinkLostError("a", "b"), 4),
        (EngineFaultError("a", "b"), 4),
        (RuntimeError("of a kind that nobody thought of"), 4),
        (MemoryError(), 4),
    ],
)
def test_every_error_is_one_line_and_its_status(
    error: Exception,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken(monkeypatch, error)
    assert main.run(["policy", "list"]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert len(lines(said.err)) == 1
    assert said.err.startswith("safelight: ")


def test_an_unforeseen_error_does_not_show_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promise 5: it could hold a stream key, or something of a picture."""
    broken(monkeypatch, RuntimeError("rtmp://host/app/sk-12345"))
    main.run(["policy", "list"])
    assert "sk-12345" not in capsys.readouterr().err


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), stopping.Stopped()])
def test_a_check_that_was_stopped_has_no_result(
    stop: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Absence is never permission: what was cut short must not read as "verifies"."""
    broken(monkeypatch, stop)
    assert main.run(["policy", "list"]) == 2
    assert lines(capsys.readouterr().err) == [f"safelight: {entry.INTERRUPTED}"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), stopping.Stopped()])
def test_a_guard_that_was_stopped_ended_as_asked(
    stop: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_off(*_: object) -> object:
        raise stop

    monkeypatch.setattr("safelight.cli.settings.read", break_off)
    assert main.run(["guard", "in.mp4", "null:"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["guard", "a", "b"], 0),
        (["bundle", "verify", "guard"], 2),
        (["doctor"], 2),
        (["--version"], 2),
        ([], 2),
    ],
)
def test_only_a_guard_is_meant_to_be_stopped(arguments: list[str], status: int) -> None:
    assert entry.status_when_stopped(arguments) == status


@pytest.mark.parametrize(
    "arguments",
    [
        ["guard"],
        ["guard", "in.mp4"],
        ["guard", "a", "b", "c"],
        ["guard", "a", "b", "--nonsense"],
        ["guard", "a", "b", "--hold-ms", "soon"],
        ["guard", "a", "b", "--resume-after", "-1"],
        ["guard", "a", "b", "--resume-after", "nan"],
        ["guard", "a", "b", "--direction", "sideways"],
        ["guard", "a", "b", "--hold-ms", "5000"],
        ["guard", "a", "b", "--region", "XX"],
        ["guard", "a", "b", "--config", "not-there.toml"],
        ["guard", "a", "b", "--policy", "not-there.toml"],
        ["guard", "http://host/a.mp4", "null:"],
        ["guard", "rtmp://0.0.0.0/app/key?listen=1", "null:"],
        *(
            ["guard", "a", "b", f"--{flag}", ""]
            for flag in ("policy", "direction", "bundle", "report", "events", "region", "bind")
        ),
        ["guard", "a", "b", "--state", " "],
        ["guard", "a", "b", "--config", ""],
        ["guard", "", "null:"],
        ["guard", "lavfi:testsrc2", ""],
        ["guard", "lavfi:testsrc2", "null:", "--report", "-"],
        ["demo", "--out", ""],
        ["nonsense"],
        ["policy", "nonsense"],
        ["policy", "check"],
        ["testcard", "card.gif"],
        ["testcard", "card.png", "--size", "huge"],
        ["testcard", "card.png", "--size", "641x360"],
        ["testcard", "card.png", "--size", "64x36"],
        ["testcard", "card.mp4", "--seconds", "0"],
        ["testcard", "no/such/folder/card.png"],
        ["testcard", "no/such/folder/card.mp4"],
        ["bench", "--seconds", "0"],
        ["bench", "--copy"],
        ["bench", "not-there.mp4"],
    ],
    ids=" ".join,
)
def test_a_call_that_cannot_be_meant_is_status_2(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(arguments) == 2
    said = lines(capsys.readouterr().err)
    assert len(said) == 1, said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["guard", "a.mp4", "null:", "ADDRESS"],
        ["ADDRESS"],
        ["--ADDRESS"],
        *(
            ["guard", "no-such.mp4", "null:", flag, "ADDRESS"]
            for flag in ("--policy", "--bundle", "--direction", "--region", "--report", "--config")
        ),
        ["guard", "no-such.mp4", "null:", "--policy=ADDRESS"],
        ["bundle", "verify", "ADDRESS"],
        ["policy", "check", "ADDRESS"],
    ],
    ids=" ".join,
)
def test_a_key_in_the_wrong_place_is_not_repeated(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    address = "rtmp://live.example.org/app/SECRET"
    assert main.run([word.replace("ADDRESS", address) for word in arguments]) in {2, 3}
    said = capsys.readouterr()
    assert "SECRET" not in said.out + said.err
    assert len(lines(said.err)) == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["policy"], ["bundle", "--help"]])
def test_help_is_status_0(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 0
    said = capsys.readouterr()
    assert "Usage: safelight" in said.out
    assert said.err == ""


def test_the_commands_are_those_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["--help"])
    text = capsys.readouterr().out
    for name in ("demo", "guard", "testcard", "doctor", "policy", "bundle", "bench"):
        assert f"\n  {name} " in text
    assert "..." not in text.partition("Commands:")[2], "a short help is cut off"


def test_the_flags_of_guard_are_those_of_the_contract(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main.run(["guard", "--help"])
    text = capsys.readouterr().out
    for flag in (
        "--policy NAME|FILE",
        "--direction outgoing|incoming",
        "--bundle DIR",
        "--test-bundle",
        "--report FILE",
        "--events FILE|-",
        "--hold-ms N",
        "--resume-after S",
        "--region CC",
        "--bind ADDR",
        "--state DIR",
        "--quiet",
    ):
        assert flag in text


@pytest.mark.parametrize("command", ["guard", "testcard", "bench", "policy show"])
def test_help_shows_nothing_of_the_library(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main.run([*command.split(), "--help"])
    text = capsys.readouterr().out
    for mark in ("<str>", "<list", "{", "]..."):
        assert mark not in text


def closed_output() -> Callable[[], None]:
    def close() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)

    return close


@pytest.mark.slow
def test_nobody_reading_our_output_is_no_error(tmp_path: Path) -> None:
    done = run("bundle", "show", cwd=tmp_path, before=closed_output())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["bundle", "show"], ["policy", "list"], ["--help"]])
def test_output_that_has_no_room_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    def full() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)

    done = run(*arguments, cwd=tmp_path, before=full)
    assert done.returncode == 2
    assert len(lines(done.stderr)) == 1
    assert "output cannot be written (no space left on device)" in done.stderr
