"""The texts: design.md's three faces, facts.md's help lines and no others."""

from __future__ import annotations

import itertools
import re
from datetime import date

import pytest

from safelight import messages
from safelight.errors import UsageError
from safelight.messages import (
    EVENTS,
    Face,
    Message,
    card_text,
    catalogue,
    event_text,
    help_lines,
    region_from_locale,
    regions,
    state_text,
)
from safelight.types import CardText, Direction, State

# facts.md, "Help lines (checked 2026-11-22; show no others)", copied by hand.
FACTS = {
    ("GB", "children", "Childline 0800 1111", "childline.org.uk"),
    (
        "GB",
        "adults worried about their own or another's behaviour",
        "Stop It Now 0808 1000 900",
        "stopitnow.org.uk/helpline",
    ),
    ("IE", "children", "Childline 1800 66 66 66", "ISPCC, ispcc.ie"),
    (
        "IE",
        "adults worried about behaviour",
        "Stop It Now +44 1372 847 161 (not free)",
        "stopitnow.org.uk/helpline",
    ),
    (
        "PH",
        "anyone, about a child",
        "Makabata Helpline 1383",
        "Council for the Welfare of Children",
    ),
    ("PH", "trafficking", "Actionline 1343", "DSWD list, IACAT"),
    ("US", "anyone, about a child", "Childhelp 1-800-422-4453", "childhelp hotline, multilingual"),
    (
        "US",
        "reporting exploitation",
        "NCMEC CyberTipline 1-800-843-5678",
        "missingkids / report.cybertip.org",
    ),
    ("US", "adults worried about behaviour", "Stop It Now 1-888-773-8368", "stopitnow.org"),
}
OUTGOING = {
    "GB": "Free, private help with any worry: Childline 0800 1111",
    "IE": "Free, private help with any worry: Childline 1800 66 66 66",
    "PH": "Private help with any worry: Makabata Helpline 1383",
    "US": "Free, private help with any worry: Childhelp 1-800-422-4453",
}
LOCAL = (Face.LOCAL_OUTGOING, Face.LOCAL_INCOMING)
EVERYWHERE: list[str | None] = [None, *OUTGOING]


def words_of(text: CardText) -> str:
    return " ".join((text.headline, *text.lines))


def test_the_table_is_that_of_the_facts_and_no_other() -> None:
    found = {(row.country, row.who_for, row.line, row.source) for row in help_lines()}
    assert found == FACTS
    assert len(help_lines()) == len(FACTS)
    assert {row.checked for row in help_lines()} == {date(2026, 11, 22)}
    assert set(regions()) == set(OUTGOING)


@pytest.mark.parametrize(("face", "region"), list(itertools.product(Face, EVERYWHERE)))
def test_a_card_shows_help_of_its_own_country_only(face: Face, region: str | None) -> None:
    text = words_of(card_text(face, region, test=False))
    shown = {row for row in FACTS if row[2] in text}
    assert {row[0] for row in shown} <= {region}
    for _, _, line, _ in shown:
        text = text.replace(line, "")
    assert not re.search(r"\d", text), "a number that is in no row of the table"


@pytest.mark.parametrize("region", EVERYWHERE)
def test_the_remote_face_tells_nothing(region: str | None) -> None:
    """The person at the other end may be the one paying for abuse, and learns nothing."""
    assert card_text(Face.REMOTE, region, test=False) == CardText("card.remote", "Video paused")


@pytest.mark.parametrize("face", LOCAL)
def test_the_local_faces_say_what_the_design_says(face: Face) -> None:
    said = words_of(card_text(face, None, test=False))
    assert said == (
        "This device paused the video by itself. Nobody pressed anything. It can be wrong."
    )


@pytest.mark.parametrize(("region", "line"), OUTGOING.items())
def test_the_help_line_of_the_outgoing_face(region: str, line: str) -> None:
    assert card_text(Face.LOCAL_OUTGOING, region, test=False).lines[1:] == (line,)


def test_the_incoming_face_adds_a_line_for_worried_adults_where_there_is_one() -> None:
    found = {r: card_text(Face.LOCAL_INCOMING, r, test=False).lines[1:] for r in OUTGOING}
    about = "private help for adults worried about their own behaviour: Stop It Now"
    assert found == {
        "GB": (OUTGOING["GB"], f"Free, {about} 0808 1000 900"),
        "IE": (OUTGOING["IE"], f"P{about[1:]} +44 1372 847 161 (not free)"),
        "PH": (OUTGOING["PH"],),
        "US": (OUTGOING["US"], f"Free, {about} 1-888-773-8368"),
    }


