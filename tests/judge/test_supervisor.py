"""Promise 2 across processes: a judge that dies, hangs or lies is a fault, never an answer."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.judge.stub_judge import CLEAR, Order, drawn
from tests.programs import is_running

from safelight.errors import JudgeError
from safelight.judge import exchange, sandbox, supervisor
from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.judge.sandbox import Layer
from safelight.judge.supervisor import ProcessJudge
from safelight.types import Absent, AbsentReason, Scores, Token, VerifiedBundle

STUB = "tests.judge.stub_judge"
WAIT = 20.0
Said = "queue.Queue[Answer | JudgeFault]"
Made = tuple[ProcessJudge, "queue.Queue[Answer | JudgeFault]"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the judge is isolated on Linux")


def running(bundle: VerifiedBundle, worker: str) -> Iterator[Made]:
    """Yield a judge whose process runs ``worker``, and what it says; close it afterwards."""
    judge = ProcessJudge(bundle, worker=worker)
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    judge.start(said.put)
    yield judge, said
    judge.close()


@pytest.fixture
def started(bundle: VerifiedBundle) -> Iterator[Made]:
    yield from running(bundle, STUB)


def token(seq: int) -> Token:
    return Token(1, seq, seq * 7 + 1)


def ends(pid: int) -> bool:
    for _ in range(200):
        if not is_running(pid):
            return True
        time.sleep(0.05)
    return False


def pid_of(judge: ProcessJudge) -> int:
    pid = judge.pid
    assert pid is not None
    return pid


def test_it_is_a_judge(bundle: VerifiedBundle) -> None:
    judge: Judge = ProcessJudge(bundle)
    assert judge.every == ("frame",)
    assert judge.in_turn == ("left_square", "right_square")
    judge.close()


def test_answers_carry_their_tokens_in_order(started: Made) -> None:
    judge, said = started
    views = (*judge.every, *judge.in_turn)
    for seq in range(50):  # more than the ring has slots
        judge.ask(token(seq), drawn(Order.CLEAR), views)
    assert [said.get(timeout=WAIT) for _ in range(50)] == [
        Answer(token(seq), CLEAR) for seq in range(50)
    ]


def test_it_shows_itself_in_the_list_of_processes(started: Made) -> None:
    judge, _ = started
    status = Path(f"/proc/{pid_of(judge)}/status").read_text()
    assert status.startswith("Name:\tsafelight-judge\n")


def test_each_size_is_read_as_it_is(started: Made) -> None:
    judge, said = started
    for seq, (width, height) in enumerate(((16, 16), (1920, 1080), (240, 4320), (7680, 4320))):
        judge.ask(token(seq), drawn(Order.SEXUAL, width, height), judge.every)
        assert said.get(timeout=WAIT) == Answer(token(seq), Scores(0.95, None, ("frame",)))


NOT_A_NUMBER = (Order.NAN, Order.TOO_LARGE, Order.NEGATIVE, Order.INFINITE, Order.NO_VIEWS)


@pytest.mark.parametrize("order", NOT_A_NUMBER, ids=lambda order: order.name)
def test_what_is_no_evidence_is_passed_on_as_it_is_for_the_engine_to_refuse(
    started: Made, order: Order
) -> None:
    judge, said = started
    judge.ask(token(1), drawn(order), judge.every)
    answer = said.get(timeout=WAIT)
    assert isinstance(answer, Answer)
    assert isinstance(answer.evidence, Scores)
    assert not (0.0 <= answer.evidence.sexual <= 1.0 and answer.evidence.views)


def test_absence_is_passed_on_as_absence(started: Made) -> None:
    judge, said = started
    judge.ask(token(1), drawn(Order.ABSENT), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(1), Absent(AbsentReason.FAULT))


FAULTS = (
    Order.NETWORK_BREAKS,
    Order.EXCEPTION,
    Order.OUT_OF_MEMORY,
    Order.CRASH,
    Order.SYSTEM_CALL,
    Order.ENDS,
    Order.WRONG_TOKEN,
    Order.GARBAGE,
    Order.CUT_SHORT,
    Order.EARLY,
    Order.UNKNOWN_VIEW,
)


@pytest.mark.parametrize("order", FAULTS, ids=lambda order: order.name)
def test_a_break_or_a_lie_is_one_fault_and_the_judge_comes_back(
    started: Made, order: Order
) -> None:
    judge, said = started
    before = pid_of(judge)
    for seq, what in enumerate((Order.CLEAR, order, Order.CLEAR, Order.CLEAR)):
        judge.ask(token(seq), drawn(what), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(0), Scores(0.01, None, ("frame",)))
    fault = said.get(timeout=WAIT)
    assert isinstance(fault, JudgeFault)
    assert "secret" not in fault.what
    assert said.empty()
    assert ends(before)
    judge.restart()
    judge.ask(token(9), drawn(Order.CLEAR), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(9), Scores(0.01, None, ("frame",)))
    assert said.empty()


@pytest.mark.parametrize("order", [Order.TWICE, Order.TWICE_OTHERWISE], ids=lambda o: o.name)
def test_a_second_answer_counts_for_nothing_and_is_a_fault(started: Made, order: Order) -> None:
    judge, said = started
    judge.ask(token(1), drawn(order), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(1), Scores(0.01, None, ("frame",)))
    fault = said.get(timeout=WAIT)
    assert fault == JudgeFault("the judge answered what it was not asked")


def test_answers_under_each_others_tokens_are_a_fault_and_count_for_nothing(
    bundle: VerifiedBundle,
) -> None:
    judge = ProcessJudge(bundle, worker="tests.judge.swapping_judge")
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    judge.start(said.put)
    judge.ask(token(1), drawn(Order.BUSY), judge.every)
    judge.ask(token(2), drawn(Order.SEXUAL), judge.every)
    assert said.get(timeout=WAIT) == JudgeFault("the judge answered out of turn")
    assert judge.pid is None
    judge.close()
    assert said.empty()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_judge_is_a_fault(started: Made, number: signal.Signals) -> None:
    judge, said = started
    os.kill(pid_of(judge), number)
    assert said.get(timeout=WAIT) == JudgeFault("the judge ended")
    assert judge.pid is None


@pytest.mark.parametrize("order", [Order.HANG, Order.CLEAR])
def test_a_judge_that_hangs_or_is_stopped_can_be_replaced(started: Made, order: Order) -> None:
    judge, said = started
    before = pid_of(judge)
    if order is Order.CLEAR:
        os.kill(before, signal.SIGSTOP)
    judge.ask(token(1), drawn(order), judge.every)
    time.sleep(0.1)
    judge.restart()
    assert ends(before)
    judge.ask(token(2), drawn(Order.CLEAR), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(2), Scores(0.01, None, ("frame",)))
    assert said.empty()


def test_a_judge_is_replaced_when_its_template_is_gone_too(started: Made) -> None:
    judge, said = started
    before = pid_of(judge)
    template = int(Path(f"/proc/{before}/stat").read_text().rpartition(") ")[2].split()[1])
    os.kill(template, signal.SIGKILL)
    assert said.get(timeout=WAIT) == JudgeFault("the judge ended")
    assert ends(before)  # a judge does not outlive what it was forked from
    judge.restart()
    judge.ask(token(2), drawn(Order.CLEAR), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(2), Scores(0.01, None, ("frame",)))


def test_nothing_is_answered_before_a_restart_or_after_the_end(started: Made) -> None:
    judge, said = started
    judge.ask(token(1), drawn(Order.ENDS), judge.every)
    assert isinstance(said.get(timeout=WAIT), JudgeFault)
    judge.ask(token(2), drawn(Order.CLEAR), judge.every)
    judge.restart()
    judge.ask(token(3), drawn(Order.CLEAR), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(3), Scores(0.01, None, ("frame",)))
    judge.close()
    judge.ask(token(4), drawn(Order.CLEAR), judge.every)
    with pytest.raises(RuntimeError):
        judge.restart()
    assert said.empty()


def test_an_old_judge_cannot_answer_for_a_new_one(started: Made) -> None:
    judge, said = started
    os.kill(pid_of(judge), signal.SIGSTOP)
    for seq in range(5):
        judge.ask(token(seq), drawn(Order.CLEAR), judge.every)
    judge.restart()
    judge.ask(token(5), drawn(Order.CLEAR), judge.every)
    assert said.get(timeout=WAIT) == Answer(token(5), Scores(0.01, None, ("frame",)))
    assert said.empty()


def test_a_guard_that_asks_too_much_gets_a_fault(
    started: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, said = started
    monkeypatch.setattr(exchange, "MAX_WAITING", 8)
    os.kill(pid_of(judge), signal.SIGSTOP)
    for seq in range(40):
        judge.ask(token(seq), drawn(Order.CLEAR, 16, 16), judge.every)
    fault = said.get(timeout=WAIT)
    assert isinstance(fault, JudgeFault)
    assert "faster" in fault.what


def test_a_view_that_the_bundle_does_not_have_is_a_fault(started: Made) -> None:
    judge, said = started
    judge.ask(token(1), drawn(Order.CLEAR), ("frame", "other"))
    assert isinstance(said.get(timeout=WAIT), JudgeFault)


def test_it_must_be_started_once_and_first(bundle: VerifiedBundle, started: Made) -> None:
    judge, said = started
    with pytest.raises(RuntimeError):
        judge.start(said.put)
    fresh = ProcessJudge(bundle, worker=STUB)
    with pytest.raises(RuntimeError):
        fresh.ask(token(1), drawn(Order.CLEAR), fresh.every)
    with pytest.raises(RuntimeError):
        fresh.restart()
    fresh.close()
    with pytest.raises(RuntimeError):
        fresh.start(said.put)


def test_the_listener_may_restart_and_close_it(bundle: VerifiedBundle) -> None:
    judge = ProcessJudge(bundle, worker=STUB)
    said: queue.Queue[object] = queue.Queue()

    def listener(message: Answer | JudgeFault) -> None:
        said.put(message)
        if isinstance(message, JudgeFault):
            judge.restart()
            judge.ask(token(2), drawn(Order.CLEAR), judge.every)
        else:
            judge.close()

    judge.start(listener)
    judge.ask(token(1), drawn(Order.ENDS), judge.every)
    assert isinstance(said.get(timeout=WAIT), JudgeFault)
    assert isinstance(said.get(timeout=WAIT), Answer)
    judge.close()


@pytest.mark.parametrize("worker", ["tests.judge.no_such_module", "tests.judge.test_wire"])
def test_a_process_that_does_not_come_up_is_an_error(bundle: VerifiedBundle, worker: str) -> None:
    judge = ProcessJudge(bundle, worker=worker)
    with pytest.raises(JudgeError) as caught:
        judge.start(lambda _: None)
    assert caught.value.exit_status == 3
    assert "\n" not in str(caught.value)
    judge.close()


def test_a_wrong_self_test_is_no_start(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen = subprocess.Popen

    def refusing(arguments: list[str], **rest: object) -> object:
        return popen([*arguments, "refuse"], **rest)  # type: ignore[call-overload]

    monkeypatch.setattr("safelight.judge.template.subprocess.Popen", refusing)
    judge = ProcessJudge(bundle, worker=STUB)
    with pytest.raises(JudgeError, match="self-test got a wrong answer"):
        judge.start(lambda _: None)
    judge.close()


def test_a_judge_that_is_not_isolated_does_not_start_unless_that_is_allowed(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_: tuple[Layer, ...]) -> list[str]:
        return ["system_calls"]

    monkeypatch.setattr(sandbox, "missing", lacking)
    judge = ProcessJudge(bundle, worker=STUB)
    with pytest.raises(JudgeError, match="no system_calls"):
        judge.start(lambda _: None)
    judge.close()
    weak = ProcessJudge(bundle, worker=STUB, allow_weak=True)
    weak.start(lambda _: None)
    weak.close()


def test_a_judge_is_not_believed_about_its_own_sandbox(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: int) -> frozenset[str]:
        return frozenset()

    monkeypatch.setattr(sandbox, "observed", nothing)
    judge = ProcessJudge(bundle, worker=STUB)
    with pytest.raises(JudgeError, match="isolated"):
        judge.start(lambda _: None)
    judge.close()


def test_where_it_is_not_supported_it_does_not_start(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "unsupported", lambda: "unsupported until isolated")
    judge = ProcessJudge(bundle, worker=STUB)
    with pytest.raises(JudgeError, match="unsupported until isolated"):
        judge.start(lambda _: None)
    judge.close()


def test_a_bundle_that_changes_on_disk_changes_nothing(
    tmp_path: Path, started: Made, bundle: VerifiedBundle
) -> None:
    # The judge gets bytes that were verified, never a path.
    judge, said = started
    words = Path(f"/proc/{pid_of(judge)}/cmdline").read_bytes().split(b"\0")
    assert not any(b"/bundles/" in word for word in words)
    judge.restart()
    judge.ask(token(1), drawn(Order.CLEAR), judge.every)
    assert isinstance(said.get(timeout=WAIT), Answer)


def test_its_cpu_time_only_grows_across_restarts(started: Made) -> None:
    judge, said = started
    seen = [judge.cpu_seconds()]
    assert seen[0] > 0.0
    for seq in range(3):
        judge.ask(token(seq), drawn(Order.CLEAR), judge.every)
        assert isinstance(said.get(timeout=WAIT), Answer)
        judge.restart()
        seen.append(judge.cpu_seconds())
    assert seen == sorted(seen)


GUARD = """
import datetime, sys
from safelight.bundle import trust
from safelight.judge.supervisor import ProcessJudge

