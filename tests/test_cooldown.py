"""The cool-down file: kept across restarts, deletable, forgotten after 24 clear hours."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from safelight.cooldown import FORGET_AFTER_S, NAME, CoolDownFile, Kept, default_folder
from safelight.errors import UsageError

NOW = 1_800_000_000.0


def test_nothing_is_kept_until_something_happens(tmp_path: Path) -> None:
    assert CoolDownFile(tmp_path).read(NOW) == Kept()
    assert list(tmp_path.iterdir()) == []


def test_a_level_is_shared_and_kept(tmp_path: Path) -> None:
    CoolDownFile(tmp_path).write(Kept(2, NOW + 60))
    assert CoolDownFile(tmp_path).read(NOW) == Kept(2, NOW + 60)


def test_it_holds_a_level_and_one_time_and_nothing_else(tmp_path: Path) -> None:
    CoolDownFile(tmp_path).write(Kept(1, NOW + 10))
    assert json.loads((tmp_path / NAME).read_text()) == {"level": 1, "until": round(NOW + 10)}
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) & 0o077 == 0


def test_it_is_erased_after_24_clear_hours(tmp_path: Path) -> None:
    kept = CoolDownFile(tmp_path)
    kept.write(Kept(3, NOW))
    assert kept.read(NOW + FORGET_AFTER_S - 1).level == 3
    assert kept.read(NOW + FORGET_AFTER_S + 1) == Kept()
    assert not (tmp_path / NAME).exists()


def test_guards_share_one_count(tmp_path: Path) -> None:
    """Two guards, each at its own first interruption, are the user's first and second."""
    CoolDownFile(tmp_path).raise_to(1, NOW)
    CoolDownFile(tmp_path).raise_to(1, NOW + 2)
    kept = CoolDownFile(tmp_path).read(NOW + 2)
    assert kept == Kept(2, NOW + 62)
    for _ in range(9):
        CoolDownFile(tmp_path).raise_to(1, NOW + 3)
    assert CoolDownFile(tmp_path).read(NOW + 3) == Kept(4, NOW + 903)


def test_deleting_it_is_allowed(tmp_path: Path) -> None:
    kept = CoolDownFile(tmp_path)
    kept.write(Kept(1, NOW))
    (tmp_path / NAME).unlink()
    assert kept.read(NOW) == Kept()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"x"',
        '{"level": "NaN", "until": 1}',
        '{"level": 1}',
        "\x00",
        '{"level": 1e999, "until": 1}',
        '{"level": 1, "until": 1e999}',
        '{"level": 1, "until": ' + "9" * 400 + "}",
        '{"level": ' + "9" * 5000 + ', "until": 1}',
        '{"level": 99, "until": 1}',
        '{"level": -1, "until": 1}',
        '{"level": 0.9, "until": 1}',
        '{"level": false, "until": 1}',
        '{"level": 4, "until": false}',
        '{"level": 4, "until": "1"}',
        '{"level": "0", "until": 1}',
        "[" * 4000,
        "[" * 100_000,
        '{"level": 0, "until": 1}' + " " * 5000,
    ],
    ids=lambda text: text[:32],
)
def test_a_damaged_file_loosens_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    assert CoolDownFile(tmp_path).read(NOW).level == 1


def test_a_nan_or_a_clock_set_back_locks_nobody_out(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"level": 4, "until": 9e18}')
    assert CoolDownFile(tmp_path).read(NOW).until <= NOW + 900
    (tmp_path / NAME).write_text('{"level": 4, "until": NaN}')
    assert CoolDownFile(tmp_path).read(NOW) == Kept(level=1)


def test_a_wait_kept_by_a_clock_that_was_ahead_runs_out(tmp_path: Path) -> None:
    """Promise 7: else it would begin anew at every look, and nobody could ever resume."""
    CoolDownFile(tmp_path).raise_to(1, NOW + 400 * 24 * 3600)
    first = CoolDownFile(tmp_path).read(NOW)
    assert first == Kept(1, NOW + 900)
    for later in (1.0, 450.0, 899.0, 901.0):
        assert CoolDownFile(tmp_path).read(NOW + later) == first
    assert CoolDownFile(tmp_path).read(NOW + 901 + FORGET_AFTER_S) == Kept()


def test_a_clock_that_was_ahead_does_not_lengthen_the_next_wait(tmp_path: Path) -> None:
    CoolDownFile(tmp_path).raise_to(1, NOW + 400 * 24 * 3600)
    CoolDownFile(tmp_path).raise_to(1, NOW)
    assert CoolDownFile(tmp_path).read(NOW) == Kept(2, NOW + 60)


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--state"):
        CoolDownFile(tmp_path / "file").write(Kept(1, NOW))


def test_a_folder_that_cannot_be_written_shows_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--state"):
        CoolDownFile(tmp_path / "file" / "below").check()
    CoolDownFile(tmp_path / "not" / "yet").check()
    assert not (tmp_path / "not").exists()


def test_a_pipe_of_that_name_holds_up_no_guard(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    reading = threading.Thread(target=CoolDownFile(tmp_path).read, args=(NOW,), daemon=True)
    reading.start()
    reading.join(10)
    assert not reading.is_alive()
    assert CoolDownFile(tmp_path).read(NOW) == Kept(level=1)
    CoolDownFile(tmp_path).raise_to(1, NOW)
    assert CoolDownFile(tmp_path).read(NOW).level == 2


def test_guards_that_are_interrupted_at_once_all_count(tmp_path: Path) -> None:
    """Else the shorter wait of one could take the place of the longer one of another."""
    ready = threading.Barrier(4)

    def interrupted() -> None:
        ready.wait()
        CoolDownFile(tmp_path).raise_to(1, NOW)

    for _ in range(25):
        guards = [threading.Thread(target=interrupted) for _ in range(4)]
        for guard in guards:
            guard.start()
        for guard in guards:
            guard.join()
        assert CoolDownFile(tmp_path).read(NOW) == Kept(4, NOW + 900)
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
        (tmp_path / NAME).unlink()


def test_what_is_over_is_not_erased_once_it_was_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = CoolDownFile(tmp_path)
    kept.write(Kept(3, NOW - FORGET_AFTER_S - 1))
    honest = CoolDownFile._read

    def read(self: CoolDownFile, now: float) -> Kept | None:
        found = honest(self, now)
        monkeypatch.undo()
        CoolDownFile(tmp_path).raise_to(4, NOW)  # another guard, just then
        return found

    monkeypatch.setattr(CoolDownFile, "_read", read)
    kept.read(NOW)
    assert CoolDownFile(tmp_path).read(NOW) == Kept(4, NOW + 900)


def test_a_link_of_the_unfinished_files_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "cool-down.part").symlink_to(tmp_path / "mine")
    CoolDownFile(tmp_path / "state").raise_to(1, NOW)
    assert (tmp_path / "mine").read_text() == "kept"


def test_the_folder_is_the_same_wherever_a_guard_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    assert default_folder() == tmp_path / ".local" / "state" / "safelight"


def test_a_user_without_a_home_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(UsageError, match="--state"):
        default_folder()
