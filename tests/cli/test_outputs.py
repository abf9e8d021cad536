"""Reports and events: tried before anything runs, whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.cli.running import until

from safelight import Reason, Report, State, StreamEvent
from safelight.cli.event_line import EventLine
from safelight.cli.event_writer import BACKLOG, EventWriter
from safelight.cli.outputs import Outputs
from safelight.errors import LostError, UsageError
from safelight.report import BundlePart, Cpu, Head, PolicyPart, Tally, assemble
from safelight.types import CardText

EVENT = StreamEvent(
    "state",
    State.COVERED,
    Reason.SEXUAL_CONTENT,
    1.5,
    CardText("card.local_outgoing", "This device paused.", ("It can be wrong.",)),
    "Paused",
)


def report() -> Report:
    head = Head(
        policy=PolicyPart(name="protect", sha256="0" * 64, adults_affirmed=False),
        bundle=BundlePart(id="b", version=1, sha256="0", purpose="test", test=True),
        direction="outgoing",
    )
    return assemble(
        Tally(),
        0,
        outcome="ended",
        cpu_s=Cpu(total=0.0, judge=0.0),
        copied=0,
        dropped=(),
        head=head,
    )


def test_a_report_is_there_at_the_end_and_nothing_before(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with Outputs(str(path), None, taken=()) as outputs:
        assert not path.exists()
        outputs.report(report())
    assert Report.model_validate_json(path.read_text()).outcome == "ended"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_both_are_their_users_alone(tmp_path: Path) -> None:
    """Promise 7: nobody else of this machine gets a history of a stream."""
    paths = tmp_path / "report.json", tmp_path / "events.jsonl"
    before = os.umask(0)
    try:
        with Outputs(str(paths[0]), str(paths[1]), taken=()) as outputs:
            outputs.report(report())
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]


def test_a_link_is_not_replaced_by_a_report(tmp_path: Path) -> None:
    """Promise 7: root's /dev/stdout leads to a plain file where that is what it was sent to."""
    (tmp_path / "sent-to").write_text("theirs")
    link = tmp_path / "stdout"
    link.symlink_to(tmp_path / "sent-to")
    with pytest.raises(UsageError, match="is a link"), Outputs(str(link), None, taken=()):
        pass
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sent-to", "stdout"]


