"""Makes a repository of signed bundles: what key holders and a publisher do, offline.

A repository is a folder: ``metadata/`` and ``targets/`` are what clients fetch (TUF with
consistent snapshots); ``draft/`` holds a root or targets that still wants signatures. The
trust is made by the holders, not here; a client checks all of it again.
"""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from safelight.bundle import signatures, trust
from safelight.bundle.manifest import Manifest
from safelight.bundle.reading import inside, inside_or_none
from safelight.errors import BundleError, UsageError

PURPOSE: Final = "prevent-livestreamed-child-sexual-abuse"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a role is signed. ``says``: what the signers put their names to, line by line."""

    role: str
    version: int
    have: int
    need: int
    complete: bool
    says: tuple[str, ...]


def after(days: int, now: datetime.datetime | None = None) -> datetime.datetime:
    """Return the moment so many days from ``now``, in UTC, without a fraction of a second."""
    start = now or datetime.datetime.now(datetime.UTC)
    return start.replace(microsecond=0) + datetime.timedelta(days=days)


def new_root(
    repository: Path,
    *,
    root: Sequence[Key],
    targets: Sequence[Key],
    online: Sequence[Key],
    threshold: int,
    expires: datetime.datetime,
    purpose: str = PURPOSE,
    kind: str = "ceremony",
) -> int:
    """Draft the next root of a repository, the first where there is none. Returns its version.

    Raises:
        BundleError: it would not be worth signing (a threshold of 1, a key in two roles).
        UsageError: the keys do not reach the threshold.
    """
    before = newest_root(repository)
    version = before.signed.version + 1 if before is not None else 1
    drafted = make_root(
        version,
        purpose=purpose,
        kind=kind,
        offline={Root.type: root, Targets.type: targets},
        online=online,
        threshold=threshold,
        expires=expires,
    )
    write(repository / "draft" / "root.json", drafted)
    return version


def make_root(
    version: int,
    *,
    purpose: str,
    kind: str,
    offline: Mapping[str, Sequence[Key]],
    online: Sequence[Key],
    threshold: int,
    expires: datetime.datetime,
) -> Metadata[Root]:
    """Return an unsigned root; any one of the keys ``online`` signs snapshot and timestamp.

    Raises:
        BundleError, UsageError: as ``new_root``.
    """
    made = Root(
        version=version,
        expires=expires,
        consistent_snapshot=True,
        unrecognized_fields={"safelight": {"purpose": purpose, "kind": kind}},
    )
    for role, keys in ({**offline, Snapshot.type: online, Timestamp.type: online}).items():
        for key in keys:
            made.add_key(key, role)
        made.roles[role].threshold = threshold if role in signatures.OFFLINE_ROLES else 1
        if len(made.roles[role].keyids) < made.roles[role].threshold:
            raise UsageError(f"too few keys for {role}", f"give {threshold} or more, all different")
    signatures.check_root(made, purpose)
    return Metadata(made)


def put(repository: Path, folder: Path, *, expires: datetime.datetime) -> int:
    """Draft targets that offer a bundle, and copy its files in. Returns the targets' version.

    Raises:
        BundleError: the bundle is not whole, or not of the repository's purpose.
        UsageError: the repository has no signed root yet.
    """
    root = _root_of(repository)
    raw = inside(folder, trust.MANIFEST, trust.MAX_MANIFEST_BYTES)
    manifest = trust.parse(raw)
    purpose, _ = signatures.purpose_of(root.unrecognized_fields)
    if manifest.purpose != purpose:
        raise BundleError(f"the repository is not for purpose {manifest.purpose}", "use its own")
    files = {trust.MANIFEST: raw}
    for path, (size, digest) in signatures.in_folder(manifest).items():
        files[path] = inside(folder, path, size)
        if hashlib.sha256(files[path]).hexdigest() != digest:
            raise BundleError(f"file {path} is not the one that is pinned", "pin it anew first")
    newest = _newest(repository, Targets)
    version = newest.signed.version + 1 if newest is not None else 1
    drafted = make_targets(manifest, files, version=version, expires=expires)
    for path, content in files.items():
        head, _, tail = path.rpartition("/")
        digest = hashlib.sha256(content).hexdigest()
        write_bytes(repository / "targets" / head / f"{digest}.{tail}", content)
    write(repository / "draft" / "targets.json", drafted)
    return version


def make_targets(
    manifest: Manifest | Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    version: int,
    expires: datetime.datetime,
) -> Metadata[Targets]:
    """Return unsigned targets for a bundle's manifest and the files of its folder."""
    about = manifest.model_dump() if isinstance(manifest, Manifest) else manifest
    listed = {path: TargetFile.from_data(path, raw, ["sha256"]) for path, raw in files.items()}
    custom = {name: about.get(name) for name in ("purpose", "id", "version")}
    listed[trust.MANIFEST].unrecognized_fields["custom"] = custom
    return Metadata(Targets(version=version, expires=expires, targets=listed))


def paths(manifest: Manifest) -> tuple[str, ...]:
    """Return the paths of the files that lie in a bundle's own folder."""
    return tuple(sorted(signatures.in_folder(manifest)))