folder = trust.stand_in_folder("face")
bundle = trust.verify(folder, allow_test=True, today=datetime.date(2026, 11, 22))
judge = ProcessJudge(bundle, worker="tests.judge.stub_judge")
judge.start(lambda _: None)
print(judge.pid, flush=True)
sys.stdin.read()
"""


def test_the_judge_dies_with_its_guard() -> None:
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert guard.stdout is not None
    judge = int(guard.stdout.readline())
    template = int(Path(f"/proc/{judge}/stat").read_text().rpartition(") ")[2].split()[1])
    assert is_running(judge)
    guard.kill()
    guard.wait()
    assert ends(judge)
    assert ends(template)


def test_nothing_is_left_behind(bundle: VerifiedBundle) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))

    def once() -> None:
        judge = ProcessJudge(bundle, worker=STUB)
        judge.start(lambda _: None)
        judge.restart()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid_of(judge), signal.SIGKILL)
        judge.close()

    once()
    before, threads = handles(), threading.active_count()
    once()
    assert handles() == before
    for _ in range(100):
        if threading.active_count() <= threads:
            break
        time.sleep(0.05)
    assert threading.active_count() <= threads


def test_a_judge_that_computes_for_nothing_is_ended_and_one_that_answers_is_not(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "CPU_S", 1)
    monkeypatch.setattr(supervisor, "RENEW_S", 0.1)
    judge = ProcessJudge(bundle, worker=STUB)
    said: queue.Queue[Answer | JudgeFault] = queue.Queue()
    judge.start(said.put)
    try:
        begun = judge.cpu_seconds()
        seq = 0
        while judge.cpu_seconds() - begun < 2.5:  # more than it is ever given at once
            judge.ask(token(seq), drawn(Order.BUSY), judge.every)
            assert isinstance(said.get(timeout=WAIT), Answer)
            seq += 1
        monkeypatch.setattr(supervisor, "RENEW_S", 60.0)
        time.sleep(0.3)
        judge.ask(token(seq), drawn(Order.HANG), judge.every)
        assert said.get(timeout=WAIT) == JudgeFault("the judge ended")
    finally:
        judge.close()


def test_a_picture_that_no_slot_can_hold_is_a_fault(started: Made) -> None:
    judge, said = started
    judge.ask(token(1), drawn(Order.CLEAR, 7682, 4320), judge.every)
    assert isinstance(said.get(timeout=WAIT), JudgeFault)


def test_it_is_granted_more_before_it_has_used_up_what_it_has() -> None:
    assert supervisor.RENEW_S < supervisor.CPU_S


def test_a_restart_that_meets_the_end_does_not_wait_for_ever(bundle: VerifiedBundle) -> None:
    judge = ProcessJudge(bundle, worker=STUB)
    judge.start(lambda _: None)
    jobs = judge._jobs

    class Closing:
        """Somebody closes the judge at the worst moment: just before the job is handed over."""

        def put(self, job: object) -> None:
            closer = threading.Thread(target=judge.close, daemon=True)
            closer.start()
            closer.join(0.5)
            if judge._closed:
                judge._thread.join(WAIT)
            jobs.put(job)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(jobs, name)

    judge._jobs = Closing()  # type: ignore[assignment]
    ended = threading.Event()

    def restart() -> None:
        with contextlib.suppress(JudgeError):  # or it comes back just in time
            judge.restart()
        ended.set()

    threading.Thread(target=restart, daemon=True).start()
    assert ended.wait(WAIT)
    judge.close()


def test_a_judge_that_ends_while_its_time_is_renewed_is_a_fault_like_any_other(
    started: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, said = started

    def gone(*_: int) -> None:
        raise ProcessLookupError

    with monkeypatch.context() as patched:
        patched.setattr(sandbox, "renew_cpu", gone)
        judge._nudge()
        time.sleep(0.2)  # its thread has to outlive that
        with pytest.raises(JudgeError):
            judge.restart()
    judge.restart()
    judge.ask(token(1), drawn(Order.CLEAR), judge.every)
    assert isinstance(said.get(timeout=WAIT), Answer)


def test_what_nobody_thought_of_is_a_fault_and_the_judge_comes_back(
    started: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, said = started

    def broken(*_: object) -> None:
        raise ValueError("a secret of the picture")

    with monkeypatch.context() as patched:
        patched.setattr(exchange.Exchange, "take", broken)
        judge.ask(token(1), drawn(Order.CLEAR), judge.every)
        assert said.get(timeout=WAIT) == JudgeFault("the judge cannot be heard (ValueError)")
    judge.restart()
    judge.ask(token(2), drawn(Order.CLEAR), judge.every)
    assert isinstance(said.get(timeout=WAIT), Answer)


def test_a_judge_keeps_nothing_of_its_templates_channel(bundle: VerifiedBundle) -> None:
    """In a host with very many open files its number is beyond those that a judge closes."""
    judge = ProcessJudge(bundle, worker="tests.judge.far_control")
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(16)]
    judge.start(lambda _: None)
    for handle in taken:
        os.close(handle)
    try:
        held = [os.readlink(path) for path in Path(f"/proc/{judge.pid}/fd").iterdir()]
    except PermissionError:
        pytest.skip("only root may see the descriptors of a process that hides")
    finally:
        judge.close()
    assert sum(name.startswith("socket:") for name in held) == 1


@pytest.mark.parametrize("stub", ["first_look_stub", "breaks_loading_stub"])
def test_a_quicker_network_that_cannot_be_shut_in_or_loaded_is_left_out(
    bundle: VerifiedBundle, stub: str
) -> None:
    judge = ProcessJudge(bundle, first_look_below=0.08, worker=f"tests.judge.{stub}")
    judge.start(lambda _: None)
    try:
        assert not judge.looks_first
        assert is_running(pid_of(judge))
    finally:
        judge.close()
