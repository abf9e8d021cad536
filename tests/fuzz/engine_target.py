"""The engine: any events in any order. The oracle and the ledger judge every command."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any, Final

import numpy as np
from tests.core.oracle import Oracle
from tests.fuzz.target import Target, check_no_release

from safelight.core import release
from safelight.core.engine import Engine
from safelight.core.held import Views
from safelight.core.ledger import Ledger
from safelight.core.limits import Limits
from safelight.core.policy import Policy
from safelight.testing.fakes import VIEW, scores
from safelight.testing.gates import CLOSE, ScriptedGate, symbol
from safelight.types import (
    NS_PER_MS,
    Action,
    Ask,
    AudioArrived,
    BundleChanged,
    Calibration,
    CardText,
    Command,
    Discontinuity,
    Emit,
    Event,
    EvidenceReady,
    Fault,
    FaultKind,
    Frame,
    Gap,
    Interrupt,
    Picture,
    PictureArrived,
    Resume,
    Sound,
    SourceEnded,
    StreamStarted,
    Tick,
    Token,
)

MS: Final = Fraction(1, 1000)
_LIVE: Final = Limits(
    hold_ns=100 * NS_PER_MS,
    grace_ns=100 * NS_PER_MS,
    lift_span_ns=200 * NS_PER_MS,
    bracket_frames=3,
    still_age_ns=300 * NS_PER_MS,
    audit_one_in=4,
    audit_between_one_in=4,
    sample_every_ns=100 * NS_PER_MS,
    codec_frame_samples=16,
    backlog=6,
    faults_to_interrupt=2,
    cool_down_ns=(100 * NS_PER_MS, 200 * NS_PER_MS),
)
_MODELS: Final = (
    _LIVE,
    dataclasses.replace(_LIVE, hold_ns=0),
    dataclasses.replace(_LIVE, patient=True),
    Limits(),
)
_POLICY: Final = Policy("model", "A small one", 0.5, 0.2, 0.3, 3000, 6000, False, 1.0, 60.0)
_PRIOR: Final = Calibration(
    "uncalibrated prior", ((0, -2000), (200, -500), (500, 500), (800, 2000), (1000, 4000))
)
_GATE: Final = ScriptedGate({("A", "B"): CLOSE, ("B", "C"): CLOSE})
_VIEWS: Final = Views((VIEW,), ("more",))
_TEXT: Final = CardText("m", "Paused")
_ODD: Final[tuple[Any, ...]] = (
    *(scores(v) for v in (0.0, 0.1, 0.49, 0.5, 1.0, math.nan, math.inf, -math.inf, -0.1, 1.5)),
    scores(0.3, 0.3), scores(0.1, math.nan), scores(0.1, views=()), scores(10**400), None, "0.1",
)  # fmt: skip
_STEPS_MS: Final = (0, 1, 5, 20, 40, 40, 40, 50, 100, 150, 250, 500, 1000, 2500, 6000, -40)


class _Stream:
    def __init__(self, limits: Limits) -> None:
        self.engine = Engine(limits, _POLICY, _PRIOR, _VIEWS, _GATE, b"sixteen bytes and more")
        self.oracle = Oracle(limits, _POLICY, _VIEWS.every, _GATE)
        self.ledger = Ledger(limits, _POLICY, _VIEWS.every)
        self.now_ns = 0
        self.seq = 0
        self.pts_ms = 0
        self.frames: dict[int, Frame] = {}
        self.asked: list[Token] = []

    def feed(self, event: Event) -> None:
        if isinstance(event, EvidenceReady):
            self.ledger.answered(event.token, event.evidence)
        commands = self.engine.handle(event)
        try:
            self.oracle.observe(event, commands)
        except AssertionError as error:
            raise AssertionError(f"{error} after {type(event).__name__}") from error
        for command in commands:
            self.carry_out(command)

    def carry_out(self, command: Command) -> None:
        if isinstance(command, Ask):
            self.asked.append(command.token)
            self.ledger.asked(command.token, self.frames[command.token.seq])
        elif isinstance(command, Emit):
            verdict = command.verdict
            safe = release.picture(self.frames[verdict.token.seq], verdict, self.now_ns, _TEXT)
            check_no_release(safe.released <= (verdict.action is Action.RELEASE), "no verdict")
            check_no_release(self.ledger.leaving(safe), "the ledger knows of no ground for it")

    def frame(self, content: Picture | Sound, gap: Gap | None = None) -> Frame:
        self.seq += 1
        made = Frame(self.seq, self.pts_ms, MS, self.now_ns, content, gap)
        self.frames[self.seq] = made
        return made

    def step(self, what: int, how: int) -> None:
        match what % 16:
            case 0 | 1 | 2 | 3 | 4:
                self.picture("ABCS"[how % 4], 40, None)
            case 5 | 6 | 7:
                self.answer_all(_ODD[how % 4] if how < 224 else _ODD[how % len(_ODD)])
            case 8:
                if self.asked:
                    token = self.asked[-1 - how // 16 % len(self.asked)]
                    self.feed(EvidenceReady(self.now_ns, token, _ODD[how % len(_ODD)]))
            case 9:
                if self.asked:
                    token = self.asked[-1]
                    lie = dataclasses.replace(token, nonce=token.nonce ^ 1, seq=token.seq + how % 3)
                    self.feed(EvidenceReady(self.now_ns, lie, _ODD[0]))
            case 10 | 11:
                self.now_ns = max(0, self.now_ns + _STEPS_MS[how % 16] * NS_PER_MS)
                self.feed(Tick(self.now_ns))
            case 12:
                wake = self.engine.wake_ns()
                self.now_ns = self.now_ns if wake is None else max(wake, self.now_ns)
                self.feed(Tick(self.now_ns))
            case 13:
                jump = (-40, 0, 1, 900, 1001, 5000, -5000, 40)[how % 8]
                gap = list(Gap)[how // 16 % 4] if how & 8 else None
                self.picture("ABCS"[how // 64], jump, gap)
            case 14:
                self.sound(how)
            case _:
                self.feed(self.event(how))

    def picture(self, name: str, jump_ms: int, gap: Gap | None) -> None:
        if self.engine._limits.patient and not self.engine.wants_frame:
            return
        self.pts_ms += jump_ms
        self.now_ns += 40 * NS_PER_MS
        drawn = symbol(name)
        # Another object each time: the ledger goes by which picture it is, not what it shows.
        own = Picture(drawn.format, drawn.y.copy(), drawn.u.copy(), drawn.v.copy())
        self.feed(PictureArrived(self.now_ns, self.frame(own, gap)))

    def sound(self, how: int) -> None:
        if self.pts_ms >= 0:
            samples = np.zeros((1, 1 + how % 90), np.float32)
            self.feed(AudioArrived(self.now_ns, self.frame(Sound(1600, samples))))

    def answer_all(self, evidence: Any) -> None:
        for token in list(self.engine._held.outstanding):
            self.feed(EvidenceReady(self.now_ns, token, evidence))

    def event(self, how: int) -> Event:
        if how < 8:
            return (SourceEnded, StreamStarted)[how % 2](self.now_ns)
        if how < 60:
            return Fault(self.now_ns, list(FaultKind)[how % 5 if how < 12 else 0])
        if how < 140:
            return Resume(self.now_ns)
        if how < 150:
            return Interrupt(self.now_ns, how % 3, self.now_ns + (how - 140) * 40 * NS_PER_MS)
        if how < 200:
            return Discontinuity(self.now_ns, list(Gap)[how % 4])
        return BundleChanged(self.now_ns) if how < 230 else StreamStarted(self.now_ns)


def run(data: bytes) -> None:
    if not data:
        return
    stream = _Stream(_MODELS[data[0] % len(_MODELS)])
    stream.feed(StreamStarted(0))
    for what, how in zip(data[1::2], data[2::2], strict=False):
        stream.step(what, how)
        if stream.engine.stopped:
            break
    if not stream.engine.stopped:
        stream.feed(SourceEnded(stream.now_ns))
        stream.answer_all(_ODD[0])
    check_no_release(stream.ledger.unjudged_released == 0, "a system leak")


def seeds() -> tuple[bytes, ...]:
    clear = bytes([0, 0, 5, 0, 14, 40]) * 12
    moving = b"".join(bytes([0, n % 3, 5, n % 2, 12, 0]) for n in range(16))
    covered = clear + bytes([0, 3, 5, 228]) * 6 + clear
    broken = clear + bytes([15, 20, 0, 0, 5, 0, 15, 20]) + clear + bytes([15, 100]) + clear
    late = bytes([0, 0, 10, 9, 5, 0, 8, 17, 9, 1]) * 8
    jumps = clear + b"".join(bytes([13, n * 9, 5, 0]) for n in range(28))
    bodies = (clear, moving, covered, broken, late, jumps)
    return tuple(bytes([model]) + body for model in range(4) for body in bodies)


TARGET = Target(run, seeds, text=False, pieces=600, max_len=400)
