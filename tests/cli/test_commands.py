"""The smaller commands: policy, bundle, testcard, doctor, bench."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.running import film, lines, run

import safelight
from safelight.cli import main
from safelight.cli.doctor import Findings
from safelight.errors import BundleError
from safelight.testing.film import read_back


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main.run(arguments) == 0
    got = capsys.readouterr()
    assert got.err == ""
    return got.out


def test_policies_are_listed_shown_and_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "protect" in said(capsys, "policy", "list")
    assert "no exemption" in said(capsys, "policy", "show", "protect")
    mine = tmp_path / "mine.toml"
    mine.write_text(safelight.policy_text("protect"))
    assert "validates" in said(capsys, "policy", "check", str(mine))


@pytest.mark.parametrize("name", safelight.policy_names())
def test_a_policy_of_one_s_own_starts_from_one_that_is_shown(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """docs/policies.md, "Writing one", as it is written there."""
    mine = tmp_path / "mine.toml"
    mine.write_text(said(capsys, "policy", "show", name))
    assert "validates" in said(capsys, "policy", "check", str(mine))
    changed = mine.read_text().replace(f'name = "{name}"', 'name = "mine"')
    mine.write_text(changed.replace("cover_at = 0.5", "cover_at = 0.3"))
    checked = said(capsys, "policy", "check", str(mine))
    assert "validates: mine" in checked
    assert safelight.policy_sha256(str(mine)) in checked


def test_adult_affirmed_says_that_it_is_protect_here(capsys: pytest.CaptureFixture[str]) -> None:
    """No bundle counts people, so nothing is released by that policy."""
    shown = said(capsys, "policy", "show", "adult-affirmed")
    assert "behaves as `protect`, with every bundle" in shown
    assert "breastfeeding" in shown
    assert "is released" not in said(capsys, "policy", "list")


def test_a_policy_that_would_release_does_not_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(safelight.policy_text("protect").replace('"cover"', '"release"'))
    assert main.run(["policy", "check", str(mine)]) == 2
    assert len(lines(capsys.readouterr().err)) == 1


def test_bundles_are_listed_shown_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    listed = said(capsys, "bundle", "list")
    assert "safelight-default" in listed
    assert "--test-bundle only" in listed
    shown = said(capsys, "bundle", "show")
    manifest = safelight.describe(safelight.default_folder())
    for file in manifest.files.values():
        assert file.sha256 in shown
    assert manifest.calibration.status in shown
    assert "does not count people" in shown
    assert "verifies" in said(capsys, "bundle", "verify")


def test_a_stand_in_is_shown_as_one_and_only_when_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(safelight.stand_in_folder("face"))
    assert main.run(["bundle", "verify", folder]) == 3
    assert len(lines(capsys.readouterr().err)) == 1
    assert "TEST" in said(capsys, "bundle", "verify", folder, "--test-bundle")


def test_a_test_card_is_a_picture_or_a_film(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    still, moving = tmp_path / "card.png", tmp_path / "card.mp4"
    text = said(capsys, "testcard", str(still), "--size", "320x240")
    assert "a harmless card that the guard must cover" in text
    with Image.open(still) as image:
        assert image.size == (320, 240)
    said(capsys, "testcard", str(moving), "--size", "320x240", "--seconds", "0.5")
    assert [shown.rgb.shape for shown in read_back(moving)] == [(240, 320, 3)] * 15
    assert {path.name for path in tmp_path.iterdir()} == {"card.png", "card.mp4"}


@pytest.mark.slow
@pytest.mark.parametrize("size", ["640x360", "240x180", "1280x720"])
def test_the_guard_covers_the_test_card(size: str, tmp_path: Path) -> None:
    card = str(tmp_path / "card.mp4")
    assert main.run(["testcard", card, "--size", size, "--seconds", "0.5"]) == 0
    report = tmp_path / "report.json"
    arguments = ("guard", card, "null:", "--report", str(report), "--state", str(tmp_path / "s"))
    assert main.run([*arguments, "--quiet"]) == 0
    frames = json.loads(report.read_text())["frames"]
    assert frames["in"] == 15
    assert frames["released"] == 0


@pytest.mark.slow
def test_doctor_says_that_a_guard_can_run_here(tmp_path: Path) -> None:
    done = run("doctor", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = Findings.model_validate_json(done.stdout)
    assert found.ready
    assert {"bundle", "judge", "encoder", "isolation"} <= {f.name for f in found.findings}


def test_doctor_is_status_3_when_what_judges_does_not_verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BundleError("it does not verify", "reinstall")

    monkeypatch.setattr(safelight, "verify_bundle", refuse)
    monkeypatch.setattr("safelight.judging.verify_bundle", refuse)
    assert main.run(["doctor"]) == 3
    text = capsys.readouterr().out
    assert "FAULT bundle" in text
    assert "No guard can run here" in text


def test_doctor_is_status_3_where_no_judge_can_be_isolated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = (
        safelight.Layer("no_core_dumps", True, True, ""),
        safelight.Layer("system_calls", True, False, "the library libseccomp is not installed"),
        safelight.Layer("file_system", False, False, "no Landlock"),
    )
    monkeypatch.setattr(safelight, "isolation", lambda: layers)
    assert main.run(["doctor"]) == 3
    text = capsys.readouterr().out
    assert "FAULT isolation" in text
    assert "no system calls (the library libseccomp is not installed)" in text
    assert "No guard can run here" in text


@pytest.mark.long
def test_bench_prints_figures_and_no_leaks(tmp_path: Path) -> None:
    film(tmp_path / "clip.mp4", size=(640, 480), pictures=30)
    options = ("--seconds", "2", "--size", "320x240", "--json", "out.json")
    done = run("bench", "clip.mp4", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert [one["film"] for one in figures["films"]] == [
        "clip.mp4",
        "a still scene",
        "constant motion",
    ]
    for one in figures["films"]:
        for way in ("livestream", "call"):
            assert one["ways"][way]["unjudged_released"] == 0
            assert one["ways"][way]["frames"]["in"] == one["pictures"] == 60
            # Its own process looks at pictures: what that costs must be counted too.
            assert one["ways"][way]["cpu_s"] > one["ways"]["plain"]["cpu_s"]
    assert all(one["unjudged_released"] == 0 and one["frames"]["in"] for one in figures["live"])
    leaks = figures["leaks"]
    for one in figures["films"]:
        picture = one["size"][0] * one["size"][1] * 3 // 2
        way = one["ways"]["livestream"]
        # Out of the decoder and out of its process's memory, into the encoder, and into the
        # judge's ring for each that is judged.
        assert way["bytes_copied_per_frame"] == round(
            picture * (3 + way["frames"]["judged"] / way["frames"]["in"])
        )
        copied = one["ways"]["copy mode"]
        assert copied["copied"] > 0
        assert copied["bytes_copied_per_frame"] < way["bytes_copied_per_frame"]
    assert leaks["guard"]["max"] == 0
    assert leaks["every frame"]["max"] == 1
    assert 1 <= leaks["every 30th"]["max"] <= 30
    assert leaks["every 30th"]["mean"] > 1
    assert "unjudged_released" in done.stdout
    assert figures["machine"]["cores"] >= 1


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("copy", [(), ("--copy",)], ids=["from memory", "copy mode"])
def test_bench_guards_streams_with_a_judge_each_and_with_a_shared_one(
    tmp_path: Path, copy: tuple[str, ...]
) -> None:
    options = ("--seconds", "3", "--streams", "2", "--shared", *copy, "--json", "out.json")
    done = run("bench", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["schema"] == "safelight.bench/4"
    alone, shared = figures["streams"], figures["shared"]
    for streams in (alone, shared["streams"]):
        assert [one["unjudged_released"] for one in streams] == [0, 0]
        assert all(one["frames"]["in"] > 0 for one in streams)
    assert all(one["cpu_s"] > 0 for one in alone)
    assert shared["memory_mb"] < sum(one["memory_mb"] for one in alone)