def test_free_is_said_of_freephone_numbers_only() -> None:
    freephone = {"GB": r" 080[08] ", "IE": r" 1800 ", "US": r" 1-8(00|88)-"}
    for row in help_lines():
        expected = bool(re.search(freephone.get(row.country, r"^$"), row.line))
        assert row.free is expected, row.line


def test_no_text_asks_accuses_or_promises() -> None:
    banned = r"\?|abus|sex|child|minor|nud|crim|police|report|detect|nobody was told|told|safe now"
    for name, message in catalogue().items():
        for text in (message.headline, *message.lines):
            assert not re.search(banned, text, re.IGNORECASE), name


def test_a_stand_in_bundle_is_stamped_on_every_face() -> None:
    for face, test in itertools.product(Face, (False, True)):
        assert card_text(face, "GB", test=test).stamp == ("TEST" if test else None)


def test_every_state_has_its_own_text_and_message_id() -> None:
    for direction in Direction:
        texts = [state_text(state, direction) for state in State]
        assert len({t.headline for t in texts}) == len(State)
        assert [t.message_id for t in texts] == [
            f"state.{s.value}.{direction.value}" for s in State
        ]
    assert (
        state_text(State.PENDING, Direction.OUTGOING).headline
        == "Starting: video is checked before it leaves"
    )


def test_every_message_of_the_catalogue_is_used() -> None:
    texts = [
        card_text(face, region, test=True) for face, region in itertools.product(Face, EVERYWHERE)
    ]
    texts += [state_text(s, d) for s, d in itertools.product(State, Direction)]
    texts += [event_text(k, d) for k, d in itertools.product(EVENTS, Direction)]
    said = {t.message_id for t in texts}
    shown = " ".join(f"{words_of(t)} {t.stamp}" for t in texts)
    for name, message in catalogue().items():
        assert name in said or message.headline.split("{line}")[0] in shown, name


@pytest.mark.parametrize(
    ("env", "region"),
    [
        ({"LANG": "en_GB.UTF-8"}, "GB"),
        ({"LANG": "fil_PH"}, "PH"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "ga_IE@euro"}, "IE"),
        ({"LANG": "en_GB", "LC_MESSAGES": "en_US", "LC_ALL": ""}, "US"),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LANG": "en_GB", "LC_ALL": "C"}, None),
        ({"LANG": "en"}, None),
        ({"LANG": "en_GBR"}, None),
        ({"LANG": "GB"}, None),
        ({}, None),
    ],
)
def test_the_region_comes_from_the_locale(env: dict[str, str], region: str | None) -> None:
    assert region_from_locale(env) == region


@pytest.mark.parametrize("region", ["UK", "XX", "", "GBR", "../GB"])
@pytest.mark.parametrize("face", Face)
def test_an_unknown_region_is_an_error_that_lists_the_known(face: Face, region: str) -> None:
    """Silence would leave someone without the line that they asked for."""
    with pytest.raises(UsageError, match="GB, IE, PH, US"):
        card_text(face, region, test=False)


def test_a_region_may_be_written_in_small_letters() -> None:
    assert card_text(Face.LOCAL_OUTGOING, "gb", test=False).lines[1] == OUTGOING["GB"]


@pytest.mark.parametrize("language", ["xx", "", "../helplines", "helplines", "C", "zz_ZZ.UTF-8"])
def test_an_unknown_language_falls_back_to_english(language: str) -> None:
    assert card_text(Face.REMOTE, None, test=False, language=language).headline == "Video paused"
    assert catalogue(language) == catalogue("en")


def test_a_missing_translation_falls_back_to_english(monkeypatch: pytest.MonkeyPatch) -> None:
    english = messages._read("en")
    partly = {"card.remote": Message(headline="X"), "no.such": Message(headline="Y")}
    monkeypatch.setattr(messages, "_read", lambda code: english if code == "en" else partly)
    catalogue.cache_clear()
    try:
        found = catalogue("qq_QQ")
    finally:
        catalogue.cache_clear()
    assert found["card.remote"].headline == "X"
    assert found["card.local_outgoing"] == english["card.local_outgoing"]
    assert set(found) == set(english)
