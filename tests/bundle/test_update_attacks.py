"""Promise 6 against whoever runs the repository or the way to it: no attack changes what judges.

The attacks are made with python-tuf's own tooling. Each is tried on a place where version 2 is
installed and judges; afterwards every file of it must be what it was, and must still verify.
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bundle.rehearsal import LATER, PAST, Rehearsal, judging
from tuf.api.metadata import Delegations, Signed

from safelight.bundle import trust, update
from safelight.errors import BundleError, SafelightError
from safelight.testing import test_root

TODAY = datetime.date(2026, 11, 22)


@pytest.fixture
def theirs(tmp_path: Path) -> Rehearsal:
    """A repository that has offered versions 1 and 2."""
    made = Rehearsal(tmp_path)
    made.offer(1)
    made.offer(2)
    return made


@pytest.fixture
def place(theirs: Rehearsal, tmp_path: Path) -> Path:
    """Where version 2 was pulled to."""
    into = tmp_path / "place"
    assert update.pull(str(theirs.path), into, test=True).version == 2
    return into


def refused(theirs: Rehearsal, place: Path) -> str:
    before = judging(place)
    with pytest.raises(BundleError) as caught:
        update.pull(str(theirs.path), place, test=True)
    assert judging(place) == before
    assert trust.verify(place, allow_test=True, today=TODAY).version == 2
    assert not list(place.glob(".new-*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_update_is_taken_and_the_one_before_is_kept(theirs: Rehearsal, place: Path) -> None:
    for version in (3, 4, 5):
        theirs.offer(version)
        pulled = update.pull(str(theirs.path), place, test=True)
        assert (pulled.version, pulled.new) == (version, True)
        assert trust.verify(place, allow_test=True, today=TODAY).version == version
    assert sorted(path.name.split(".")[0] for path in place.iterdir() if path.is_dir()) == [
        "stand-in-face-4",
        "stand-in-face-5",
        "trusted",
    ]
    again = update.pull(str(theirs.path), place, test=True)
    assert (again.version, again.new) == (5, False)


# --- rollback ---------------------------------------------------------------------------------


def test_everything_of_an_earlier_day_is_refused(tmp_path: Path) -> None:
    theirs = Rehearsal(tmp_path)
    theirs.offer(1)
    earlier = theirs.saved()
    theirs.offer(2)
    update.pull(str(theirs.path), tmp_path / "place", test=True)
    theirs.serve_again(earlier)
    assert "version" in refused(theirs, tmp_path / "place")


def test_a_timestamp_that_goes_back_is_refused(theirs: Rehearsal, place: Path) -> None:
    theirs.timestamp = 0
    theirs.sign_timestamp()
    refused(theirs, place)


def test_a_snapshot_that_goes_back_is_refused(theirs: Rehearsal, place: Path) -> None:
    theirs.snapshot = 0
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    refused(theirs, place)


def test_targets_that_go_back_are_refused(theirs: Rehearsal, place: Path) -> None:
    theirs.targets = 1
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    refused(theirs, place)


def test_a_bundle_that_goes_back_under_newer_signatures_is_refused(
    theirs: Rehearsal, place: Path
) -> None:
    theirs.offer(1)
    assert "older" in refused(theirs, place)


def test_keys_of_a_root_that_was_replaced_are_refused(theirs: Rehearsal, place: Path) -> None:
    fresh = [test_root.signer(f"fresh {n}") for n in range(3)]

    def replace(root: Any) -> None:
        for keyid in list(root.roles["targets"].keyids):
            root.revoke_key(keyid, "targets")
        for signer in fresh:
            root.add_key(signer.public_key, "targets")

    theirs.next_root(replace)
    theirs.sign_targets(theirs.bundle(2), signers=fresh)
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    update.pull(str(theirs.path), place, test=True)
    theirs.offer(3)  # by the old keys
    refused(theirs, place)
    (theirs.path / "metadata" / "2.root.json").unlink()  # and as if there had been no new root
    refused(theirs, place)


def test_rollback_is_refused_even_when_all_trusted_metadata_was_lost(tmp_path: Path) -> None:
    theirs, place = Rehearsal(tmp_path), tmp_path / "place"
    theirs.offer(1)
    earlier = theirs.saved()
    theirs.offer(2)
    update.pull(str(theirs.path), place, test=True)
    theirs.serve_again(earlier)
    for _ in range(2):
        shutil.rmtree(place / "trusted")
        assert "older" in refused(theirs, place)


def test_older_signatures_of_the_same_bundle_are_refused_without_the_state(
    tmp_path: Path,
) -> None:
    theirs, place = Rehearsal(tmp_path), tmp_path / "place"
    theirs.offer(2)
    earlier = theirs.saved()
    theirs.offer(2)
    update.pull(str(theirs.path), place, test=True)
    theirs.serve_again(earlier)
    shutil.rmtree(place / "trusted")
    assert "older signatures" in refused(theirs, place)


# --- freeze, expiry ---------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "root"])
def test_expired_metadata_brings_no_update_and_stops_nothing(
    role: str, theirs: Rehearsal, place: Path
) -> None:
    if role == "root":
        theirs.next_root(expires=PAST)
    theirs.sign_targets(theirs.bundle(3), expires=PAST if role == "targets" else LATER)
    theirs.sign_snapshot(expires=PAST if role == "snapshot" else LATER)
    theirs.sign_timestamp(expires=PAST if role == "timestamp" else LATER)
    assert "out of date" in refused(theirs, place)


def test_a_frozen_repository_is_noticed(
    theirs: Rehearsal, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files for ever, each rightly signed: they end when their time is over."""
    later = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    monkeypatch.setattr(Signed, "is_expired", lambda self, _=None: later >= self.expires)
    assert "out of date" in refused(theirs, place)


