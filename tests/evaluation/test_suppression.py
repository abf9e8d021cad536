"""Small cells do not leave, and nothing that would give one away does."""

from __future__ import annotations

import pytest

from safelight.evaluation import figures, suppression
from safelight.evaluation.figures import Figure


def cell(name: str, events: int, n: int) -> Figure:
    return figures.proportion(name, name, events, n, "clusters")


def hidden(*found: Figure) -> set[str]:
    return {figure.id for figure in suppression.table(found) if figure.said == "suppressed"}


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


def test_two_small_cells_need_no_third() -> None:
    cells = [
        cell("covered.sex.a", 3, 40),
        cell("covered.sex.b", 2, 60),
        cell("covered.sex.c", 30, 90),
    ]
    assert hidden(*cells) == {"covered.sex.a", "covered.sex.b"}


def test_a_difference_goes_with_its_table() -> None:
    apart = figures.difference("covered.sex.b.difference", "d", (20, 60), (3, 40), "clusters")
    assert "covered.sex.b.difference" in hidden(
        cell("covered.sex.a", 3, 40), cell("covered.sex.b", 20, 60), apart
    )


def test_what_is_one_items_own_never_leaves() -> None:
    highest = figures.plain("highest_benign_score", "h", 0.731, 5000, "pictures")
    delay = figures.plain("time_to_cover_s.real", "t", 0.2, 400, "items", note="From 0.1 to 9.3 s")
    kept = suppression.aggregates([highest, delay], clusters=300, used=400)
    assert [figure.id for figure in kept] == ["time_to_cover_s.real"]
    assert "9.3" not in kept[0].note


def test_few_clusters_behind_many_pictures_are_few() -> None:
    many = figures.clustered("auc", "a", 0.93, 90_000, "pictures", clusters=9, found=None)
    (kept,) = suppression.aggregates([many], clusters=9, used=400)
    assert (kept.said, kept.value) == ("suppressed", None)
    assert "0.93" not in kept.model_dump_json()


def test_system_leaks_are_always_said() -> None:
    leaks = figures.plain("system_leaks", "s", 3, 500, "pictures")
    assert suppression.aggregates([leaks], clusters=2, used=2) == (leaks,)


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (1, "suppressed"), (9, "suppressed"), (10, "10")]
)
def test_counts(value: int, said: str) -> None:
    assert suppression.count(value) == said
