"""``safelight bundle`` and what doctor says of bundles: exit statuses, one line an error."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bundle.rehearsal import Rehearsal
from tests.cli.running import LIVE, lines, run

import safelight
from safelight.cli import doctor, main
from safelight.testing import test_root


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pulled bundles of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "safelight"


@pytest.fixture
def theirs(tmp_path: Path) -> Rehearsal:
    made = Rehearsal(tmp_path)
    made.offer(2)
    return made


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main.run(arguments) == 0
    got = capsys.readouterr()
    assert got.err == ""
    return got.out


def fails(status: int, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main.run(arguments) == status
    error = capsys.readouterr().err
    assert len(lines(error)) == 1
    return error


def test_a_pulled_bundle_is_found_listed_shown_and_verified(
    theirs: Rehearsal, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, place = str(theirs.path), str(home / "test-bundles")
    text = said(capsys, "bundle", "pull", repository, "--test-bundle")
    assert "stand-in-face 2 is new" in text
    assert f"--bundle {place} --test-bundle" in text
    assert "up to date" in said(capsys, "bundle", "pull", repository, "--test-bundle")
    assert "pulled stand-in" in said(capsys, "bundle", "list")
    assert "2 needed" in said(capsys, "bundle", "verify", place, "--test-bundle")
    shown = said(capsys, "bundle", "show", place, "--test-bundle")
    for signer in test_root.signers("targets"):
        assert signer.public_key.keyid in shown
    assert "the TEST root" in shown
    assert "targets 1 until" in shown
    fails(3, capsys, "bundle", "verify", place)


def test_the_default_bundle_says_what_its_root_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "DEVELOPMENT root" in said(capsys, "bundle", "verify")
    assert "No key ceremony" in said(capsys, "bundle", "show")


def test_a_stand_in_is_not_pulled_unasked(
    theirs: Rehearsal, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(3, capsys, "bundle", "pull", str(theirs.path))
    assert not (home / "bundles" / "current").exists()


@pytest.mark.parametrize(
    "repository", ["nowhere", "http://127.0.0.1/", "https://127.0.0.1:9/", "https://"]
)
def test_what_cannot_be_reached_is_status_2(
    repository: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(2, capsys, "bundle", "pull", repository, "--into", str(tmp_path / "place"))


def test_a_place_that_cannot_be_written_is_status_2(
    theirs: Rehearsal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    place = str(tmp_path / "file")
    fails(2, capsys, "bundle", "pull", str(theirs.path), "--into", place, "--test-bundle")


def test_the_bench_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFELIGHT_PASSPHRASE", "a dozen words would be better")
    key = str(tmp_path / "ana.key")
    assert main.run(["bundle", "new-key", key]) == 0
    capsys.readouterr()
    fails(2, capsys, "bundle", "new-key", key)
    repository = str(tmp_path / "repository")
    fails(2, capsys, "bundle", "sign", repository, "--role", "root", "--key", key)
    fails(2, capsys, "bundle", "put", repository, str(safelight.default_folder()))
    fails(2, capsys, "bundle", "publish", repository, "--key", key)
    three = ("--root", f"{key}.pub", "--targets", f"{key}.pub", "--online", f"{key}.pub")
    fails(2, capsys, "bundle", "new-root", repository, *three)
    words = tmp_path / "words"
    words.write_text("not the right passphrase\n")
    wrong = ("--key", key, "--passphrase-file", str(words))
    fails(2, capsys, "bundle", "sign", repository, "--role", "root", *wrong)


def test_nobody_to_ask_for_a_passphrase_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAFELIGHT_PASSPHRASE", raising=False)
    done = run("bundle", "new-key", "ana.key", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ana.key").exists()


@pytest.mark.slow
def test_a_guard_judges_by_a_pulled_bundle(theirs: Rehearsal, tmp_path: Path) -> None:
    done = run("bundle", "pull", str(theirs.path), "--into", "place", "--test-bundle", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    clip = run("testcard", "card.mp4", "--seconds", "0.5", cwd=tmp_path)
    assert clip.returncode == 0
    arguments = ("guard", "card.mp4", "null:", "--bundle", "place")
    assert run(*arguments, "--test-bundle", cwd=tmp_path).returncode == 0
    assert run(*arguments, cwd=tmp_path).returncode == 3
    (tmp_path / "place" / "current").write_text("nowhere\n")
    assert run(*arguments, "--test-bundle", cwd=tmp_path).returncode == 3


@pytest.mark.parametrize(
    ("days", "status"), [(400, "ok"), (31, "ok"), (30, "note"), (1, "note"), (0, "note")]
)
def test_doctor_warns_thirty_days_ahead(
    days: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Rehearsal(tmp_path)
    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=days)
    theirs.offer(2, lambda manifest: manifest.update(judge_until=until.isoformat()))
    place = tmp_path / "place"
    safelight.pull_bundle(str(theirs.path), place, test_bundle=True)
    found = doctor._until("judge until", place)
    assert found.status == status
    assert until.isoformat() in found.says


def test_doctor_names_the_root_of_trust() -> None:
    found = {finding.name: finding for finding in doctor._bundle()}
    assert found["bundle"].status == "ok"
    assert "signed by 3 of 3 keys" in found["bundle"].says
    assert found["root of trust"].status == "note"


def test_doctor_says_that_a_pulled_bundle_does_not_verify(home: Path) -> None:
    (home / "bundles").mkdir(parents=True)
    (home / "bundles" / "current").write_text("nowhere\n")
    found = {finding.name: finding for finding in doctor._bundle()}
    assert found["bundle"].status == "ok"
    assert found["pulled bundle"].status == "note"


@pytest.mark.parametrize(
    ("start", "absent"),
    [
        ("import safelight.public", ("tuf", "securesystemslib", "http.client")),
        ("import safelight.bundle.trust", ("tuf", "securesystemslib", "pydantic")),
        ("import safelight.judge.worker, safelight.detect.detectors", ("tuf", "pydantic")),
        ("import safelight; safelight.verify_bundle()", ("tuf.ngclient", "http.client")),
    ],
)
def test_what_fetches_is_loaded_by_a_pull_alone(start: str, absent: tuple[str, ...]) -> None:
    program = f"{start}; import sys; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]", done.stdout


def test_live_addresses_are_not_bundles(capsys: pytest.CaptureFixture[str]) -> None:
    fails(3, capsys, "bundle", "verify", LIVE)
