"""Promise 6 where bundles lie: the step to a new one is whole or not taken."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.bundle.rehearsal import Rehearsal, judging

from safelight.bundle import installed, trust, update
from safelight.errors import BundleError, UsageError

TODAY = datetime.date(2026, 11, 22)


@pytest.fixture
def theirs(tmp_path: Path) -> Rehearsal:
    made = Rehearsal(tmp_path)
    made.offer(1)
    return made


@pytest.fixture
def place(theirs: Rehearsal, tmp_path: Path) -> Path:
    into = tmp_path / "place"
    update.pull(str(theirs.path), into, test=True)
    return into


BREAKS = ("_sync", "_sync_folder", "named")


@pytest.mark.parametrize("where", BREAKS)
def test_a_disk_that_fails_leaves_what_was(
    where: str, theirs: Rehearsal, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.offer(2)
    before = judging(place)
    calls = 0

    def broken(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if where == "named":
            patched.setattr(Path, "replace", broken)
        else:
            patched.setattr(installed, where, broken)
        with pytest.raises(UsageError):
            update.pull(str(theirs.path), place, test=True)
    assert calls
    assert judging(place) == before
    assert update.pull(str(theirs.path), place, test=True).version == 2


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("call", range(1, 40, 3))
def test_a_pull_that_is_killed_leaves_what_was(call: int, theirs: Rehearsal, place: Path) -> None:
    """SIGKILL at one of the pull's openings, writings and renamings; then a pull that is let."""
    theirs.offer(2)
    before = judging(place)
    program = f"""
        import os, signal, sys
        seen = 0
        kinds = ("open", "os.rename", "os.mkdir", "os.remove")
        def hook(event, args):
            global seen
            if event in kinds and {str(place)!r} in str(args):
                seen += 1
                if seen == {call}:
                    os.kill(os.getpid(), signal.SIGKILL)
        from pathlib import Path
        from safelight.bundle import signatures, update
        sys.addaudithook(hook)
        update.pull({str(theirs.path)!r}, Path({str(place)!r}), test=True)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    # A pull makes a little over thirty of them.
    assert done.returncode in ({-signal.SIGKILL} if call < 30 else {0, -signal.SIGKILL})
    now = trust.verify(place, allow_test=True, today=TODAY)
    if now.version == 1:
        assert judging(place) == before
    assert update.pull(str(theirs.path), place, test=True).version == 2
    assert not list(place.glob(".new-*"))


def test_damaged_update_state_heals_and_lets_nothing_older_in(tmp_path: Path) -> None:
    theirs, place = Rehearsal(tmp_path), tmp_path / "place"
    theirs.next_root()
    theirs.offer(1)
    earlier = theirs.saved()
    theirs.offer(2)
    update.pull(str(theirs.path), place, test=True)
    newest = theirs.saved()
    names = [path for path in (place / "trusted").rglob("*.json") if not path.is_symlink()]
    assert len(names) == 5
    for path in names:
        for damage in (b"", b"{}", path.read_bytes()[:-40]):
            theirs.serve_again(earlier)
            path.write_bytes(damage)
            before = judging(place)
            with pytest.raises(BundleError):
                update.pull(str(theirs.path), place, test=True)
            assert judging(place) == before
            theirs.serve_again(newest)
            assert update.pull(str(theirs.path), place, test=True).version == 2


def test_one_pull_at_a_time(theirs: Rehearsal, place: Path) -> None:
    with installed.staging(place), pytest.raises(UsageError, match="another pull"):
        update.pull(str(theirs.path), place, test=True)
    assert not update.pull(str(theirs.path), place, test=True).new


def test_a_damaged_bundle_is_replaced_by_the_same_version(theirs: Rehearsal, place: Path) -> None:
    path = trust.current_folder(place) / "face.png"
    path.write_bytes(b"damaged")
    with pytest.raises(BundleError):
        trust.verify(place, allow_test=True, today=TODAY)
    assert update.pull(str(theirs.path), place, test=True).new
    trust.verify(place, allow_test=True, today=TODAY)


@pytest.mark.parametrize(
    "said", ["", "\n", "..", ".", "../other", "/etc", "a/b", "x" * 300, "a\nb", "A", "\0"]
)
def test_current_names_a_folder_inside_and_nothing_else(said: str, place: Path) -> None:
    (place / "current").write_text(said)
    with pytest.raises(BundleError):
        trust.verify(place, allow_test=True, today=TODAY)


def test_current_leads_through_no_link(place: Path) -> None:
    where = trust.current_folder(place)
    (place / "linked").symlink_to(where)
    (place / "current").write_text("linked\n")
    with pytest.raises(BundleError):
        trust.verify(place, allow_test=True, today=TODAY)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("beside", ["photos/one.jpg", "current", "trusted/root.json", ".new-a/b"])
def test_a_folder_with_other_things_in_it_is_refused_and_unchanged(
    beside: str, theirs: Rehearsal, tmp_path: Path
) -> None:
    """Promise 7: no file of the user's is deleted, whatever folder is named."""
    theirs_own = tmp_path / "documents"
    (theirs_own / beside).parent.mkdir(parents=True)
    (theirs_own / beside).write_text("mine")
    (theirs_own / "letters").mkdir()
    (theirs_own / "letters" / "to-you.txt").write_text("mine")
    before = contents(theirs_own)
    with pytest.raises(UsageError, match="--into"):
        update.pull(str(theirs.path), theirs_own, test=True)
    assert contents(theirs_own) == before


def test_what_lies_beside_bundles_stays(theirs: Rehearsal, place: Path) -> None:
    beside = ("photos", ".new-year", "stand-in-face-0", "letters-1.abcd1234")
    for name in beside:
        (place / name).mkdir()
        (place / name / "mine").write_text("mine")
    for version in (2, 3, 4):
        theirs.offer(version)
        update.pull(str(theirs.path), place, test=True)
    assert all((place / name / "mine").read_text() == "mine" for name in beside)
    assert sum(1 for folder in place.iterdir() if (folder / "manifest.json").exists()) == 2


def test_a_place_is_its_users_own(place: Path) -> None:
    assert place.stat().st_mode & 0o077 == 0


def test_places_follow_the_users_settings(tmp_path: Path) -> None:
    given = {"XDG_DATA_HOME": str(tmp_path)}
    assert installed.data_folder(given) == tmp_path / "safelight" / "bundles"
    assert installed.data_folder(given, test=True) != installed.data_folder(given)
    home = Path(os.path.expanduser("~"))
    for useless in ({}, {"XDG_DATA_HOME": "relative"}):
        assert installed.data_folder(useless).is_relative_to(home)


def test_an_installed_bundle_outlives_its_updates(
    theirs: Rehearsal, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long after every signature's time it judges on, until its own ``judge_until``."""
    theirs.offer(2, lambda manifest: manifest.update(judge_until="2099-12-31"))
    update.pull(str(theirs.path), place, test=True)
    trust.verify(place, allow_test=True, today=datetime.date(2099, 12, 31))
    with pytest.raises(BundleError, match="2099-12-31"):
        trust.verify(place, allow_test=True, today=datetime.date(2100, 1, 1))
