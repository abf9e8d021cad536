"""What the guard is for, told as stories: starts closed, covers, lifts, interrupts, resumes."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
from tests.core.oracle import Oracle
from tests.core.simulate import Log, Stream, arrivals

from safelight import policies
from safelight.core.engine import Engine
from safelight.core.held import Views
from safelight.core.limits import Limits
from safelight.core.stream import CoolDown
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import CLOSE, ScriptedGate, name_of, symbol
from safelight.testing.playbook import Playbook, picture
from safelight.types import (
    NS_PER_MS,
    NS_PER_S,
    Action,
    AudioArrived,
    Binding,
    BundleChanged,
    Calibration,
    CoolDownStarted,
    Discontinuity,
    Drop,
    EmitCard,
    Evidence,
    Fault,
    FaultKind,
    Frame,
    Gap,
    Outcome,
    Picture,
    PictureArrived,
    Reason,
    Record,
    Resume,
    ResumeRefused,
    Sound,
    SourceEnded,
    State,
    StateChanged,
    Stop,
    StreamStarted,
    Tick,
)

PROTECT = policies.load("protect")
PRIOR = Calibration(
    "uncalibrated prior", ((0, -2000), (200, -500), (500, 500), (800, 2000), (1000, 4000))
)
VIEWS = Views((VIEW,), ())
MOVING = "ABC"  # a person moving: each differs a little from the others
GATE = ScriptedGate({("A", "B"): CLOSE, ("B", "C"): CLOSE, ("A", "C"): CLOSE})
SECRET = b"sixteen bytes and more"
# The right end after five pictures of 40 ms.
LIVE = Limits(bracket_span_permille=800)
CALL, FILE = dataclasses.replace(LIVE, hold_ns=0), dataclasses.replace(LIVE, patient=True)
NEVER = 1 << 40  # for an audit, which would fall on any frame
FPS = 30
MS = Fraction(1, 1000)


def engine(limits: Limits = LIVE, cool_down: CoolDown | None = None) -> Engine:
    parts = (limits, PROTECT, PRIOR, VIEWS, GATE, SECRET)
    return Engine(*parts) if cool_down is None else Engine(*parts, cool_down=cool_down)


def moving(count: int) -> str:
    return (MOVING * (count // 3 + 1))[:count]


def film(names: str, first_seq: int = 0, start_s: float = 0.0) -> list[Frame]:
    out = []
    for index, name in enumerate(names):
        at = round(start_s * NS_PER_S) + index * NS_PER_S // FPS
        out.append(Frame(first_seq + index, at, Fraction(1, NS_PER_S), at, symbol(name)))
    return out


def say(shown: Picture) -> Evidence:
    return scores(0.9999 if name_of(shown) == "S" else 0.005)


def play(limits: Limits, names: str, service_ms: int = 8) -> Log:
    made = engine(limits)
    oracle = Oracle(limits, PROTECT, VIEWS.every, GATE)
    stream = Stream(made, say, service_ns=service_ms * NS_PER_MS, oracle=oracle)
    events = arrivals(film(names))
    return stream.patient(events) if limits.patient else stream.live(events)


def states(log: Log) -> list[tuple[State, Reason]]:
    return [(change.state, change.reason) for change in log.states]


# --- it starts closed -----------------------------------------------------------------------


def test_it_starts_closed_and_opens_on_three_clear_frames_over_100_ms() -> None:
    book = Playbook(engine())
    book >> StreamStarted(0) << "state pending starting"
    for seq in range(4):
        book >> picture(seq, "A", seq * 40) << f"ask {seq} {VIEW}"
    for seq in range(3):  # three clear frames, but over 80 ms
        book >> book.answer(seq, scores(0.0), now_ns=150 * NS_PER_MS)
    book >> Tick(300 * NS_PER_MS)
    book >> book.answer(3, scores(0.0), now_ns=310 * NS_PER_MS)
    book << "state live clear" << "release 0 judged by 0" << "release 1 judged by 1"
    assert book


def test_it_stays_closed_when_nobody_answers() -> None:
    book = Playbook(engine())
    book >> StreamStarted(0) << "state pending starting"
    book >> picture(0, "A", 0) << f"ask 0 {VIEW}"
    book >> Tick(349 * NS_PER_MS)
    book >> Tick(350 * NS_PER_MS) << "cover 0 no_verdict"
    book >> book.answer(0, scores(0.0), now_ns=351 * NS_PER_MS)
    assert book


@pytest.mark.parametrize("limits", [LIVE, CALL, FILE])
def test_a_stream_of_two_frames_never_opens(limits: Limits) -> None:
    assert play(limits, "AB").released == []


def test_a_cool_down_from_before_holds_whatever_comes_first() -> None:
    made = engine(cool_down=CoolDown(level=1, until_ns=10 * NS_PER_S))
    book = Playbook(made)
    book >> picture(0, "A", 0) << "state interrupted sexual_content"
    book >> StreamStarted(NS_PER_MS)
    book >> Resume(9 * NS_PER_S) << "resume refused until 10000ms"
    book << "interrupt 0 sexual_content"
    assert book
    assert made.state is State.INTERRUPTED


# --- canaries -------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 10, 60])
@pytest.mark.parametrize("limits", [LIVE, CALL, FILE], ids=["hold 250", "hold 0", "file"])
@pytest.mark.parametrize("before", [moving(61), "A" * 61], ids=["moving", "still"])
def test_no_canary_frame_leaves_and_every_benign_frame_before_it_does(
    limits: Limits, length: int, before: str
) -> None:
    names = before + "S" * length + moving(150)
    log = play(limits, names)
    assert list(log.verdicts) == list(range(len(names))), "nothing dropped, all in order"
    canary = set(range(61, 61 + length))
    assert not canary & set(log.released)
    first = 0 if limits is not CALL else log.released[0]
    assert first <= 3
    assert [seq for seq in log.released if seq < 61] == list(range(first, 61))
    told = states(log)
    assert (State.COVERED, Reason.SEXUAL_CONTENT) in told
    after = [seq for seq in log.released if seq >= 61]
    if length == 60:
        # Four samples of half a second at 4 nats each pass the policy's 10.
        assert (State.INTERRUPTED, Reason.SEXUAL_CONTENT) in told
        assert after == []
        started = [c.note for c in log.commands if isinstance(c, Record)]
        assert any(isinstance(note, CoolDownStarted) and note.level == 1 for note in started)
    else:
        # It lifts by itself after a second of clear frames, give or take the evidence that
        # has to drain first, and then nothing more is covered.
        assert (State.INTERRUPTED, Reason.SEXUAL_CONTENT) not in told
        lifts = after[0] - (61 + length)
        assert 30 <= lifts <= 75
        assert after == list(range(after[0], len(names)))


@pytest.mark.parametrize("limits", [LIVE, FILE])
def test_in_a_benign_stream_most_frames_inherit_and_none_is_covered(limits: Limits) -> None:
    log = play(limits, moving(120))
    assert log.released == list(range(120))
    kinds = [log.verdicts[seq].binding for seq in range(120)]
    assert kinds.count(Binding.BRACKETED) > 50
    assert kinds.count(Binding.STILL) > 20
    assert log.asked < 40


def test_a_canary_at_every_place_in_a_bracket() -> None:
    for at in range(30, 40):
        names = moving(at) + "S" + moving(40)
        for limits in (LIVE, CALL, FILE):
            log = play(limits, names)
            assert at not in log.released
            assert [s for s in log.released if 4 <= s < at] == list(range(4, at)), (at, limits)


def test_if_an_end_is_not_clear_every_frame_between_is_judged_oldest_first() -> None:
    book = Playbook(
        engine(dataclasses.replace(FILE, audit_one_in=NEVER, audit_between_one_in=NEVER)),
        records=False,
    )
    book >> StreamStarted(0)
    for seq in range(4):
        book >> picture(seq, "A", seq * 40) << f"ask {seq} {VIEW}"
    for seq in range(3):
        book >> book.answer(seq, scores(0.0), now_ns=0)
    book >> book.answer(3, scores(0.0), now_ns=0)
    for seq in range(4):
        book << f"release {seq} judged by {seq}"
    for seq in range(4, 9):  # 200 ms after frame 3 the bracket is closed
        book >> picture(seq, "BC"[seq % 2], seq * 40)
    book << f"ask 8 {VIEW}"
    book >> book.answer(8, scores(0.9), now_ns=0)
    for seq in range(4, 8):
        book << f"ask {seq} {VIEW}"
    for seq in range(4, 8):
        book >> book.answer(seq, scores(0.0), now_ns=0) << f"release {seq} judged by {seq}"
    book << "cover 8 sexual_content"
    assert book


def opened(limits: Limits = LIVE, count: int = 12, *, made: Engine | None = None) -> Playbook:
    """A stream of one frame every 40 ms that is LIVE; all that was asked is answered."""
    book = Playbook(made or engine(limits))
    book.feed(StreamStarted(0))
    for seq in range(count):
        show(book, seq)
    assert book.engine.state is State.LIVE
    return book


def show(book: Playbook, seq: int, name: str = "", *, answer: Evidence | None = None) -> None:
    """Frame ``seq`` at 40 ms each; what is asked is answered at once, and time goes by."""
    book.feed(picture(seq, name or MOVING[seq % 3], seq * 40))
    for asked in list(book.open):
        book.feed(book.answer(asked, answer or scores(0.0), now_ns=seq * 40 * NS_PER_MS))
    book.feed(Tick((seq * 40 + 39) * NS_PER_MS))


def test_a_right_end_that_answers_after_a_frame_s_deadline_does_not_release_it() -> None:
    """The answer is in time for its own frame, and the shell was slow to tick."""
    book = opened()
    seq = 12
    while not book.open:
        book.feed(picture(seq, MOVING[seq % 3], seq * 40))
        seq += 1
    right = book.open[-1]
    tied = [s for s in range(right - 4, right) if s not in book.asked]
    assert tied
    first = tied[0]
    at = (first * 40 + 350) * NS_PER_MS
    assert at < (right * 40 + 350) * NS_PER_MS
    book.feed(book.answer(right, scores(0.0), now_ns=at))
    assert f"cover {first} no_verdict" in book.told
    assert not any(told.startswith(f"release {first} ") for told in book.told)


# --- lying and repeated answers -------------------------------------------------------------


def test_an_end_that_contradicts_itself_after_it_left_releases_nothing_more() -> None:
    book = opened(dataclasses.replace(LIVE, audit_one_in=NEVER, audit_between_one_in=NEVER))
    left = 12
    book.feed(picture(left, "D", left * 40))
    book.feed(picture(left + 1, "A", (left + 1) * 40))
    left, tied = left + 1, left + 2
    for seq in range(tied, tied + 4):
        book.feed(picture(seq, "BC"[seq % 2], seq * 40))
    for asked in list(book.open):
        if asked <= left:
            book.feed(book.answer(asked, scores(0.0), now_ns=book.now_ns))
    book.feed(Tick((left * 40 + 250) * NS_PER_MS))  # the left end has left by now
    assert book.open, "and the right end was asked for"
    assert any(told.startswith(f"release {left} ") for told in book.told)
    book.feed(book.answer(left, scores(0.9), now_ns=(left * 40 + 251) * NS_PER_MS))
    for asked in list(book.open):
        book.feed(book.answer(asked, scores(0.0), now_ns=(left * 40 + 252) * NS_PER_MS))
    book.feed(Tick((tied * 40 + 400) * NS_PER_MS))
    assert f"cover {tied} no_verdict" in book.told
    assert "note two answers that contradict each other" in book.told


def test_the_same_answer_twice_changes_nothing() -> None:
    book = opened()
    before = len(book.commands)
    now = book.now_ns
    book.feed(book.answer(max(book.asked), scores(0.0), now_ns=now))
    assert book.commands[before:] == []
    assert book.engine.state is State.LIVE


def test_an_answer_under_a_guessed_token_is_noted_and_counts_for_nothing() -> None:
    book = Playbook(engine())
    book >> StreamStarted(0) << "state pending starting"
    book >> picture(0, "A", 0) << f"ask 0 {VIEW}"
    answer = book.answer(0, scores(0.0), now_ns=0)
    forged = dataclasses.replace(answer.token, nonce=answer.token.nonce ^ 1)
    book >> dataclasses.replace(answer, token=forged) << "note an answer to no question"
    book >> Tick(350 * NS_PER_MS) << "cover 0 no_verdict"
    assert book


# --- breaks ---------------------------------------------------------------------------------

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
    oracle = Oracle(FILE, PROTECT, VIEWS.every, GATE)
    log = Stream(made, say, oracle=oracle).patient(arrivals(frames))
    assert log.released == list(range(80)), "looked ahead on both sides of the break"
    assert (State.PENDING, Reason.DISCONTINUITY) in states(log)
    assert log.dropped == {}


@pytest.mark.parametrize("count", [4, 5, 6, 10])
def test_a_short_file_waits_for_its_judge_at_the_end_too(count: int) -> None:
    """The end must not come before the answers: every benign frame of a file is released."""
    for service_ms in (0, 10, 500):
        assert play(FILE, moving(count), service_ms).released == list(range(count))


# --- faults, bundles, the end ---------------------------------------------------------------


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


# --- interruption, resume -------------------------------------------------------------------


def interrupted() -> Playbook:
    book = opened()
    seq = 12
    while book.engine.state is not State.INTERRUPTED:
        show(book, seq, "S" if seq % 2 else "T", answer=scores(1.0))
        seq += 1
        assert seq < 200
    return book


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


# --- viewers --------------------------------------------------------------------------------


def test_at_most_three_changes_a_second() -> None:
    """Even where every third answer is missing: the lift waits, the cover never does."""
    made = engine(CALL)
    oracle = Oracle(CALL, PROTECT, VIEWS.every, GATE)
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
    oracle = Oracle(CALL, PROTECT, VIEWS.every, GATE)  # which counts the changes
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


# --- overload -------------------------------------------------------------------------------


@pytest.mark.parametrize("service_ms", [60, 120, 200])
def test_overload_lowers_the_frame_rate_and_still_releases(service_ms: int) -> None:
    """Nothing inherits here, so every frame needs a verdict and the judge cannot keep up."""
    names = "ADEF" * 75
    log = play(CALL if service_ms < 100 else LIVE, names, service_ms)
    assert len(log.verdicts) + len(log.dropped) == len(names)
    assert set(log.dropped.values()) == {"overload"}
    assert len(log.dropped) > 100
    assert len(log.released) > 20, "it goes on, at the judge's pace"


def test_a_judge_that_is_always_too_slow_is_not_asked_ever_more() -> None:
    names = "ADEF" * 100
    log = play(LIVE, names, 600)
    assert log.released == []
    assert log.asked < 30, "one at a time: 13 s at 600 ms each"


def test_a_judge_that_hangs_covers_everything_and_stops_nothing() -> None:
    log = play(LIVE, moving(200), 10_000)
    assert log.released == []
    assert len(log.verdicts) + len(log.dropped) == 200
    assert log.stop == Stop(Outcome.ENDED)


# --- sound ----------------------------------------------------------------------------------


def with_sound(frames: list[Frame], rate: int = 48000) -> list[Frame]:
    """Pictures and chunks of 1024 samples in the order of their times, numbered anew."""
    last = max(f.pts_ns for f in frames)
    chunks, at = [], min(f.pts_ns for f in frames)
    while at < last:
        sound = Sound(rate, np.zeros((1, 1024), np.float32))
        chunks.append(Frame(0, at, Fraction(1, NS_PER_S), at, sound))
        at += 1024 * NS_PER_S // rate
    both = sorted([*frames, *chunks], key=lambda f: (f.arrived_ns, isinstance(f.content, Sound)))
    return [dataclasses.replace(frame, seq=seq) for seq, frame in enumerate(both)]


@pytest.mark.parametrize("limits", [LIVE, CALL, FILE])
def test_sound_is_silent_from_a_codec_frame_before_a_cover_to_one_after(limits: Limits) -> None:
    frames = with_sound(film(moving(40) + "S" + moving(80)))
    made = engine(limits)
    stream = Stream(made, say, oracle=Oracle(limits, PROTECT, VIEWS.every, GATE))
    events = arrivals(frames)
    log = stream.patient(events) if limits.patient else stream.live(events)
    by_seq = {frame.seq: frame for frame in frames}
    covered = [by_seq[s].pts_ns for s in log.seqs(Action.COVER)]
    first = min(at for at in covered if at > NS_PER_S)
    lifted = min(at for s in log.released if (at := by_seq[s].pts_ns) > first)
    margin = 1024 * NS_PER_S // 48000
    heard = [span for seq, spans in log.sound.items() for span in audible(by_seq[seq], spans)]
    assert not [span for span in heard if span[1] > first - margin and span[0] < lifted + margin]
    # And no more than that is lost: a chunk, at the most, on either side.
    assert max(end for _, end in heard if end <= first) >= first - 2 * margin
    assert min(start for start, _ in heard if start >= lifted) <= lifted + 2 * margin


def audible(frame: Frame, spans: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """What of a chunk is heard."""
    assert isinstance(frame.content, Sound)
    at = frame.pts_ns
    end = at + frame.content.samples.shape[1] * NS_PER_S // frame.content.rate
    out = []
    for silent_from, silent_to in [*spans, (end, end)]:
        if at < silent_from:
            out.append((at, silent_from))
        at = max(at, silent_to)
    return out


def test_sound_of_a_new_clock_waits_for_the_pictures_of_that_clock() -> None:
    """A file whose time starts again: its sound must not pass for sound of long ago."""
    start = film(moving(60))
    again = film("S" * 30)
    frames = with_sound(start) + with_sound(again)
    frames = [dataclasses.replace(frame, seq=seq) for seq, frame in enumerate(frames)]
    oracle = Oracle(FILE, PROTECT, VIEWS.every, GATE)
    log = Stream(engine(FILE), say, service_ns=NS_PER_MS, oracle=oracle).patient(arrivals(frames))
    second = {f.seq for f in frames[len(with_sound(start)) :]}
    assert not [seq for seq, spans in log.sound.items() if seq in second and not spans]


def test_nothing_is_heard_in_an_interruption_when_time_starts_again() -> None:
    """A publisher that comes back counts from 0: before everything that was covered."""
    book = interrupted()
    before = len(book.told)
    now = book.now_ns
    seq = 1000
    for index in range(40):
        chunk = Sound(48000, np.zeros((1, 1024), np.float32))
        at = now + index * 21 * NS_PER_MS
        book.feed(AudioArrived(at, Frame(seq, index * 21, MS, at, chunk)))
        gap = Gap.SOURCE if index == 0 else None
        frame = Frame(seq + 1, index * 21, MS, at, symbol("A"), gap)
        book.feed(PictureArrived(at, frame))
        seq += 2
    book.feed(Tick(book.now_ns + 2 * NS_PER_S))
    sound = [t for t in book.told[before:] if t.startswith("sound")]
    assert sound
    assert not [t for t in sound if t.endswith("as it came")]


def test_sound_does_not_run_ahead_of_pictures_after_a_stall() -> None:
    """Two seconds without a picture bring a card; then all comes at once, times unbroken."""
    made = engine(LIVE)
    oracle = Oracle(LIVE, PROTECT, VIEWS.every, GATE)
    stream = Stream(made, say, service_ns=NS_PER_MS, oracle=oracle)
    frames = with_sound(film(moving(60) + "S" * 20))
    late = [
        f if f.pts_ns < NS_PER_S else dataclasses.replace(f, arrived_ns=f.arrived_ns + 3 * NS_PER_S)
        for f in frames
    ]
    log = stream.live(arrivals(late))
    assert [c for c in log.commands if isinstance(c, EmitCard)]


def test_a_chunk_beyond_the_last_picture_does_not_leave() -> None:
    frames = film(moving(30))
    chunk = Sound(48000, np.zeros((1, 1024), np.float32))
    beyond = Frame(30, 5 * NS_PER_S, Fraction(1, NS_PER_S), frames[-1].arrived_ns, chunk)
    log = Stream(engine(FILE), say).patient(arrivals([*frames, beyond]))
    assert log.sound == {}
    assert log.dropped == {30: "end"}


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


def test_frames_that_inherit_do_not_open_a_stream() -> None:
    """Judged clear before a fault, and four more that took over: that is one clear frame."""
    book = opened(dataclasses.replace(LIVE, audit_one_in=NEVER, audit_between_one_in=NEVER))
    book.feed(picture(12, "X", 12 * 40))
    book.feed(picture(13, "Y", 13 * 40))
    book.feed(book.answer(13, scores(0.0), now_ns=book.now_ns))
    for seq in range(14, 18):
        book.feed(picture(seq, "Y", seq * 40))
    book.feed(Fault(book.now_ns, FaultKind.JUDGE))
    book.feed(Tick(book.now_ns + NS_PER_S))
    late = [t for t in book.told if t.split()[0] == "release" and int(t.split()[1]) >= 12]
    assert late == []


def test_a_file_does_not_wait_for_a_judge_that_is_gone() -> None:
    book = Playbook(engine(FILE), records=False)
    book >> StreamStarted(0)
    for seq in range(3):
        book >> picture(seq, "A", seq * 40) << f"ask {seq} {VIEW}"
    book >> Fault(0, FaultKind.JUDGE)
    for seq in range(3):
        book << f"cover {seq} no_verdict"
    assert book


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


def test_weak_evidence_that_persists_covers_in_the_end() -> None:
    """No frame reaches the limit by itself; together they do, after seconds."""
    made = engine(CALL)
    oracle = Oracle(CALL, PROTECT, VIEWS.every, GATE)
    log = Stream(made, lambda _: scores(0.49), oracle=oracle).live(arrivals(film("ADEF" * 60)))
    assert (State.COVERED, Reason.SEXUAL_CONTENT) in states(log)
    last = max(log.released)
    assert 60 < last < 120
    assert log.seqs(Action.COVER)[-1] == 239
