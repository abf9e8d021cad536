"""Planted faults are found and named, and what is there is counted as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.evaluation import planted
from tests.evaluation.planted import Stub, corpus, item, plan

from safelight import opening
from safelight.core.gate import BlockGate, Likeness
from safelight.evaluation import evaluating, evaluation, protocol
from safelight.evaluation.evaluation import Evaluation
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Item
from safelight.testing import scenes
from safelight.testing.film import Film
from safelight.types import Picture

pytestmark = pytest.mark.slow

BOTH = [item(i, name, name) for name in ("card", "cup") for i in range(6)]
BENIGN = [item(i, None, "street") for i in range(3)]


def evaluated(made: evaluating.Plan) -> Evaluation:
    return evaluation.of(evaluating.run(made), "test")


def named(result: Evaluation, kind: str) -> list[str]:
    return [fault.what for fault in result.faults if fault.kind == kind]


def test_a_guard_that_works_shows_no_fault() -> None:
    result = evaluated(plan(corpus(*BOTH, *BENIGN)))
    assert result.faults == ()
    assert result.figure("system_leaks").value == 0
    assert result.figure("missed_spans.canary").events == 0
    assert result.figure("time_to_cover_s.canary").value == 0
    assert result.figure("false_interruptions_per_hour").value == 0
    assert result.figure("availability").value == 1
    assert result.figure("misses.real").said == "not measured"
    assert result.figure("auc").value == 1
    hours = sum(1.3 + i / 10 for i in range(3)) / 3600
    assert result.figure("false_interruptions_per_hour").n == pytest.approx(hours, rel=1e-4)


def test_a_detector_that_misses_one_group_is_named() -> None:
    result = evaluated(plan(corpus(*BOTH, *BENIGN), stub=lambda: Stub(missed=("cup",))))
    assert named(result, "group missed") == [
        "kind = cup: 0 of 6 clusters covered, of the others 6 of 6"
    ]
    assert result.figure("covered.kind.cup.difference").value == -1
    # The stub that looks again knows them: so the guard let out what its score would cover.
    assert len(named(result, "system leak")) == 6


def test_what_no_detector_sees_is_a_miss_and_no_leak() -> None:
    def blind() -> Stub:
        return Stub(missed=("card", "cup"))

    result = evaluated(plan(corpus(*BOTH), stub=blind, looker=blind))
    assert result.figure("system_leaks").value == 0
    assert result.figure("misses.canary").value == 1
    assert result.figure("missed_spans.canary").value == 1
    assert result.figure("time_to_cover_s.canary").said == "not measured"


def test_a_gate_that_leaks_three_frames_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaky(BlockGate):
        def compare(self, a: Picture, b: Picture) -> Likeness:
            if any(planted.is_canary(p, "card") for p in (a, b)):
                return Likeness(True, 0, 0, 0, 0, 0)
            return super().compare(a, b)

    monkeypatch.setattr(opening, "BlockGate", Leaky)
    # With this seed no random audit falls on the three; with others one does, and ends it.
    made = corpus(item(0, "card", "a", canary_s=0.3), item(1, None, "b"))
    result = evaluated(plan(made, setup=Setup(seed=2)))
    (what,) = named(result, "gate leak")
    assert what == "3 pictures left as still or bracketed that their own score covers"
    assert result.figure("gate_leaks").value == 3
    assert result.figure("system_leaks").value == 0
    assert result.figure("time_to_cover_s.canary").said == "not measured"


def test_false_covers_are_counted_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluated(plan(corpus(*BENIGN), stub=lambda: Stub(benign=0.6)))
    assert result.figure("availability").value == 0
    assert result.figure("false_cover_s_per_hour").value == pytest.approx(3600)
    assert result.figure("benign_items_covered_per_hour").events == 3


def file_item(name: str, **more: object) -> Item:
    said = {**planted.BASE, "groups": {}, "cluster": name.split(".", maxsplit=1)[0], **more}
    return Item.model_validate({"file": name, "stimulus": "none", **said})


def test_a_corrupt_video_a_copy_and_a_bad_licence_are_named(tmp_path: Path) -> None:
    with Film(tmp_path / "whole.mp4", (128, 72), rate=10) as film:
        for index in range(20):
            film.add(scenes.scene(index / 10, (128, 72)))
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "copy.mp4").write_bytes(content)
    (tmp_path / "broken.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    result = evaluated(
        plan(
            corpus(
                file_item("whole.mp4", pictures=20),
                file_item("copy.mp4"),
                file_item("broken.mp4"),
                file_item("noise.mp4"),
                item(0, None, "a", rights="unknown"),
            ),
            folder=tmp_path,
        )
    )
    assert [(fault.item, fault.kind) for fault in result.faults] == [
        (1, "duplicated clip"),
        (4, "unknown licence"),
        (2, "corrupt video"),
        (3, "corrupt video"),
    ]
    assert result.corpus.used == 1


def test_a_film_with_pictures_missing_is_named(tmp_path: Path) -> None:
    with Film(tmp_path / "a.mp4", (128, 72), rate=10) as film:
        for index in range(12):
            film.add(scenes.scene(index / 10, (128, 72)))
    result = evaluated(plan(corpus(file_item("a.mp4", pictures=13)), folder=tmp_path))
    assert named(result, "corrupt video") == ["12 pictures came of 13"]


# --- protocol, resuming, repeating ----------------------------------------------------------------


def test_two_runs_are_the_same_but_for_timing() -> None:
    made = corpus(*BOTH[:3], *BENIGN)
    one, other = (
        evaluated(plan(made, jobs=jobs)).model_dump(exclude={"timing"}) for jobs in (1, 3)
    )
    assert one == other


def test_a_run_that_broke_goes_on_where_it_stopped(tmp_path: Path) -> None:
    made = corpus(*BENIGN)
    whole = evaluated(plan(made))

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluating.run(plan(made, out=tmp_path), stop)
    # The last line was torn as it was written.
    progress = tmp_path / "progress.jsonl"
    progress.write_text(progress.read_text("utf-8")[:-30], "utf-8")
    todo: list[int] = []
    ran = evaluating.run(plan(made, out=tmp_path), lambda _, total: todo.append(total))
    assert todo[0] == 2
    assert ran.post_hoc == ()
    again = evaluation.of(ran, "test")
    assert again.model_dump(exclude={"timing"}) == whole.model_dump(exclude={"timing"})


def test_a_changed_protocol_is_marked_post_hoc_and_begins_again(tmp_path: Path) -> None:
    made = corpus(*BENIGN[:2])
    evaluating.run(plan(made, out=tmp_path))
    todo: list[int] = []
    ran = evaluating.run(
        plan(made, out=tmp_path, setup=Setup(seed=2)), lambda _, total: todo.append(total)
    )
    assert [(c.what, c.before, c.after) for c in ran.post_hoc] == [("seed", "1", "2")]
    assert todo[0] == 2
    # To begin the changed one again takes no mark away, nor does going back.
    again = evaluating.run(plan(made, out=tmp_path, setup=Setup(seed=2)))
    assert [c.what for c in again.post_hoc] == ["seed"]
    back = evaluating.run(plan(made, out=tmp_path))
    assert [c.what for c in back.post_hoc] == ["seed"]


def test_a_run_does_not_go_on_with_the_results_of_another_build_or_of_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Film(tmp_path / "a.mp4", (128, 72), rate=10) as film:
        for index in range(12):
            film.add(scenes.scene(index / 10, (128, 72)))
    made, out = corpus(file_item("a.mp4")), tmp_path / "out"
    todo: list[int] = []
    out.mkdir()

    def again() -> list[str]:
        todo.clear()
        ran = evaluating.run(plan(made, out=out, folder=tmp_path), lambda _, n: todo.append(n))
        return [changed.what for changed in ran.post_hoc]

    assert (again(), todo[0]) == ([], 1)
    assert (again(), todo[0]) == ([], 0)
    os.utime(tmp_path / "a.mp4", ns=(1, 1))
    assert (again(), todo[0]) == (["files of the corpus"], 1)
    monkeypatch.setattr(protocol, "build", lambda: "another")
    assert (again(), todo[0]) == (["build", "files of the corpus"], 1)


def test_the_protocol_is_written_before_the_first_item(tmp_path: Path) -> None:
    def at_once(_done: int, _all: int) -> None:
        assert (tmp_path / "protocol.json").is_file()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluating.run(plan(corpus(*BENIGN), out=tmp_path), at_once)
