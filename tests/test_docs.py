"""The documents say what is so: their program runs, their links lead somewhere."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.source import ROOT, SRC

import safelight
from safelight.core import gate
from safelight.core.limits import Limits
from safelight.errors import SafelightError
from safelight.events import StreamEvent
from safelight.report import Report

DOCS: Final = ROOT / "docs"
README: Final = ROOT / "README.md"
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
FENCED: Final = re.compile(r"^```([a-z]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """The text without its fenced blocks."""
    return FENCED.sub("", text(path))


# --- links --------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors that a repository's host makes of a document's headings."""
    heads = re.findall(r"^#+ +(.+)$", prose(path), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {head.strip().replace(" ", "-") for head in kept}


def broken_links(path: Path, written: str) -> list[str]:
    """Relative links of a document that lead to no file, or to no heading of it."""
    found = []
    for target in LINK.findall(written):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        leads_to = (path.parent / name).resolve() if name else path
        if not leads_to.exists() or (anchor and anchor not in anchors(leads_to)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    assert broken_links(path, prose(path)) == []


def test_a_broken_link_is_found() -> None:
    written = "[a](nowhere.md) [b](README.md#no-such) [c](README.md) [d](https://example.org/x)"
    assert broken_links(README, written) == ["nowhere.md", "README.md#no-such"]


def test_the_index_names_every_document() -> None:
    listed = {(DOCS / name).resolve() for name in LINK.findall(text(DOCS / "README.md"))}
    kept_out = {DOCS / "README.md", DOCS / "adr" / "0000-template.md"}
    assert set(DOCS.rglob("*.md")) - kept_out - listed == set()


# --- the program of docs/embed.md -----------------------------------------------------------------


def program() -> str:
    (found,) = (body for kind, body in FENCED.findall(text(DOCS / "embed.md")) if kind == "python")
    return str(found)


def test_the_program_is_as_short_as_it_says() -> None:
    lines = [line for line in program().splitlines() if line.strip()]
    assert len(lines) <= 30


def run_program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = folder / "guard.py"
    file.write_text(program(), encoding="utf-8")
    # Its cool-down must be nobody's: neither read from whoever runs the tests nor left to them.
    env = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    return subprocess.run(
        [sys.executable, file, *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_the_program_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    ran = run_program(tmp_path, "guarded.mp4")
    assert (ran.returncode, ran.stderr) == (0, "")
    states = re.findall(r"^ +([\d.]+) s  \w+ +(\w+)", ran.stdout, re.MULTILINE)
    assert [said for _, said in states] == ["Starting", "Live", "Paused", "Live", "Ended"]
    assert states[2][0] == "1.20"
    assert "system leaks: 0, misses: not measured" in ran.stdout
    assert (tmp_path / "guarded.mp4").stat().st_size > 0


@pytest.mark.slow
def test_the_program_without_arguments_says_how_it_is_called(tmp_path: Path) -> None:
    ran = run_program(tmp_path)
    assert ran.returncode != 0
    assert "guard.py [SOURCE] SINK" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_the_program_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    ran = run_program(tmp_path, "missing.mp4", "guarded.mp4")
    assert ran.returncode != 0
    assert len(ran.stderr.splitlines()) == 1
    assert "missing.mp4" in ran.stderr


# --- what the documents name ----------------------------------------------------------------------


def test_the_two_commands_of_the_readme_are_make_targets() -> None:
    rules = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)$", text(README), re.MULTILINE))
    assert named == {"demo", "test"}
    assert named <= rules


@pytest.mark.slow
def test_flags_that_documents_name_exist() -> None:
    command = Path(sys.executable).parent / "safelight"
    plain = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    told = ""
    for name in ("guard", "call", "demo", "testcard", "doctor", "bench"):
        told += subprocess.run(
            [command, name, "--help"], capture_output=True, text=True, env=plain, check=True
        ).stdout
    offered = set(re.findall(r"--[a-z][a-z-]+", told))
    for path in (README, *(DOCS / f"{n}.md" for n in ("embed", "policies", "media", "webrtc"))):
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text(path)))
        assert named - offered == set(), path


def test_every_limit_is_explained() -> None:
    """policies.md promises every number of core/limits.py."""
    rows = " ".join(re.findall(r"^\| (`[^|]+) \|", text(DOCS / "policies.md"), re.MULTILINE))
    explained = set(re.findall(r"`(\w+)`", rows))
    assert {field.name for field in dataclasses.fields(Limits)} - explained == set()


def test_limits_that_documents_state_are_those_of_the_code() -> None:
    limits, protect = Limits(), safelight.verify_policy("protect")
    assert (limits.hold_ns, limits.bracket_frames, limits.still_age_ns) == (250_000_000, 8, 10**9)
    assert (limits.open_frames, limits.open_span_ns, limits.lift_span_ns) == (3, 10**8, 10**9)
    assert (limits.audit_one_in, limits.audit_between_one_in) == (64, 16)
    assert limits.turn_age_ns == 3 * 10**9
    assert limits.changes_per_s == 3
    assert [wait // 10**9 for wait in limits.cool_down_ns] == [10, 60, 300, 900]
    assert (gate.STILL_QUARTERS, gate.STIRRED_QUARTERS, gate.STIRRED_PERMILLE) == (8, 2, 50)
    assert (gate.FAINT_QUARTERS, gate.CHANGED_QUARTERS, gate.STRONG_QUARTERS) == (6, 16, 128)
    assert (gate.LEAST_QUARTERS, gate.SLIGHT_QUARTERS) == (2, 3)
    assert (gate.LEAST_PERMILLE, gate.SLIGHT_PERMILLE) == (900, 700)
    assert (gate.TOUCHED_QUARTERS, gate.TOUCHED_PERMILLE, gate.RIM_PARTS) == (1, 200, 16)
    shares = (gate.FAINT_PERMILLE, gate.CHANGED_PERMILLE, gate.STRONG_PERMILLE)
    assert shares == (500, 300, 150)
    assert (gate.CELL, gate.STILL_CELLS, gate.CHANGE_CELLS) == (8, 2, 5)
    assert (protect.cover_at, protect.with_minor_at, protect.p_under_18_at) == (0.5, 0.2, 0.3)
    assert (protect.sequential_cover_at, protect.sequential_interrupt_at) == (3000, 10_000)


def test_embed_names_what_there_is() -> None:
    written = text(DOCS / "embed.md")
    public = {name for name in safelight.__all__ if name.islower() and name != "open"}
    fields = {f.name for f in dataclasses.fields(StreamEvent)}
    properties = {name for name in vars(StreamEvent) if name.startswith("should_")}
    report = {field.alias or name for name, field in Report.model_fields.items()}
    words = set(re.findall(r"\w+", written))
    assert (public | fields | properties | report) - words == set()


def test_embed_lists_every_argument_of_open() -> None:
    section = text(DOCS / "embed.md").split("## `safelight.open`")[1].split("\n## ")[0]
    rows = " ".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) == set(inspect.signature(safelight.open).parameters)


def test_embed_gives_each_error_its_status() -> None:
    errors: list[type[SafelightError]] = []
    queue = [SafelightError]
    while queue:
        kinds = queue.pop().__subclasses__()
        queue += kinds
        errors += [kind for kind in kinds if kind.__module__ == "safelight.errors"]
    rows = dict(re.findall(r"^\| (\d) \| (.*?) \|", text(DOCS / "embed.md"), re.MULTILINE))
    assert errors
    for kind in errors:
        assert f"`{kind.__name__}`" in rows[str(kind.exit_status)]


def test_files_that_documents_name_are_there() -> None:
    named = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"`((?:src|tests|tools|spec)/[\w./-]+)`", prose(path))
    }
    assert {name for name in named if not (ROOT / name).exists()} == set()
    short = re.findall(r"`(core/\w+\.py)`", " ".join(prose(path) for path in DOCUMENTS))
    assert {name for name in short if not (SRC / "safelight" / name).exists()} == set()
