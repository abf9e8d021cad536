"""The key ceremony of docs/bundles.md can be followed: its commands are run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.source import ROOT

from safelight.bundle import signatures, trust
from safelight.cli import main

SECTION = re.compile(r"^## A key ceremony$(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIVE = ("ana", "ben", "chi", "dov", "eva")
DOCUMENT = (ROOT / "docs" / "bundles.md").read_text(encoding="utf-8")


def printed() -> list[str]:
    section = SECTION.search(DOCUMENT)
    assert section
    return [block.replace("\\\n", " ") for block in BLOCKS.findall(section[1])]


def follow(block: str, name: str = "") -> None:
    for line in block.strip().splitlines():
        program, *arguments = line.replace("$NAME", name).split()
        assert program == "safelight"
        shipped = str(ROOT / "src" / "safelight" / "bundle" / "default")
        known = {"src/safelight/bundle/default": shipped}
        assert main.run([known.get(argument, argument) for argument in arguments]) == 0, line


@pytest.mark.slow
def test_the_ceremony_can_be_followed_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAFELIGHT_PASSPHRASE", "a dozen words would be better")
    keys, root, vote, package, put, sign, publish, check, rotate = printed()
    for name in (*FIVE, "fay"):
        follow(keys, name)
    assert len(list(tmp_path.glob("*.key"))) == 12
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("*.key"))
    assert b"ENCRYPTED" in (tmp_path / "ana-root.key").read_bytes()
    follow(root)
    for name in FIVE[:3]:
        assert not (tmp_path / "repository" / "metadata" / "1.root.json").exists()
        follow(vote, name)
    assert package.strip() == (
        "cp repository/metadata/1.root.json src/safelight/bundle/roots/project.root.json"
    )
    shipped = (tmp_path / "repository" / "metadata" / "1.root.json").read_bytes()
    monkeypatch.setattr(signatures, "shipped_root", lambda _: shipped)
    follow(put)
    for name in ("eva", "chi", "dov"):
        follow(sign, name)
    follow(publish)
    capsys.readouterr()
    follow(check)
    shown = capsys.readouterr().out
    assert "by 3 of 5 keys, 3 needed" in shown
    assert "DEVELOPMENT" not in shown
    assert trust.who_signed(tmp_path / "checked").kind == "ceremony"
    # One holder goes, another comes: three of the old list and three of the new.
    follow(rotate)
    for name in ("eva", "ana", "fay", "ben"):
        assert not (tmp_path / "repository" / "metadata" / "2.root.json").exists()
        follow(vote, name)
    assert "complete" in capsys.readouterr().out
    # Who signed the newest bundle left, so it wants signing again; until then there is no update.
    follow(publish)
    before = trust.current_folder(tmp_path / "checked")
    assert main.run(check.splitlines()[0].split()[1:]) == 3
    assert trust.current_folder(tmp_path / "checked") == before
    follow(put)
    for name in ("ana", "fay", "ben"):
        follow(sign, name)
    follow(publish)
    follow(check)
    assert trust.who_signed(tmp_path / "checked").root_version == 2
    # The one who left has no say any more.
    follow(put)
    line = sign.strip().replace("$NAME", "eva").split()[1:]
    assert main.run(line) == 2
