"""The shell under a judge, a source and a sink that misbehave: promises 1, 2, 5 and 8.

Bright pictures stand for what must not leave; a fake judge says so, or fails to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import safelight
from safelight.cooldown import CoolDownFile
from safelight.core.engine import Engine
from safelight.errors import EngineFaultError, JudgeError, SinkLostError, SourceLostError
from safelight.judge import keeper
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.fakes import (
    Breaks,
    FakeJudge,
    FakeSink,
    FakeSource,
    Reply,
    Says,
    Silent,
    scores,
)
from safelight.types import (
    Absent,
    Action,
    Binding,
    Command,
    Emit,
    Event,
    Picture,
    PictureFormat,
    Reason,
    SafeFrame,
    Scores,
    Sound,
    State,
    Token,
    Verdict,
)

FORM = PictureFormat(160, 90)
BRIGHT = 200
Plan = Callable[[int, Token, Picture], Reply]


def picture(luma: int) -> Picture:
    y = np.full((90, 160), luma, np.uint8)
    # Two patterns that move, so that neighbours differ a little and stay unlike the bright.
    y[luma % 80 :: 16] = luma - 20
    half = np.full((45, 80), 128, np.uint8)
    return Picture(FORM, y, half, half.copy())


def film(*stretches: tuple[int, int]) -> list[Picture]:
    """Pictures in stretches of (luma, how many); each a little different from the last."""
    return [picture(luma + i % 3) for luma, count in stretches for i in range(count)]


def honest(_: int, __: Token, shown: Picture) -> Reply:
    return Says(scores(0.99 if shown.y.max() >= BRIGHT else 0.01))


def guarded(
    pictures: Sequence[Picture], plan: Plan, state: Path, *, live: bool = False, **more: object
) -> tuple[FakeSink, safelight.Session]:
    sink = FakeSink()
    source = DrawnSource(pictures, live=live, tone_hz=440.0)
    judge = FakeJudge(plan, restarts=int(str(more.pop("restarts", 1000))))
    session = safelight.open(source, sink, judge=judge, state=state, **more)  # type: ignore[arg-type]
    return sink, session


def released(sink: FakeSink) -> list[Picture]:
    return [f.content for f in sink.frames if f.released and isinstance(f.content, Picture)]


def no_bright(sink: FakeSink) -> bool:
    # A card has bright letters of its own, so it is by "released" that a picture is known.
    return all(shown.y.max() < BRIGHT for shown in released(sink))


def test_an_honest_judge_lets_the_rest_leave(tmp_path: Path) -> None:
    sink, session = guarded(film((50, 60), (220, 10), (50, 60)), honest, tmp_path)
    report = session.wait()
    assert report is not None
    assert no_bright(sink)
    assert len(released(sink)) == report.frames.released >= 80
    assert report.frames.unjudged_released == 0
    assert report.frames.in_ == 130
    assert sink.whole is True


def test_the_counts_of_a_report_tell_one_bit_of_a_score_and_no_more(tmp_path: Path) -> None:
    """What promise 8 does not keep (docs/threat-model.md): whether pictures vouch."""
    judged = {}
    for score in (0.01, 0.05, 0.09, 0.11, 0.15, 0.19):
        reply = Says(scores(score))
        sink, session = guarded(
            [picture(50)] * 90, lambda *_, r=reply: r, tmp_path, secret=b"of this test alone"
        )
        report = session.wait()
        assert report is not None
        assert len(released(sink)) == 90
        judged[score] = report.frames.judged
    print(judged)  # noqa: T201
    assert len({judged[score] for score in (0.01, 0.05, 0.09)}) == 1
    assert {judged[score] for score in (0.11, 0.15, 0.19)} == {90}


@pytest.mark.parametrize(
    "reply",
    [
        Says(scores(float("nan"))),
        Says(scores(float("inf"))),
        Says(scores(-0.1)),
        Says(scores(0.0, float("nan"))),
        Says(scores(0.0, views=())),
        Says(scores(0.0), token=Token(0, 0, 0)),
    ],
    ids=["nan", "infinite", "negative", "nan_minor", "no_view", "wrong_token"],
)
@pytest.mark.parametrize("live", [False, True])
def test_an_answer_that_is_none_releases_nothing(
    reply: Reply, live: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "HUNG_S", 0.2)
    sink, session = guarded(film((50, 25)), lambda *_: reply, tmp_path, live=live)
    report = session.wait(30)
    assert report is not None
    assert released(sink) == []
    assert report.frames.released == 0


def test_a_second_answer_cannot_open_what_the_first_closed(tmp_path: Path) -> None:
    def plan(n: int, token: Token, shown: Picture) -> Reply:
        return Says(scores(0.99 if shown.y.max() >= BRIGHT else 0.01), times=1 + n % 3)

    sink, session = guarded(film((50, 40), (220, 20), (50, 40)), plan, tmp_path)
    assert session.wait() is not None
    assert no_bright(sink)


@pytest.mark.parametrize("live", [False, True])
def test_a_judge_that_breaks_is_restarted_and_nothing_slips_through(
    live: bool, tmp_path: Path
) -> None:
    def plan(n: int, token: Token, shown: Picture) -> Reply:
        return Breaks("planned") if n == 12 else honest(n, token, shown)

    sink, session = guarded(film((50, 60), (220, 5), (50, 60)), plan, tmp_path, live=live)
    report = session.wait(60)
    assert report is not None
    assert no_bright(sink)
    assert report.frames.unjudged_released == 0
    assert {fault.what for fault in report.faults} >= {"planned"}
    if not live:  # live, the break may fall under a cover for content, which stays what it is
        assert "fault" in {span.reason for span in report.states}
    assert report.states[-1].state in ("live", "covered")


def test_a_judge_that_hangs_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "HUNG_S", 0.2)

    def plan(n: int, token: Token, shown: Picture) -> Reply:
        return Silent() if n == 5 else honest(n, token, shown)

    sink, session = guarded(film((50, 60)), plan, tmp_path)
    report = session.wait(30)
    assert report is not None
    assert "the judge hangs" in {fault.what for fault in report.faults}
    assert len(released(sink)) > 20


def test_three_faults_interrupt_and_a_resume_needs_no_cool_down(tmp_path: Path) -> None:
    broken = {8, 16, 24}

    def plan(n: int, token: Token, shown: Picture) -> Reply:
        return Breaks() if n in broken else honest(n, token, shown)

    _sink, session = guarded(film((50, 240)), plan, tmp_path, live=True)
    states = []
    for event in session.events():
        states.append((event.kind, event.state, event.reason))
        if event.state is State.INTERRUPTED and event.kind == "state":
            session.resume()
    assert ("state", State.INTERRUPTED, Reason.FAULT) in states
    after = states[states.index(("state", State.INTERRUPTED, Reason.FAULT)) :]
    assert any(state is State.LIVE for _, state, _ in after)
    assert list(tmp_path.iterdir()) == []


def test_a_judge_that_does_not_come_back_ends_the_stream(tmp_path: Path) -> None:
    def plan(n: int, token: Token, shown: Picture) -> Reply:
        return Breaks() if n == 5 else honest(n, token, shown)

    sink, session = guarded(film((50, 90)), plan, tmp_path, restarts=0)
    with pytest.raises(EngineFaultError) as caught:
        session.wait(30)
    assert caught.value.exit_status == 4
    assert sink.whole is False


def test_a_judge_that_does_not_start_releases_nothing(tmp_path: Path) -> None:
    sink = FakeSink()
    judge = FakeJudge(honest, starts=False)
    with pytest.raises(JudgeError) as caught:
        safelight.open(DrawnSource(film((50, 5))), sink, judge=judge, state=tmp_path)
    assert caught.value.exit_status == 3
    assert sink.frames == []


def test_a_sink_that_breaks_ends_the_stream(tmp_path: Path) -> None:
    sink = FakeSink(fails_at=10)
    session = safelight.open(
        DrawnSource(film((50, 60))), sink, judge=FakeJudge(honest), state=tmp_path
    )
    with pytest.raises(SinkLostError):
        session.wait(30)
    assert sink.whole is False
    assert session.report is not None
    frames = session.report.frames
    assert frames.in_ == frames.released + frames.covered + frames.dropped


def test_a_source_that_breaks_off_leaves_what_was_judged_playable(tmp_path: Path) -> None:
    drawn = DrawnSource(film((50, 40)))
    info = drawn.open()
    frames = [drawn.read() for _ in range(40)]
    source = FakeSource(info, frames, error=SourceLostError("it broke", "try again"))
    sink = FakeSink()
    session = safelight.open(source, sink, judge=FakeJudge(honest), state=tmp_path)
    with pytest.raises(SourceLostError):
        session.wait(30)
    assert sink.whole is True
    assert len(released(sink)) == 40
    assert session.report is not None
    assert [(f.what, f.count) for f in session.report.faults] == [("source fault", 1)]


def test_sound_is_silent_wherever_the_picture_is_covered(tmp_path: Path) -> None:
    sink, session = guarded(film((50, 45), (220, 8), (50, 60)), honest, tmp_path)
    assert session.wait() is not None
    spans = [(f.pts_ns, f.released) for f in sink.frames if isinstance(f.content, Picture)]
    covered = [at for at, kept in spans if not kept]
    start, end = min(covered), max(covered) + 33_000_000
    loud_inside, loud_before = 0, 0
    for frame in sink.frames:
        if not isinstance(frame.content, Sound):
            continue
        at = frame.pts_ns + np.arange(frame.content.samples.shape[1]) * 10**9 // 48_000
        loud = np.abs(frame.content.samples[0]) > 0
        loud_inside += int((loud & (at >= start - 20_000_000) & (at < end)).sum())
        loud_before += int((loud & (at < start - 40_000_000)).sum())
    assert loud_inside == 0
    assert loud_before > 40_000


def test_a_slow_judge_lowers_the_frame_rate_and_releases_nothing_unjudged(tmp_path: Path) -> None:
    def plan(n: int, token: Token, shown: Picture) -> Reply:
        answer = honest(n, token, shown)
        assert isinstance(answer, Says)
        return Says(answer.evidence, after_s=0.15)

    # Every picture unlike the last, so that each has to be judged.
    pictures = [picture(40 + 60 * (i % 2)) for i in range(60)] + film((220, 20))
    sink, session = guarded(pictures, plan, tmp_path, live=True)
    report = session.wait(60)
    assert report is not None
    assert no_bright(sink)
    assert report.frames.dropped > 0
    assert report.frames.unjudged_released == 0


def test_a_sink_learns_no_score(tmp_path: Path) -> None:
    """Promise 8: scores cross the judge's channel only."""
    sink, session = guarded(film((50, 60)), honest, tmp_path)
    assert session.wait() is not None
    for frame in sink.frames:
        if frame.verdict is not None:
            assert all(isinstance(said, Absent) for _, said in frame.verdict.rests_on)


