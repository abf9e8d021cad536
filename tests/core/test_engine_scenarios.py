"""What the guard is for, told as stories: starts closed, covers, lifts, believes no lies."""

from __future__ import annotations

import dataclasses

import pytest
from tests.core.simulate import Stream, arrivals
from tests.core.story import (
    CALL,
    FILE,
    LIVE,
    MOVING,
    NEVER,
    engine,
    film,
    moving,
    opened,
    play,
    show,
    states,
    watching,
)

from safelight.core.limits import Limits
from safelight.core.stream import CoolDown
from safelight.testing.fakes import VIEW, scores
from safelight.testing.playbook import Playbook, picture
from safelight.types import (
    NS_PER_MS,
    NS_PER_S,
    Action,
    Binding,
    BundleChanged,
    CoolDownStarted,
    Discontinuity,
    Fault,
    FaultKind,
    Gap,
    Interrupt,
    Outcome,
    Reason,
    Record,
    Resume,
    State,
    Stop,
    StreamStarted,
    Tick,
)

# --- it starts closed ---------------------------------------------------------------------


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


# --- canaries -----------------------------------------------------------------------------


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


@pytest.mark.parametrize("gone", [False, True], ids=["still held", "already covered"])
def test_what_a_late_answer_forbids_is_forbidden_from_then_on(gone: bool) -> None:
    """Else a judge that is slow enough would never be heard, and a look that comes in time
    would open the stream again at once."""
    book = opened(CALL)
    at_ms = 12 * 40
    book.feed(picture(12, "S", at_ms))
    if gone:
        book.feed(Tick((at_ms + 100) * NS_PER_MS))
        assert book.told[-1] == "cover 12 no_verdict"
    book.feed(book.answer(12, scores(0.9), now_ns=(at_ms + 110) * NS_PER_MS))
    assert f"state {State.COVERED.value} {Reason.SEXUAL_CONTENT.value}" in book.told
    first = seq = 15
    while book.engine.state is not State.LIVE:
        show(book, seq, "A")
        seq += 1
    assert (seq - first) * 40 >= 1000, "a cover for content lifts after a clear second"


def test_a_late_answer_that_forbids_has_the_clear_second_begin_anew() -> None:
    book = opened(CALL)
    book.feed(picture(12, "S", 12 * 40))
    book.feed(book.answer(12, scores(0.9), now_ns=book.now_ns))
    book.feed(picture(13, "S", 13 * 40))
    book.feed(Tick((13 * 40 + 100) * NS_PER_MS))
    # Too weak to count over time, and more than a picture with a minor may score.
    late = book.answer(13, scores(0.3, 0.9), now_ns=36 * 40 * NS_PER_MS)
    book.open.remove(13)
    for seq in range(16, 56):
        if seq == 36:  # after 20 clear frames
            book.feed(late)
        show(book, seq, "A")
        assert book.engine.state is State.COVERED


def test_a_weak_late_answer_takes_no_strong_one_s_place_over_time() -> None:
    book = opened(CALL)
    book.feed(picture(13, "S", 13 * 40))
    book.feed(book.answer(13, scores(0.5), now_ns=(13 * 40 + 100) * NS_PER_MS))
    for seq in (16, 29, 42):  # 4 nats each; the limit is 10
        show(book, seq, "S", answer=scores(0.9999))
    assert book.engine.state is State.INTERRUPTED


def test_a_late_answer_does_not_end_an_interruption() -> None:
    book = opened(CALL)
    book.feed(picture(12, "S", 12 * 40))
    book.feed(Interrupt(book.now_ns, 1, 100 * NS_PER_S))
    book.feed(book.answer(12, scores(0.9), now_ns=(12 * 40 + 200) * NS_PER_MS))
    assert book.engine.state is State.INTERRUPTED


def test_late_answers_interrupt_in_the_end() -> None:
    book = opened(CALL)
    for seq in range(12, 120):
        at_ms = seq * 40
        book.feed(picture(seq, "S", at_ms))
        if seq in book.open:
            book.feed(Tick((at_ms + 100) * NS_PER_MS))
            book.feed(book.answer(seq, scores(0.9999), now_ns=(at_ms + 110) * NS_PER_MS))
    assert book.engine.state is State.INTERRUPTED


@pytest.mark.parametrize("broken", ["flow", "judge", "bundle", "resumed"])
def test_a_late_answer_about_what_was_forgotten_counts_for_nothing(broken: str) -> None:
    book = opened(CALL)
    book.feed(picture(12, "S", 12 * 40))
    old = book.answer(12, scores(0.9), now_ns=(12 * 40 + 200) * NS_PER_MS)
    match broken:
        case "flow":
            book.feed(Discontinuity(old.now_ns, Gap.TIME))
        case "judge":
            book.feed(Fault(old.now_ns, FaultKind.JUDGE))
        case "bundle":
            book.feed(BundleChanged(old.now_ns))
        case "resumed":
            book.feed(Interrupt(old.now_ns, 1, old.now_ns))
            book.feed(Resume(old.now_ns))
    before = book.engine.state
    book.feed(old)
    assert book.engine.state is before is State.PENDING


def test_weak_evidence_that_persists_covers_in_the_end() -> None:
    """No frame reaches the limit by itself; together they do, after seconds."""
    made = engine(CALL)
    oracle = watching(CALL)
    log = Stream(made, lambda _: scores(0.49), oracle=oracle).live(arrivals(film("ADEF" * 60)))
    assert (State.COVERED, Reason.SEXUAL_CONTENT) in states(log)
    last = max(log.released)
    assert 60 < last < 120
    assert log.seqs(Action.COVER)[-1] == 239


# --- lying and repeated answers -----------------------------------------------------------


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


# --- overload -----------------------------------------------------------------------------


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