def test_a_guard_that_does_not_start_leaves_an_old_report_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), Outputs(str(path), None, taken=()):
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("which", ["report", "events"])
@pytest.mark.parametrize("place", ["no/such/folder/x.json", ".", "file/x.json", ""])
def test_a_place_that_cannot_be_written_is_an_error_at_the_start(
    which: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    paths = (place, None) if which == "report" else (None, place)
    with pytest.raises(UsageError), Outputs(*paths, taken=()):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("which", ["report", "events"])
def test_neither_overwrites_the_source_or_the_sink(which: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_text("film")
    link = tmp_path / "link"
    link.symlink_to(source)
    for place in (str(source), str(link)):
        paths = (place, None) if which == "report" else (None, place)
        with (
            pytest.raises(UsageError, match="source or the sink"),
            Outputs(*paths, taken=(str(source), "null:")),
        ):
            pass
    assert source.read_text() == "film"


@pytest.mark.parametrize("which", ["report", "events"])
def test_neither_overwrites_what_judges(which: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    manifest = bundle / "manifest.json"
    manifest.write_text("what judges")
    hard = tmp_path / "hard"
    os.link(manifest, hard)
    for place, taken in ((manifest, bundle), (bundle / "new", bundle), (hard, manifest)):
        paths = (str(place), None) if which == "report" else (None, str(place))
        with pytest.raises(UsageError, match="another file"), Outputs(*paths, taken=[str(taken)]):
            pass
    assert manifest.read_text() == "what judges"
    assert not (bundle / "new").exists()


def test_events_into_a_name_that_became_the_source_leave_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names were compared, then one was changed: what was opened is compared again."""
    source = tmp_path / "in.mp4"
    source.write_text("film")
    monkeypatch.setattr(Outputs, "_refuse_taken", lambda *_: None)
    with (
        pytest.raises(UsageError, match="another file"),
        Outputs(None, str(source), taken=[str(source)]),
    ):
        pass
    assert source.read_text() == "film"


def test_a_report_destroys_no_file_that_has_a_name_like_its_own(tmp_path: Path) -> None:
    source = tmp_path / "report.json.part"
    source.write_text("film")
    with Outputs(str(tmp_path / "report.json"), None, taken=[str(source)]) as outputs:
        outputs.report(report())
    assert source.read_text() == "film"
    assert {p.name for p in tmp_path.iterdir()} == {"report.json", "report.json.part"}


def test_a_reader_that_stopped_reading_holds_nobody_up() -> None:
    """Neither the lines, nor the end: else a guard could not be ended."""
    reading, writing = os.pipe()
    writer = EventWriter(writing)
    done = threading.Event()

    def use() -> None:
        for _ in range(BACKLOG + 100):
            writer.put("x" * 1000 + "\n")
        writer.finish()
        done.set()

    threading.Thread(target=use, daemon=True).start()
    ended = done.wait(30)
    os.close(reading)  # lets the writing thread go, whatever was found
    assert ended
    assert writer.broken == "nobody reads them"


def test_what_a_slow_reader_gets_has_no_gaps() -> None:
    reading, writing = os.pipe()
    writer = EventWriter(writing)
    for index in range(BACKLOG):
        writer.put(f"{index} {'x' * 200}\n")
    got = b""
    while got.count(b"\n") < BACKLOG:
        got += os.read(reading, 4096)
    assert writer.finish()
    assert writer.broken is None
    assert [int(line.split()[0]) for line in got.splitlines()] == list(range(BACKLOG))
    os.close(reading)
    os.close(writing)


def test_a_report_does_not_replace_a_device_or_a_pipe(tmp_path: Path) -> None:
    """As root, renaming a report over /dev/null would take it from everybody."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with (
            pytest.raises(UsageError, match="ordinary file"),
            Outputs(str(path), None, taken=()),
        ):
            pass
    assert (tmp_path / "pipe").is_fifo()
    assert Path("/dev/null").is_char_device()


def test_one_file_cannot_be_both(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    with pytest.raises(UsageError, match="same file"), Outputs(path, path, taken=()):
        pass


def test_events_are_lines_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "events"
    with Outputs(None, str(path), taken=()) as outputs:
        outputs.event(EVENT)
        outputs.event(EVENT)
        until(lambda: path.read_text().count("\n") == 2)
        written = [EventLine.model_validate_json(line) for line in path.read_text().splitlines()]
        outputs.check()
    assert [line.state for line in written] == ["covered", "covered"]
    assert written[0].should_cover
    assert written[0].card is not None


def test_events_of_an_earlier_run_stay_until_there_are_others(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("an earlier run's, which is longer than one line " * 20, encoding="utf-8")
    kept = path.read_bytes()
    with Outputs(None, str(path), taken=()):
        pass  # the guard did not start
    assert path.read_bytes() == kept
    with Outputs(None, str(path), taken=()) as outputs:
        outputs.event(EVENT)
        outputs.check()
    assert EventLine.model_validate_json(path.read_text("utf-8")).state == "covered"


def test_events_that_cannot_be_written_do_not_stop_the_guard_but_are_said() -> None:
    with Outputs(None, "/dev/full", taken=()) as outputs:
        outputs.event(EVENT)
        outputs.event(EVENT)
        with pytest.raises(LostError, match="not every event"):
            outputs.check()


def test_a_report_that_cannot_be_written_at_the_end_is_said(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Outputs(str(folder / "report.json"), None, taken=()) as outputs:
        next(folder.glob("report.json.*.part")).unlink()
        folder.rmdir()
        with pytest.raises(LostError, match="report"):
            outputs.report(report())


@pytest.mark.parametrize(
    "change",
    [{"should_cover": False}, {"should_mute": False}, {"should_interrupt": True}, {"kind": "end",
     "state": "live", "should_cover": False}, {"state": "interrupted"}, {"state": "live"}],
)  # fmt: skip
def test_no_event_line_lifts_what_its_state_covers(change: dict[str, object]) -> None:
    line = {**EVENT.as_json(), **change}
    assert EventLine.model_validate(EVENT.as_json()).should_cover
    with pytest.raises(ValidationError, match="as the state says"):
        EventLine.model_validate(line)
