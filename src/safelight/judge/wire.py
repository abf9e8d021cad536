"""What passes between guard and judge: fixed-size questions one way, fixed-size answers back.

An answer holds numbers only, and its views are bits that the guard turns into names of its
own: nothing that a judge sends can carry text, and nothing of a picture fits in.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from safelight.types import (
    Absent,
    AbsentReason,
    Evidence,
    PictureFormat,
    Scores,
    Token,
)

MAX_VIEWS: Final = 16

_QUESTION: Final = struct.Struct("<4sQQQHHHHHBBBB")
_ANSWER: Final = struct.Struct("<4sQQQBBHddd")
_ASKS: Final = b"SLQ1"
_SAYS: Final = b"SLA1"
_SCORES, _ABSENT, _BROKE = range(3)
_MINOR, _EVERY = 1, 2  # which of the numbers that may be missing are there
_REASONS: Final = tuple(AbsentReason)

QUESTION_BYTES: Final = _QUESTION.size
ANSWER_BYTES: Final = _ANSWER.size


class WireError(ValueError):
    """A message that is not what it must be."""


class Broke(enum.Enum):
    """Why a judge gives up: all that it can say of it."""

    NETWORK = 0
    EXCEPTION = 1
    MEMORY = 2


@dataclass(frozen=True, slots=True)
class Question:
    """Look at the picture in ``slot`` through the views whose bits are set."""

    token: Token
    slot: int
    format: PictureFormat
    views: int


def pack_question(question: Question) -> bytes:
    """Return the bytes of a question. Aspect is left out: pixels are judged as square."""
    token, form = question.token, question.format
    return _QUESTION.pack(
        _ASKS,
        token.stream,
        token.seq,
        token.nonce,
        question.slot,
        form.width,
        form.height,
        question.views,
        0,
        form.full_range,
        form.matrix,
        form.primaries,
        form.transfer,
    )


def parse_question(message: bytes) -> Question:
    """Read a question.

    Raises:
        WireError: it is anything else.
    """
    if len(message) != QUESTION_BYTES:
        raise WireError("a question of another length")
    magic, stream, seq, nonce, slot, width, height, views, spare, *colours = _QUESTION.unpack(
        message
    )
    full_range, matrix, primaries, transfer = colours
    if magic != _ASKS or spare != 0 or full_range > 1 or views == 0:
        raise WireError("no question")
    try:
        form = PictureFormat(
            width=width,
            height=height,
            full_range=bool(full_range),
            matrix=matrix,
            primaries=primaries,
            transfer=transfer,
        )
    except ValueError as error:
        raise WireError("a question about no picture") from error
    return Question(Token(stream, seq, nonce), slot, form, views)


def pack_answer(token: Token, evidence: Evidence, views: Sequence[str]) -> bytes:
    """Return the bytes of an answer; ``views`` are the bundle's names, in order of their bits."""
    if isinstance(evidence, Absent):
        kind, detail, bits = _ABSENT, _REASONS.index(evidence.reason), 0
        numbers = (0.0, 0.0, 0.0)
    else:
        kind, bits = _SCORES, view_bits(evidence.views, views)
        detail = (evidence.minor is not None) * _MINOR | (evidence.every is not None) * _EVERY
        numbers = (evidence.sexual, evidence.minor or 0.0, evidence.every or 0.0)
    return _ANSWER.pack(_SAYS, token.stream, token.seq, token.nonce, kind, detail, bits, *numbers)


def pack_broke(why: Broke) -> bytes:
    """Return the bytes by which a judge gives up."""
    return _ANSWER.pack(_SAYS, 0, 0, 0, _BROKE, why.value, 0, 0.0, 0.0, 0.0)


def parse_answer(message: bytes, views: Sequence[str]) -> tuple[Token, Evidence] | Broke:
    """Read what a judge said. Numbers are as it sent them: they may be NaN or out of range.

    Raises:
        WireError: it is no answer at all.
    """
    if len(message) != ANSWER_BYTES:
        raise WireError("an answer of another length")
    magic, stream, seq, nonce, kind, detail, bits, *numbers = _ANSWER.unpack(message)
    if magic != _SAYS or bits >> len(views):
        raise WireError("no answer")
    token = Token(stream, seq, nonce)
    if kind == _SCORES and detail <= _MINOR | _EVERY:
        names = tuple(name for bit, name in enumerate(views) if bits >> bit & 1)
        sexual, minor, every = numbers
        minor, every = minor if detail & _MINOR else None, every if detail & _EVERY else None
        return token, Scores(sexual=sexual, minor=minor, views=names, every=every)
    if kind == _ABSENT and detail < len(_REASONS):
        return token, Absent(_REASONS[detail])
    if kind == _BROKE and detail < len(Broke):
        return Broke(detail)
    raise WireError("no answer")


def view_bits(chosen: Sequence[str], views: Sequence[str]) -> int:
    """Return the bits of the chosen views.

    Raises:
        WireError: one is not among ``views``, or none is chosen.
    """
    if not chosen or not set(chosen) <= set(views) or len(views) > MAX_VIEWS:
        raise WireError("a view that the bundle does not have")
    return sum(1 << views.index(name) for name in set(chosen))
