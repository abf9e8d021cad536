"""Who signed a bundle: a chain of roots from the one that ships here, then its targets.

The metadata is The Update Framework's, read and verified with python-tuf. Nothing here looks
at the time: expiry stops *updates* (``update.py``), never what is already installed.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from safelight.bundle.manifest import InFolder, Manifest
from safelight.bundle.reading import refuse

MANIFEST: Final = "manifest.json"
TARGETS: Final = "metadata/targets.json"
MAX_METADATA_BYTES: Final = 512 * 1024
# A root a month for five years. A longer chain means that this package is older than that.
MAX_ROOTS: Final = 64
# One holder, or one stolen key, never decides alone what judges or who decides it.
MIN_THRESHOLD: Final = 2
OFFLINE_ROLES: Final = (Root.type, Targets.type)
ONLINE_ROLES: Final = (Snapshot.type, Timestamp.type)

Read = Callable[[str, int], bytes | None]
T = TypeVar("T", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, slots=True)
class Signing:
    """What the signatures of a bundle say. ``pins``: path -> (bytes, SHA-256 in hex)."""

    id: str
    version: int
    purpose: str
    kind: str
    pins: Mapping[str, tuple[int, str]]
    root_version: int
    root_threshold: tuple[int, int]
    root_expires: datetime.datetime
    targets_version: int
    targets_threshold: tuple[int, int]
    targets_expires: datetime.datetime
    signers: tuple[str, ...]


def shipped_root(purpose: str) -> bytes:
    """Return the root of trust that this package ships for a purpose.

    Raises:
        BundleError: there is none, or it cannot be read.
    """
    name = "test" if purpose == "test" else "project"
    path = Path(__file__).resolve().parent / "roots" / f"{name}.root.json"
    try:
        return path.read_bytes()
    except OSError as error:
        refuse(f"the root of trust {path.name} cannot be read ({error.strerror})")


def root_path(version: int) -> str:
    """Return where a bundle's folder keeps a root."""
    return f"metadata/{version}.root.json"


def check(read: Read, purpose: str) -> Signing:
    """Verify a bundle's metadata from the root that ships for ``purpose``.

    ``read(path, limit)`` gives a file of the bundle's folder, None where it is absent.

    Raises:
        BundleError: it is not signed as the root demands, or was signed for another purpose.
    """
    root = trusted_root(read, purpose)
    raw = read(TARGETS, MAX_METADATA_BYTES)
    if raw is None:
        refuse(f"it is not signed: {TARGETS} is absent")
    targets = load(raw, Targets)
    demand(root, targets)
    return signing_of(root, targets, purpose)


def trusted_root(read: Read, purpose: str) -> Root:
    """Follow the chain of roots, each signed by the one before it and by itself.

    Raises:
        BundleError: a root in the chain does not verify, or demands too little.
    """
    first = load(shipped_root(purpose), Root)
    demand(first.signed, first)
    root = first.signed
    check_root(root, purpose)
    for version in range(root.version + 1, root.version + MAX_ROOTS + 1):
        raw = read(root_path(version), MAX_METADATA_BYTES)
        if raw is None:
            break
        following = load(raw, Root)
        if following.signed.version != version:
            refuse(f"root {version} calls itself {following.signed.version}")
        demand(root, following)
        demand(following.signed, following)
        root = following.signed
        check_root(root, purpose)
    else:
        refuse(f"its chain has more than {MAX_ROOTS} roots")
    return root


def load(raw: bytes, kind: type[T]) -> Metadata[T]:
    """Parse one metadata file. It is well-formed then, not trusted.

    Raises:
        BundleError: it is no metadata of that kind.
    """
    try:
        found = Metadata[kind].from_bytes(raw)  # type: ignore[valid-type]
    except (RepositoryError, ValueError, RecursionError) as error:
        refuse(f"its {kind.type} metadata is not well-formed ({error})")
    if not isinstance(found.signed, kind):
        refuse(f"its {kind.type} metadata is of another kind")
    return found


def demand(root: Root, signed: Metadata[Any]) -> None:
    """Demand as many good signatures of different keys as ``root`` asks for that role.

    Raises:
        BundleError: there are too few.
    """
    role = signed.signed.type
    try:
        root.verify_delegate(role, signed.signed_bytes, signed.signatures)
    except Exception as error:  # noqa: BLE001  (whatever broke the check, nothing was shown)
        refuse(f"its {role} metadata is not signed as it must be ({error})")


