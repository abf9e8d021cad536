"""``safelight guard`` as a user runs it: ends, signals, events, reports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest
from tests.cli.running import (
    LIVE,
    film,
    lines,
    pictures_in,
    run,
    started,
    until,
)
from tests.test_rtmp import free_port

from safelight import Report, policy_sha256, stand_in_folder
from safelight.cli.event_line import EventLine
from safelight.cli.processes import judges_of
from safelight.testing import canary
from safelight.testing.film import Film

pytestmark = pytest.mark.slow

OF_A_JUDGE = {"safelight-judge", "safelight-load"}


def canary_film(path: Path) -> Path:
    rgb = canary.load("card")
    with Film(path, (rgb.shape[1], rgb.shape[0])) as out:
        for _ in range(75):
            out.add(rgb)
    return path


def test_a_harmless_film_leaves_whole_with_events_and_report(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    done = run(
        "guard", "in.mp4", "out.mp4", "--events", "-", "--report", "report.json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    events = [EventLine.model_validate_json(line) for line in done.stdout.splitlines()]
    assert [event.state for event in events][:2] == ["pending", "live"]
    assert events[-1].kind == "end"
    report = Report.model_validate_json((tmp_path / "report.json").read_text())
    assert report.frames.released == report.frames.in_ == 30
    assert report.frames.unjudged_released == 0
    assert pictures_in(tmp_path / "out.mp4") == 30
    assert lines(done.stderr)[-1] == "system leaks: 0 · misses: not measured"


def test_a_canary_is_covered_and_interrupted_and_that_is_status_0(tmp_path: Path) -> None:
    canary_film(tmp_path / "in.mp4")
    done = run("guard", "in.mp4", "out.mp4", "--events", "events", "--region", "GB", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    events = [
        EventLine.model_validate_json(line)
        for line in (tmp_path / "events").read_text().splitlines()
    ]
    assert "interrupted" in [event.state for event in events]
    card = next(event.card for event in events if event.card is not None)
    assert card.headline in done.stderr
    assert "Childline 0800 1111" in done.stderr
    assert "sexual" not in done.stderr
    assert "0 released" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_what_left_stays_playable(
    number: signal.Signals, tmp_path: Path
) -> None:
    with started(
        "guard", LIVE, "out.mp4", "--report", "report.json", "--events", "events", cwd=tmp_path
    ) as guard:
        events = tmp_path / "events"
        until(lambda: events.exists() and '"live"' in events.read_text())
        until(lambda: any(tmp_path.glob("*out.mp4*.part")))
        guard.send_signal(number)
        _, err = guard.communicate(timeout=60)
        assert guard.returncode == 0, err
    assert pictures_in(tmp_path / "out.mp4") > 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["outcome"] == "closed"
    assert report["frames"]["unjudged_released"] == 0
    assert not list(tmp_path.glob("*.part"))


def test_a_signal_before_anything_left_is_status_0_and_leaves_nothing(tmp_path: Path) -> None:
    with started("guard", LIVE, "out.mp4", "--report", "report.json", cwd=tmp_path) as guard:
        # The report's place is tried first, so the signal handlers are there by now.
        until(lambda: any(tmp_path.glob("report.json.*.part")))
        guard.send_signal(signal.SIGTERM)
        out, err = guard.communicate(timeout=60)
        assert (guard.returncode, out) == (0, ""), err
        assert "Traceback" not in err
    assert not list(tmp_path.glob("*.part"))


def test_a_listener_that_nobody_publishes_to_can_be_ended(tmp_path: Path) -> None:
    port = free_port()
    source = f"rtmp://127.0.0.1:{port}/live/sk-12345?listen=1"
    with started("guard", source, "null:", cwd=tmp_path) as guard:
        if guard.stderr is None:
            raise RuntimeError
        first = guard.stderr.readline() + guard.stderr.readline()
        assert "Waiting for a publisher" in first
        socket.create_connection(("127.0.0.1", port)).close()  # it says so when it is true
        guard.send_signal(signal.SIGINT)
        _, err = guard.communicate(timeout=60)
        assert guard.returncode == 0, err
        assert "sk-12345" not in first + err
        assert "Traceback" not in err


def test_settings_of_the_folder_are_said_and_a_flag_counts_before_them(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    (tmp_path / "safelight.toml").write_text('hold-ms = 100\nregion = "XX"\n')
    done = run("guard", "in.mp4", "null:", "--region", "GB", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "from safelight.toml: hold-ms, region" in done.stderr


def test_settings_of_the_folder_empty_no_file(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "safelight.toml").write_text('events = "victim"\n')
    done = run("guard", "in.mp4", "null:", cwd=tmp_path)
    assert done.returncode == 2
    assert len(lines(done.stderr)) == 1
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_stuck_events_reader_cannot_keep_the_guard_alive(tmp_path: Path) -> None:
    """Its reader is there and reads nothing: a signal still ends it, and it says what is lost."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with started(
        "guard", LIVE, "out.mp4", "--events", "-", "--quiet", cwd=tmp_path, stdout=writing
    ) as guard:
        os.close(writing)
        # Something has left, so there were events: the file's name alone comes before them.
        until(lambda: any(part.stat().st_size for part in tmp_path.glob("*out.mp4*.part")))
        guard.send_signal(signal.SIGINT)
        _, err = guard.communicate(timeout=60)
    os.close(reading)
    assert guard.returncode == 4
    assert len(lines(err)) == 1
    assert err.startswith("safelight: not every event could be written")


