"""A repository of stand-ins under the TEST root, made with python-tuf, for tests to attack."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from safelight.bundle import repository, signatures, trust
from safelight.testing import test_root

LATER = repository.after(30)
PAST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
Change = Callable[[Any], object]


class Rehearsal:
    """All roles' keys in one hand, so that anything at all can be signed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "repository"
        (self.path / "metadata").mkdir(parents=True)
        raw = signatures.shipped_root("test")
        (self.path / "metadata" / "1.root.json").write_bytes(raw)
        self.root = signatures.load(raw, Root).signed
        self.bundles = folder / "made"
        self.targets = 0
        self.snapshot = 0
        self.timestamp = 0

    def bundle(self, version: int, edit: Change | None = None) -> Path:
        """A stand-in of that version."""
        folder = self.bundles / f"{version}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(trust.stand_in_folder("face"), folder)
        manifest = json.loads((folder / trust.MANIFEST).read_text())
        manifest["version"] = version
        if edit is not None:
            edit(manifest)
        (folder / trust.MANIFEST).write_text(json.dumps(manifest))
        return folder

    def offer(self, version: int, edit: Change | None = None) -> None:
        """Sign and publish a bundle of that version, all as it should be."""
        self.sign_targets(self.bundle(version, edit))
        self.sign_snapshot()
        self.sign_timestamp()

    def sign_targets(
        self,
        folder: Path,
        *,
        change: Change | None = None,
        expires: datetime.datetime = LATER,
        signers: Sequence[Signer] | None = None,
    ) -> None:
        raw = (folder / trust.MANIFEST).read_bytes()
        files = {trust.MANIFEST: raw}
        for path in repository.paths(trust.parse(raw)):
            files[path] = (folder / path).read_bytes()
        for path, content in files.items():
            name = f"{hashlib.sha256(content).hexdigest()}.{path}"
            repository.write_bytes(self.path / "targets" / name, content)
        self.targets += 1
        made = repository.make_targets(
            json.loads(raw), files, version=self.targets, expires=expires
        )
        self._sign(made, f"{self.targets}.targets.json", change, signers, "targets")

    def sign_snapshot(
        self,
        *,
        change: Change | None = None,
        expires: datetime.datetime = LATER,
        signers: Sequence[Signer] | None = None,
    ) -> None:
        self.snapshot += 1
        snapshot = Snapshot(version=self.snapshot, expires=expires)
        snapshot.meta["targets.json"] = MetaFile(self.targets)
        name = f"{self.snapshot}.snapshot.json"
        self._sign(Metadata(snapshot), name, change, signers, "online")

    def sign_timestamp(
        self,
        *,
        change: Change | None = None,
        expires: datetime.datetime = LATER,
        signers: Sequence[Signer] | None = None,
    ) -> None:
        self.timestamp += 1
        timestamp = Timestamp(version=self.timestamp, expires=expires)
        timestamp.snapshot_meta = MetaFile(self.snapshot)
        self._sign(Metadata(timestamp), "timestamp.json", change, signers, "online")

    def next_root(
        self,
        change: Change | None = None,
        *,
        by: Sequence[Signer] | None = None,
        expires: datetime.datetime = LATER,
    ) -> None:
        """Publish the next root, changed as asked."""
        following = Root.from_dict(self.root.to_dict())
        following.version += 1
        following.expires = expires
        self._sign(Metadata(following), f"{following.version}.root.json", change, by, "root")
        self.root = following

    def saved(self) -> dict[str, bytes]:
        """All that the repository serves, to be served again later."""
        return contents(self.path)

    def serve_again(self, saved: dict[str, bytes], *names: str) -> None:
        """Put earlier files back: all of them, or those named."""
        for path, content in saved.items():
            if not names or path in names:
                (self.path / path).write_bytes(content)

    def _sign(
        self,
        metadata: Metadata[Any],
        name: str,
        change: Change | None,
        signers: Sequence[Signer] | None,
        role: str,
    ) -> None:
        if change is not None:
            change(metadata.signed)
        for signer in signers if signers is not None else test_root.signers(role):
            metadata.sign(signer, append=True)
        repository.write(self.path / "metadata" / name, metadata)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def judging(place: Path) -> dict[str, bytes]:
    """Every file of what is installed in a place, the pointer to it included."""
    where = trust.current_folder(place)
    return {"current": (place / "current").read_bytes(), **contents(where)}


def targets_of(metadata: Targets) -> Any:
    """The target that a manifest is, to be changed."""
    return metadata.targets[trust.MANIFEST]
