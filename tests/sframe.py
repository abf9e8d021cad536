"""SFrame (RFC 9605), for tests only: what an end-to-end encrypted call does to encoded frames."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


@dataclass(frozen=True)
class Suite:
    """One row of the RFC's table of cipher suites: lengths in bytes."""

    number: int
    hash: str
    key: int  # of AES
    tag: int
    counter_mode: bool

    @property
    def key_material(self) -> int:
        return self.key + (hmac.new(b"", b"", self.hash).digest_size if self.counter_mode else 0)


SUITES: Final = {
    1: Suite(1, "sha256", 16, 10, True),
    2: Suite(2, "sha256", 16, 8, True),
    3: Suite(3, "sha256", 16, 4, True),
    4: Suite(4, "sha256", 16, 16, False),
    5: Suite(5, "sha512", 32, 16, False),
}
_NONCE: Final = 12


class NotAuthenticError(Exception):
    """This was not encrypted under this key."""


def header(kid: int, ctr: int) -> bytes:
    """The RFC's section 4.3: both numbers, small ones in three bits."""
    bits, rest = 0, b""
    for number, shift in ((kid, 4), (ctr, 0)):
        if number < 8:
            bits |= number << shift
        else:
            raw = number.to_bytes(max(1, (number.bit_length() + 7) // 8))
            bits |= (8 | (len(raw) - 1)) << shift
            rest += raw
    return bytes([bits]) + rest


def read_header(data: bytes) -> tuple[int, int, int]:
    """Return the key's number, the counter, and the header's length."""
    at, found = 1, []
    for shift in (4, 0):
        part = data[0] >> shift & 15
        if part < 8:
            found.append(part)
        else:
            length = (part & 7) + 1
            found.append(int.from_bytes(data[at : at + length]))
            at += length
    return found[0], found[1], at


class Key:
    """One sender's key."""

    def __init__(self, suite: Suite, kid: int, base_key: bytes) -> None:
        self.suite, self.kid = suite, kid
        algorithm = hashes.SHA512() if suite.hash == "sha512" else hashes.SHA256()
        self.secret = hmac.digest(b"", base_key, suite.hash)
        name = kid.to_bytes(8) + suite.number.to_bytes(2)

        def expand(label: bytes, length: int) -> bytes:
            return HKDFExpand(algorithm, length, label + name).derive(self.secret)

        self.key = expand(b"SFrame 1.0 Secret key ", suite.key_material)
        self.salt = expand(b"SFrame 1.0 Secret salt ", _NONCE)

    def nonce(self, ctr: int) -> bytes:
        return bytes(a ^ b for a, b in zip(self.salt, ctr.to_bytes(_NONCE), strict=True))

    def encrypt(self, ctr: int, metadata: bytes, plain: bytes) -> bytes:
        head = header(self.kid, ctr)
        aad, nonce = head + metadata, self.nonce(ctr)
        if not self.suite.counter_mode:
            return head + AESGCM(self.key).encrypt(nonce, plain, aad)
        hidden = self._counter(nonce, plain)
        return head + hidden + self._tag(nonce, aad, hidden)

    def decrypt(self, metadata: bytes, data: bytes) -> bytes:
        """Raises NotAuthenticError: another key, or changed on the way."""
        if len(data) < 1 + self.suite.tag:
            raise NotAuthenticError
        kid, ctr, at = read_header(data)
        aad, rest = data[:at] + metadata, data[at:]
        if kid != self.kid or ctr >= 1 << 64:
            raise NotAuthenticError
        nonce = self.nonce(ctr)
        if not self.suite.counter_mode:
            try:
                return AESGCM(self.key).decrypt(nonce, rest, aad)
            except InvalidTag:
                raise NotAuthenticError from None
        hidden, tag = rest[: -self.suite.tag], rest[-self.suite.tag :]
        if not hmac.compare_digest(tag, self._tag(nonce, aad, hidden)):
            raise NotAuthenticError
        return self._counter(nonce, hidden)

    def _counter(self, nonce: bytes, data: bytes) -> bytes:
        aes = algorithms.AES(self.key[: self.suite.key])
        return Cipher(aes, modes.CTR(nonce + bytes(4))).encryptor().update(data)

    def _tag(self, nonce: bytes, aad: bytes, hidden: bytes) -> bytes:
        lengths = b"".join(n.to_bytes(8) for n in (len(aad), len(hidden), self.suite.tag))
        said = lengths + nonce + aad + hidden
        return hmac.digest(self.key[self.suite.key :], said, self.suite.hash)[: self.suite.tag]