def test_an_events_reader_that_goes_away_does_not_stop_the_guard(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    with started("guard", "in.mp4", "out.mp4", "--events", "-", cwd=tmp_path) as guard:
        if guard.stdout is None or guard.stderr is None:
            raise RuntimeError
        guard.stdout.close()
        err = guard.stderr.read()
        assert guard.wait(60) == 4
    assert pictures_in(tmp_path / "out.mp4") == 30
    assert lines(err)[-1].startswith("safelight: not every event could be written")
    assert "Traceback" not in err
    assert "Exception" not in err


def test_a_run_that_fails_leaves_an_earlier_file_alone(tmp_path: Path) -> None:
    """Red line 6: whatever is refused, breaks or is cut short, nobody's file is lost."""
    film(tmp_path / "in.mp4")
    out = tmp_path / "out.mp4"
    out.write_text("an earlier one")
    (tmp_path / "mine.toml").write_text("not a policy")
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    for arguments in (
        ("in.mp4", "out.mp4", "--policy", "mine.toml"),
        ("in.mp4", "out.mp4", "--hold-ms", "9999"),
        ("broken.mp4", "out.mp4"),
    ):
        assert run("guard", *arguments, cwd=tmp_path).returncode == 2
        assert out.read_text() == "an earlier one"
    with started("guard", LIVE, "out.mp4", cwd=tmp_path) as guard:
        until(lambda: any(tmp_path.glob("*out.mp4*.part")))
        guard.kill()
        guard.wait(60)
    assert out.read_text() == "an earlier one"
    assert run("guard", "in.mp4", "out.mp4", cwd=tmp_path).returncode == 0
    assert pictures_in(out) == 30, "one that ends as asked replaces it"


def test_a_folder_is_no_sink(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    (tmp_path / "d").mkdir()
    done = run("guard", "in.mp4", "d", cwd=tmp_path)
    assert done.returncode == 2
    assert "is a directory" in done.stderr


def test_adult_affirmed_is_said_to_behave_as_protect(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    done = run(
        "guard", "in.mp4", "null:", "--policy", "adult-affirmed", "--report", "r.json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "behaves as protect" in done.stderr
    policy = json.loads((tmp_path / "r.json").read_text())["policy"]
    assert policy["sha256"] == policy_sha256("adult-affirmed")


def test_quiet_says_nothing(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    done = run("guard", "in.mp4", "out.mp4", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stand_in_stamps_test_on_the_summary(tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    done = run(
        "guard",
        "in.mp4",
        "null:",
        "--bundle",
        str(stand_in_folder("face")),
        "--test-bundle",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "TEST" in lines(done.stderr)[-1]


def test_a_guard_and_its_judge_are_hidden_and_end_together(tmp_path: Path) -> None:
    with started("guard", LIVE, "null:", "--quiet", cwd=tmp_path) as guard:
        until(lambda: len(judges_of(guard.pid)) == 1)
        for pid in (guard.pid, *judges(guard.pid)):
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
        of_the_judge = judges(guard.pid)
        guard.kill()
        guard.wait()
        until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in of_the_judge))


def judges(guard: int) -> list[int]:
    """The processes of its judge below a guard: who loaded it, where it waits, template, judge."""
    there = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            there.append(parsed(stat.read_text()))
    found = [guard]
    for above in found:  # which grows meanwhile
        found += [pid for pid, name, parent in there if parent == above and name in OF_A_JUDGE]
    return found[1:]


def parsed(stat: str) -> tuple[int, str, int]:
    head, _, tail = stat.rpartition(") ")
    pid, _, name = head.partition(" (")
    return int(pid), name, int(tail.split()[1])


@pytest.mark.parametrize("after", [0, 1])
def test_a_reader_of_what_is_said_that_leaves_does_not_end_the_guard(
    after: int, tmp_path: Path
) -> None:
    """`guard … 2>&1 | head -1`: the guarding goes on, and events lose nothing."""
    film(tmp_path / "in.mp4")
    with started("guard", "in.mp4", "out.mp4", "--events", "-", cwd=tmp_path) as guard:
        if guard.stdout is None or guard.stderr is None:
            raise RuntimeError
        for _ in range(after):
            guard.stderr.readline()
        guard.stderr.close()
        out = guard.stdout.read()
        assert guard.wait(60) == 0
    assert pictures_in(tmp_path / "out.mp4") == 30
    assert EventLine.model_validate_json(out.splitlines()[-1]).kind == "end"
