"""Signing keys of the people who hold them: Ed25519, in a file, under a passphrase.

Used at a key ceremony and by whoever publishes a bundle, never by a guard.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.exceptions import FormatError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from safelight.errors import UsageError

MIN_PASSPHRASE: Final = 12
_MAX_KEY_BYTES: Final = 16 * 1024


def new(path: Path, passphrase: str) -> str:
    """Make a key: ``path`` gets the private half, ``path`` + ``.pub`` the public one.

    Returns:
        The key's id, which the holder reads aloud and writes down.

    Raises:
        UsageError: a file is there already, or the passphrase is too short.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise UsageError(
            f"a passphrase of {len(passphrase)} characters", f"use {MIN_PASSPHRASE} or more"
        )
    public = path.with_name(path.name + ".pub")
    private_key = Ed25519PrivateKey.generate()
    signer = CryptoSigner(private_key)
    sealed = private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
    )
    said = {"keyid": signer.public_key.keyid, **signer.public_key.to_dict()}
    _write(path, sealed, 0o600)
    _write(public, (json.dumps(said, indent=2) + "\n").encode(), 0o644)
    return signer.public_key.keyid


def signer(path: Path, passphrase: str) -> CryptoSigner:
    """Open a private key.

    Raises:
        UsageError: it cannot be read, is no Ed25519 key, or the passphrase is wrong.
    """
    try:
        key = load_pem_private_key(_read(path), passphrase.encode())
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} does not open", "check the file and its passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is no Ed25519 key", "make one with: safelight bundle new-key")
    return CryptoSigner(key)


def public(path: Path) -> Key:
    """Read a public key.

    Raises:
        UsageError: it is none, or its id is not the one that it must have.
    """
    try:
        said = json.loads(_read(path))
        key = Key.from_dict(said.pop("keyid"), said)
        again = SSlibKey.from_crypto(
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
        )
    except (ValueError, KeyError, TypeError, AttributeError, FormatError) as error:
        raise UsageError(f"{path} is no public key", "give the .pub file of a holder") from error
    if key.keyid != again.keyid:
        raise UsageError(f"{path} calls itself by a wrong id", "get the holder's file again")
    return key


def passphrase_from(path: Path) -> str:
    """Read a passphrase: the first line of a file.

    Raises:
        UsageError: it cannot be read.
    """
    return _read(path).decode("utf-8", "replace").split("\n", 1)[0]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "name a key file") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror})", "name a file that is not there yet"
        ) from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
