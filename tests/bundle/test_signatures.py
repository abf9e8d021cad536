"""Promise 6: only what the shipped root vouches for, for this purpose, may judge."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import Signer
from tests.bundle import signing
from tuf.api.metadata import Metadata, Root

from safelight.bundle import repository, signatures, trust
from safelight.errors import BundleError
from safelight.testing import test_root

TODAY = datetime.date(2026, 11, 22)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(trust.stand_in_folder("face"), tmp_path / "face"))


def refused(folder: Path, *, allow_test: bool = True) -> str:
    with pytest.raises(BundleError) as caught:
        trust.verify(folder, allow_test=allow_test, today=TODAY)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("purpose", ["test", repository.PURPOSE])
def test_the_shipped_roots_are_what_they_should_be(purpose: str) -> None:
    root = signatures.load(signatures.shipped_root(purpose), Root)
    signatures.demand(root.signed, root)
    signatures.check_root(root.signed, purpose)


def test_no_test_key_has_a_say_in_earnest() -> None:
    """Everybody has the TEST keys."""
    root = signatures.load(signatures.shipped_root(repository.PURPOSE), Root).signed
    known = {
        s.public_key.keyval["public"]
        for r in ("root", "targets", "online")
        for s in test_root.signers(r)
    }
    assert not known & {key.keyval["public"] for key in root.keys.values()}


def test_who_signed_the_default_bundle_is_said() -> None:
    signing = trust.who_signed(trust.default_folder())
    assert signing.targets_threshold == signing.root_threshold == (2, 3)
    assert len(signing.signers) == 3
    assert signing.kind in {"development", "ceremony"}


def test_a_bundle_without_signatures_does_not_judge(copied: Path) -> None:
    (copied / "metadata" / "targets.json").unlink()
    assert "not signed" in refused(copied)


def test_a_bundle_in_earnest_signed_by_the_test_root_does_not_judge(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trust.default_folder(), tmp_path / "default"))
    trust.verify(folder, allow_test=False, today=TODAY)
    signing.sign(folder)
    refused(folder)
    refused(folder, allow_test=False)
    raw = signatures.shipped_root("test")
    for version in (1, 2):
        (folder / "metadata" / f"{version}.root.json").write_bytes(raw)
        refused(folder)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_keys_are_refused(count: int, copied: Path) -> None:
    signing.sign(copied, signers=test_root.signers("targets")[:count])
    refused(copied)
    signing.sign(copied, signers=test_root.signers("targets")[:2])
    trust.verify(copied, allow_test=True, today=TODAY)


def test_one_signature_under_two_names_counts_once(copied: Path) -> None:
    path = copied / "metadata" / "targets.json"
    signing.sign(copied, signers=test_root.signers("targets")[:1])
    metadata = json.loads(path.read_text())
    (only,) = metadata["signatures"]
    for keyid in [only["keyid"], *(s.public_key.keyid for s in test_root.signers("targets")[1:])]:
        metadata["signatures"].append({**only, "keyid": keyid})
        path.write_text(json.dumps(metadata))
        refused(copied)


@pytest.mark.parametrize("role", ["root", "online"])
def test_keys_of_other_roles_are_refused(role: str, copied: Path) -> None:
    signing.sign(copied, signers=test_root.signers(role))
    refused(copied)


@pytest.mark.parametrize(
    "about",
    [
        {"purpose": "another", "id": "stand-in-face", "version": 1},
        {"purpose": "test", "id": "another", "version": 1},
        {"purpose": "test", "id": "stand-in-face", "version": 2},
        {"purpose": "test", "id": "stand-in-face", "version": "1"},
        {"purpose": "test", "id": "stand-in-face"},
        {"purpose": None, "id": None, "version": None},
    ],
)
def test_signatures_and_manifest_must_say_the_same(about: dict[str, Any], copied: Path) -> None:
    signing.sign(copied, about=about)
    refused(copied)


def chain(
    folder: Path,
    change: Callable[[Any], object] | None,
    *,
    by: str = "root",
    signers: Sequence[Signer] = (),
) -> None:
    root = signatures.load(signatures.shipped_root("test"), Root).signed
    root.version = 2
    if change is not None:
        change(root)
    made = Metadata(root)
    for signer in signers or test_root.signers(by):
        made.sign(signer, append=True)
    repository.write(folder / "metadata" / "2.root.json", made)


def test_a_chain_of_roots_is_followed(copied: Path) -> None:
    chain(copied, None)
    assert trust.who_signed(copied).root_version == 2

    def revoke(root: Root) -> None:
        for keyid in list(root.roles["targets"].keyids):
            root.revoke_key(keyid, "targets")
        for number in range(3):
            root.add_key(test_root.signer(f"fresh {number}").public_key, "targets")

    chain(copied, revoke)
    refused(copied)
    signing.sign(copied, signers=[test_root.signer(f"fresh {n}") for n in range(2)])
    trust.verify(copied, allow_test=True, today=TODAY)


@pytest.mark.parametrize("version", [1, 3])
def test_a_root_out_of_turn_is_refused(version: int, copied: Path) -> None:
    chain(copied, lambda root: setattr(root, "version", version))
    refused(copied)


def test_a_root_by_other_keys_is_refused(copied: Path) -> None:
    chain(copied, None, by="targets")
    refused(copied)


def take_over(root: Root) -> None:
    """Put strangers in the place of the holders of roots."""
    for keyid in list(root.roles["root"].keyids):
        root.revoke_key(keyid, "root")
    for number in range(3):
        root.add_key(test_root.signer(f"stranger {number}").public_key, "root")


@pytest.mark.parametrize("by", ["root", "stranger"])
def test_a_new_root_wants_the_old_keys_and_its_own(by: str, copied: Path) -> None:
    """By strangers alone: taken over. By the old holders alone: nobody has shown the new keys."""
    chain(copied, take_over, by=by)
    refused(copied)
    both = [*test_root.signers("root"), *test_root.signers("stranger")]
    chain(copied, take_over, signers=both)
    assert trust.who_signed(copied).root_version == 2


def test_a_chain_has_an_end(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "MAX_ROOTS", 1)
    chain(copied, None)
    assert "more than 1 roots" in refused(copied)


@pytest.mark.parametrize("name", ["targets.json", "2.root.json"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 100_000,
        b"\xff",
        b'{"signed": {}, "signatures": []}',
        b'{"signed": {"_type": "snapshot"}, "signatures": [{"keyid": 1, "sig": null}]}',
        b" " * (1 << 20),
    ],
)
def test_what_is_no_metadata_is_one_line(name: str, raw: bytes, copied: Path) -> None:
    (copied / "metadata" / name).write_bytes(raw)
    refused(copied)


def test_a_missing_or_linked_signature_is_refused(copied: Path) -> None:
    path = copied / "metadata" / "targets.json"
    path.rename(copied.parent / "elsewhere.json")
    path.symlink_to(copied.parent / "elsewhere.json")
    refused(copied)
    path.unlink()
    path.mkdir()
    refused(copied)
