"""Finds what looks like a score in text: a number finer than a state may leave no guard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_WORDS: Final = (
    r"scores?|sexual(?:[ _]content)?|nsfw|minor|p[_(<]*under[_ ]?18|p\(<18\)"
    r"|probabilit\w+|likelihood|confidence|logits?|evidence"
)
_NUMBER: Final = r"-?(?:0?\.\d{2,}|[01]\.\d{2,}|\d\.?\d*e-\d+|\d{1,3}(?:\.\d+)? ?%|nan)"
_NEAR: Final = re.compile(
    rf"(?i)(?:\b|_)(?:{_WORDS})(?:\b|_)[^\n]{{0,24}}?(?<![\w.]){_NUMBER}"
    rf"|(?<![\w.]){_NUMBER}[^\n]{{0,12}}?(?:\b|_)(?:{_WORDS})(?:\b|_)"
)
_NAMED: Final = re.compile(rf"(?i)(?:\b|_)(?:{_WORDS})(?:\b|_)")
# What identifies a picture may be short: a digest of a file, or of a bundle, is named so.
_DIGEST: Final = re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{12,}\b", re.I)
# A report and events hold times, and the time used; every other number is a whole one.
_TIMES: Final = re.compile(r"_s$|_ms$|^(?:p50|p99|max|total|judge|source)$")


def in_text(text: str) -> Iterator[int]:
    """Yield the number, from 1, of each line with what looks like a score.

    JSON lines are looked at by their fields: only times may have a fraction.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if _line_has(line):
            yield number


def in_document(value: Any, name: str = "") -> Iterator[str]:
    """Yield the name of each value of a JSON document that looks like a score.

    That is a number that is neither whole nor a time, one that bears the name of a score (it
    may be in whole thousandths, or pass for a time), or a text with a
    score, or with a digest that is no file's, in it.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from in_document(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from in_document(inner, name)
    elif isinstance(value, str):
        if _NEAR.search(value) is not None or (name != "sha256" and _DIGEST.search(value)):
            yield name
    elif isinstance(value, int | float) and not isinstance(value, bool):
        fraction = isinstance(value, float) and _TIMES.search(name) is None
        if fraction or _NAMED.search(name) is not None:
            yield name


def _line_has(line: str) -> bool:
    if line.startswith("{"):
        try:
            return next(in_document(json.loads(line)), None) is not None
        except (ValueError, RecursionError):
            return _NEAR.search(line) is not None
    return _NEAR.search(line) is not None
