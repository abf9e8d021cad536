"""Every fuzz target on its seeds and some thousand mutations, the same ones every time.

Each runs in a process of its own: what libav does wrong ends a process, not only a test.
``make fuzz`` goes on from here with atheris (docs/fuzzing.md).
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz import long, planted_target, targets
from tests.fuzz.mutate import mutate, mutated
from tests.source import ROOT

FOLDER = Path(__file__).parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.one", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", targets.NAMES)
def test_no_input_breaks_it(name: str) -> None:
    done = run(name, "--mutated", "1")
    assert (done.returncode, done.stderr[-3000:]) == (0, "")


def test_every_target_is_listed() -> None:
    files = {path.name.removesuffix("_target.py") for path in FOLDER.glob("*_target.py")}
    assert files == {*targets.NAMES, targets.PLANTED}


def test_mutations_are_the_same_every_time_and_differ() -> None:
    target = targets.load("cooldown")
    first, again, other = (list(mutated(target, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(set(first)) > len(first) / 2


def test_an_empty_input_can_be_mutated() -> None:
    rng = random.Random(1)  # noqa: S311
    made = {mutate(b"", rng, (b"word",), (b"",), text=text) for text in (True, False) * 50}
    assert len(made) > 5


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["crash", "segfault", "memory", "release"])
def test_what_is_planted_is_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(planted_target.VARIABLE, kind)
    done = run(targets.PLANTED, "--mutated", "1")
    assert done.returncode != 0
    if kind in ("crash", "release"):
        assert f"input: {kind.encode().hex()}" in done.stderr


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", planted_target.KINDS)
def test_what_is_planted_is_counted(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("atheris", reason="atheris is there for Linux and Python before 3.14")
    monkeypatch.setenv(planted_target.VARIABLE, kind)
    found = long.run_target(targets.PLANTED, 5, build=tmp_path)
    column = {"hang": "hangs", "release": "releases"}.get(kind, "crashes")
    counts = {name: getattr(found, name) for name in ("crashes", "hangs", "releases")}
    assert counts == {"crashes": 0, "hangs": 0, "releases": 0, column: 1}
    assert not found.clean
    (kept,) = (tmp_path / "findings" / targets.PLANTED).iterdir()
    assert kept.read_bytes().startswith(kind.encode())


@pytest.mark.long
@pytest.mark.slow
def test_a_sound_target_comes_out_clean(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is there for Linux and Python before 3.14")
    found = long.run_target("cooldown", 2, build=tmp_path)
    assert found.clean
    assert found.new_edges > 0
    told = long.table([found])
    assert re.search(r"^cooldown +[\d,]+ +[\d,]+ +\d+ +\d+ +0 +0 +0 +\d+$", told, re.MULTILINE)
