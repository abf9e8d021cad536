"""Promise 2, by the hundred: whatever breaks, nothing unjudged leaves (``make faults``: more).

The ledger at the sink is itself held to what it must find.
"""

from __future__ import annotations

import os
import sys
import time
from fractions import Fraction

import pytest
from tests.faults import campaign, kinds, pictures, stream
from tests.faults.kinds import Planned
from tests.faults.ledger import Ledger, Shown
from tests.faults.pictures import Blocks, Truth
from tests.judge.stub_judge import Order

from safelight.core import release
from safelight.core.gate import BlockGate
from safelight.judge.judge import Answer
from safelight.types import (
    NS_PER_MS,
    Action,
    Binding,
    CardText,
    Evidence,
    Frame,
    Picture,
    Reason,
    SafeFrame,
    Scores,
    Token,
    Verdict,
)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the judge is isolated on Linux")
SEED = int(os.environ.get("SAFELIGHT_FAULTS_SEED", "3"))
STEP = 33 * NS_PER_MS
BLOCKS = Blocks(1)
GOOD = Scores(0.01, None, ("frame",))


@on_linux
@pytest.mark.slow
def test_a_hundred_faults_leak_nothing() -> None:
    found = campaign.run(SEED, 100, real=False, jobs=4)
    assert found.leaks == []
    assert found.broken == []
    assert found.unjudged_released == 0
    assert found.injected >= 100
    assert len(found.counts) >= 10
    assert found.total.released > found.injected  # a guard that releases nothing shows nothing


@on_linux
@pytest.mark.slow
def test_the_real_detectors_leak_nothing_either() -> None:
    faults = tuple(
        Planned(what, 14, 2, True, Order.CLEAR)
        for what in (kinds.Outside.SIGKILL, Order.WRONG_TOKEN, kinds.Outside.SIGSTOP, Order.NAN)
    )
    outcome = stream.run(stream.Plan("fixed", "file", True, 15, 1, faults))
    assert outcome.leaks == []
    assert outcome.broken is None
    assert outcome.misses == 0
    assert sum(count.injected for count in outcome.counts.values()) == len(faults)


def test_the_kinds_are_many_and_have_names() -> None:
    assert len(kinds.ALL) >= 10
    assert len({kinds.name(what) for what in kinds.ALL}) == len(kinds.ALL)


# --- the pictures ----------------------------------------------------------------------------


def drawn(number: int, truth: Truth = Truth.CLEAR, artist: Blocks = BLOCKS) -> Picture:
    order = Order.CLEAR if truth is Truth.CLEAR else Order.ABSENT
    return artist.draw(number, truth, order, artist.forms[0])


def test_nothing_may_inherit_from_or_to_a_marked_picture() -> None:
    gate = BlockGate()
    marked = [drawn(number, Truth.NEVER) for number in range(6)]
    others = [drawn(number) for number in range(40)]
    for one in marked:
        rest = [other for other in (*marked, *others) if other is not one]
        assert not any(gate.compare(one, other).close for other in rest)


def test_clear_pictures_do_inherit() -> None:
    gate = BlockGate()
    moving = gate.compare(drawn(1), drawn(5))
    assert moving.close
    assert not moving.still
    slow = Blocks(6)
    assert gate.compare(drawn(6, artist=slow), drawn(7, artist=slow)).still


def test_a_mark_is_read_and_a_card_has_none() -> None:
    assert pictures.read(drawn(7, Truth.NEVER)) == (7, Truth.NEVER)
    safe = release.lone_card(BLOCKS.forms[0], 0, CardText("test", "Video paused"))
    assert isinstance(safe.content, Picture)
    assert pictures.read(safe.content) is None


# --- the ledger ------------------------------------------------------------------------------


class Scene:
    """A ledger that was shown pictures, asked and answered as a test says."""

    def __init__(self, *truths: Truth, live: bool = True, artist: Blocks = BLOCKS) -> None:
        self.ledger = Ledger(live, ("frame",))
        self.pictures = [drawn(n, truth, artist) for n, truth in enumerate(truths)]
        self.start_ns = time.monotonic_ns()
        for number, picture in enumerate(self.pictures):
            self.ledger.shows(
                number,
                Shown(
                    truths[number],
                    artist.look(number),
                    self.start_ns,
                    number * STEP,
                    pictures.digest(picture),
                    0,
                ),
            )

    def asked(self, *numbers: int) -> Scene:
        for number in numbers:
            self.ledger.asks(Token(1, number, 9), self.pictures[number])
        return self

    def answered(self, *numbers: int, evidence: Evidence = GOOD) -> Scene:
        self.asked(*numbers)
        for number in numbers:
            self.ledger.hears(Answer(Token(1, number, 9), evidence))
        return self

    def leaves(self, *numbers: int, content: Picture | None = None) -> list[int]:
        for number in numbers:
            self.ledger.arrives(self.released(number, content or self.pictures[number]))
        self.ledger.settle()
        return [number for number, _ in self.ledger.leaks]

    @staticmethod
    def released(number: int, content: Picture) -> SafeFrame:
        frame = Frame(number, number * 33, Fraction(1, 1000), 0, content)
        token = Token(1, number, 9)
        rests_on = ((token, GOOD),)
        verdict = Verdict(token, Action.RELEASE, Reason.CLEAR, Binding.JUDGED, rests_on, 1 << 62)
        return release.picture(frame, verdict, 0, CardText("test", "Video paused"))


