"""A quicker network answers only where it is far below every limit, and only where it holds."""

from __future__ import annotations

import builtins
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from safelight.detect import views
from safelight.detect.bf16 import Bf16Network
from safelight.detect.detectors import Detectors
from safelight.detect.first_look import TOLERANCE, FirstLook
from safelight.detect.runtime import Floats, InferenceError
from safelight.testing import canary
from safelight.types import Scores, VerifiedBundle

BELOW = 0.08


class Says:
    """A network that says what it is told to, and takes its time."""

    def __init__(self, *scores: float, spends_s: float = 0.0) -> None:
        self._scores = list(scores)
        self._spends_s = spends_s
        self.asked = 0

    def run(self, batch: Floats) -> Floats:
        until = time.thread_time() + self._spends_s
        while time.thread_time() < until:
            pass
        score = self._scores[self.asked % len(self._scores)]
        self.asked += 1
        return np.array([[1 - score, score]], dtype=np.float32)


BATCH = np.zeros((1, 2, 2, 3), dtype=np.float32)


@pytest.mark.parametrize("said", [0.0, 0.01, 0.0799])
def test_far_below_every_limit_the_first_look_is_enough(said: float) -> None:
    exact = Says(0.9)
    rows = FirstLook(exact, Says(said), BELOW).run(BATCH)
    assert rows[0, 1] == np.float32(said)
    assert exact.asked == 0


@pytest.mark.parametrize(
    "said", [0.0801, 0.5, 1.0, float("nan"), float("inf"), -float("inf"), -0.5, 1.5]
)
def test_from_there_on_and_for_what_is_no_score_f32_answers(said: float) -> None:
    rows = FirstLook(Says(0.7), Says(said), BELOW).run(BATCH)
    assert rows[0, 1] == np.float32(0.7)


def test_a_first_look_that_is_no_probability_does_not_count() -> None:
    class Zeros:
        def run(self, batch: Floats) -> Floats:
            return np.zeros((1, 2), dtype=np.float32)

    assert FirstLook(Says(0.7), Zeros(), BELOW).run(BATCH)[0, 1] == np.float32(0.7)


def test_a_first_look_that_breaks_is_a_fault_and_no_answer() -> None:
    class Breaks:
        def run(self, batch: Floats) -> Floats:
            raise InferenceError("broke")

    with pytest.raises(InferenceError):
        FirstLook(Says(0.0), Breaks(), BELOW).run(BATCH)


SLOW = 0.004


@pytest.mark.parametrize(
    ("exact", "quick", "holds"),
    [
        (Says(0.0, 0.5, 1.0, spends_s=SLOW), Says(0.01, 0.4, 0.9), True),
        (Says(0.0, 0.5, 1.0, spends_s=SLOW), Says(0.0), False),  # zero to everything
        (Says(0.05, spends_s=SLOW), Says(0.05 - 2 * TOLERANCE), False),
        (Says(0.0, spends_s=SLOW), Says(2 * TOLERANCE), False),
        (Says(0.0, 1.0), Says(0.0, 1.0, spends_s=SLOW), False),  # nothing saved
    ],
)
def test_it_looks_first_only_where_it_agrees_and_saves_time(
    exact: Says, quick: Says, holds: bool
) -> None:
    assert FirstLook(exact, quick, BELOW).holds_here([BATCH] * 3) is holds


def test_what_computes_in_another_thread_is_not_free() -> None:
    class Elsewhere(Says):
        def run(self, batch: Floats) -> Floats:
            with ThreadPoolExecutor(1) as other:
                return other.submit(super().run, batch).result()

    exact = Says(0.0, spends_s=SLOW)
    assert not FirstLook(exact, Elsewhere(0.0, spends_s=2 * SLOW), BELOW).holds_here([BATCH] * 3)


@pytest.mark.parametrize("said", [0.5, float("nan")])
def test_what_never_counts_does_not_look_first(said: float) -> None:
    assert not FirstLook(Says(0.5, spends_s=SLOW), Says(said), BELOW).holds_here([BATCH] * 3)


def test_one_that_breaks_in_the_self_test_leaves_f32_alone() -> None:
    class Breaks:
        def run(self, batch: Floats) -> Floats:
            raise InferenceError("broke")

    assert not FirstLook(Says(0.0, spends_s=SLOW), Breaks(), BELOW).holds_here([BATCH] * 3)


@pytest.fixture(scope="module")
def looking(default_bundle: VerifiedBundle) -> Detectors:
    made = Detectors(default_bundle, first_look_below=BELOW)
    made.self_test()
    if not made.looks_first:
        pytest.skip("this processor has no bf16, or OpenVINO is not installed")
    return made


def test_what_it_lets_pass_is_what_f32_says(
    looking: Detectors, default_bundle: VerifiedBundle
) -> None:
    exact = Detectors(default_bundle)
    exact.self_test()
    assert not exact.looks_first
    clean = canary.clean("card").astype(np.float32)
    change = canary.load("card").astype(np.float32) - clean
    passed = 0
    for step in range(21):
        rgb = np.clip(np.rint(clean + change * (step / 20)), 0, 255).astype(np.uint8)
        picture = views.from_rgb(rgb)
        for view in ("reference", "whole"):
            said, truth = (made.infer(picture, (view,)) for made in (looking, exact))
            assert isinstance(said, Scores)
            assert isinstance(truth, Scores)
            if said == truth:
                continue
            passed += 1
            assert said.sexual < BELOW
            assert abs(said.sexual - truth.sexual) <= TOLERANCE
    assert passed >= 5  # it did look first


def test_without_openvino_there_is_none(
    default_bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "openvino":
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    made = Detectors(default_bundle, first_look_below=BELOW)
    made.self_test()
    assert not made.looks_first


def test_what_is_no_network_does_not_look_first() -> None:
    assert Bf16Network.load(b"", name="x", shape=(2, 2, 3), width=2) is None


def test_it_brings_nothing_that_reports_to_its_maker(looking: Detectors) -> None:
    assert looking.looks_first
    assert sys.modules["openvino_telemetry"] is None