# --- mix and match ----------------------------------------------------------------------------


def test_files_of_different_days_do_not_mix(theirs: Rehearsal, place: Path) -> None:
    theirs.sign_targets(theirs.bundle(3))
    earlier = theirs.saved()
    theirs.sign_targets(theirs.bundle(4))
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    newest = theirs.path / "metadata" / f"{theirs.targets}.targets.json"
    newest.write_bytes(earlier[f"metadata/{theirs.targets - 1}.targets.json"])
    refused(theirs, place)


def test_a_file_of_another_version_is_refused(theirs: Rehearsal, place: Path) -> None:
    theirs.offer(3)
    old, new = (
        next(
            path
            for path in (theirs.path / "targets").glob("*.manifest.json")
            if f'"version": {version}' in path.read_text()
        )
        for version in (1, 3)
    )
    new.write_bytes(old.read_bytes())
    refused(theirs, place)


# --- keys -------------------------------------------------------------------------------------

STRANGERS = [test_root.signer(f"stranger {n}") for n in range(3)]


@pytest.mark.parametrize(
    "signers",
    [
        [],
        test_root.signers("targets")[:1],
        STRANGERS,
        [*test_root.signers("targets")[:1], *STRANGERS],
        test_root.signers("root"),
        test_root.signers("online"),
    ],
    ids=["none", "one", "strangers", "one-and-strangers", "root", "online"],
)
def test_targets_without_enough_of_their_own_keys_are_refused(
    signers: list[Any], theirs: Rehearsal, place: Path
) -> None:
    theirs.sign_targets(theirs.bundle(3), signers=signers)
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    refused(theirs, place)


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_freshness_by_a_stranger_is_refused(role: str, theirs: Rehearsal, place: Path) -> None:
    theirs.sign_targets(theirs.bundle(3))
    theirs.sign_snapshot(signers=STRANGERS if role == "snapshot" else None)
    theirs.sign_timestamp(signers=STRANGERS if role == "timestamp" else None)
    refused(theirs, place)


@pytest.mark.parametrize("signers", [test_root.signers("root")[:1], STRANGERS])
def test_a_root_without_enough_keys_of_the_one_before_is_refused(
    signers: list[Any], theirs: Rehearsal, place: Path
) -> None:
    theirs.next_root(by=signers)
    theirs.offer(3)
    refused(theirs, place)


def doubled(root: Any) -> None:
    """One holder's key under two names, so that one hand reaches a threshold of two."""
    keyid = root.roles["targets"].keyids[0]
    twin = type(root.keys[keyid]).from_dict("twin", root.keys[keyid].to_dict())
    root.add_key(twin, "targets")


def one_is_enough(root: Any) -> None:
    root.roles["targets"].threshold = 1


def shared(root: Any) -> None:
    root.add_key(root.keys[root.roles["timestamp"].keyids[0]], "targets")


def other_purpose(root: Any) -> None:
    root.unrecognized_fields["safelight"]["purpose"] = "another"


