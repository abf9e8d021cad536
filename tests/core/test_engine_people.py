"""What people meet, told as stories: interruptions, resumes, flashes."""

from __future__ import annotations

import dataclasses
import itertools

from tests.core.simulate import Stream, arrivals
from tests.core.story import (
    CALL,
    FILE,
    engine,
    film,
    interrupted,
    moving,
    opened,
    say,
    watching,
)

from safelight.core.stream import CoolDown
from safelight.testing.fakes import scores
from safelight.testing.playbook import picture
from safelight.types import (
    NS_PER_MS,
    NS_PER_S,
    Action,
    BundleChanged,
    CoolDownStarted,
    Discontinuity,
    EmitCard,
    Evidence,
    Fault,
    FaultKind,
    Gap,
    Picture,
    Record,
    Resume,
    ResumeRefused,
    State,
    StreamStarted,
    Tick,
)

# --- interruption, resume -----------------------------------------------------------------


def test_an_interruption_is_left_only_by_a_resume_past_its_cool_down() -> None:
    book = interrupted()
    began = [c.note for c in book.commands if isinstance(c, Record)]
    until = next(n.until_ns for n in began if isinstance(n, CoolDownStarted))
    first = max(book.asked) + 50
    before = len(book.told)
    for seq in range(first, first + 20):  # nothing is even looked at
        book.feed(picture(seq, "A", seq * 40))
        book.feed(Tick((seq * 40 + 39) * NS_PER_MS))
    book.feed(BundleChanged(book.now_ns))
    book.feed(Discontinuity(book.now_ns, Gap.SUSPEND))
    book.feed(Fault(book.now_ns, FaultKind.JUDGE))
    book.feed(StreamStarted(book.now_ns))
    book.feed(Resume(until - 1))
    assert Record(ResumeRefused(until)) in book.commands
    told = [t for t in book.told[before:] if not t.startswith("note")]
    assert all(t.startswith(("interrupt ", "resume refused", "card")) for t in told), told
    book.feed(Resume(until))
    assert book.engine.state is State.PENDING
    assert book.engine.outstanding == 0


def test_limits_are_tighter_after_an_interruption() -> None:
    """7 nats do not interrupt a fresh stream, and do with a cool-down behind it."""

    def reach(level: int) -> State:
        made = engine(FILE, CoolDown(level, 0))
        frames = film(moving(30) + "S" * 30)  # two samples of 4 nats
        Stream(made, say).patient(arrivals(frames))
        return made.state

    assert reach(0) is State.COVERED
    assert reach(2) is State.INTERRUPTED


# --- viewers ------------------------------------------------------------------------------


def test_at_most_three_changes_a_second() -> None:
    """Even where every third answer is missing: the lift waits, the cover never does."""
    made = engine(CALL)
    oracle = watching(CALL)
    count = iter(range(10_000))

    def flaky(_: Picture) -> Evidence:
        return scores(float("nan")) if next(count) % 5 == 4 else scores(0.0)

    log = Stream(made, flaky, oracle=oracle).live(arrivals(film("ADEF" * 100)))
    changes = [
        c.now_ns
        for p, c in itertools.pairwise(log.states)
        if State.LIVE in (p.state, c.state) and p.state is not c.state
    ]
    assert changes
    for at in changes:
        assert len([t for t in changes if at <= t < at + NS_PER_S]) <= 3


def test_time_stamps_that_jump_do_not_make_a_live_stream_flicker() -> None:
    made = engine(CALL)
    oracle = watching(CALL)  # which counts the changes
    frames = []
    for seq, frame in enumerate(film("A" * 120)):
        pts_ns = frame.pts + (seq // 8) * 5 * NS_PER_S  # a jump every eighth frame
        frames.append(dataclasses.replace(frame, pts=pts_ns))
    Stream(made, say, oracle=oracle).live(arrivals(frames))


def test_a_source_that_stalls_gets_a_card_then_one_a_second() -> None:
    book = opened()
    for _ in range(40):
        wake = book.engine.wake_ns()
        assert wake is not None
        if wake > 6 * NS_PER_S:
            break
        book.feed(Tick(wake))
    cards = [c for c in book.commands if isinstance(c, EmitCard)]
    assert all(card.action is Action.COVER for card in cards)
    gaps = [b.pts_ns - a.pts_ns for a, b in itertools.pairwise(cards)]
    assert gaps
    assert set(gaps) == {NS_PER_S}
    assert cards[0].pts_ns == 11 * 40 * NS_PER_MS + 2 * NS_PER_S
