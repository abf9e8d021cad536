"""Promise 6: nothing judges but bytes that were checked; every other way in is refused."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bundle import signing

from safelight.bundle import pinned, trust
from safelight.bundle.manifest import Manifest
from safelight.errors import BundleError, NotMintedError
from safelight.judge import carry
from safelight.types import VerifiedBundle

TODAY = datetime.date(2026, 11, 22)
Edit = Callable[[dict[str, Any]], object]


def verify(folder: Path, *, allow_test: bool = True) -> VerifiedBundle:
    return trust.verify(folder, allow_test=allow_test, today=TODAY)


def refused(folder: Path, *, allow_test: bool = True) -> str:
    with pytest.raises(BundleError) as caught:
        verify(folder, allow_test=allow_test)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.hint
    assert caught.value.exit_status == 3
    return text


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(trust.stand_in_folder("face"), tmp_path / "face"))


def test_the_shipped_bundles_verify() -> None:
    bundle = verify(trust.default_folder(), allow_test=False)
    raw = (trust.default_folder() / "manifest.json").read_bytes()
    assert bundle.sha256 == hashlib.sha256(raw).hexdigest()
    assert not bundle.is_test
    pins = trust.describe(trust.default_folder()).files
    assert {n: hashlib.sha256(c).hexdigest() for n, c in bundle.files.items()} == {
        n: f.sha256 for n, f in pins.items()
    }
    assert bundle.calibration.points == (
        (0, -2000),
        (200, -500),
        (500, 500),
        (800, 2000),
        (1000, 4000),
    )
    assert verify(trust.stand_in_folder("face")).is_test


def test_an_ordinary_bundle_also_loads_where_stand_ins_may() -> None:
    assert not verify(trust.default_folder(), allow_test=True).is_test


def test_a_stand_in_loads_only_when_asked_for_as_such() -> None:
    assert "--test-bundle" in refused(trust.stand_in_folder("face"), allow_test=False)


@pytest.mark.parametrize("name", ["nobody", "../face", "", "face/.."])
def test_an_unknown_stand_in_is_an_error(name: str) -> None:
    with pytest.raises(BundleError):
        trust.stand_in_folder(name)


@pytest.mark.parametrize("name", ["manifest.json", "face.png"])
def test_a_missing_cut_grown_or_linked_file_is_refused(copied: Path, name: str) -> None:
    path = copied / name
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole + b"\n"):
        path.write_bytes(content)
        refused(copied)
    path.unlink()
    refused(copied)
    elsewhere = copied.parent / "elsewhere"
    elsewhere.write_bytes(whole)
    path.symlink_to(elsewhere)
    refused(copied)
    path.unlink()
    path.mkdir()
    refused(copied)
    path.rmdir()
    os.mkfifo(path)
    refused(copied)
    path.unlink()
    path.write_bytes(whole)
    verify(copied)


def test_a_linked_folder_on_the_way_is_refused(edited: Callable[[Edit], Path]) -> None:
    def move(manifest: dict[str, Any]) -> None:
        manifest["files"]["face.png"]["from"]["file"] = "sub/face.png"

    folder = edited(move)
    (folder / "sub").mkdir()
    shutil.copy(folder / "face.png", folder / "sub" / "face.png")
    verify(signing.sign(folder))
    shutil.move(folder / "sub", folder.parent / "outside")
    (folder / "sub").symlink_to(folder.parent / "outside")
    refused(folder)


@pytest.mark.parametrize("folder", ["absent", "file"])
def test_no_folder_is_one_line(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("x")
    assert "manifest.json" in refused(tmp_path / folder)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"schema": 1', b"null", b" " * (1 << 20) + b"{}"],
)
def test_what_is_no_manifest_is_one_line(copied: Path, raw: bytes) -> None:
    signing.sign(copied, raw)
    refused(copied)
    with pytest.raises(BundleError):
        trust.describe(copied)


def test_a_key_that_appears_twice_is_refused(copied: Path) -> None:
    raw = (copied / "manifest.json").read_bytes()
    twice = raw.replace(b'"version": 1,', b'"version": 1, "version": 1,')
    assert twice != raw
    signing.sign(copied, twice)
    assert "twice" in refused(copied)


def test_the_last_day_counts_and_the_next_does_not(edited: Callable[[Edit], Path]) -> None:
    folder = edited(lambda manifest: manifest.update(judge_until="2026-11-22"))
    verify(folder)
    with pytest.raises(BundleError, match="2026-11-22"):
        trust.verify(folder, allow_test=True, today=datetime.date(2026, 11, 23))


def test_a_package_file_with_another_pin_is_refused(edited: Callable[[Edit], Path]) -> None:
    def repin(manifest: dict[str, Any]) -> None:
        file = manifest["files"]["face.png"]
        file["from"] = {"package": "safelight", "path": "py.typed"}

    assert "face.png" in refused(edited(repin))


def test_a_package_file_that_is_absent_is_one_line(edited: Callable[[Edit], Path]) -> None:
    def point_nowhere(manifest: dict[str, Any]) -> None:
        manifest["files"]["face.png"]["from"] = {"package": "safelight", "path": "absent"}

    assert "absent" in refused(edited(point_nowhere))


def test_what_was_checked_is_what_is_kept(copied: Path) -> None:
    bundle = verify(copied)
    whole = bundle.files["face.png"]
    (copied / "face.png").write_bytes(b"another")
    assert bundle.files["face.png"] == whole


def test_a_carried_bundle_is_checked_again_where_it_arrives() -> None:
    bundle = verify(trust.stand_in_folder("face"))
    again = trust.verify_again(bundle.manifest, bundle.files, sha256=bundle.sha256)
    assert again.sha256 == bundle.sha256 == hashlib.sha256(bundle.manifest).hexdigest()
    assert dict(again.files) == dict(bundle.files)
    name, content = next(iter(bundle.files.items()))
    for raw, files, digest in (
        (bundle.manifest + b" ", bundle.files, bundle.sha256),
        (bundle.manifest, bundle.files, "0" * 64),
        (bundle.manifest, {**bundle.files, name: content + b"x"}, bundle.sha256),
        (bundle.manifest, {**bundle.files, name: bytes(len(content))}, bundle.sha256),
        (bundle.manifest, {**bundle.files, "more": b"x"}, bundle.sha256),
        (bundle.manifest, {}, bundle.sha256),
    ):
        with pytest.raises(BundleError):
            trust.verify_again(raw, files, sha256=digest)


def test_a_carried_bundle_holds_large_files_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "KEPT_BYTES", -1)
    bundle = verify(trust.stand_in_folder("face"))
    packed, handles = carry.pack(bundle)
    assert len(handles) == len(bundle.files)
    again = carry.unpack([packed, *map(os.dup, handles)], sha256=bundle.sha256)
    assert dict(again.files) == dict(bundle.files)


def test_what_was_packed_arrives_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "KEPT_BYTES", -1)
    bundle = verify(trust.stand_in_folder("face"))
    for order in ((0,), (0, 1, 1), (1, 0)):
        packed, handles = carry.pack(bundle)
        with pytest.raises(BundleError):
            carry.unpack([packed, *(os.dup(handles[at]) for at in order)], sha256=bundle.sha256)


def test_describing_needs_no_files_and_mints_nothing(copied: Path) -> None:
    (copied / "face.png").unlink()
    manifest = trust.describe(copied)
    assert type(manifest) is Manifest
    assert manifest.id == json.loads((copied / "manifest.json").read_text())["id"]


def test_no_copy_of_a_verified_bundle_can_be_made_by_hand(copied: Path) -> None:
    bundle = verify(copied)
    with pytest.raises((NotMintedError, ValueError, TypeError)):
        dataclasses.replace(  # type: ignore[call-arg]
            bundle, purpose="prevent-livestreamed-child-sexual-abuse"
        )
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(NotMintedError):
            make(bundle)


def test_what_a_manifest_says_steers_no_terminal(tmp_path: Path) -> None:
    raw = (trust.default_folder() / trust.MANIFEST).read_bytes()
    said = json.loads(raw)
    said["provenance"]["\x00\x1b[2J\u202e" + "a" * 5000] = "x"
    raw = json.dumps(said).encode()
    (tmp_path / trust.MANIFEST).write_bytes(raw)
    with pytest.raises(BundleError) as caught:
        trust.describe(tmp_path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
