"""Neither a corpus's author nor a guard with a fault can make figures look better than they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.evaluation import planted
from tests.evaluation.planted import Stub, corpus, item, plan

from safelight.errors import UsageError
from safelight.evaluation import evaluating, evaluation, stretches
from safelight.evaluation.evaluating import Plan
from safelight.evaluation.evaluation import Evaluation
from safelight.evaluation.manifest import Item, Span
from safelight.evaluation.stretches import Left, Stretch
from safelight.evaluation_door import Looked
from safelight.types import Absent, AbsentReason, Action, Evidence, Picture, Reason


def evaluated(made: Plan) -> Evaluation:
    return evaluation.of(evaluating.run(made), "test")


def standing(number: int, *spans: tuple[float, float], **more: Any) -> Item:
    """Return a drawn scene of which somebody says that it must be covered, from when to when."""
    made = item(number, None, "a", **more)
    said = tuple(Span(from_s=a, to_s=b) for a, b in spans)
    return made.model_copy(update={"stimulus": "stand_in", "must_cover": said})


# --- stretches ------------------------------------------------------------------------------------


def left(*said: tuple[float, Action, Reason]) -> list[Left]:
    return [Left(at, action is Action.RELEASE, action, reason) for at, action, reason in said]


OUT = (Action.RELEASE, Reason.CLEAR)
FOUND = (Action.COVER, Reason.SEXUAL_CONTENT)
STOPPED = (Action.INTERRUPT, Reason.SEXUAL_CONTENT)
FAULT = (Action.COVER, Reason.NO_VERDICT)
SPAN = (Span(from_s=1.0, to_s=2.0),)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(0.0, *OUT), (1.0, *OUT), (1.5, *FOUND)], (2, False, 0.5, None)),
        ([(0.0, *OUT), (1.2, *OUT), (1.5, *STOPPED)], (2, False, 0.3, 0.3)),
        # A judge that died covers, and has found nothing.
        ([(0.0, *OUT), (1.0, *FAULT), (1.5, *FAULT)], (2, False, None, None)),
        # A cover that came when it was over is none of it.
        ([(0.0, *OUT), (1.0, *OUT), (2.0, *FOUND), (9.0, *STOPPED)], (1, False, None, None)),
        ([(0.0, *FAULT), (1.0, *FOUND)], (1, True, 0.0, None)),
        ([(0.0, *OUT)], (0, False, None, None)),
        # It began with the film: closed, as every stream does.
        ([(1.0, Action.COVER, Reason.STARTING), (1.1, *OUT)], (2, False, None, None)),
    ],
)
def test_what_counts_as_covered(said: Any, expected: tuple[Any, ...]) -> None:
    names = ("pictures", "dark_before", "cover_delay_s", "interrupt_delay_s")
    assert stretches.of(left(*said), SPAN) == (Stretch(**dict(zip(names, expected, strict=True))),)


# --- the whole way --------------------------------------------------------------------------------


class Silent(Stub):
    """Gives no evidence of canaries: the guard covers them, and has found nothing."""

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:
        if self.score(picture) > 0.5:
            return Absent(AbsentReason.FAULT)
        return super().infer(picture, views)

    def look(self, picture: Picture, *, ages: bool = False) -> Looked:
        said = super().look(picture, ages=ages)
        return said if (said.sexual or 0) < 0.5 else Looked(None, said.faces)


@pytest.mark.slow
def test_covers_for_want_of_an_answer_find_nothing() -> None:
    result = evaluated(plan(corpus(item(0, "card", "a")), stub=Silent, looker=Silent))
    assert result.figure("missed_spans.canary").value == 1
    assert result.figure("misses.canary").value == 0
    assert result.figure("otherwise_covered.canary").value == 1
    assert result.figure("time_to_cover_s.canary").said == "not measured"
    # Nor does a detector by itself gain by saying nothing of what is hard.
    assert result.figure("auc").value == 0
    kinds = sorted(fault.kind for fault in result.faults)
    assert kinds == ["absent evidence", "fault of the guard"]


@pytest.mark.slow
def test_a_blind_detector_misses_what_fills_a_film_from_its_first_picture() -> None:
    """A stream starts closed: that must not pass for a cover."""
    result = evaluated(plan(corpus(standing(0, (0.0, 1e9)), standing(1, (0.0, 1e9)))))
    assert result.figure("missed_spans.stand_in").value == 1
    assert result.figure("misses.stand_in").value == 1


@pytest.mark.slow
def test_a_guard_that_is_always_dark_covers_no_stretch_that_begins_later() -> None:
    def dark() -> Stub:
        return Stub(benign=0.9)

    result = evaluated(plan(corpus(item(0, "card", "a"), item(1, "card", "a")), stub=dark))
    assert result.figure("missed_spans.canary").said == "not measured"
    assert result.figure("dark_spans.canary").value == 2
    assert [g for g in result.groups if g.id.startswith("covered")] == []


@pytest.mark.slow
def test_a_stretch_without_a_picture_is_named_and_not_counted() -> None:
    result = evaluated(plan(corpus(standing(0, (500.0, 501.0)), standing(1, (0.0, 1.0)))))
    assert [(fault.kind, fault.item) for fault in result.faults] == [("empty stretch", 0)]
    assert result.figure("items_without_result").value == 1


@pytest.mark.slow
def test_the_time_after_a_false_interruption_is_no_time_without_one() -> None:
    """A long film stopped in its first seconds must not pass for a long time without a stop."""
    long = item(0, None, "a")
    drawing = long.drawing
    assert drawing is not None
    long = long.model_copy(update={"drawing": drawing.model_copy(update={"after_s": 20.0})})
    result = evaluated(plan(corpus(long), stub=lambda: Stub(benign=0.99)))
    rate = result.figure("false_interruptions_per_hour")
    assert rate.events == 1
    assert rate.n * 3600 < 10
    assert result.figure("false_cover_s_per_hour").n * 3600 == pytest.approx(21.0, abs=0.1)
    assert "after an interruption" in rate.note


@pytest.mark.slow
def test_what_is_left_out_is_said_first(tmp_path: Path) -> None:
    gone = item(0, None, "a").model_copy(update={"drawing": None, "file": "gone.mkv"})
    unknown = item(1, None, "a", sexual_content="unknown")
    result = evaluated(plan(corpus(gone, unknown, item(2, None, "a")), folder=tmp_path))
    first = result.system[0]
    assert (first.id, first.value, first.n) == ("items_without_result", 1, 3)
    assert result.figure("items_of_unknown_truth").value == 1


def test_a_run_of_which_no_file_is_there_never_began(tmp_path: Path) -> None:
    gone = item(0, None, "a").model_copy(update={"drawing": None, "file": "gone.mkv"})
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UsageError, match="none of the corpus's files is there"):
        evaluated(plan(corpus(gone), folder=tmp_path, out=out))
    assert not list(out.iterdir())


@pytest.mark.slow
def test_every_label_that_a_corpus_may_say_makes_a_figure() -> None:
    bands = ["0-12", "13-15", "16-17", "18-24", "25-39", "40-59", "60+", "adult", "unknown"]
    items = [
        item(i, None, "a", age_band=band, age_years=60.0, groups={"sex": "x_y-1"})
        for i, band in enumerate(bands)
    ]
    result = evaluated(plan(corpus(*items)))
    assert result.figure("darkened.age_band.60-plus").n == 1
    assert result.figure("darkened.sex.x_y-1").n == len(bands)
    assert result.figure("age_mae").said == "measured"


@pytest.mark.slow
def test_many_of_one_kind_do_not_make_two_of_the_other_enough() -> None:
    items = [item(i, "card", "a", canary_s=0.5) for i in range(25)]
    benign = item(40, None, "b", cluster="a-0")
    result = evaluated(plan(corpus(*items, benign)))
    # Every film with a canary holds benign pictures too: 25 clusters of either kind.
    assert result.figure("auc").clusters == 25
    few = evaluated(
        plan(corpus(*(standing(i, (0.0, 1e9)) for i in range(25)), item(40, None, "b")))
    )
    for name in ("fpr_at_0.5", "auc", "brier"):
        figure = few.figure(name)
        assert (figure.clusters, figure.low) == (1, None), name
        assert "too few" in figure.note


@pytest.mark.slow
def test_every_figure_says_its_n_and_its_interval_or_why_there_is_none() -> None:
    """Only counts and descriptions stand alone."""
    counts = {
        "items_without_result", "system_leaks", "gate_leaks", "streamed_hours", "dropped_pictures",
        "absent_evidence", "items_of_unknown_truth", "highest_benign_score", "dark_spans.canary",
        "had_to_be_covered.canary",
    }  # fmt: skip
    items = [item(i, "card" if i % 2 else None, f"g{i % 3}") for i in range(8)]
    result = evaluated(plan(corpus(*items)))
    for figure in (*result.system, *result.detector, *result.ages, *result.groups):
        if figure.said == "measured" and figure.id not in counts:
            assert figure.n > 0, figure.id
            has = figure.low is not None and figure.high is not None and bool(figure.method)
            assert has or "too few" in figure.note, figure.id


def test_the_stubs_are_what_they_say() -> None:
    shown = planted.shown("card")
    assert Silent().look(shown).sexual is None
    assert Stub().look(shown).sexual == 0.99