CLEAR, NEVER, DOUBTFUL, CANARY = Truth
SIX = (CLEAR,) * 6


def test_what_was_judged_or_lies_between_may_leave() -> None:
    scene = Scene(*SIX).answered(0, 5)
    assert scene.leaves(*range(6)) == []
    assert Scene(*SIX, artist=Blocks(6)).answered(0).leaves(*range(6)) == []


@pytest.mark.parametrize("truth", [NEVER, DOUBTFUL, CANARY, CLEAR])
def test_what_nobody_judged_is_a_leak(truth: Truth) -> None:
    assert Scene(truth).asked(0).leaves(0) == [0]


def test_what_no_honest_judge_called_clear_is_a_leak_whoever_did() -> None:
    assert Scene(NEVER).answered(0).leaves(0) == [0]


def test_a_canary_that_the_network_calls_clear_is_a_miss_and_no_leak() -> None:
    scene = Scene(CANARY).answered(0)
    assert scene.leaves(0) == []
    assert scene.ledger.misses == 1


def test_what_lies_across_a_marked_picture_is_a_leak() -> None:
    scene = Scene(CLEAR, CLEAR, NEVER, CLEAR).answered(0, 3).asked(2)
    assert scene.leaves(1, 2) == [2, 1]
    scene = Scene(*SIX, NEVER, CLEAR, artist=Blocks(9)).answered(0).asked(6)
    assert scene.leaves(7) == [7]


def test_what_lies_across_a_marked_picture_that_never_came_in_may_leave() -> None:
    scene = Scene(CLEAR, CLEAR, NEVER, CLEAR).answered(0, 3)
    assert scene.leaves(1) == []
    looked_at = Scene(CLEAR, CLEAR, NEVER, CLEAR).answered(0, 3).asked(2)
    assert looked_at.leaves(1) == [1]
    covered = Scene(CLEAR, CLEAR, NEVER, CLEAR).answered(0, 3)
    covered.ledger.carded.add(2)
    assert covered.leaves(1) == [1]


@pytest.mark.parametrize(
    "evidence",
    [
        Scores(float("nan"), None, ("frame",)),
        Scores(-0.1, None, ("frame",)),
        Scores(0.9, None, ("frame",)),
        Scores(0.01, None, ()),
        Scores(0.01, float("nan"), ("frame",)),
    ],
)
def test_an_answer_that_is_none_permits_nothing(evidence: Evidence) -> None:
    assert Scene(CLEAR).answered(0, evidence=evidence).leaves(0) == [0]


def test_an_answer_after_the_end_of_its_judge_permits_nothing() -> None:
    scene = Scene(CLEAR).asked(0)
    scene.ledger.voids()
    scene.ledger.hears(Answer(Token(1, 0, 9), GOOD))
    assert scene.leaves(0) == [0]


def test_an_answer_that_comes_too_late_permits_nothing() -> None:
    scene = Scene(CLEAR)
    shown = scene.ledger.shown[0]
    early = Shown(CLEAR, 0, shown.arrived_ns - 800 * NS_PER_MS, 0, shown.digest, 0)
    scene.ledger.shows(0, early)
    assert scene.answered(0).leaves(0) == [0]


def test_what_is_changed_or_leaves_twice_or_is_not_the_sources_is_a_leak() -> None:
    scene = Scene(CLEAR, CLEAR).answered(0, 1)
    own = scene.pictures[0]
    brighter = own.y.copy()
    brighter[20, 20] += 1
    assert scene.leaves(0, content=Picture(own.format, brighter, own.u, own.v)) == [0]
    assert scene.leaves(1, 0) == [0, 0]
    blank = Scene.released(1, Picture(own.format, own.y, own.v, own.v))
    scene.ledger.arrives(blank)
    assert [number for number, _ in scene.ledger.leaks] == [0, 0, -1]


def test_cards_that_differ_are_a_leak() -> None:
    scene = Scene(CLEAR)
    for words in ("Video paused", "Video paused."):
        scene.ledger.arrives(release.lone_card(BLOCKS.forms[0], 0, CardText("test", words)))
    assert [number for number, _ in scene.ledger.leaks] == [-1]
