"""What breaks a stream, told as stories: gaps, faults, other bundles, the end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.core.simulate import Stream, arrivals
from tests.core.story import (
    CALL,
    FILE,
    LIVE,
    MOVING,
    MS,
    NEVER,
    engine,
    film,
    moving,
    opened,
    play,
    say,
    show,
    states,
    watching,
)

from safelight.core.limits import Limits
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import symbol
from safelight.testing.playbook import Playbook, picture
from safelight.types import (
    NS_PER_MS,
    NS_PER_S,
    AudioArrived,
    BundleChanged,
    Discontinuity,
    Drop,
    EmitCard,
    Fault,
    FaultKind,
    Frame,
    Gap,
    Outcome,
    PictureArrived,
    Reason,
    Record,
    Resume,
    Sound,
    SourceEnded,
    State,
    StateChanged,
    Stop,
    StreamStarted,
    Tick,
)

# --- breaks -------------------------------------------------------------------------------


BREAKS = {
    "backwards": lambda seq: picture(seq, "A", seq * 40 - 1000, seq * 40),
    "a jump": lambda seq: picture(seq, "A", seq * 40 + 2000, seq * 40),
    "said by the source": lambda seq: picture(seq, "A", seq * 40, gap=Gap.SOURCE),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_break_drops_what_is_held_and_starts_closed(kind: str) -> None:
    book = opened()
    before = len(book.told)
    book.feed(BREAKS[kind](12))
    told = book.told[before:]
    assert "state pending discontinuity" in told
    assert not [t for t in told if t.startswith("release")]
    assert [t for t in told if t.startswith("drop")]
    assert f"ask 12 {VIEW}" in told, "the reference is forgotten: it is judged itself"


def test_a_format_change_starts_closed() -> None:
    book = opened()
    from safelight.types import PictureFormat

    wide = symbol("A", PictureFormat(32, 16))
    at = 12 * 40
    book.feed(PictureArrived(at * NS_PER_MS, Frame(12, at, MS, at * NS_PER_MS, wide)))
    assert book.engine.state is State.PENDING


def test_a_long_sleep_starts_closed() -> None:
    book = opened()
    book.feed(Tick(book.now_ns + 6 * NS_PER_S))
    assert book.engine.state is State.PENDING
    assert book.engine.outstanding == 0


def test_a_break_that_comes_with_a_flood_is_not_lost() -> None:
    book = opened()
    limits = LIVE
    seq = 12
    for seq in range(12, 12 + 4 * limits.backlog):  # all at one moment
        book.feed(picture(seq, "A", 12 * 40 + seq, 12 * 40))
    flooded = len([t for t in book.told if t.endswith("overload")])
    assert flooded
    book.feed(picture(seq + 1, "A", 12 * 40 + seq + 1, 12 * 40, gap=Gap.SOURCE))
    assert book.engine.state is State.PENDING


def test_a_number_that_comes_twice_ends_the_stream() -> None:
    """Two frames with one token: an answer about one could release the other."""
    book = Playbook(engine())
    book >> StreamStarted(0) << "state pending starting"
    book >> picture(0, "A", 0) << f"ask 0 {VIEW}"
    book >> picture(0, "S", 40)
    book << "drop 0 fault" << "note engine fault" << "drop 0 fault"
    book << "state pending end" << "stop fault"
    book >> book.answer(0, scores(0.0), now_ns=0)
    assert book


def test_a_file_s_break_finishes_what_is_held_and_starts_closed() -> None:
    made = engine(FILE)
    frames = film(moving(40)) + film(moving(40), first_seq=40, start_s=0.0)
    oracle = watching(FILE)
    log = Stream(made, say, oracle=oracle).patient(arrivals(frames))
    assert log.released == list(range(80)), "looked ahead on both sides of the break"
    assert (State.PENDING, Reason.DISCONTINUITY) in states(log)
    assert log.dropped == {}


@pytest.mark.parametrize("count", [4, 5, 6, 10])
def test_a_short_file_waits_for_its_judge_at_the_end_too(count: int) -> None:
    """The end must not come before the answers: every benign frame of a file is released."""
    for service_ms in (0, 10, 500):
        assert play(FILE, moving(count), service_ms).released == list(range(count))


@pytest.mark.parametrize("limits", [LIVE, CALL])
def test_a_break_does_not_shorten_a_cover_for_content(limits: Limits) -> None:
    book = opened(limits)
    for seq in range(12, 20):
        show(book, seq, "S", answer=scores(0.9))
    book.feed(Discontinuity(book.now_ns, Gap.SOURCE))
    assert book.told[-1] != "state pending discontinuity"
    before = len(book.told)
    for seq in range(20, 40):  # 800 ms of clear frames
        show(book, seq)
    assert not [t for t in book.told[before:] if t.startswith("release")]
    for seq in range(40, 70):
        show(book, seq)
    assert [t for t in book.told[before:] if t.startswith("release")]


# --- faults, bundles, the end -------------------------------------------------------------


def test_a_judge_fault_covers_what_has_no_answer_and_starts_closed() -> None:
    book = opened(dataclasses.replace(LIVE, audit_one_in=NEVER, audit_between_one_in=NEVER))
    book.feed(picture(12, "S", 12 * 40))
    assert book.open == [12]
    book.feed(Fault(12 * 40 * NS_PER_MS, FaultKind.JUDGE))
    assert book.engine.outstanding == 0
    old = book.answer(12, scores(0.0), now_ns=12 * 40 * NS_PER_MS)
    book.feed(old)  # from before the fault: counts for nothing
    for seq in range(13, 30):
        show(book, seq)
    assert "cover 12 no_verdict" in book.told
    assert "state pending fault" in book.told
    released = [t for t in book.told if t.startswith("release 1")]
    assert released
    assert book.engine.state is State.LIVE


def test_in_a_call_a_card_leaves_when_the_judge_goes_and_again_with_the_next_frame() -> None:
    """It went between two questions: nothing is held that could be covered instead."""
    book = opened(CALL)
    before = len(book.told)
    book.feed(Fault(book.now_ns, FaultKind.JUDGE))
    assert "card at 441ms cover" in book.told[before:]
    chunk = Frame(12, 442, MS, book.now_ns, Sound(48000, np.zeros((1, 240), np.float32)))
    book.feed(AudioArrived(book.now_ns, chunk))
    book.feed(picture(13, "X", 13 * 40))
    assert "sound 12 silent 442ms-447ms" in book.told, "it is heard with the card"
    assert "cover 13 no_verdict" in book.told, "before its deadline"
    assert book.open == [], "nobody is asked about it"
    assert "state pending fault" in book.told
    times = [command.pts_ns for command in book.commands if isinstance(command, EmitCard)]
    assert 11 * 40 * NS_PER_MS < times[-1] < 12 * 40 * NS_PER_MS
    book.feed(Fault(book.now_ns, FaultKind.JUDGE))
    assert len([t for t in book.told if t.startswith("card")]) == 1, "it is on a card already"
    for seq in range(14, 30):
        show(book, seq)
    assert book.engine.state is State.LIVE


def test_a_judge_that_goes_while_a_source_stalls_lets_no_sound_run_ahead() -> None:
    """A card is there already, far behind the last picture: that is no time to hear up to."""
    book = opened(CALL)
    book.feed(Tick(book.now_ns + CALL.stall_ns))
    before = len(book.told)
    chunk = Frame(12, 441, MS, book.now_ns, Sound(48000, np.zeros((1, 960), np.float32)))
    book.feed(AudioArrived(book.now_ns, chunk))
    book.feed(Fault(book.now_ns, FaultKind.JUDGE))
    assert book.told[before:] == ["note judge fault"]
    book.feed(Tick(book.now_ns + NS_PER_S))
    assert [t for t in book.told if t.startswith("sound")] == ["sound 12 silent 441ms-461ms"]


def test_a_stream_that_holds_pictures_goes_on_with_them_when_the_judge_goes() -> None:
    book = opened()
    book.feed(Fault(book.now_ns, FaultKind.JUDGE))
    assert not [t for t in book.told if t.startswith("card")]
    book.feed(picture(12, "X", 12 * 40))
    assert book.open == [12], "an answer may still come in time"


def test_three_faults_in_a_minute_interrupt_without_a_cool_down() -> None:
    book = opened()
    for at_s in (1, 30, 59):
        book.feed(Tick(at_s * NS_PER_S - NS_PER_MS))
        book.feed(Fault(at_s * NS_PER_S, FaultKind.JUDGE))
    assert "state interrupted fault" in book.told
    assert not [t for t in book.told if t.startswith("cool-down")]
    book.feed(Resume(59 * NS_PER_S + 1))
    assert book.engine.state is State.PENDING


def test_three_faults_over_more_than_a_minute_do_not_interrupt() -> None:
    book = opened()
    for at_s in (1, 30, 62):
        book.feed(Fault(at_s * NS_PER_S, FaultKind.JUDGE))
    assert book.engine.state is not State.INTERRUPTED


@pytest.mark.parametrize("kind", [FaultKind.RING, FaultKind.ENGINE, FaultKind.SINK])
def test_what_cannot_be_trusted_stops_at_once(kind: FaultKind) -> None:
    book = opened()
    before = len(book.commands)
    book.feed(Fault(book.now_ns, kind))
    said = book.commands[before:]
    assert said[-1] == Stop(Outcome.FAULT)
    assert [c for c in said if isinstance(c, Drop)]
    assert not any(t.startswith(("release", "cover", "sound")) for t in book.told[before:])
    for event in (Tick(book.now_ns + NS_PER_S), Resume(0), picture(99, "A", 4000)):
        assert book.engine.handle(event) == []


def test_a_lost_source_judges_its_tail_and_ends_as_a_fault() -> None:
    book = opened()
    book.feed(Fault(book.now_ns, FaultKind.SOURCE))
    for asked in list(book.open):
        book.feed(book.answer(asked, scores(0.0), now_ns=book.now_ns))
    book.feed(Tick(book.now_ns + NS_PER_S))
    assert book.commands[-1] == Stop(Outcome.FAULT)
    assert len([t for t in book.told if t.startswith("release")]) == 12


def test_another_bundle_starts_closed_and_forgets_the_reference() -> None:
    book = opened()
    book.feed(BundleChanged(book.now_ns))
    book.feed(picture(12, MOVING[0], 12 * 40))
    assert book.open == [12]
    for asked in list(book.open):
        book.feed(book.answer(asked, scores(0.0), now_ns=book.now_ns))
    for seq in range(13, 24):
        show(book, seq)
    told = book.told
    assert told.index("state pending starting", 1) > 1
    assert book.engine.state is State.LIVE


def test_the_end_is_said_once_and_last() -> None:
    log = play(LIVE, moving(30))
    assert log.commands[-1] == Stop(Outcome.ENDED)
    last = log.commands[-2]
    assert isinstance(last, Record)
    assert isinstance(last.note, StateChanged)
    assert last.note.reason is Reason.END
    made = engine()
    assert made.handle(SourceEnded(0))[-1] == Stop(Outcome.ENDED)
    assert made.wake_ns() is None
    assert made.handle(Tick(NS_PER_S)) == []


def test_a_file_does_not_wait_for_a_judge_that_is_gone() -> None:
    book = Playbook(engine(FILE), records=False)
    book >> StreamStarted(0)
    for seq in range(3):
        book >> picture(seq, "A", seq * 40) << f"ask {seq} {VIEW}"
    book >> Fault(0, FaultKind.JUDGE)
    for seq in range(3):
        book << f"cover {seq} no_verdict"
    assert book
