"""The TEST root: keys that everybody has, to sign stand-in bundles and to attack updates with.

Each key is made from its name, so nothing here is secret and nothing can be lost. A bundle
signed with them has purpose ``test``, loads only with ``--test-bundle``, and stamps TEST on
every card and report. Never list one of them in another root.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

HOLDERS: Final = 3
THRESHOLD: Final = 2
EXPIRES: Final = datetime.datetime(2046, 1, 1, tzinfo=datetime.UTC)


def signer(name: str) -> CryptoSigner:
    """Return the key of that name. No secret: anyone can make it."""
    seed = hashlib.sha256(f"safelight TEST key, known to everybody: {name}".encode()).digest()
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(seed))


def signers(role: str) -> list[CryptoSigner]:
    """Return the keys of a role: three of ``root`` or ``targets``, one of ``online``."""
    count = 1 if role == "online" else HOLDERS
    return [signer(f"{role} {number}") for number in range(1, count + 1)]