@pytest.mark.parametrize("change", [doubled, one_is_enough, shared, other_purpose])
def test_a_root_that_weakens_itself_is_refused_though_rightly_signed(
    change: Callable[[Any], None], theirs: Rehearsal, place: Path
) -> None:
    theirs.next_root(change)
    theirs.offer(3)
    refused(theirs, place)


# --- purpose ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("another", "test"),
        ("prevent-livestreamed-child-sexual-abuse", "test"),
        ("test", "prevent-livestreamed-child-sexual-abuse"),
        ("prevent-livestreamed-child-sexual-abuse", "prevent-livestreamed-child-sexual-abuse"),
    ],
)
def test_another_purpose_is_refused_though_rightly_signed(
    said: str, written: str, theirs: Rehearsal, place: Path
) -> None:
    def change(targets: Any) -> None:
        targets.targets[trust.MANIFEST].custom["purpose"] = said

    def edit(manifest: Any) -> None:
        if written != "test":
            default = trust.default_folder() / trust.MANIFEST
            manifest.update({**json.loads(default.read_text()), "version": 3})
            manifest["id"] = "stand-in-face"

    if written != "test":
        folder = theirs.bundle(3, edit)
        (folder / "landscape.png").write_bytes(
            (trust.default_folder() / "landscape.png").read_bytes()
        )
    else:
        folder = theirs.bundle(3)
    theirs.sign_targets(folder, change=change)
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    refused(theirs, place)


def test_the_test_root_signs_nothing_that_judges_in_earnest(
    theirs: Rehearsal, tmp_path: Path
) -> None:
    with pytest.raises(BundleError):
        update.pull(str(theirs.path), tmp_path / "other")
    assert not (tmp_path / "other" / "current").exists()


def test_a_stand_in_and_a_bundle_in_earnest_do_not_share_a_place(
    theirs: Rehearsal, place: Path
) -> None:
    before = judging(place)
    with pytest.raises(SafelightError, match="another purpose"):
        update.pull(str(theirs.path), place)
    assert judging(place) == before


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["../outside.png", "/tmp/outside.png", "a/../../outside.png"])
def test_a_target_outside_is_refused(
    path: str, theirs: Rehearsal, place: Path, tmp_path: Path
) -> None:
    def change(targets: Any) -> None:
        targets.targets[path] = targets.targets.pop("face.png")
        targets.targets[path].path = path

    before = sorted(tmp_path.iterdir())
    theirs.sign_targets(theirs.bundle(3), change=change)
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    assert "other files" in refused(theirs, place)
    assert sorted(tmp_path.iterdir()) == before


def test_targets_that_delegate_are_refused(theirs: Rehearsal, place: Path) -> None:
    def change(targets: Any) -> None:
        targets.delegations = Delegations({}, {})

    theirs.sign_targets(theirs.bundle(3), change=change)
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    assert "delegate" in refused(theirs, place)


@pytest.mark.parametrize(
    "name", ["metadata/timestamp.json", "metadata/3.snapshot.json", "metadata/3.targets.json"]
)
def test_endless_metadata_is_refused(name: str, theirs: Rehearsal, place: Path) -> None:
    theirs.offer(3)
    with (theirs.path / name).open("ab") as file:
        file.truncate(1 << 40)
    assert "more than was announced" in refused(theirs, place)


def test_an_endless_file_of_a_bundle_is_refused(theirs: Rehearsal, place: Path) -> None:
    theirs.offer(3, lambda manifest: manifest.update(title="another"))
    newest = max((theirs.path / "targets").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for path in (theirs.path / "targets").glob("*.face.png"):
        with path.open("ab") as file:
            file.truncate(1 << 40)
    assert newest.exists()
    assert "more than was announced" in refused(theirs, place)


def test_a_bundle_over_the_limit_is_not_fetched(theirs: Rehearsal, place: Path) -> None:
    def change(targets: Any) -> None:
        targets.targets["face.png"].length = 1 << 40

    theirs.sign_targets(theirs.bundle(3), change=change)
    theirs.sign_snapshot()
    theirs.sign_timestamp()
    refused(theirs, place)


@pytest.mark.parametrize("version", [-1, 0, "3", None])
def test_metadata_with_an_odd_version_is_refused(
    version: object, theirs: Rehearsal, place: Path
) -> None:
    theirs.sign_targets(theirs.bundle(3))
    theirs.sign_snapshot()
    theirs.sign_timestamp(change=lambda signed: setattr(signed, "version", version))
    refused(theirs, place)
