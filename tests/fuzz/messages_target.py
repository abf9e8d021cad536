"""The messages between guard and judge: read as they are, or ``WireError``; lies never release."""

from __future__ import annotations

import struct
from typing import Final

from tests.fuzz.target import Target, check, check_no_release

from safelight import policies
from safelight.core.policy import checked, decide
from safelight.judge import wire
from safelight.types import (
    Absent,
    AbsentReason,
    Action,
    Evidence,
    PictureFormat,
    Scores,
    Token,
)

_VIEWS: Final = ("reference", "whole", "left", "right")
_EVERY: Final = _VIEWS[:2]
_POLICY: Final = policies.load("protect")
_TOKEN: Final = Token(3, 4_000_000_000, 0x0123_4567_89AB_CDEF)


def run(data: bytes) -> None:
    _question(data)
    _answer(data)


def _question(data: bytes) -> None:
    try:
        question = wire.parse_question(data)
    except wire.WireError:
        return
    form = question.format
    check(question.views > 0, "a question through no view")
    check(form.width >= 16 and form.height >= 16, "a question about no picture")
    check(wire.pack_question(question) == data, "it packs as another question")


def _answer(data: bytes) -> None:
    try:
        said = wire.parse_answer(data, _VIEWS)
    except wire.WireError:
        return
    if isinstance(said, wire.Broke):
        return
    token, evidence = said
    raw = struct.unpack_from("<QQQ", data, 4)
    check((token.stream, token.seq, token.nonce) == raw, "an answer to another question")
    check(isinstance(evidence, Scores | Absent), "neither scores nor absent")
    if isinstance(evidence, Scores):
        bits, sexual = struct.unpack_from("<Hd", data, 30)
        run_on = tuple(name for bit, name in enumerate(_VIEWS) if bits & 1 << bit)
        check_no_release(evidence.views == run_on, "views that were not looked through")
        check_no_release(repr(evidence.sexual) == repr(sexual), "another score than was sent")
    action = decide(_POLICY, checked(evidence, _EVERY))[0]
    if action is Action.RELEASE:
        clear = isinstance(evidence, Scores) and 0.0 <= evidence.sexual < _POLICY.cover_at
        check_no_release(clear, "a score that is not clear is released")
        views = evidence.views if isinstance(evidence, Scores) else ()
        check_no_release(set(_EVERY) <= set(views), "a view is missing, and it is released")


def seeds() -> tuple[bytes, ...]:
    forms = (PictureFormat(64, 48), PictureFormat(1280, 720, True, 1, 1, 1))
    evidence: tuple[Evidence, ...] = (
        Scores(0.01, None, _VIEWS),
        Scores(0.9, 0.7, _EVERY),
        Scores(0.3, None, _VIEWS, 0.02),
        *(Absent(reason) for reason in AbsentReason),
    )
    return (
        *(wire.pack_question(wire.Question(_TOKEN, 2, form, 0b11)) for form in forms),
        *(wire.pack_answer(_TOKEN, one, _VIEWS) for one in evidence),
        *(wire.pack_broke(why) for why in wire.Broke),
    )


TARGET = Target(
    run,
    seeds,
    words=tuple(struct.pack("<d", v) for v in (0.0, 0.5, 1.0, 1.5, -1.0, 1e-320, float("nan")))
    + tuple(struct.pack("<H", v) for v in (0, 1, 3, 15, 16, 65535)),
    text=False,
    pieces=4000,
    max_len=128,
)
