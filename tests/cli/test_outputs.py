"""Reports and events: tried before anything runs, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from safelight import Reason, Report, State, StreamEvent
from safelight.cli.event_line import EventLine
from safelight.cli.outputs import Outputs
from safelight.errors import LostError, UsageError
from safelight.report import BundlePart, Head, PolicyPart, Tally, assemble
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
        policy=PolicyPart(name="protect", adults_affirmed=False),
        bundle=BundlePart(id="b", version=1, sha256="0", purpose="test", test=True),
        direction="outgoing",
    )
    return assemble(Tally(), 0, outcome="ended", judge_cpu_s=0.0, dropped=(), head=head)


def test_a_report_is_there_at_the_end_and_nothing_before(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with Outputs(str(path), None, taken=()) as outputs:
        assert not path.exists()
        outputs.report(report())
    assert Report.model_validate_json(path.read_text()).outcome == "ended"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


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


def test_one_file_cannot_be_both(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    with pytest.raises(UsageError, match="same file"), Outputs(path, path, taken=()):
        pass


def test_events_are_lines_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "events"
    with Outputs(None, str(path), taken=()) as outputs:
        outputs.event(EVENT)
        outputs.event(EVENT)
        written = [EventLine.model_validate_json(line) for line in path.read_text().splitlines()]
        outputs.check()
    assert [line.state for line in written] == ["covered", "covered"]
    assert written[0].should_cover
    assert written[0].card is not None


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
        (folder / "report.json.part").unlink()
        folder.rmdir()
        with pytest.raises(LostError, match="report"):
            outputs.report(report())