@pytest.mark.parametrize("how", ["no_answer", "bad_answer", "other_frame"])
def test_the_ledger_stops_an_engine_that_lies(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted system leak: the engine says RELEASE, and the second opinion says no."""
    handle = Engine.handle

    def lying(self: Engine, event: Event) -> list[Command]:
        commands = handle(self, event)
        return [_planted(command, how) for command in commands]

    monkeypatch.setattr(Engine, "handle", lying)
    sink, session = guarded(film((220, 30)), honest, tmp_path)
    with pytest.raises(EngineFaultError):
        session.wait(30)
    assert released(sink) == []
    assert session.report is not None
    assert session.report.outcome == "fault"


def _planted(command: Command, how: str) -> Command:
    if not isinstance(command, Emit):
        return command
    token = command.verdict.token
    named = {
        "no_answer": Token(token.stream, token.seq, token.nonce + 1),
        "bad_answer": token,
        "other_frame": Token(token.stream, token.seq + 1, token.nonce),
    }[how]
    good = Scores(0.0, None, ("reference",))
    return Emit(
        Verdict(
            named,
            Action.RELEASE,
            Reason.CLEAR,
            Binding.JUDGED,
            ((named, good),),
            command.verdict.expires_ns + (1 << 62),
        )
    )


def test_a_live_stream_starts_interrupted_while_another_guard_cools_down(tmp_path: Path) -> None:
    CoolDownFile(tmp_path).raise_to(2, time.time())
    sink, session = guarded(film((50, 30)), honest, tmp_path, live=True)
    report = session.wait(30)
    assert report is not None
    assert {span.state for span in report.states} == {"interrupted"}
    assert released(sink) == []


def test_an_interruption_is_kept_and_a_resume_has_to_wait(tmp_path: Path) -> None:
    sink, session = guarded(film((50, 20), (220, 75), (50, 30)), honest, tmp_path, live=True)
    refused = []
    for event in session.events():
        if event.kind == "state" and event.state is State.INTERRUPTED:
            session.resume()
        if event.kind == "resume_refused":
            refused.append(event.wait_s)
    assert refused
    assert 0 < refused[0] <= 10.5  # the file keeps whole seconds
    assert (tmp_path / "cool-down.json").exists()
    assert no_bright(sink)


@pytest.mark.parametrize("before", [0, 1])
def test_an_interruption_says_how_long_a_resume_has_to_wait(before: int, tmp_path: Path) -> None:
    """This guard's own cool-down, or what another one's left of it."""
    if before:
        CoolDownFile(tmp_path).raise_to(2, time.time())
    _, session = guarded(film((50, 20), (220, 75)), honest, tmp_path, live=True)
    waits = [e.wait_s for e in session.events() if e.state is State.INTERRUPTED]
    assert waits
    assert (9.0 < waits[0] <= 10.5) if not before else (50.0 < waits[0] <= 60.5)


def test_a_file_resumes_by_itself_once_its_cool_down_is_over_in_film_time(tmp_path: Path) -> None:
    """It waits in silence: nobody is told of resumes that nobody asked for."""
    _, session = guarded(film((50, 20), (220, 75), (50, 340)), honest, tmp_path, resume_after_s=1.0)
    events = list(session.events())
    at = {event.reason: event.at_s for event in events if event.kind == "state"}
    interrupted = next(e.at_s for e in events if e.state is State.INTERRUPTED)
    assert {event.kind for event in events} == {"state", "end"}
    assert 9.5 <= at[Reason.USER_RESUME] - interrupted < 11.0
    assert any("until resumed" in event.text for event in events)


def test_a_file_promises_no_resume(tmp_path: Path) -> None:
    _, session = guarded(film((50, 20), (220, 75), (50, 30)), honest, tmp_path)
    texts = [event.text for event in session.events()]
    assert any("to the end" in text for text in texts)
    assert not any("resumed" in text for text in texts)
    assert "Ended" in texts[-1]


def test_a_file_neither_starts_a_cool_down_nor_obeys_one(tmp_path: Path) -> None:
    """The same file always comes out the same."""
    runs = []
    for _ in range(2):
        sink, session = guarded(film((50, 20), (220, 75), (50, 30)), honest, tmp_path)
        assert session.wait() is not None
        runs.append([frame.released for frame in sink.frames])
    assert runs[0] == runs[1]
    assert list(tmp_path.iterdir()) == []


def test_closing_ends_it_at_once_and_leaves_it_playable(tmp_path: Path) -> None:
    sink, session = guarded(film((50, 900)), honest, tmp_path, live=True)
    time.sleep(0.6)
    session.close()
    session.close()
    report = session.wait(20)
    assert report is not None
    assert report.outcome == "closed"
    assert sink.whole is True
    assert report.frames.in_ < 900


def test_a_sink_is_offered_nothing_but_safe_frames(tmp_path: Path) -> None:
    sink, session = guarded(film((50, 20)), honest, tmp_path)
    assert session.wait() is not None
    assert {type(frame) for frame in sink.frames} == {SafeFrame}


def test_events_carry_the_local_card_and_no_scores(tmp_path: Path) -> None:
    _, session = guarded(film((50, 45), (220, 8), (50, 60)), honest, tmp_path, region="GB")
    events = list(session.events())
    covers = [event for event in events if event.state is State.COVERED]
    assert covers
    card = covers[0].card
    assert card is not None
    assert card.message_id == "card.local_outgoing"
    assert "0800 1111" in " ".join(card.lines)
    assert covers[0].should_cover
    assert covers[0].should_mute
    assert not covers[0].should_interrupt
    assert "0.99" not in str([event.as_json() for event in events])
