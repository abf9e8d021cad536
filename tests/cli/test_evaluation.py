"""The evaluation's commands say in one line what is wrong, and end with the contract's status."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation import planted

from safelight.cli import main
from safelight.evaluation import manifest


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main.run(arguments)
    return status, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["evaluate", "nowhere", "--out", "x"], "nowhere cannot be read"),
        (["evaluate", "nowhere", "--out", "x", "--jobs", "0"], "--jobs 0 is out of range"),
        (["evaluate", "nowhere", "--out", "x", "--key", "k"], "go with --sealed"),
        (["evidence", "--media", "nowhere"], "--media nowhere is no folder"),
        (["evidence", "--jobs", "1000"], "out of range"),
        (["calibrate", "nowhere", "--out", "x"], "nowhere cannot be read"),
        (["calibrate", "nowhere", "--out", "x", "--method", "magic"], "no method 'magic'"),
    ],
)
def test_a_call_that_cannot_be_meant(
    arguments: list[str],
    why: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, error = said(capsys, *arguments)
    assert status == 2
    assert why in error
    assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["evaluate", "evidence", "calibrate"])
def test_without_the_extra_it_says_which(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str, *_: Any) -> object:
        return None if name == "scipy" else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)
    more = [] if command == "evidence" else ["corpus", "--out", "x"]
    status, error = said(capsys, command, *more)
    assert status == 2
    assert "safelight[evaluation]" in error


@pytest.mark.slow
def test_a_small_corpus_is_evaluated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.json"
    corpus.write_text(
        manifest.text(planted.corpus(planted.item(0, None, "a"), planted.item(0, None, "b"))),
        "utf-8",
    )
    status = main.run(["evaluate", str(corpus), "--out", str(tmp_path / "out"), "--jobs", "1"])
    printed = capsys.readouterr().out
    assert status == 0
    assert "1 of 2 items" in printed
    assert "duplicated clip: item 1" in printed
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert result["schema"] == "safelight.evaluation/1"
    assert result["command"].startswith("safelight evaluate CORPUS --out DIR")