def sign(repository: Path, role: str, signer: Signer) -> Progress:
    """Add one holder's signature to a draft; the last one needed moves it into ``metadata/``.

    Raises:
        UsageError: there is nothing to sign, or the key has no say in it.
        BundleError: what would be signed is not sound.
    """
    if role not in signatures.OFFLINE_ROLES:
        raise UsageError(f"{role} is not signed so", "snapshot and timestamp: bundle publish")
    path = f"draft/{role}.json"
    raw = inside_or_none(repository, path, signatures.MAX_METADATA_BYTES)
    if raw is None:
        raise UsageError(f"there is no draft of {role} to sign", "draft it first")
    drafted: Metadata[Any] = signatures.load(raw, Root if role == Root.type else Targets)
    before = newest_root(repository)
    voters = [before.signed] if before is not None else []
    if role == Root.type:
        voters.append(drafted.signed)
        says = _root_says(drafted.signed)
    else:
        says = _targets_say(repository, _root_of(repository), drafted)
    keyid = signer.public_key.keyid
    if not any(keyid in voter.roles[role].keyids for voter in voters):
        raise UsageError(f"key {keyid[:16]} has no say in this {role}", "use a holder's key")
    drafted.sign(signer, append=True)
    write(repository / path, drafted)
    results = [
        voter.get_verification_result(role, drafted.signed_bytes, drafted.signatures)
        for voter in voters
    ]
    if complete := all(results):
        _finish(repository, role, drafted)
    short = min(results, key=lambda result: len(result.signed) - result.threshold)
    version = drafted.signed.version
    return Progress(role, version, len(short.signed), short.threshold, complete, says)


def publish(
    repository: Path, signer: Signer, *, days: int, now: datetime.datetime | None = None
) -> int:
    """Make and sign snapshot and timestamp anew for the newest targets, for so many days.

    Returns:
        The timestamp's version.

    Raises:
        UsageError: no targets are signed, or the key is not the repository's online one.
    """
    root, targets = _root_of(repository), _newest(repository, Targets)
    if targets is None:
        raise UsageError("no targets are signed yet", "put a bundle in, and have it signed")
    if signer.public_key.keyid not in root.roles[Timestamp.type].keyids:
        raise UsageError("that is not the repository's online key", "use the one its root names")
    old = _newest(repository, Snapshot)
    raw = inside_or_none(repository, "metadata/timestamp.json", signatures.MAX_METADATA_BYTES)
    last = signatures.load(raw, Timestamp).signed.version if raw is not None else 0
    snapshot = Snapshot(
        version=old.signed.version + 1 if old is not None else 1, expires=after(days, now)
    )
    snapshot.meta["targets.json"] = MetaFile(targets.signed.version)
    timestamp = Timestamp(version=last + 1, expires=after(days, now))
    timestamp.snapshot_meta = MetaFile(snapshot.version)
    for path, signed in (
        (f"{snapshot.version}.snapshot.json", Metadata(snapshot)),
        ("timestamp.json", Metadata(timestamp)),
    ):
        signed.sign(signer)
        write(repository / "metadata" / path, signed)
    return timestamp.version


def newest_root(repository: Path) -> Metadata[Root] | None:
    """Return a repository's newest finished root, None where there is none."""
    return _newest(repository, Root)


def _newest(repository: Path, kind: type[signatures.T]) -> Metadata[signatures.T] | None:
    found = sorted(
        int(path.name.partition(".")[0])
        for path in (repository / "metadata").glob(f"*.{kind.type}.json")
        if path.name.partition(".")[0].isascii() and path.name.partition(".")[0].isdigit()
    )
    if not found:
        return None
    name = f"metadata/{found[-1]}.{kind.type}.json"
    return signatures.load(inside(repository, name, signatures.MAX_METADATA_BYTES), kind)


def _root_of(repository: Path) -> Root:
    newest = newest_root(repository)
    if newest is None:
        raise UsageError(f"{repository} has no signed root", "draft one with: bundle new-root")
    return newest.signed


def _finish(repository: Path, role: str, signed: Metadata[Any]) -> None:
    write(repository / "metadata" / f"{signed.signed.version}.{role}.json", signed)
    (repository / "draft" / f"{role}.json").unlink()


def _root_says(root: Root) -> tuple[str, ...]:
    purpose, kind = signatures.purpose_of(root.unrecognized_fields)
    signatures.check_root(root, purpose)
    lines = [f"root {root.version}, {kind}, until {root.expires:%Y-%m-%d}", f"purpose {purpose}"]
    for name, role in root.roles.items():
        lines.append(f"{name}: {role.threshold} of {len(role.keyids)} keys")
        lines += [f"  {keyid}" for keyid in role.keyids]
    return tuple(lines)


def _targets_say(repository: Path, root: Root, drafted: Metadata[Targets]) -> tuple[str, ...]:
    """Check what a holder is asked to sign against the very files, and say what it is."""
    purpose, _ = signatures.purpose_of(root.unrecognized_fields)
    signing = signatures.signing_of(root, drafted, purpose)
    _, digest = signing.pins[trust.MANIFEST]
    stored = inside(repository, f"targets/{digest}.{trust.MANIFEST}", trust.MAX_MANIFEST_BYTES)
    signatures.agree(trust.parse(stored), stored, hashlib.sha256(stored).hexdigest(), signing)
    return (
        f"targets {signing.targets_version}, updates until {signing.targets_expires:%Y-%m-%d}",
        f"bundle {signing.id} {signing.version}",
        f"purpose {signing.purpose}",
        f"sha256 {digest}  manifest.json",
    )


def write(path: Path, metadata: Metadata[Any]) -> None:
    """Write one metadata file, readable to people, whole or not at all."""
    write_bytes(path, metadata.to_bytes(JSONSerializer(compact=False)) + b"\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})", "check it") from error
