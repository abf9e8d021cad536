"""The only mint of ``SafeFrame``: what may leave, and in what form.

A picture leaves as itself only under a RELEASE that still holds and rests on evidence that
is there. Anything else gives a card drawn from text alone. The module does not decide; it
checks that what was decided could have been.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np

from safelight.core import card
from safelight.errors import NotReleasableError
from safelight.types import (
    NS_PER_S,
    RELEASE_MINT,
    Absent,
    AbsentReason,
    Action,
    Binding,
    CardText,
    Frame,
    Mute,
    Picture,
    PictureFormat,
    SafeFrame,
    Scores,
    Sound,
    Verdict,
)

NANOSECOND = Fraction(1, NS_PER_S)


def picture(frame: Frame, verdict: Verdict, now_ns: int, text: CardText) -> SafeFrame:
    """Return what leaves for this frame under this verdict: itself, or a card.

    Args:
        frame: a frame with a picture.
        verdict: what the engine says of exactly this frame.
        now_ns: the time; a RELEASE past its expiry gives a card.
        text: what a card would say.

    Raises:
        NotReleasableError: the verdict is of another frame, or a RELEASE rests on nothing.
    """
    if not isinstance(frame.content, Picture) or verdict.token.seq != frame.seq:
        raise NotReleasableError("the verdict is not of this picture")
    if verdict.action is Action.RELEASE and now_ns <= verdict.expires_ns:
        _check_grounds(verdict)
        leaves, released = frame.content, True
    else:
        leaves, released = card.draw(frame.content.format, text), False
    return SafeFrame(
        frame.pts, frame.time_base, leaves, _without_scores(verdict), released, RELEASE_MINT
    )


def _without_scores(verdict: Verdict) -> Verdict:
    """Return the verdict as a sink may know it: what it rests on, not what was said of it."""
    rests_on = tuple((token, Absent(AbsentReason.WITHHELD)) for token, _ in verdict.rests_on)
    return dataclasses.replace(verdict, rests_on=rests_on)


def _check_grounds(verdict: Verdict) -> None:
    tokens = [token for token, _ in verdict.rests_on]
    seq = verdict.token.seq
    match verdict.binding, tokens:
        case Binding.JUDGED, [own]:
            fits = own == verdict.token
        case Binding.STILL, [earlier]:
            fits = earlier.seq < seq
        case Binding.BRACKETED, [left, right]:
            fits = left.seq < seq < right.seq
        case _:
            fits = False
    if not fits or any(token.stream != verdict.token.stream for token in tokens):
        raise NotReleasableError("a RELEASE that rests on nothing")
    for _, evidence in verdict.rests_on:
        # NaN compares with nothing, so it is refused too.
        if not isinstance(evidence, Scores) or not 0.0 <= evidence.sexual < 1.0:
            raise NotReleasableError("a RELEASE without evidence")


def lone_card(picture_format: PictureFormat, pts_ns: int, text: CardText) -> SafeFrame:
    """Return a card that stands for no frame, at ``pts_ns`` of stream time."""
    drawn = card.draw(picture_format, text)
    return SafeFrame(pts_ns, NANOSECOND, drawn, None, False, RELEASE_MINT)


def sound(frame: Frame, mute: Mute) -> SafeFrame:
    """Return the chunk with the spans that ``mute`` names silenced.

    Raises:
        NotReleasableError: the command is of another chunk.
    """
    if not isinstance(frame.content, Sound) or mute.token.seq != frame.seq:
        raise NotReleasableError("the command is not of this sound")
    chunk = frame.content
    if not mute.spans:
        return SafeFrame(frame.pts, frame.time_base, chunk, None, True, RELEASE_MINT)
    samples = np.array(chunk.samples)
    start_ns = frame.pts_ns
    for from_ns, to_ns in mute.spans:
        # Rounded outwards: a sample that lies half inside is silenced.
        first = max(0, (from_ns - start_ns) * chunk.rate // NS_PER_S)
        last = max(0, -(-(to_ns - start_ns) * chunk.rate // NS_PER_S))
        samples[:, first:last] = 0.0
    return SafeFrame(
        frame.pts, frame.time_base, Sound(chunk.rate, samples), None, False, RELEASE_MINT
    )
