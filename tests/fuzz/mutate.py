"""Mutations of an input: the same seed, the same inputs, on any machine."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Final

from tests.fuzz.target import Target

# What parsers have been seen to trip over, whatever it is that they read.
_WORDS: Final = (
    """0 1 -1 0.0 -0.0 1.0 1.5 0.5 nan NaN inf Infinity -Infinity 1e999 -1e999 1e-999
    true false null [] {} '' "" [[[[ 0x7f 1_0 1979-05-27 9223372036854775808 .. / ../../etc/passwd
    %s \\ "\\u0000" "\\ud800" "\\n" # = , : " ' """
    + '\'"""'
)
ODD: Final = tuple(
    word.encode("utf-8", "surrogatepass")
    for word in (
        *_WORDS.split(), "9" * 400, "[" * 3000, "a" * 300, "\x00", "\x1b[31m", "\n", "\r\n",
        "\u2028", "\u202e", "\ud800", "\ufeff", "\u00e9", "\U0001f512",
    )
)  # fmt: skip
_TOKEN: Final = re.compile(rb"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[\w.+-]+|\s+|.", re.DOTALL)
_PLACES: Final = 4  # at most so many mutations on top of one another


def mutated(target: Target, seed: int) -> Iterator[bytes]:
    """Yield ``target.pieces`` inputs, the seeds as they are first."""
    rng = random.Random(seed)  # noqa: S311  (repeatable, not secret)
    seeds = target.seeds()
    words = (*target.words, *ODD)
    yield from seeds
    for _ in range(target.pieces):
        yield mutate(rng.choice(seeds), rng, words, seeds, text=target.text)[: target.max_len]


def mutate(
    data: bytes, rng: random.Random, words: tuple[bytes, ...], others: tuple[bytes, ...], *,
    text: bool,
) -> bytes:  # fmt: skip
    """Return ``data`` with one to four changes."""
    for _ in range(rng.randint(1, _PLACES)):
        by_word = rng.random() < (0.75 if text else 0.05)
        data = _by_word(data, rng, words) if by_word else _by_byte(data, rng, others)
    return data


def _by_word(data: bytes, rng: random.Random, words: tuple[bytes, ...]) -> bytes:
    tokens = _TOKEN.findall(data) or [b""]
    at, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    match rng.randrange(8):
        case 0:
            tokens[at] = rng.choice(words)
        case 1 | 6 | 7:
            # A value for a value of its kind, so that what is around it still parses.
            kind = rng.choice((1, 2, 2, 3))
            at = rng.choice([n for n, token in enumerate(tokens) if _kind(token) == kind] or [at])
            tokens[at] = rng.choice([word for word in words if _kind(word) == kind] or words)
        case 2:
            tokens[at] = tokens[other]
        case 3:
            tokens.insert(at, rng.choice(words))
        case 4:
            del tokens[at : at + rng.randint(1, 6)]
        case _:
            low, high = min(at, other), max(at, other)
            tokens[low:low] = tokens[low : min(high, low + 40)]
    return b"".join(tokens)


def _kind(token: bytes) -> int:
    """0 for what is no value; else 1 for a text, 2 for a number, 3 for a word alone."""
    if token[:1] in (b'"', b"'"):
        return 1
    if re.fullmatch(rb"[+-]?(\d[\w.+-]*|nan|inf)", token, re.IGNORECASE):
        return 2
    return 3 if re.fullmatch(rb"[a-zA-Z_][\w.-]*", token) else 0


def _by_byte(data: bytes, rng: random.Random, others: tuple[bytes, ...]) -> bytes:
    made = bytearray(data or b"\0")
    at = rng.randrange(len(made))
    length = rng.choice((1, 2, 4, 8, 32))
    match rng.randrange(7):
        case 0 | 1:
            made[at] ^= 1 << rng.randrange(8)
        case 2:
            made[at : at + length] = rng.randbytes(length)
        case 3:
            # Sizes and counts: as large or as small as they can be.
            made[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
        case 4:
            del made[at : at + length]
        case 5:
            made[at:at] = made[at : at + length]
        case _:
            other = rng.choice(others)
            made = made[:at] + other[rng.randrange(len(other) + 1) :]
    return bytes(made)
