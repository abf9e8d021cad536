"""A careless, empty or hostile policy file is refused in one line (promise 2)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight import policies
from safelight.core.policy import decide
from safelight.errors import PolicyError
from safelight.policies import policy_file
from safelight.testing.fakes import scores
from safelight.types import Action

PROTECT = policies.text("protect")


def one_line(error: PolicyError) -> str:
    text = str(error)
    assert "\n" not in text
    assert text.isprintable()
    assert error.exit_status == 2
    return text


@pytest.mark.parametrize("name", policies.names())
def test_those_that_come_with_safelight_validate(name: str) -> None:
    policy = policies.load(name)
    assert policy.name == name
    assert policy.cover_at <= 0.8
    assert policy.with_minor_at <= policy.cover_at
    assert decide(policy, scores(policy.with_minor_at, 0.99))[0] is Action.COVER


def test_protect_is_the_default_and_there() -> None:
    assert policies.DEFAULT in policies.names()


BAD = {
    "empty": "",
    "no TOML": "schema = ",
    "another schema": PROTECT.replace("policy/1", "policy/2"),
    "an unknown key": PROTECT + "\nlenient = true\n",
    "an unknown table": PROTECT + "\n[exemptions]\nmedical = true\n",
    "an unknown key in a table": PROTECT.replace("[budget]", "[budget]\nforgive = 1"),
    "a key that breaks the line": PROTECT + '\n"a\\nb\\u001b[2J" = 1\n',
    "a table missing": PROTECT[: PROTECT.index("[over_time]")],
    "no limit": PROTECT.replace("cover_at = 0.5\n", "", 1),
    "releases sexual content": PROTECT.replace('action = "cover"', 'action = "release"', 1),
    "releases minor with sexual": PROTECT.replace(
        'action = "cover"\nsexual_at', 'action = "release"\nsexual_at'
    ),
    "minor with sexual, unless": PROTECT.replace(
        'action = "cover"\nsexual_at', 'action = "cover-unless-adults-counted"\nsexual_at'
    ),
    "a limit too high": PROTECT.replace("cover_at = 0.5", "cover_at = 0.81"),
    "a limit of one": PROTECT.replace("cover_at = 0.5", "cover_at = 1.0"),
    "a limit of nothing": PROTECT.replace("cover_at = 0.5", "cover_at = 0.0"),
    "a limit below nothing": PROTECT.replace("cover_at = 0.5", "cover_at = -0.5"),
    "minor looser than sexual": PROTECT.replace("sexual_at = 0.2", "sexual_at = 0.6"),
    "P(<18) too high": PROTECT.replace("p_under_18_at = 0.3", "p_under_18_at = 0.51"),
    "NaN": PROTECT.replace("cover_at = 0.5", "cover_at = nan"),
    "minor NaN": PROTECT.replace("p_under_18_at = 0.3", "p_under_18_at = nan"),
    "infinity": PROTECT.replace("interrupt_at = 10.0", "interrupt_at = inf"),
    "budget NaN": PROTECT.replace("false_cover_s_per_hour = 60.0", "false_cover_s_per_hour = nan"),
    "budget infinite": PROTECT.replace("_100h = 1.0", "_100h = inf"),
    "over time falls": PROTECT.replace("interrupt_at = 10.0", "interrupt_at = 2.0"),
    "over time never": PROTECT.replace("interrupt_at = 10.0", "interrupt_at = 1000.0"),
    "text for a number": PROTECT.replace("cover_at = 0.5", 'cover_at = "0.5"'),
    "truth for a number": PROTECT.replace("cover_at = 0.5", "cover_at = true"),
    "a list for a number": PROTECT.replace("cover_at = 0.5", "cover_at = [0.5]"),
    "a number of 400 digits": PROTECT.replace("cover_at = 0.5", "cover_at = " + "9" * 400),
    "a number of 5000 digits": PROTECT.replace("cover_at = 0.5", "cover_at = " + "9" * 5000),
    "lists in lists": "a = " + "[" * 20000,
    "a key twice": PROTECT + "\n[budget]\n",
    "a name that is none": PROTECT.replace('name = "protect"', 'name = "../../etc"'),
    "no title": PROTECT.replace('title = "Sexual content is not released"', 'title = ""'),
}


@pytest.mark.parametrize("kind", BAD)
def test_it_is_refused_in_one_line(kind: str) -> None:
    assert BAD[kind] != PROTECT, "the test changes nothing"
    with pytest.raises(PolicyError) as caught:
        policy_file.parse(BAD[kind], "mine.toml")
    assert "mine.toml" in one_line(caught.value)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, len(PROTECT)),
    st.text(max_size=6),
    st.integers(0, 12),
)
def test_no_garbled_policy_raises_anything_else_or_loosens(at: int, put: str, cut: int) -> None:
    text = PROTECT[:at] + put + PROTECT[at + cut :]
    try:
        policy = policy_file.parse(text, "x")
    except PolicyError as error:
        one_line(error)
    else:
        assert decide(policy, scores(0.8))[0] is Action.COVER
        assert decide(policy, scores(0.8, 0.5))[0] is Action.COVER
        assert decide(policy, scores(policy.cover_at, 0.5))[0] is Action.COVER


def test_files_that_are_none(tmp_path: Path) -> None:
    huge = tmp_path / "huge.toml"
    huge.write_text(PROTECT + "#" * 70_000)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00schema")
    for name in ("", "no such file", "nul\0", str(tmp_path), str(huge), str(binary), "/dev/zero"):
        with pytest.raises(PolicyError) as caught:
            policies.load(name)
        if name.isprintable():
            one_line(caught.value)


def test_a_file_of_one_s_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    mine = PROTECT.replace("cover_at = 0.5", "cover_at = 0.4").replace('"protect"', '"mine"')
    path.write_text(mine)
    policy, digest = policies.load_with_digest(str(path))
    assert (policy.name, policy.cover_at) == ("mine", 0.4)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", policies.names())
def test_another_policy_may_not_bear_the_name_of_one_of_ours(name: str, tmp_path: Path) -> None:
    """Reports go by the name: a loosened file would pass for what was reviewed."""
    path = tmp_path / "mine.toml"
    path.write_text(policies.text(name).replace("cover_at = 0.5", "cover_at = 0.8"))
    with pytest.raises(PolicyError, match="is not that policy") as caught:
        policies.load(str(path))
    one_line(caught.value)
    path.write_text("# The same, with a remark.\n" + policies.text(name))
    assert policies.load(str(path)) == policies.load(name)
