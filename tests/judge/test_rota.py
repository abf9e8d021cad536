"""Fair turns, as a theorem: nobody starves, nobody saves up, no answer goes astray."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.judge import rota
from safelight.judge.exchange import LyingError
from safelight.judge.rota import GUESS_S, IN_HAND, Rota
from safelight.types import Token

EPSILON = 1e-6


class Shop:
    """A rota with a judge that takes as long as each question says. Keeps what happened."""

    def __init__(self, *, waiting: int = 32) -> None:
        count = itertools.count(1)
        self.rota: Rota[tuple[int, int, float]] = Rota(
            lambda seat: Token(seat, next(count), 7), waiting=waiting
        )
        self.now_s = 0.0
        self.in_hand: list[tuple[Token, tuple[int, int, float], float]] = []
        self.served: dict[int, float] = {}
        self.turns: list[int] = []  # the seats, in the order in which their questions went out
        self.number = 0

    def join(self) -> int:
        seat = self.rota.join()
        self.served[seat] = 0.0
        return seat

    def ask(self, seat: int, cost_s: float) -> None:
        self.number += 1
        self.rota.ask(seat, (seat, self.number, cost_s), self.now_s)
        self.send()

    def send(self) -> None:
        while (sent := self.rota.next(self.now_s)) is not None:
            token, question = sent
            self.in_hand.append((token, question, self.now_s))
            self.turns.append(question[0])
        assert len(self.in_hand) <= rota.IN_HAND

    def answer(self) -> int | None:
        """Have the judge answer what it is at; return the seat that is told."""
        if not self.in_hand:
            return None
        token, question, _ = self.in_hand.pop(0)
        self.now_s += question[2]
        self.served[question[0]] = self.served.get(question[0], 0.0) + question[2]
        asked = self.rota.answered(token, self.now_s)
        if asked is not None:
            assert asked == (question[0], question)
        self.send()
        return None if asked is None else asked[0]


COSTS = st.floats(0.001, 0.3)


@given(
    costs=st.lists(st.lists(COSTS, min_size=1, max_size=5), min_size=2, max_size=6),
    rounds=st.integers(20, 120),
)
@settings(deadline=None, max_examples=300)
def test_who_always_wants_gets_a_like_share_of_the_time(
    costs: list[list[float]], rounds: int
) -> None:
    """However unlike their pictures, and however they change from one to the next."""
    shop = Shop()
    seats = [shop.join() for _ in costs]
    turn = {seat: itertools.cycle(cost) for seat, cost in zip(seats, costs, strict=True)}
    for seat in seats:
        for _ in range(IN_HAND + 2):  # so many that its line is never empty
            shop.ask(seat, next(turn[seat]))
    most = max(max(cost) for cost in costs)
    for _ in range(rounds):
        told = shop.answer()
        assert told is not None
        shop.ask(told, next(turn[told]))
        spread = max(shop.served.values()) - min(shop.served.values())
        # One question, and what is in hand: not served yet, and charged as the last one was.
        assert spread <= (1 + 2 * IN_HAND) * max(most, GUESS_S) + EPSILON


@given(cost=COSTS, seats=st.integers(2, 6), flood=st.integers(IN_HAND + 2, 30))
@settings(deadline=None, max_examples=100)
def test_between_equals_nobody_is_more_than_one_question_ahead(
    cost: float, seats: int, flood: int
) -> None:
    shop = Shop()
    numbers = [shop.join() for _ in range(seats)]
    for seat in numbers:
        for _ in range(flood if seat == numbers[0] else IN_HAND + 2):
            shop.ask(seat, cost)
    for _ in range(60):
        told = shop.answer()
        assert told is not None
        shop.ask(told, cost)
    spread = max(shop.served.values()) - min(shop.served.values())
    assert spread <= cost + max(cost, GUESS_S) + EPSILON


@given(
    flood_cost=COSTS,
    own_cost=COSTS,
    floods=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=150)
def test_who_asks_now_and_then_waits_for_a_bounded_number_of_turns(
    flood_cost: float, own_cost: float, floods: int, seed: int
) -> None:
    """What is in hand, and what makes up for its own last one: of each other one question, or
    as many as take no longer than that."""
    dice = random.Random(seed)  # noqa: S311  (a test that comes out the same twice)
    shop = Shop()
    enemies = [shop.join() for _ in range(floods)]
    quiet = shop.join()
    for enemy in enemies:
        for _ in range(32):
            shop.ask(enemy, flood_cost)
    for _ in range(40):
        for _ in range(dice.randint(floods + 2, 3 * floods + 6)):
            seat = shop.answer()
            if seat in enemies:
                shop.ask(seat, flood_cost)
        before, asked_s = len(shop.turns), shop.now_s
        shop.ask(quiet, own_cost)
        while quiet not in shop.turns[before:]:
            seat = shop.answer()
            assert seat in enemies
            shop.ask(seat, flood_cost)
        others = shop.turns[before:].index(quiet)
        own_s = max(own_cost, GUESS_S)  # what its last was charged, its first as a newcomer
        assert others <= floods * (2 + own_s // flood_cost) + IN_HAND
        most_s = (floods + IN_HAND) * flood_cost + floods * (own_s + flood_cost)
        assert shop.now_s - asked_s <= most_s + EPSILON
        while shop.answer() != quiet:
            pass


def test_time_without_a_wish_is_not_saved_up() -> None:
    shop = Shop()
    a, b = shop.join(), shop.join()
    for _ in range(100):
        shop.ask(a, 0.1)
        shop.answer()
    for _ in range(20):
        shop.ask(a, 0.1)
        shop.ask(b, 0.1)
    before = dict(shop.served)
    for _ in range(10):
        shop.answer()
    assert shop.served[b] - before[b] <= shop.served[a] - before[a] + 2 * 0.1 + EPSILON


def test_sixty_a_second_beside_five_that_ask_eight_takes_what_they_leave() -> None:
    """On the clock of a judge that could answer 40 a second: they want 40, it wants 60."""
    shop = Shop()
    flood, calm = shop.join(), [shop.join() for _ in range(5)]
    asked = dict.fromkeys((flood, *calm), 0)
    answered = dict.fromkeys((flood, *calm), 0)
    while shop.now_s < 20.0:
        for seat, rate in ((flood, 60), *((one, 6) for one in calm)):
            while asked[seat] < shop.now_s * rate:
                asked[seat] += 1
                shop.ask(seat, 0.025)
        told = shop.answer()
        if told is None:
            shop.now_s += 0.001
        else:
            answered[told] += 1
    for seat in calm:  # 30 a second together, less than five sixths of what there is
        assert asked[seat] - answered[seat] <= 2
    assert answered[flood] >= 20 * (40 - 30) - 5


def test_larger_pictures_get_fewer_turns() -> None:
    shop = Shop()
    small, large = shop.join(), shop.join()
    for _ in range(5):
        shop.ask(small, 0.01)
        shop.ask(large, 0.1)
    for _ in range(200):
        seat = shop.answer()
        assert seat is not None
        shop.ask(seat, 0.01 if seat == small else 0.1)
    assert shop.served[small] == pytest.approx(shop.served[large], abs=0.2)
    assert shop.rota.share(small) == pytest.approx(0.5, abs=0.05)


def test_to_leave_and_join_again_gains_nothing() -> None:
    shop = Shop()
    honest = shop.join()
    for _ in range(5):
        shop.ask(honest, 0.05)
    enemies = [shop.join() for _ in range(3)]
    for enemy in enemies:
        shop.ask(enemy, 0.05)
    for _ in range(200):
        seat = shop.answer()
        if seat == honest:
            shop.ask(honest, 0.05)
        elif seat is not None:
            enemies.remove(seat)
            shop.rota.leave(seat)
            enemies.append(shop.join())
            shop.ask(enemies[-1], 0.05)
    assert shop.served[honest] >= shop.now_s / 4 - 2 * 0.05


def test_to_withdraw_what_is_being_judged_is_charged_all_the_same() -> None:
    shop = Shop()
    honest, enemy = shop.join(), shop.join()
    for _ in range(5):
        shop.ask(honest, 0.05)
    shop.ask(enemy, 0.2)
    for _ in range(200):
        shop.rota.withdraw(enemy)
        if not any(question[0] == enemy for _, question, _ in shop.in_hand):
            shop.ask(enemy, 0.2)
        if shop.answer() == honest:
            shop.ask(honest, 0.05)
    assert shop.served[enemy] <= shop.served[honest] + 3 * 0.2


def test_a_full_line_gives_up_its_own_oldest_and_nobody_elses() -> None:
    shop = Shop(waiting=4)
    a, b = shop.join(), shop.join()
    shop.ask(b, 0.1)
    shop.ask(b, 0.1)
    shop.ask(b, 0.1)
    gone = [shop.rota.ask(a, (a, 100 + n, 0.1), 0.0) for n in range(6)]
    assert gone == [None] * 4 + [(a, 100, 0.1), (a, 101, 0.1)]
    told = [shop.answer() for _ in range(7)]
    assert told.count(b) == 3
    assert told.count(a) == 4


@st.composite
def _histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    steps = st.sampled_from(
        ("ask", "ask", "ask", "answer", "answer", "withdraw", "leave", "join", "broke")
    )
    return draw(st.lists(st.tuples(steps, st.integers(0, 3)), max_size=80))


@given(history=_histories())
@settings(deadline=None, max_examples=300)
def test_an_answer_goes_to_who_asked_and_to_nobody_else(history: list[tuple[str, int]]) -> None:
    """Equal questions, too: seats are told apart by the token that was made for each."""
    shop = Shop()
    seats = [shop.join() for _ in range(4)]
    unwanted: set[int] = set()  # numbers of the questions whose seat wants no answer any more
    for step, which in history:
        seat = seats[which]
        match step:
            case "ask":
                shop.ask(seat, 0.01)
            case "answer":
                first = shop.in_hand[0][1] if shop.in_hand else None
                told = shop.answer()
                if first is not None:
                    assert told == (None if first[1] in unwanted else first[0])
            case "withdraw":
                unwanted |= {q[1] for _, q, _ in shop.in_hand if q[0] == seat}
                shop.rota.withdraw(seat)
            case "leave" | "join":
                unwanted |= {q[1] for _, q, _ in shop.in_hand if q[0] == seat}
                shop.rota.leave(seat)
                seats[which] = shop.join()
            case "broke":
                suspect = shop.rota.broke(shop.now_s)
                if shop.in_hand:
                    assert suspect == shop.in_hand[0][1][0]
                void = [token for token, _, _ in shop.in_hand]
                shop.in_hand.clear()
                for token in void:
                    with pytest.raises(LyingError):
                        shop.rota.answered(token, shop.now_s)


def test_swapped_tokens_are_a_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rota, "IN_HAND", 2)  # else there is nothing to swap with
    shop = Shop()
    a, b = shop.join(), shop.join()
    shop.ask(a, 0.1)
    shop.ask(b, 0.1)
    second = shop.in_hand[1][0]
    with pytest.raises(LyingError):
        shop.rota.answered(second, 1.0)


def test_it_is_silent_too_if_nobodys_turn_ever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rota, "IN_HAND", 0)
    shop = Shop()
    seat = shop.join()
    shop.now_s = 10.0
    shop.ask(seat, 0.1)
    assert shop.rota.silent_s(13.0) == pytest.approx(3.0)


def test_the_suspect_is_who_was_looked_at_last() -> None:
    shop = Shop()
    a, b = shop.join(), shop.join()
    assert shop.rota.broke(50.0) is None
    shop.ask(a, 0.1)
    shop.ask(b, 0.1)
    shop.answer()
    assert shop.rota.broke(shop.now_s) == b
    shop.in_hand.clear()
    shop.ask(a, 0.1)
    shop.answer()
    assert shop.rota.broke(shop.now_s + 0.5) == a
    shop.ask(a, 0.1)
    shop.answer()
    assert shop.rota.broke(shop.now_s + 5.0) is None


def test_it_is_silent_only_while_it_owes_an_answer() -> None:
    shop = Shop()
    seat = shop.join()
    assert shop.rota.silent_s(100.0) == 0.0
    shop.now_s = 100.0
    shop.ask(seat, 0.5)
    assert shop.rota.silent_s(100.2) == pytest.approx(0.2)
    for _ in range(5):
        shop.ask(seat, 0.5)
    shop.answer()
    assert shop.now_s == 100.5
    assert shop.rota.silent_s(101.0) == pytest.approx(0.5)
    for _ in range(5):
        shop.answer()
    assert shop.rota.silent_s(500.0) == 0.0
