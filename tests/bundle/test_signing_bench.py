"""The key holders' bench: nothing is signed unseen, and no key is made or read carelessly."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from securesystemslib.signer import Key

from safelight.bundle import keys, repository, trust, update
from safelight.errors import BundleError, UsageError
from safelight.testing import test_root

WORDS = "a dozen words would be better"
LATER = repository.after(30)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository of stand-ins, its root signed by two of three."""
    folder = tmp_path / "repository"
    repository.new_root(
        folder,
        root=[s.public_key for s in test_root.signers("root")],
        targets=[s.public_key for s in test_root.signers("targets")],
        online=[s.public_key for s in test_root.signers("online")],
        threshold=2,
        expires=LATER,
        purpose="test",
        kind="test",
    )
    first, second, _ = test_root.signers("root")
    assert not repository.sign(folder, "root", first).complete
    assert not repository.sign(folder, "root", first).complete  # twice by one counts once
    assert repository.sign(folder, "root", second).complete
    return folder


def test_what_the_bench_signs_a_pull_takes(shop: Path, tmp_path: Path) -> None:
    repository.put(shop, trust.stand_in_folder("face"), expires=LATER)
    first, _, third = test_root.signers("targets")
    said = repository.sign(shop, "targets", first).says
    raw = (trust.stand_in_folder("face") / trust.MANIFEST).read_bytes()
    assert any(hashlib.sha256(raw).hexdigest() in line for line in said)
    assert any("purpose test" in line for line in said)
    with pytest.raises(UsageError):
        repository.publish(shop, test_root.signers("online")[0], days=7)
    assert repository.sign(shop, "targets", third).complete
    with pytest.raises(UsageError, match="online"):
        repository.publish(shop, first, days=7)
    assert repository.publish(shop, test_root.signers("online")[0], days=7) == 1
    assert repository.publish(shop, test_root.signers("online")[0], days=7) == 2
    # The root that ships has the same keys; the repository's own is another first root.
    assert update.pull(str(shop), tmp_path / "place", test=True).version == 1


@pytest.mark.parametrize("role", ["root", "online"])
def test_a_key_without_a_say_signs_nothing(role: str, shop: Path) -> None:
    repository.put(shop, trust.stand_in_folder("face"), expires=LATER)
    with pytest.raises(UsageError, match="no say"):
        repository.sign(shop, "targets", test_root.signers(role)[0])


@pytest.mark.parametrize("role", ["snapshot", "timestamp", "nobody", "../root"])
def test_only_root_and_targets_are_signed_by_holders(role: str, shop: Path) -> None:
    with pytest.raises(UsageError):
        repository.sign(shop, role, test_root.signers("online")[0])


def test_nothing_to_sign_is_said(shop: Path) -> None:
    with pytest.raises(UsageError, match="no draft"):
        repository.sign(shop, "targets", test_root.signers("targets")[0])


def test_files_swapped_after_the_draft_are_not_signed(shop: Path) -> None:
    repository.put(shop, trust.stand_in_folder("face"), expires=LATER)
    (stored,) = (shop / "targets").glob("*.manifest.json")
    stored.write_bytes(stored.read_bytes().replace(b'"id"', b' "id"'))
    with pytest.raises(BundleError):
        repository.sign(shop, "targets", test_root.signers("targets")[0])


def test_a_bundle_of_another_purpose_or_not_whole_is_not_put_in(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="purpose"):
        repository.put(shop, trust.default_folder(), expires=LATER)
    broken = Path(shutil.copytree(trust.stand_in_folder("face"), tmp_path / "broken"))
    content = bytearray((broken / "face.png").read_bytes())
    content[40] ^= 1
    (broken / "face.png").write_bytes(content)
    with pytest.raises(BundleError, match="pinned"):
        repository.put(shop, broken, expires=LATER)


@pytest.mark.parametrize(
    ("root", "targets", "online", "threshold"),
    [
        (["a"], ["b", "c"], ["d"], 2),
        (["a", "a"], ["b", "c"], ["d"], 2),
        (["a", "b"], ["b", "c"], ["d"], 2),
        (["a", "b"], ["c", "d"], ["a"], 2),
        (["a", "b"], ["c", "d"], ["e"], 1),
        (["a", "b"], ["c", "d"], [], 2),
    ],
)
def test_a_root_that_is_not_worth_signing_is_not_drafted(
    root: list[str], targets: list[str], online: list[str], threshold: int, tmp_path: Path
) -> None:
    def of(names: list[str]) -> list[Key]:
        return [test_root.signer(name).public_key for name in names]

    with pytest.raises((UsageError, BundleError)):
        repository.new_root(
            tmp_path,
            root=of(root),
            targets=of(targets),
            online=of(online),
            threshold=threshold,
            expires=LATER,
        )
    assert not (tmp_path / "draft").exists()


def test_a_key_is_sealed_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "ana.key"
    keyid = keys.new(path, WORDS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    assert keys.signer(path, WORDS).public_key == keys.public(tmp_path / "ana.key.pub")
    assert keys.public(tmp_path / "ana.key.pub").keyid == keyid
    with pytest.raises(UsageError):
        keys.signer(path, "another passphrase")
    with pytest.raises(UsageError):
        keys.new(path, WORDS)
    with pytest.raises(UsageError):
        keys.new(tmp_path / "weak.key", "short")


def test_a_public_key_with_a_wrong_name_is_refused(tmp_path: Path) -> None:
    keys.new(tmp_path / "ana.key", WORDS)
    path = tmp_path / "ana.key.pub"
    said = json.loads(path.read_text())
    for change in (
        {"keyid": "0" * 64},
        {"keyval": {"public": "00"}},
        {"keyval": {"public": "zz"}},
        {"keytype": "rsa"},
        {"keyval": None},
    ):
        path.write_text(json.dumps({**said, **change}))
        with pytest.raises(UsageError):
            keys.public(path)
    for text in ("", "[]", "{}", "no"):
        path.write_text(text)
        with pytest.raises(UsageError):
            keys.public(path)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.key"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(WORDS.encode())
        )
    )
    with pytest.raises(UsageError, match="Ed25519"):
        keys.signer(path, WORDS)
