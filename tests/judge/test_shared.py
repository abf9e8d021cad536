"""One judge for several streams: none of them can starve, stop or unlock another."""

from __future__ import annotations

import queue
import threading
import time

import pytest
from tests.judge.seats import (
    SAME,
    SOON,
    VIEWS,
    WAIT,
    Said,
    by_luma,
    faked,
    plain,
    seated,
    until,
)
from tests.judge.stub_judge import Order, drawn

from safelight.errors import JudgeError
from safelight.judge import desk as desks
from safelight.judge import keeper, rota
from safelight.judge.judge import Answer, Judge, JudgeFault, MayBeShared
from safelight.judge.keeper import Keeper
from safelight.judge.seat import Seat
from safelight.judge.shared import SharedJudge
from safelight.testing.fakes import Breaks, FakeJudge, Says, Silent, scores
from safelight.types import (
    Absent,
    AbsentReason,
    Picture,
    PictureFormat,
    Scores,
    Token,
    VerifiedBundle,
)


def test_a_seat_is_a_judge(bundle: VerifiedBundle) -> None:
    seat: Judge = SharedJudge(bundle).seat()
    assert seat.every == ("frame",)
    assert seat.in_turn == ("left_square", "right_square")
    assert isinstance(seat, MayBeShared)
    with pytest.raises(RuntimeError):
        seat.ask(SAME, plain(1), VIEWS)
    with pytest.raises(RuntimeError):
        seat.restart()
    seat.close()
    with pytest.raises(RuntimeError):
        seat.start(lambda _: None)


# --- no answer goes astray ----------------------------------------------------------------


