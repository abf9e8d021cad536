"""Every state that a small engine can reach, against every event: promises 1, 2 and 3.

The model is the real engine with small limits, symbolic pictures and a table for a gate.
From each root, every dialogue with up to so many pictures and so many disturbances is
walked, states met before are not walked again, and every command is checked by the oracle.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from tests.core.clone import Fingerprint, clone
from tests.core.oracle import Oracle

from safelight.core.engine import Engine
from safelight.core.held import Views
from safelight.core.limits import Limits
from safelight.core.load import Load
from safelight.core.policy import Policy
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import CLOSE, ScriptedGate, symbol
from safelight.types import (
    NS_PER_MS,
    AudioArrived,
    BundleChanged,
    Calibration,
    Discontinuity,
    Event,
    Evidence,
    EvidenceReady,
    Fault,
    FaultKind,
    Frame,
    Gap,
    Interrupt,
    PictureArrived,
    Resume,
    Scores,
    Sound,
    SourceEnded,
    State,
    StreamStarted,
    Tick,
    Token,
)

STEP_MS = 50
MS = Fraction(1, 1000)
LIVE = Limits(
    hold_ns=100 * NS_PER_MS,
    grace_ns=50 * NS_PER_MS,
    lift_span_ns=100 * NS_PER_MS,
    bracket_frames=3,
    bracket_span_permille=1000,
    still_age_ns=100 * NS_PER_MS,
    audit_one_in=4,
    audit_between_one_in=4,
    sample_every_ns=100 * NS_PER_MS,
    silence_after_ns=75 * NS_PER_MS,
    codec_frame_samples=16,
    backlog=5,
    stall_ns=400 * NS_PER_MS,
    service_guess_ns=60 * NS_PER_MS,
    faults_to_interrupt=2,
    cool_down_ns=(100 * NS_PER_MS, 200 * NS_PER_MS),
)
CALL = dataclasses.replace(LIVE, hold_ns=0, grace_ns=100 * NS_PER_MS)
PATIENT = dataclasses.replace(LIVE, patient=True)
POLICY = Policy("model", "A small one", 0.5, 0.2, 0.3, 3000, 6000, False, 1.0, 60.0)
PRIOR = Calibration(
    "uncalibrated prior", ((0, -2000), (200, -500), (500, 500), (800, 2000), (1000, 4000))
)
GATE = ScriptedGate({("A", "B"): CLOSE})
VIEWS = Views((VIEW,), ())
CLEAR, SENSITIVE = scores(0.0), scores(1.0)
NOTHING: dict[str, Evidence] = {
    "nan": scores(math.nan),
    "above": scores(1.5),
    "below": scores(-0.1),
    "no view": scores(0.0, views=()),
}
SOUND = Sound(1600, np.zeros((1, 80), np.float32))  # 50 ms; a codec frame is 10 ms


class SteadyLoad(Load):
    """A judge always takes as long as was guessed: one thing less to tell states apart."""

    def answered(self, now_ns: int, asked_ns: int, looks: int) -> None:
        pass


@dataclass
class Node:
    engine: Engine
    oracle: Oracle
    seq: int = 0
    pts_ms: int = 0
    arrived_ns: int = 0
    pictures: int = 0
    disturbances: int = 0

    def feed(self, event: Event) -> None:
        commands = self.engine.handle(event)
        self.oracle.observe(event, commands)

    def copy(self) -> Node:
        memo: dict[int, object] = {}
        engine, oracle = clone(self.engine, memo), clone(self.oracle, memo)
        return dataclasses.replace(self, engine=engine, oracle=oracle)

    def key(self) -> int:
        live = not self.engine._limits.patient
        pts_ns = self.pts_ms * NS_PER_MS
        state = Fingerprint(self.now_ns, pts_ns, self.oracle.shown_ns, live=live)
        since_ns = min(self.now_ns - self.arrived_ns, 2 * STEP_MS * NS_PER_MS)
        mine = (self.seq, self.pictures, self.disturbances, since_ns)
        return hash((state.of(self.engine), state.of(self.oracle), mine))

    @property
    def now_ns(self) -> int:
        return self.oracle.now_ns

    @property
    def may_come(self) -> bool:
        """A file's picture comes when it is wanted, a live one at most one step late."""
        if self.engine._limits.patient:
            return self.engine.wants_frame
        return self.now_ns - self.arrived_ns < 2 * STEP_MS * NS_PER_MS

    def picture(self, name: str, jump_ms: int = STEP_MS, gap: Gap | None = None) -> PictureArrived:
        self.seq, self.pts_ms = self.seq + 1, self.pts_ms + jump_ms
        # A live frame arrives on the next step of the clock; a file's when it is wanted.
        step = STEP_MS * NS_PER_MS
        now = self.now_ns if self.engine._limits.patient else (self.now_ns // step + 1) * step
        self.arrived_ns = now
        return PictureArrived(now, Frame(self.seq, self.pts_ms, MS, now, symbol(name), gap))

    def sound(self) -> AudioArrived:
        self.seq += 1
        return AudioArrived(
            self.now_ns, Frame(self.seq, max(self.pts_ms, 0), MS, self.now_ns, SOUND)
        )

    def answers(self) -> Iterator[tuple[Token, Evidence | None]]:
        """Tokens that may still be answered, with what was said of them before."""
        for token, seen in self.oracle.known.items():
            if not seen.void:
                yield token, seen.said


def root(limits: Limits) -> Node:
    engine = Engine(limits, POLICY, PRIOR, VIEWS, GATE, b"sixteen bytes and more")
    engine._held._load = SteadyLoad(limits, 1)
    node = Node(engine, Oracle(limits, POLICY, VIEWS.every, GATE))
    node.feed(StreamStarted(0))
    return node


def answer_all(node: Node, evidence: Evidence) -> None:
    for token in list(node.engine._held.outstanding):
        node.feed(EvidenceReady(node.now_ns, token, evidence))


def reached(limits: Limits, state: State) -> Node:
    """A stream that was brought to a state the ordinary way."""
    node = root(limits)
    names = {State.PENDING: "", State.LIVE: "AAAAAA", State.COVERED: "AAAAAAS"}
    for name in names.get(state, "AAAAAASSSSSSSS"):
        node.feed(node.picture(name))
        answer_all(node, SENSITIVE if name == "S" else CLEAR)
    if state is State.COVERED:  # the sensitive frame has to reach the head
        for _ in range(4 if limits.hold_ns and not limits.patient else 0):
            node.feed(node.picture("A"))
            answer_all(node, CLEAR)
            if node.engine.state is State.COVERED:
                break
    assert node.engine.state is state
    return node


Step = tuple[str, object]


def ordinary(node: Node) -> Iterator[Step]:
    if node.pictures and node.may_come:
        for name in "ABS":
            yield "picture", name
    for token, said in node.answers():
        if said is None:
            yield "answer", (token, CLEAR)
            yield "answer", (token, SENSITIVE)
    wake = node.engine.wake_ns()
    if wake is not None and (node.oracle.held or node.oracle.chunks):  # else it ticks for ever
        yield "tick", max(wake, node.now_ns)


def disturbing(node: Node) -> Iterator[Step]:
    first = last = None
    for token, said in node.answers():
        if said is None:
            first, last = first or token, token
            if not node.engine._limits.patient:
                yield "late", (token, CLEAR)
        else:
            yield "answer", (token, said)
            yield "answer", (token, SENSITIVE if said is CLEAR else CLEAR)
    for token in dict.fromkeys(t for t in (first, last) if t is not None):
        for evidence in NOTHING.values():
            yield "answer", (token, evidence)
        yield "answer", (dataclasses.replace(token, nonce=token.nonce + 1), CLEAR)
    yield "event", Tick(node.now_ns + 250 * NS_PER_MS)
    yield "event", Tick(node.now_ns - 250 * NS_PER_MS)
    yield "event", Tick(node.now_ns + 6000 * NS_PER_MS)
    yield "event", Discontinuity(node.now_ns, Gap.SUSPEND)
    yield "event", BundleChanged(node.now_ns)
    yield "event", StreamStarted(node.now_ns)
    for kind in FaultKind:
        yield "event", Fault(node.now_ns, kind)
    yield "event", Resume(node.now_ns)
    yield "event", Resume(node.now_ns + 100 * NS_PER_MS)
    yield "event", Interrupt(node.now_ns, 0, 0)
    yield "event", Interrupt(node.now_ns, 1, node.now_ns + 100 * NS_PER_MS)
    yield "event", SourceEnded(node.now_ns)
    yield "sound", None
    if node.pictures:
        for jump_ms in (-2 * STEP_MS, 0, 2000):
            yield "jump", jump_ms
        yield "gap", None


def take(node: Node, step: Step) -> None:
    kind, what = step
    match kind, what:
        case "picture", str():
            node.pictures -= 1
            event: Event = node.picture(what)
        case "answer", (Token() as token, Scores() as evidence):
            event = EvidenceReady(node.now_ns, token, evidence)
        case "late", (Token() as token, Scores() as evidence):
            entry = node.oracle.known[token].frame
            limits = node.engine._limits
            at = entry.arrived_ns + limits.hold_ns + limits.grace_ns
            event = EvidenceReady(max(node.now_ns, at), token, evidence)
        case "tick", int():
            event = Tick(what)
        case "jump", int():
            node.pictures -= 1
            event = node.picture("A", what)
        case "gap", None:
            node.pictures -= 1
            event = node.picture("A", gap=Gap.SOURCE)
        case "sound", None:
            event = node.sound()
        case _:
            assert isinstance(what, Event)
            event = what
    node.feed(event)


def explore(start: Node, pictures: int, disturbances: int) -> Counter[str]:
    start.pictures, start.disturbances = pictures, disturbances
    met = {start.key()}
    todo: list[tuple[Node, tuple[Step, ...]]] = [(start, ())]
    count: Counter[str] = Counter()
    while todo:
        node, path = todo.pop()
        count["states"] += 1
        count[node.engine.state.value] += 1
        steps = [(step, 0) for step in ordinary(node)]
        if node.disturbances:
            steps += [(step, 1) for step in disturbing(node)]
        for step, cost in steps:
            after = node.copy()
            after.disturbances -= cost
            count["steps"] += 1
            try:
                take(after, step)
            except AssertionError as error:
                told = "\n  ".join(f"{kind} {what}" for kind, what in (*path, step))
                raise AssertionError(f"{error}\nafter:\n  {told}") from error
            count["released"] += after.oracle.released - node.oracle.released
            if after.engine.stopped:
                continue
            key = after.key()
            if key not in met:
                met.add(key)
                todo.append((after, (*path, step)))
    return count


MODELS = {"live": LIVE, "call": CALL, "patient": PATIENT}

# model, state it begins in, pictures to come, disturbances at any moment
SMALL = [
    ("live", State.LIVE, 1, 1),
    ("live", State.LIVE, 2, 0),
    ("call", State.LIVE, 1, 1),
    ("patient", State.LIVE, 1, 1),
    ("call", State.INTERRUPTED, 1, 1),
    ("live", State.COVERED, 1, 1),
]
LARGE = [
    ("live", State.PENDING, 3, 0),
    ("live", State.LIVE, 3, 0),
    ("live", State.LIVE, 2, 1),
    ("live", State.COVERED, 3, 0),
    ("live", State.INTERRUPTED, 2, 1),
    ("call", State.PENDING, 1, 1),
    ("live", State.PENDING, 1, 1),
    ("call", State.LIVE, 3, 1),
    ("call", State.COVERED, 2, 1),
    ("call", State.INTERRUPTED, 2, 1),
    ("patient", State.PENDING, 3, 1),
    ("patient", State.LIVE, 1, 2),
    ("patient", State.LIVE, 3, 1),
    ("patient", State.COVERED, 2, 1),
    ("patient", State.INTERRUPTED, 2, 2),
]


def check(model: str, state: State, pictures: int, disturbances: int) -> None:
    count = explore(reached(MODELS[model], state), pictures, disturbances)
    print(f"{model} {state.value} {pictures}+{disturbances}: {dict(count)}")  # noqa: T201
    assert count["states"] > 20


@pytest.mark.parametrize(("model", "state", "pictures", "disturbances"), SMALL)
def test_no_state_and_no_event_break_a_promise(
    model: str, state: State, pictures: int, disturbances: int
) -> None:
    check(model, state, pictures, disturbances)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "state", "pictures", "disturbances"), LARGE)
def test_no_state_and_no_event_break_a_promise_further_on(
    model: str, state: State, pictures: int, disturbances: int
) -> None:
    check(model, state, pictures, disturbances)
