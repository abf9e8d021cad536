"""The message catalogue: every text of a card or a state, and the help lines, as data.

Texts live in ``<language>.toml``, help lines in ``helplines.toml``; a translator or a
reviewer needs no code. What another language lacks is shown in English.
"""

from __future__ import annotations

import enum
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from safelight.errors import UsageError
from safelight.types import CardText, Direction, State

ENGLISH: Final = "en"
# "rest": an interruption of what nobody can resume, a file.
EVENTS: Final = ("source_left", "source_back", "rest", "end")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")


class Face(enum.Enum):
    """Who looks at a card."""

    REMOTE = "card.remote"  # the person at the other end: learns only that video is paused
    LOCAL_OUTGOING = "card.local_outgoing"  # this device, guarding its own camera
    LOCAL_INCOMING = "card.local_incoming"  # this device, guarding what it receives


class Message(BaseModel):
    """One entry of a catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    headline: str
    lines: tuple[str, ...] = ()


class HelpLine(BaseModel):
    """One row of the table of help lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    country: str
    audience: Literal["child", "adult", "other"]
    who_for: str
    line: str
    free: bool
    source: str
    checked: date


@lru_cache(maxsize=1)
def help_lines() -> tuple[HelpLine, ...]:
    """Return the whole table of help lines, those that no card shows included."""
    table = tomllib.loads((files(__name__) / "helplines.toml").read_text("utf-8"))
    return tuple(HelpLine.model_validate(row) for row in table["line"])


@lru_cache(maxsize=8)
def catalogue(language: str = ENGLISH) -> Mapping[str, Message]:
    """Return message_id -> message, English wherever ``language`` says nothing.

    ``language`` is a two or three letter code, or a locale such as ``fr_CA.UTF-8``.
    """
    english = _read(ENGLISH)
    code = re.split(r"[_.@-]", language.lower())[0]
    if code == ENGLISH or not _LANGUAGE.fullmatch(code):
        return english
    return english | {name: m for name, m in _read(code).items() if name in english}


def _read(code: str) -> dict[str, Message]:
    file = files(__name__) / f"{code}.toml"
    if not file.is_file():
        return {}
    entries = tomllib.loads(file.read_text("utf-8"))
    return {name: Message.model_validate(entry) for name, entry in entries.items()}


def regions() -> tuple[str, ...]:
    """Return the countries that have help lines, as ISO 3166 codes, sorted."""
    return tuple(sorted({row.country for row in help_lines()}))


def region_from_locale(env: Mapping[str, str]) -> str | None:
    """Return the country that the locale names, if it has help lines; else None.

    ``env`` is an environment: LC_ALL counts before LC_MESSAGES, that before LANG.
    """
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = env.get(name, "")
        if value:
            found = re.match(r"[A-Za-z]{2,3}[_-]([A-Za-z]{2})(?![A-Za-z])", value)
            country = found[1].upper() if found else None
            return country if country in regions() else None
    return None


def card_text(face: Face, region: str | None, *, test: bool, language: str = ENGLISH) -> CardText:
    """Return what a card says. ``test``: a stand-in bundle judges, so it is stamped.

    ``region``: an ISO 3166 code of ``regions()``, in any case, or None for no help line. The
    remote face is the same for every region and every cause.

    Raises:
        UsageError: the region is not known; another country's line would not help.
    """
    country = None if region is None else known_region(region)
    texts = catalogue(language)
    message = texts[face.value]
    lines = message.lines
    if face is not Face.REMOTE and country is not None:
        lines += _help(texts, country, "child")
        if face is Face.LOCAL_INCOMING:
            lines += _help(texts, country, "adult")
    stamp = texts["stamp.test"].headline if test else None
    return CardText(face.value, message.headline, lines, stamp)


def known_region(region: str) -> str:
    """Return the region as it is written in the table.

    Raises:
        UsageError: it is not there.
    """
    country = region.strip().upper()
    if country not in regions():
        raise UsageError(
            f"no help lines are known for region {region!r}",
            f"use one of {', '.join(regions())}, or leave --region out",
        )
    return country


def _help(texts: Mapping[str, Message], country: str, audience: str) -> tuple[str, ...]:
    """Return the first line of a country for an audience, or nothing."""
    for row in help_lines():
        if row.country == country and row.audience == audience:
            cost = "free" if row.free else "not_free"
            return (texts[f"help.{audience}_{cost}"].headline.replace("{line}", row.line),)
    return ()


def state_text(state: State, direction: Direction, language: str = ENGLISH) -> CardText:
    """Return one line on a stream's state, for a terminal or an event, with its message_id."""
    name = f"state.{state.value}.{direction.value}"
    return CardText(name, catalogue(language)[name].headline)


def event_text(kind: str, direction: Direction, language: str = ENGLISH) -> CardText:
    """Return one line on what is no change of state; ``kind`` is one of ``EVENTS``."""
    name = f"event.{kind}.{direction.value}"
    return CardText(name, catalogue(language)[name].headline)