def test_equal_tokens_of_two_streams_do_not_mix(bundle: VerifiedBundle) -> None:
    shared, _ = faked(bundle, by_luma)
    seats, said = seated(shared, 4)

    def ask(seat: Seat, luma: int) -> None:
        for seq in range(25):
            seat.ask(Token(1, seq, seq), plain(luma), VIEWS)

    threads = [
        threading.Thread(target=ask, args=(seat, 10 * n + 10)) for n, seat in enumerate(seats)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    for n, heard in enumerate(said):
        expected = Scores((10 * n + 10) / 100, None, VIEWS)
        assert [heard.get(timeout=WAIT) for _ in range(25)] == [
            Answer(Token(1, seq, seq), expected) for seq in range(25)
        ]
    shared.close()


def test_the_judge_never_sees_the_token_of_a_stream(bundle: VerifiedBundle) -> None:
    shared, made = faked(bundle, by_luma)
    (seat, other), (said, _) = seated(shared, 2)
    seen: set[Token] = set()
    for _ in range(50):
        seat.ask(SAME, plain(1), VIEWS)
        said.get(timeout=WAIT)
    seen = {token for token, _ in made[0].asked}
    assert len(seen) == 50
    assert SAME not in seen
    assert len({token.nonce for token in seen}) == len({token.seq for token in seen}) == 50
    other.close()
    shared.close()


@pytest.mark.parametrize("stranger", [SAME, Token(2, 1, 1), Token(0, 0, 0)])
def test_an_answer_to_what_nobody_asked_is_a_fault_for_all(
    bundle: VerifiedBundle, stranger: Token
) -> None:
    shared, _ = faked(bundle, lambda *_: Says(scores(0.01), token=stranger))
    (seat, _), said = seated(shared, 2)
    seat.ask(SAME, plain(1), VIEWS)
    for heard in said:
        assert isinstance(heard.get(timeout=WAIT), JudgeFault)
    time.sleep(SOON)
    assert all(heard.empty() for heard in said)
    shared.close()


def test_what_was_asked_before_a_restart_is_never_answered(bundle: VerifiedBundle) -> None:
    shared, _ = faked(bundle, lambda *_: Says(scores(0.01), after_s=0.05))
    (seat, other), (said, others) = seated(shared, 2)
    for seq in range(5):
        seat.ask(Token(1, seq, 1), plain(1), VIEWS)
        other.ask(Token(1, seq, 1), plain(1), VIEWS)
    seat.restart()
    seat.ask(Token(1, 9, 1), plain(1), VIEWS)
    answer = said.get(timeout=WAIT)
    assert isinstance(answer, Answer)
    assert answer.token == Token(1, 9, 1)
    assert [others.get(timeout=WAIT) for _ in range(5)] == [
        Answer(Token(1, seq, 1), scores(0.01)) for seq in range(5)
    ]
    assert said.empty()
    shared.close()


def test_an_answer_that_was_on_its_way_when_a_restart_began_is_not_delivered(
    bundle: VerifiedBundle,
) -> None:
    shared, _ = faked(bundle, by_luma)
    seat, heard = shared.seat(), Said()
    holds, go_on = threading.Event(), threading.Event()

    def listener(message: Answer | JudgeFault) -> None:
        holds.set()
        go_on.wait(WAIT)
        heard.put(message)

    seat.start(listener)
    for seq in range(3):
        seat.ask(Token(1, seq, 1), plain(1), VIEWS)
    assert holds.wait(WAIT)
    time.sleep(SOON)  # all are answered by now, and two wait behind the first
    restarting = threading.Thread(target=seat.restart)
    restarting.start()
    go_on.set()
    restarting.join(WAIT)
    seat.ask(Token(1, 9, 1), plain(1), VIEWS)
    told = [heard.get(timeout=WAIT).token.seq]  # type: ignore[union-attr]
    while told[-1] != 9:
        told.append(heard.get(timeout=WAIT).token.seq)  # type: ignore[union-attr]
    # The listener had the first; the thread may have had the lock again before restart() did.
    assert told in ([0, 9], [0, 1, 9], [0, 1, 2, 9])
    seat._epoch += 1
    seat.hear(Answer(SAME, scores(0.01)), seat._epoch - 1)
    seat.hear(JudgeFault("one that it has restarted from"))
    time.sleep(SOON)
    assert heard.empty()
    seat.close()
    seat.hear(Answer(SAME, scores(0.01)), seat._epoch)
    seat._deliver(seat._epoch, Answer(SAME, scores(0.01)))
    assert heard.empty()
    shared.close()


def test_a_seat_that_left_hears_nothing_more(bundle: VerifiedBundle) -> None:
    shared, made = faked(bundle, lambda *_: Says(scores(0.01), after_s=0.05))
    (seat, other), (said, others) = seated(shared, 2)
    for seq in range(5):
        seat.ask(Token(1, seq, 1), plain(1), VIEWS)
    other.ask(SAME, plain(1), VIEWS)
    seat.close()
    seat.ask(Token(1, 7, 1), plain(1), VIEWS)
    assert isinstance(others.get(timeout=WAIT), Answer)
    time.sleep(SOON)
    assert said.empty()
    assert len(made[0].asked) <= rota.IN_HAND + 1  # what waited was withdrawn
    with pytest.raises(RuntimeError):
        seat.restart()
    seat.close()
    shared.close()


# --- nobody starves another ---------------------------------------------------------------


def test_a_flood_drowns_nobody_but_its_own_oldest(bundle: VerifiedBundle) -> None:
    shared, made = faked(bundle, lambda *_: Says(scores(0.01), after_s=0.01))
    (flood, quiet), (flooded, said) = seated(shared, 2)
    for seq in range(300):
        flood.ask(Token(1, seq, 1), plain(1), VIEWS)
    before = len(made[0].asked)
    quiet.ask(SAME, plain(2), VIEWS)
    assert said.get(timeout=WAIT) == Answer(SAME, scores(0.01))
    assert len(made[0].asked) - before <= 2 * rota.IN_HAND + 2
    answers = [flooded.get(timeout=WAIT) for _ in range(300)]
    late = [a for a in answers if isinstance(a, Answer) and a.evidence == Absent(AbsentReason.LATE)]
    # Each is answered, and what was given up is answered with nothing that permits.
    assert len(late) >= 300 - rota.WAITING - before - rota.IN_HAND - 4
    assert len({a.token for a in answers if isinstance(a, Answer)}) == 300
    assert said.empty()
    shared.close()


def test_restarting_all_the_time_takes_the_judge_from_nobody(bundle: VerifiedBundle) -> None:
    shared, made = faked(bundle, by_luma)
    (enemy, honest), (_, said) = seated(shared, 2)
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            enemy.ask(SAME, plain(1), VIEWS)
            enemy.restart()

    thread = threading.Thread(target=loop)
    thread.start()
    for seq in range(200):
        honest.ask(Token(1, seq, 1), plain(7), VIEWS)
        assert said.get(timeout=WAIT) == Answer(Token(1, seq, 1), Scores(0.07, None, VIEWS))
    stop.set()
    thread.join()
    assert len(made) == 1
    assert made[0]._restarts == 1000, "it was never restarted"
    shared.close()


@pytest.mark.parametrize(
    ("shown", "views"),
    [(plain(1), ("frame", "other")), (plain(1), ()), (drawn(Order.CLEAR, 7682, 4320), VIEWS)],
    ids=["a view that is not there", "no view", "too large"],
)
def test_what_cannot_be_asked_is_a_fault_of_who_asks(
    bundle: VerifiedBundle, shown: Picture, views: tuple[str, ...]
) -> None:
    shared, made = faked(bundle, by_luma)
    (enemy, honest), (fault, said) = seated(shared, 2)
    enemy.ask(SAME, shown, views)
    assert isinstance(fault.get(timeout=WAIT), JudgeFault)
    enemy.ask(SAME, plain(1), VIEWS)  # not heard until it restarts
    honest.ask(SAME, plain(3), VIEWS)
    assert said.get(timeout=WAIT) == Answer(SAME, Scores(0.03, None, VIEWS))
    assert fault.empty()
    enemy.restart()
    enemy.ask(SAME, plain(4), VIEWS)
    assert fault.get(timeout=WAIT) == Answer(SAME, Scores(0.04, None, VIEWS))
    assert made[0]._restarts == 1000
    shared.close()


@pytest.mark.parametrize("colour", ["matrix", "primaries", "transfer"])
def test_a_format_that_does_not_fit_the_channel_is_a_fault_of_who_asks(
    bundle: VerifiedBundle, colour: str
) -> None:
    shared, _ = faked(bundle, by_luma)
    (enemy, honest), (fault, said) = seated(shared, 2)
    form = PictureFormat(16, 16, **{colour: 300})  # type: ignore[arg-type]
    odd = plain(1)
    enemy.ask(SAME, Picture(form, odd.y, odd.u, odd.v), VIEWS)
    assert isinstance(fault.get(timeout=WAIT), JudgeFault)
    honest.ask(SAME, plain(3), VIEWS)
    assert isinstance(said.get(timeout=WAIT), Answer)
    shared.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_breaks_or_waits_holds_up_nobody_else(bundle: VerifiedBundle) -> None:
    shared, _ = faked(bundle, by_luma)
    go_on = threading.Event()
    broken, waiting, honest = (shared.seat() for _ in range(3))

    def breaks(_: object) -> None:
        raise RuntimeError("a listener that breaks")

    def waits(_: object) -> None:
        go_on.wait(WAIT)

    broken.start(breaks)
    waiting.start(waits)
    said = Said()
    honest.start(said.put)
    for seat in (broken, waiting):
        seat.ask(SAME, plain(1), VIEWS)
    for seq in range(20):
        honest.ask(Token(1, seq, 1), plain(5), VIEWS)
        assert isinstance(said.get(timeout=WAIT), Answer)
    assert until(broken._closed.is_set)
    go_on.set()
    for seat in (broken, waiting, honest):
        seat.close()


def test_to_wait_for_a_turn_is_no_hang_and_a_hang_is_noticed(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "HUNG_S", 0.5)
    hangs = threading.Event()
    shared, made = faked(
        bundle, lambda *_: Silent() if hangs.is_set() else Says(scores(0.01), after_s=0.2)
    )
    seats, said = seated(shared, 8)
    told: list[queue.Queue[object]] = [queue.Queue() for _ in seats]
    keepers = [Keeper(seat, q.put) for seat, q in zip(seats, told, strict=True)]
    for one in keepers:
        one.ask(SAME, plain(1), VIEWS)
    answered = [False] * len(seats)
    began_s = time.monotonic()
    while not all(answered):
        assert all(one.overdue() is None for one in keepers)
        for n, heard in enumerate(said):
            if not heard.empty():
                answered[n] = True
                keepers[n].answered(SAME)
        time.sleep(0.01)
    assert time.monotonic() - began_s > 2 * 0.5, "somebody waited for longer than a hang"
    hangs.set()
    keepers[3].ask(SAME, plain(1), VIEWS)
    assert until(lambda: keepers[3].overdue() is not None)
    keepers[3].restart()
    told[3].get(timeout=WAIT)
    assert made[0]._restarts == 999
    for n, heard in enumerate(said):
        if n != 3:  # it knows, and is not told twice
            assert [heard.get(timeout=WAIT) for _ in range(2)][1] == JudgeFault("the judge hangs")
    assert said[3].qsize() == 1
    shared.close()


# --- faults -------------------------------------------------------------------------------


def test_a_break_is_told_to_all_and_one_restart_serves_all(bundle: VerifiedBundle) -> None:
    breaks = iter([True])
    shared, made = faked(
        bundle, lambda *_: Breaks("it broke") if next(breaks, False) else Says(scores(0.01))
    )
    seats, said = seated(shared, 5)
    seats[2].ask(SAME, plain(1), VIEWS)
    for heard in said:
        assert heard.get(timeout=WAIT) == JudgeFault("it broke")
    for seat in seats:
        seat.ask(Token(1, 8, 8), plain(1), VIEWS)  # not heard: it has not restarted
    threads = [threading.Thread(target=seat.restart) for seat in seats for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert made[0]._restarts == 999
    for seat, heard in zip(seats, said, strict=True):
        seat.ask(SAME, plain(1), VIEWS)
        assert heard.get(timeout=WAIT) == Answer(SAME, scores(0.01))
        assert heard.empty()
    shared.close()


def test_a_fault_in_the_middle_of_a_restart_is_not_lost(bundle: VerifiedBundle) -> None:
    class Unlucky(FakeJudge):
        def restart(self) -> None:
            super().restart()
            if self._restarts == 999 and self._listener is not None:
                self._listener(JudgeFault("it broke again"))

    judge = Unlucky(lambda n, *_: Breaks("it broke") if n == 0 else Says(scores(0.01)), every=VIEWS)
    shared = SharedJudge(bundle, make=lambda: judge)
    (seat, other), (said, others) = seated(shared, 2)
    seat.ask(SAME, plain(1), VIEWS)
    assert said.get(timeout=WAIT) == others.get(timeout=WAIT) == JudgeFault("it broke")
    seat.restart()
    assert said.get(timeout=WAIT) == JudgeFault("it broke again")
    for one, heard in ((seat, said), (other, others)):
        one.restart()
        one.ask(SAME, plain(1), VIEWS)
        assert heard.get(timeout=WAIT) == Answer(SAME, scores(0.01))
    assert judge._restarts == 998
    shared.close()


def test_a_judge_that_does_not_come_back_is_an_error_for_each(bundle: VerifiedBundle) -> None:
    judge = FakeJudge(lambda *_: Breaks(), every=VIEWS, restarts=0)
    shared = SharedJudge(bundle, make=lambda: judge)
    seats, said = seated(shared, 2)
    seats[0].ask(SAME, plain(1), VIEWS)
    for seat, heard in zip(seats, said, strict=True):
        assert isinstance(heard.get(timeout=WAIT), JudgeFault)
        with pytest.raises(JudgeError):
            seat.restart()
        seat.ask(SAME, plain(1), VIEWS)
    time.sleep(SOON)
    assert all(heard.empty() for heard in said)
    shared.close()


def test_the_owner_ends_it_for_all(bundle: VerifiedBundle) -> None:
    shared, _ = faked(bundle, by_luma)
    seats, said = seated(shared, 2)
    shared.close()
    for seat, heard in zip(seats, said, strict=True):
        assert heard.get(timeout=WAIT) == JudgeFault("the judge was closed")
        with pytest.raises(JudgeError):
            seat.restart()
        seat.ask(SAME, plain(1), VIEWS)
        assert heard.empty()
    with pytest.raises(JudgeError):
        shared.seat().start(lambda _: None)
    for seat in seats:
        seat.close()
    shared.close()


def test_a_judge_that_does_not_start_seats_nobody(bundle: VerifiedBundle) -> None:
    shared = SharedJudge(bundle, make=lambda: FakeJudge(by_luma, starts=False))
    seat = shared.seat()
    with pytest.raises(JudgeError):
        seat.start(lambda _: None)
    seat.close()
    shared.close()


def test_questions_go_out_only_to_the_judge_that_is_there(bundle: VerifiedBundle) -> None:
    """A question on its way while the judge is replaced would be one its successor never got."""
    entered, go_on = threading.Event(), threading.Event()

    class Slow(FakeJudge):
        def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
            if picture.y[0, 0] == 99:
                entered.set()
                go_on.wait(WAIT)
            super().ask(token, picture, views)

    judge = Slow(lambda *_: Says(scores(0.01)), every=VIEWS)
    shared = SharedJudge(bundle, make=lambda: judge)
    (seat, other), (said, others) = seated(shared, 2)
    asking = threading.Thread(target=seat.ask, args=(SAME, plain(99), VIEWS))
    asking.start()
    assert entered.wait(WAIT)
    assert isinstance(seat._desk, desks.Desk)
    seat._desk._hear(JudgeFault("it broke"))
    restarting = threading.Thread(target=other.restart)
    restarting.start()
    time.sleep(SOON)
    assert judge._restarts == 1000, "not before the question has gone to the one that broke"
    go_on.set()
    restarting.join(WAIT)
    assert judge._restarts == 999
    assert isinstance(said.get(timeout=WAIT), JudgeFault)
    other.ask(SAME, plain(1), VIEWS)
    answer = others.get(timeout=WAIT)
    assert answer == Answer(SAME, scores(0.01)) or isinstance(answer, JudgeFault)
    shared.close()


def test_no_question_overtakes_another_on_its_way(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge answers in the order in which it was asked: it has to be that of the turns."""
    monkeypatch.setattr(rota, "IN_HAND", 2)
    entered, go_on = threading.Event(), threading.Event()

    class Slow(FakeJudge):
        def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
            if picture.y[0, 0] == 99:
                entered.set()
                go_on.wait(WAIT)
            super().ask(token, picture, views)

    judge = Slow(by_luma, every=VIEWS)
    shared = SharedJudge(bundle, make=lambda: judge)
    (seat, other), (said, others) = seated(shared, 2)
    asking = threading.Thread(target=seat.ask, args=(SAME, plain(99), VIEWS))
    asking.start()
    assert entered.wait(WAIT)
    other.ask(SAME, plain(1), VIEWS)  # returns at once
    assert judge.asked == []
    go_on.set()
    assert said.get(timeout=WAIT) == Answer(SAME, Scores(0.99, None, VIEWS))
    assert others.get(timeout=WAIT) == Answer(SAME, Scores(0.01, None, VIEWS))
    shared.close()
