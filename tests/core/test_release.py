"""One mint: a SafeFrame comes only from a verdict that holds, and from nowhere else (promise 1)."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from safelight.core import release
from safelight.errors import NotMintedError, NotReleasableError
from safelight.testing.fakes import scores
from safelight.testing.gates import symbol
from safelight.types import (
    NS_PER_S,
    Absent,
    AbsentReason,
    Action,
    Binding,
    CardText,
    Evidence,
    Frame,
    Mute,
    Picture,
    PictureFormat,
    Reason,
    SafeFrame,
    Sound,
    Token,
    Verdict,
)

MS = Fraction(1, 1000)
TEXT = CardText("paused", "Video paused")
CLEAR = scores(0.01)
FORM = PictureFormat(320, 240)


def token(seq: int, stream: int = 0) -> Token:
    return Token(stream, seq, 1000 + seq)


def frame(seq: int = 5) -> Frame:
    return Frame(seq, seq * 40, MS, seq * 40_000_000, symbol("A", FORM))


def verdict(
    action: Action = Action.RELEASE,
    binding: Binding | None = Binding.JUDGED,
    *rests_on: tuple[Token, Evidence],
    of: Token | None = None,
) -> Verdict:
    own = of or token(5)
    return Verdict(own, action, Reason.CLEAR, binding, rests_on, NS_PER_S)


GOOD = {
    "judged": verdict(Action.RELEASE, Binding.JUDGED, (token(5), CLEAR)),
    "still": verdict(Action.RELEASE, Binding.STILL, (token(3), CLEAR)),
    "bracketed": verdict(Action.RELEASE, Binding.BRACKETED, (token(3), CLEAR), (token(9), CLEAR)),
}


@pytest.mark.parametrize("kind", GOOD)
def test_released_means_untouched(kind: str) -> None:
    held = frame()
    safe = release.picture(held, GOOD[kind], 0, TEXT)
    assert safe.content is held.content, "the very bytes that came in"
    assert safe.released
    assert (safe.pts, safe.time_base) == (held.pts, held.time_base)


BAD = {
    "rests on nothing": verdict(Action.RELEASE, Binding.JUDGED),
    "no binding": verdict(Action.RELEASE, None, (token(5), CLEAR)),
    "no binding, nothing": verdict(Action.RELEASE, None),
    "judged by another": verdict(Action.RELEASE, Binding.JUDGED, (token(4), CLEAR)),
    "judged, another nonce": verdict(Action.RELEASE, Binding.JUDGED, (Token(0, 5, 1), CLEAR)),
    "judged by two": verdict(Action.RELEASE, Binding.JUDGED, (token(5), CLEAR), (token(5), CLEAR)),
    "still of itself": verdict(Action.RELEASE, Binding.STILL, (token(5), CLEAR)),
    "still of a later one": verdict(Action.RELEASE, Binding.STILL, (token(6), CLEAR)),
    "still, of another stream": verdict(Action.RELEASE, Binding.STILL, (token(3, 1), CLEAR)),
    "one end": verdict(Action.RELEASE, Binding.BRACKETED, (token(3), CLEAR)),
    "ends swapped": verdict(
        Action.RELEASE, Binding.BRACKETED, (token(9), CLEAR), (token(3), CLEAR)
    ),
    "both ends before": verdict(
        Action.RELEASE, Binding.BRACKETED, (token(3), CLEAR), (token(4), CLEAR)
    ),
    "itself an end": verdict(
        Action.RELEASE, Binding.BRACKETED, (token(5), CLEAR), (token(9), CLEAR)
    ),
    "absent": verdict(Action.RELEASE, Binding.JUDGED, (token(5), Absent(AbsentReason.LATE))),
    "one end absent": verdict(
        Action.RELEASE,
        Binding.BRACKETED,
        (token(3), CLEAR),
        (token(9), Absent(AbsentReason.FAULT)),
    ),
    "not a number": verdict(Action.RELEASE, Binding.JUDGED, (token(5), scores(math.nan))),
    "certain": verdict(Action.RELEASE, Binding.JUDGED, (token(5), scores(1.0))),
    "out of range": verdict(Action.RELEASE, Binding.JUDGED, (token(5), scores(-0.1))),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_release_without_grounds_is_refused(kind: str) -> None:
    with pytest.raises(NotReleasableError):
        release.picture(frame(), BAD[kind], 0, TEXT)


@pytest.mark.parametrize("action", list(Action))
def test_a_verdict_of_another_frame_is_refused_whatever_it_says(action: Action) -> None:
    other = verdict(action, Binding.JUDGED, (token(6), CLEAR), of=token(6))
    with pytest.raises(NotReleasableError, match="not of this picture"):
        release.picture(frame(), other, 0, TEXT)


def test_a_verdict_on_sound_is_no_verdict_on_a_picture() -> None:
    chunk = Frame(5, 0, MS, 0, Sound(48000, np.zeros((1, 8), np.float32)))
    with pytest.raises(NotReleasableError):
        release.picture(chunk, GOOD["judged"], 0, TEXT)
    with pytest.raises(NotReleasableError):
        release.sound(frame(), Mute(token(5), ()))


@pytest.mark.parametrize("action", [Action.COVER, Action.INTERRUPT])
def test_anything_but_a_release_gives_a_card_with_nothing_of_the_picture(action: Action) -> None:
    held = frame()
    safe = release.picture(held, verdict(action, None), 0, TEXT)
    other = Frame(5, 0, MS, 0, symbol("S", FORM))
    same = release.picture(other, verdict(action, None), 0, TEXT)
    assert not safe.released
    assert isinstance(safe.content, Picture)
    assert isinstance(same.content, Picture)
    assert safe.content is not held.content
    assert safe.content.format == held.content.format  # type: ignore[union-attr]
    for plane in "yuv":
        assert np.array_equal(getattr(safe.content, plane), getattr(same.content, plane))


def test_a_release_that_expired_gives_a_card() -> None:
    good = GOOD["judged"]
    assert release.picture(frame(), good, good.expires_ns, TEXT).released
    assert not release.picture(frame(), good, good.expires_ns + 1, TEXT).released


def test_a_lone_card_is_not_released() -> None:
    safe = release.lone_card(FORM, 1234, TEXT)
    assert (safe.pts_ns, safe.verdict, safe.released) == (1234, None, False)


# --- nobody else makes one ------------------------------------------------------------------


def test_nothing_makes_a_safe_frame_out_of_another() -> None:
    safe = release.picture(frame(), GOOD["judged"], 0, TEXT)
    with pytest.raises(NotMintedError):
        copy.copy(safe)
    with pytest.raises(NotMintedError):
        copy.deepcopy(safe)
    with pytest.raises(NotMintedError):
        pickle.dumps(safe)
    with pytest.raises((NotMintedError, ValueError, TypeError)):
        dataclasses.replace(safe, pts=7)  # type: ignore[call-arg]
    with pytest.raises(NotMintedError):
        dataclasses.replace(safe, pts=7, mint=object())
    with pytest.raises(dataclasses.FrozenInstanceError):
        safe.released = True  # type: ignore[misc]


def test_nobody_makes_a_safe_frame_by_hand() -> None:
    for mint in (None, object(), True, "RELEASE_MINT"):
        with pytest.raises(NotMintedError):
            SafeFrame(0, MS, symbol("A"), GOOD["judged"], True, mint)
    with pytest.raises(TypeError):
        SafeFrame(0, MS, symbol("A"), GOOD["judged"], True)  # type: ignore[call-arg]


# --- sound ----------------------------------------------------------------------------------


def chunk(samples: int = 480, rate: int = 48000, pts: int = 0) -> Frame:
    return Frame(7, pts, MS, 0, Sound(rate, np.ones((2, samples), np.float32)))


def test_sound_without_spans_leaves_as_it_came() -> None:
    held = chunk()
    safe = release.sound(held, Mute(token(7), ()))
    assert safe.content is held.content
    assert safe.released


def test_a_silenced_span_is_rounded_outwards_and_the_rest_is_untouched() -> None:
    held = chunk(48, pts=1000)  # a millisecond
    start = 1_000_000_000
    safe = release.sound(held, Mute(token(7), ((start + 100_001, start + 499_999),)))
    assert isinstance(safe.content, Sound)
    silent = np.flatnonzero(safe.content.samples[1] == 0)
    assert silent.tolist() == list(range(4, 24))  # a sample is 20.8 us
    assert not safe.released
    assert isinstance(held.content, Sound)
    assert held.content.samples.all(), "what came in is not changed"


@pytest.mark.parametrize("spans", [((0, 10**15),), ((-(10**15), 10**15),), ((0, 10_000_000),)])
def test_a_span_over_the_whole_chunk_silences_all_of_it(
    spans: tuple[tuple[int, int], ...],
) -> None:
    safe = release.sound(chunk(), Mute(token(7), spans))
    assert isinstance(safe.content, Sound)
    assert not safe.content.samples.any()


def test_sound_under_another_command_is_refused() -> None:
    with pytest.raises(NotReleasableError):
        release.sound(chunk(), Mute(token(8), ()))