def check_root(root: Root, purpose: str) -> None:
    """Demand of a root what makes its signatures worth something.

    Raises:
        BundleError: another purpose, a threshold of one, a key that counts twice.
    """
    said, _ = purpose_of(root.unrecognized_fields)
    if said != purpose:
        refuse(f"root {root.version} is for another purpose ({said!r})")
    if not root.consistent_snapshot:
        refuse(f"root {root.version} does not ask for consistent snapshots")
    by_role: dict[str, set[str]] = {}
    for name, role in root.roles.items():
        publics = [_public(root, keyid) for keyid in role.keyids]
        if len(set(publics)) != len(publics):
            refuse(f"root {root.version} lists one key twice for {name}")
        if name in OFFLINE_ROLES and role.threshold < MIN_THRESHOLD:
            refuse(f"root {root.version} lets fewer than {MIN_THRESHOLD} keys sign {name}")
        by_role[name] = set(publics)
    online = by_role[Snapshot.type] | by_role[Timestamp.type]
    if (
        by_role[Root.type] & by_role[Targets.type]
        or (by_role[Root.type] | by_role[Targets.type]) & online
    ):
        refuse(f"root {root.version} gives one key to roles that must not share")


def _public(root: Root, keyid: str) -> str:
    key = root.keys.get(keyid)
    if key is None or (key.keytype, key.scheme) != ("ed25519", "ed25519"):
        refuse(f"root {root.version} names a key that is absent or not Ed25519")
    try:
        return bytes.fromhex(key.keyval["public"]).hex()
    except (KeyError, TypeError, ValueError):
        refuse(f"root {root.version} holds a key that is none")


def purpose_of(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return purpose and kind as they stand in a root's signed ``safelight`` field."""
    found = fields.get("safelight")
    if not isinstance(found, dict) or set(found) != {"purpose", "kind"}:
        return "", ""
    return str(found["purpose"]), str(found["kind"])


def signing_of(root: Root, targets: Metadata[Targets], purpose: str) -> Signing:
    """Return what targets say, whoever signed them.

    Raises:
        BundleError: they do not say which bundle they are for, or are for another purpose.
    """
    signed = targets.signed
    if signed.delegations is not None:
        refuse("its targets delegate to others")
    about = signed.targets.get(MANIFEST)
    custom = about.custom if about is not None else None
    if not isinstance(custom, dict) or set(custom) != {"purpose", "id", "version"}:
        refuse("its targets do not say which bundle they sign, and for what purpose")
    if custom["purpose"] != purpose:
        refuse(f"it was signed for another purpose ({custom['purpose']!r})")
    good = root.get_verification_result(Targets.type, targets.signed_bytes, targets.signatures)
    return Signing(
        id=str(custom["id"]),
        version=custom["version"] if type(custom["version"]) is int else 0,
        purpose=purpose,
        kind=purpose_of(root.unrecognized_fields)[1],
        pins={path: _pin(path, file) for path, file in signed.targets.items()},
        root_version=root.version,
        root_threshold=_of(root, Root.type),
        root_expires=root.expires,
        targets_version=signed.version,
        targets_threshold=_of(root, Targets.type),
        targets_expires=signed.expires,
        signers=tuple(sorted(good.signed)),
    )


def _of(root: Root, role: str) -> tuple[int, int]:
    return root.roles[role].threshold, len(root.roles[role].keyids)


def _pin(path: str, file: TargetFile) -> tuple[int, str]:
    if set(file.hashes) != {"sha256"}:
        refuse(f"its targets pin {path} by something else than SHA-256")
    return file.length, file.hashes["sha256"]


def agree(manifest: Manifest, raw: bytes, digest: str, signing: Signing) -> None:
    """Demand that a manifest, its bytes and their SHA-256 are what was signed.

    Raises:
        BundleError: they differ in anything.
    """
    if signing.pins.get(MANIFEST) != (len(raw), digest):
        refuse(f"{MANIFEST} is not the one that was signed")
    said = (manifest.id, manifest.version, manifest.purpose)
    if said != (signing.id, signing.version, signing.purpose):
        refuse(f"{MANIFEST} and its signatures differ on which bundle this is")
    if in_folder(manifest) != {p: pin for p, pin in signing.pins.items() if p != MANIFEST}:
        refuse(f"{MANIFEST} and its signatures name different files")


def in_folder(manifest: Manifest) -> dict[str, tuple[int, str]]:
    """Return path -> (bytes, SHA-256) of the files that lie in the bundle's own folder."""
    return dict(_folder_pins(manifest.files.values()))


def _folder_pins(files: Iterable[Any]) -> Iterable[tuple[str, tuple[int, str]]]:
    for file in files:
        if isinstance(file.source, InFolder):
            yield file.source.file, (file.bytes, file.sha256)
