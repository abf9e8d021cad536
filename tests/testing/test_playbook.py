"""The playbook and the fakes that integrators get: they fail when they should."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import pytest

from safelight import policies
from safelight.core.engine import Engine
from safelight.core.gate import UNLIKE
from safelight.core.held import Views
from safelight.core.limits import Limits
from safelight.errors import EndOfStream, JudgeError, SinkLostError
from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.media.interface import Sink, Source, SourceInfo
from safelight.testing.fakes import (
    VIEW,
    Breaks,
    FakeJudge,
    FakeSink,
    FakeSource,
    Plan,
    Reply,
    Says,
    Silent,
    scores,
)
from safelight.testing.gates import CLOSE, SAME, SMALL, ScriptedGate, name_of, symbol
from safelight.testing.playbook import Playbook, forgotten, frame, picture
from safelight.types import (
    Ask,
    Calibration,
    CardText,
    Picture,
    PictureFormat,
    Resume,
    StreamStarted,
    Tick,
    Token,
)

PRIOR = Calibration("uncalibrated prior", ((0, -2000), (1000, 4000)))


@pytest.fixture
def engine() -> Engine:
    views = Views((VIEW,), ())
    return Engine(Limits(), policies.load("protect"), PRIOR, views, ScriptedGate(), b"x" * 16)


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    forgotten()
    yield
    assert not forgotten()


def test_a_dialogue_that_goes_as_written_passes(engine: Engine) -> None:
    book = Playbook(engine)
    book >> StreamStarted(0) << "state pending starting"
    book >> picture(0, "A", 0) << Ask(engine._held.token(0), (VIEW,))
    book >> book.answer(0, scores(0.0), now_ns=5)
    book >> Tick(750_000_000) << "cover 0 starting"
    assert book


@pytest.mark.parametrize("wrong", ["ask 1 reference", "release 0 judged by 0", "stop ended"])
def test_a_wrong_command_is_shown_as_a_difference(engine: Engine, wrong: str) -> None:
    book = Playbook(engine, records=False)
    book >> StreamStarted(0)
    book >> picture(0, "A", 0) << wrong
    with pytest.raises(AssertionError) as caught:
        assert book
    assert f"- << {wrong}" in str(caught.value)
    assert "+ << ask 0 reference" in str(caught.value)


def test_a_command_that_nobody_wrote_down_fails(engine: Engine) -> None:
    book = Playbook(engine)
    book >> StreamStarted(0)
    with pytest.raises(AssertionError, match="state pending starting"):
        assert book


def test_a_command_that_never_came_fails(engine: Engine) -> None:
    book = Playbook(engine)
    book << "stop ended"
    with pytest.raises(AssertionError, match="stop ended"):
        assert book


def test_a_playbook_that_nobody_asserted_is_found(engine: Engine) -> None:
    book = Playbook(engine)
    book >> StreamStarted(0)
    assert forgotten() == [book]
    assert forgotten() == []


def test_feeding_off_the_record_owes_nothing(engine: Engine) -> None:
    book = Playbook(engine)
    book.feed(StreamStarted(0))
    assert book.feed(picture(0, "A", 0))
    book.feed(Resume(1))
    assert book.open == [0]
    assert book.told == ["state pending starting", "ask 0 reference"]
    assert book


def test_an_answer_to_what_was_never_asked_is_the_test_s_own_fault(engine: Engine) -> None:
    with pytest.raises(KeyError):
        Playbook(engine).answer(0, scores(0.0), now_ns=0)


# --- symbols and gates ----------------------------------------------------------------------


def test_symbols_carry_their_names_and_the_gate_goes_by_them() -> None:
    for name in ("A", "moving", "12345678"):
        assert name_of(symbol(name)) == name
    for bad in ("", "123456789", "é"):
        with pytest.raises(ValueError, match=r"\w"):
            symbol(bad)
    gate = ScriptedGate({("A", "B"): CLOSE, ("C", "C"): UNLIKE})
    assert gate.compare(symbol("A"), symbol("B")) == CLOSE
    assert gate.compare(symbol("B"), symbol("A")) == CLOSE
    assert gate.compare(symbol("A"), symbol("A")) == SAME
    assert gate.compare(symbol("C"), symbol("C")) == UNLIKE
    assert gate.compare(symbol("A"), symbol("S")) == UNLIKE
    assert gate.compare(symbol("A"), symbol("A", PictureFormat(32, 16))) == UNLIKE


# --- the fake judge -------------------------------------------------------------------------

Inbox = queue.SimpleQueue[Answer | JudgeFault]


def started(plan: Plan) -> tuple[FakeJudge, Inbox]:
    inbox: Inbox = queue.SimpleQueue()
    judge = FakeJudge(plan)
    typed: Judge = judge  # keeps the production interface
    typed.start(inbox.put)
    return judge, inbox


def test_it_says_what_it_was_told() -> None:
    def plan(count: int, token: Token, shown: Picture) -> Reply:
        told: dict[str, Reply] = {
            "A": Says(scores(0.0), after_s=0.01),
            "S": Says(scores(1.0), times=2),
            "L": Says(scores(0.0), token=Token(9, 9, 9)),
            "N": Silent(),
            "F": Breaks("bang"),
        }
        return told[name_of(shown)]

    judge, inbox = started(plan)
    for seq, name in enumerate("ANSLF"):
        judge.ask(Token(0, seq, seq), symbol(name), (VIEW,))
    got = [inbox.get(timeout=5) for _ in range(5)]
    assert got == [
        Answer(Token(0, 0, 0), scores(0.0)),
        Answer(Token(0, 2, 2), scores(1.0)),
        Answer(Token(0, 2, 2), scores(1.0)),
        Answer(Token(9, 9, 9), scores(0.0)),
        JudgeFault("bang"),
    ]
    assert [views for _, views in judge.asked] == [(VIEW,)] * 5
    judge.close()
    judge.close()


def test_a_restart_forgets_what_was_asked() -> None:
    def plan(count: int, token: Token, shown: Picture) -> Reply:
        return Says(scores(0.0), after_s=0.05)

    judge, inbox = started(plan)
    judge.ask(Token(0, 0, 0), symbol("A"), (VIEW,))
    judge.ask(Token(0, 1, 1), symbol("A"), (VIEW,))
    judge.restart()
    judge.ask(Token(0, 2, 2), symbol("A"), (VIEW,))
    assert inbox.get(timeout=5) == Answer(Token(0, 2, 2), scores(0.0))
    judge.close()


def test_it_does_not_start_or_come_back_when_told_so() -> None:
    def plan(count: int, token: Token, shown: Picture) -> Reply:
        return Silent()

    with pytest.raises(JudgeError):
        FakeJudge(plan, starts=False).start(lambda _: None)
    judge = FakeJudge(plan, restarts=0)
    with pytest.raises(JudgeError):
        judge.restart()


# --- the fake source and sink ---------------------------------------------------------------

INFO = SourceInfo(live=False, format=SMALL, frame_rate=25.0)


def test_a_source_gives_out_its_frames_and_ends() -> None:
    frames = [frame(seq, "A", seq * 40) for seq in range(2)]
    paced: list[int] = []
    made: Source = FakeSource(INFO, frames, pace=lambda f: paced.append(f.seq))
    assert made.open() is INFO
    assert [made.read(), made.read()] == frames
    assert paced == [0, 1]
    with pytest.raises(EndOfStream):
        made.read()


def test_a_source_breaks_or_closes_as_told() -> None:
    broken = FakeSource(INFO, [], error=OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        broken.read()
    closed = FakeSource(INFO, [frame(0, "A", 0)])
    closed.close()
    with pytest.raises(EndOfStream):
        closed.read()


def test_a_sink_keeps_what_it_gets_and_breaks_where_told() -> None:
    from safelight.core import release

    made = FakeSink(fails_at=1)
    typed: Sink = made
    card = release.lone_card(PictureFormat(320, 240), 0, CardText("m", "Paused"))
    with pytest.raises(RuntimeError):
        typed.write(card)
    typed.open(INFO)
    typed.write(card)
    with pytest.raises(TypeError):
        typed.write(symbol("A"))  # type: ignore[arg-type]
    with pytest.raises(SinkLostError):
        typed.write(card)
    typed.close(whole=False)
    typed.close(whole=True)
    assert (made.frames, made.whole) == ([card], False)
