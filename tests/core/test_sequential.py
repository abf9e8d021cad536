"""Evidence over time can only restrict (promise 2), and is the same on any machine."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.core.sequential import CAP_PERMILLE, Sequential, ratio
from safelight.testing.fakes import scores
from safelight.types import NS_PER_MS, Action, Calibration

PRIOR = Calibration(
    "uncalibrated prior", ((0, -2000), (200, -500), (500, 500), (800, 2000), (1000, 4000))
)
HALF_S = 500 * NS_PER_MS


def sequential(cover: int = 3000, interrupt: int = 10000) -> Sequential:
    return Sequential(PRIOR, cover, interrupt, HALF_S)


def test_the_ratio_goes_through_its_points_and_between_them_by_whole_numbers() -> None:
    for thousandths, expected in PRIOR.points:
        assert ratio(PRIOR, thousandths / 1000) == expected
    assert ratio(PRIOR, 0.1) == -1250
    assert ratio(PRIOR, 0.9) == 3000
    assert all(isinstance(ratio(PRIOR, s / 997), int) for s in range(998))


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_never_counts_for_less(a: float, b: float) -> None:
    assert ratio(PRIOR, min(a, b)) <= ratio(PRIOR, max(a, b))


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.floats(0, 1)), max_size=60))
def test_there_is_no_way_to_say_release(samples: list[tuple[int, float]]) -> None:
    running = sequential()
    for pts_ns, score in samples:
        running.sample(pts_ns, scores(score))
        assert running.restriction in {None, Action.COVER, Action.INTERRUPT}


def test_one_frame_alone_never_interrupts_and_neighbours_count_once() -> None:
    running = sequential()
    for index in range(15):  # half a second at 30 fps, less one frame
        running.sample(index * 33 * NS_PER_MS, scores(1.0))
    demanded = [running.restriction]
    for index in (1, 2):
        running.sample(index * HALF_S, scores(1.0))
        demanded.append(running.restriction)
    assert demanded == [Action.COVER, Action.COVER, Action.INTERRUPT]


def test_clear_frames_in_plenty_buy_no_credit() -> None:
    running = sequential()
    for index in range(1000):
        running.sample(index * HALF_S, scores(0.0))
    running.sample(1000 * HALF_S, scores(1.0))
    assert running.restriction is Action.COVER


def test_what_was_long_ago_drains_in_a_few_seconds() -> None:
    running = sequential()
    for index in range(1000):
        running.sample(index * HALF_S, scores(1.0))
    most = 10000 * CAP_PERMILLE // 1000
    needed = -(-(most - 3000) // 2000) + 1
    for index in range(1000, 1000 + needed):
        running.sample(index * HALF_S, scores(0.0))
    assert running.restriction is None


def test_time_that_runs_backwards_does_not_stop_the_counting() -> None:
    running = sequential()
    for pts_s in (100, 50, 10):
        running.sample(pts_s * 1_000_000_000, scores(1.0))
    assert running.restriction is Action.INTERRUPT


@pytest.mark.parametrize(("cover", "interrupt"), [(0, 10), (-1, 10), (11, 10), (0, 0)])
def test_limits_that_restrict_nothing_are_refused(cover: int, interrupt: int) -> None:
    with pytest.raises(ValueError, match="limits rise"):
        sequential(cover, interrupt)


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((0, -5),),
        ((0, 0), (999, 1)),
        ((1, 0), (1000, 1)),
        ((0, 0), (500, 1), (500, 2), (1000, 3)),
        ((0, 4000), (1000, -2000)),
    ],
)
def test_a_calibration_that_is_none_is_refused(points: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="score"):
        Sequential(Calibration("measured", points), 3000, 10000, HALF_S)


def test_every_thousandth_lies_between_its_neighbours() -> None:
    values = [ratio(PRIOR, s / 1000) for s in range(1001)]
    assert all(a <= b for a, b in itertools.pairwise(values))


@given(
    st.lists(st.tuples(st.integers(0, 8), st.floats(0, 1), st.booleans()), max_size=30),
)
def test_what_comes_too_late_only_ever_adds(said: list[tuple[int, float, bool]]) -> None:
    """Whatever is said late, and when: no less is demanded than without it."""
    order = [None, Action.COVER, Action.INTERRUPT]
    with_late, without = sequential(), sequential()
    at_ns = 0
    for step, score, late in said:
        at_ns += step * 100 * NS_PER_MS
        if late:
            with_late.sample_late(at_ns, scores(score))
        else:
            with_late.sample(at_ns, scores(score))
            without.sample(at_ns, scores(score))
        assert order.index(with_late.restriction) >= order.index(without.restriction)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_neighbours_count_once_whether_late_or_not(first: int, every: int) -> None:
    """Six tenths of a second of content, some of it answered too late, do not interrupt."""
    running = sequential()
    for index in range(18):
        late = index % every == first % every
        say = running.sample_late if late else running.sample
        say(index * 33 * NS_PER_MS, scores(1.0))
    assert running.restriction is Action.COVER
