"""A lab's signature under its result: Ed25519, checked with openssl alone."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from safelight.errors import UsageError

MIN_SECRET = 32


def load(path: Path) -> Ed25519PrivateKey:
    """Open the lab's signing key: Ed25519, PEM, without a passphrase.

    Raises:
        UsageError: it cannot be read, or is another key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} is no signing key that opens ({type(error).__name__})",
            "make one: openssl genpkey -algorithm ed25519 -out lab.pem",
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} is no Ed25519 key", "make one: openssl genpkey -algorithm ed25519 -out lab.pem"
        )
    return key


def secret(path: Path) -> bytes:
    """Read the lab's secret for the corpus digest: at least 32 bytes.

    Raises:
        UsageError: it cannot be read, or is shorter.
    """
    try:
        found = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror})", "name the lab's secret"
        ) from None
    if len(found) < MIN_SECRET:
        raise UsageError(
            f"{path} holds {len(found)} bytes, fewer than {MIN_SECRET}",
            "make it: head -c 32 /dev/urandom > lab.secret",
        )
    return found
