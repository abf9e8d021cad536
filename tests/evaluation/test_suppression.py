"""Small cells do not leave, and nothing that would give one away does."""

from __future__ import annotations

import pytest

from safelight.evaluation import figures, suppression
from safelight.evaluation.figures import Figure


def cell(name: str, events: int, n: int) -> Figure:
    return figures.proportion(name, name, events, n, "clusters")


def hidden(*found: Figure) -> set[str]:
    """What was taken out, with its name: that would say that there is such a thing."""
    return {figure.id for figure in found} - {figure.id for figure in suppression.table(found)}


@pytest.mark.parametrize(("events", "n"), [(0, 9), (9, 9), (3, 40), (37, 40), (1, 10)])
def test_a_small_cell_is_taken_out(events: int, n: int) -> None:
    assert hidden(cell("covered.sex.a", events, n)) == {"covered.sex.a"}


@pytest.mark.parametrize(("events", "n"), [(0, 10), (10, 10), (10, 40), (20, 40)])
def test_a_large_one_stays(events: int, n: int) -> None:
    assert hidden(cell("covered.sex.a", events, n)) == set()


def test_a_lone_small_cell_takes_the_next_smallest_with_it() -> None:
    cells = [
        cell("covered.sex.a", 3, 40),
        cell("covered.sex.b", 20, 60),
        cell("covered.sex.c", 30, 90),
    ]
    assert hidden(*cells) == {"covered.sex.a", "covered.sex.b"}
    # Another table is not touched by it.
    other = cell("covered.scene.medical", 20, 40)
    assert hidden(*cells, other) == {"covered.sex.a", "covered.sex.b"}


def test_two_small_cells_need_a_third_if_they_are_small_together() -> None:
    third = cell("covered.sex.c", 30, 90)
    small = (cell("covered.sex.a", 3, 40), cell("covered.sex.b", 2, 60))
    # 5 events of all, less those of c, would be had by subtraction.
    assert hidden(*small, third) == {"covered.sex.a", "covered.sex.b", "covered.sex.c"}
    large = (cell("covered.sex.a", 7, 40), cell("covered.sex.b", 8, 60))
    assert hidden(*large, third) == {"covered.sex.a", "covered.sex.b"}


def test_a_difference_goes_with_its_table() -> None:
    apart = figures.difference("covered.sex.b.difference", "d", (20, 60), (3, 40), "clusters")
    assert "covered.sex.b.difference" in hidden(
        cell("covered.sex.a", 3, 40), cell("covered.sex.b", 20, 60), apart
    )


def test_what_is_one_items_own_never_leaves() -> None:
    highest = figures.plain("highest_benign_score", "h", 0.731, 5000, "pictures")
    delay = figures.plain(
        "time_to_cover_s.real", "t", 0.234, 400, "stretches", unit="s", note="From 0.1 to 9.3 s"
    )
    kept = suppression.aggregates([highest, delay], clusters=300, used=400)
    assert [figure.id for figure in kept] == ["time_to_cover_s.real"]
    assert kept[0].note == ""
    # A median is one item's own, to the last digit.
    assert kept[0].value == 0.2


def test_few_clusters_behind_many_pictures_are_few() -> None:
    many = figures.clustered("auc", "a", 0.93, 90_000, "pictures", clusters=9, found=None)
    (kept,) = suppression.aggregates([many], clusters=9, used=400)
    assert (kept.said, kept.value) == ("suppressed", None)
    assert "0.93" not in kept.model_dump_json()


def test_system_leaks_are_always_said() -> None:
    leaks = figures.plain("system_leaks", "s", 3, 517, "pictures")
    (kept,) = suppression.aggregates([leaks], clusters=2, used=2)
    assert (kept.value, kept.n) == (3, 520)
    # Of how many pictures is said as far as it tells of no film's length; a gate leak is a score.
    bound = figures.plain("gate_leaks", "g", 3, 517, "pictures")
    assert suppression.aggregates([bound], clusters=300, used=400)[0].said == "suppressed"


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (1, "suppressed"), (9, "suppressed"), (10, "10"), (49, "50")]
)
def test_counts(value: int, said: str) -> None:
    assert suppression.count(value) == said


def test_one_small_number_of_faults_hides_all() -> None:
    """The number used, and the rest of the faults, would give it away."""
    assert suppression.faults({"corrupt video": 1, "duplicated clip": 30}) == {"some": "suppressed"}
    assert suppression.faults({"corrupt video": 12, "duplicated clip": 30}) == {
        "corrupt video": "10",
        "duplicated clip": "30",
    }
    assert suppression.faults({}) == {}


@pytest.mark.parametrize(("events", "n"), [(10, 477), (11, 477), (14, 479), (10, 480)])
def test_one_item_more_or_less_does_not_show(events: int, n: int) -> None:
    (kept,) = suppression.aggregates([cell("missed_spans.real", events, n)], n, n)
    (same,) = suppression.aggregates([cell("missed_spans.real", 10, 480)], 480, 480)
    assert kept == same
    assert (kept.events, kept.n) == (10, 480)
    assert kept.value == pytest.approx(10 / 480, rel=1e-4)
    assert kept.low is not None


def test_nearly_all_is_not_said_to_be_all() -> None:
    for value, said in ((0.9996, 0.99), (0.0004, 0.01), (1.0, 1.0), (0.0, 0.0), (0.874, 0.87)):
        figure = figures.clustered("auc", "a", value, 5123, "pictures", clusters=314, found=None)
        (kept,) = suppression.aggregates([figure], clusters=314, used=400)
        assert (kept.value, kept.n, kept.clusters) == (said, 5100, 310)


def test_a_rate_is_made_anew_of_tens() -> None:
    rate = figures.rate("r", "r", 13, 101.7312, "hours", unit="an hour", clusters=57)
    (kept,) = suppression.aggregates([rate], clusters=57, used=400)
    assert (kept.events, kept.n, kept.clusters) == (10, 100, 60)
    assert kept.value == 0.1
    few = figures.rate("r", "r", 13, 101.7312, "hours", unit="an hour", clusters=3)
    assert suppression.aggregates([few], clusters=57, used=400)[0].said == "suppressed"
