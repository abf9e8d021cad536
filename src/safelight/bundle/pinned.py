"""A bundle's files, held open rather than in memory: each read is checked against its digest.

What was checked cannot be exchanged afterwards. A file that is renamed over or removed is still
the one that was opened; one that is written to in place is found out when it is read again, and
then it is an error, never other bytes. Whoever reads gets bytes of their own, which are checked
before they get them.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterator, Mapping
from typing import Final

from safelight.bundle.reading import check_plain, refuse
from safelight.errors import BundleError

# Up to here a file is kept in memory: a descriptor costs as much.
KEPT_BYTES: Final = 256 * 1024
_CHUNK: Final = 1024 * 1024
_HINT: Final = "nothing more was released; start again, or reinstall safelight"


class _Open:
    """One file, open until nobody holds this any more."""

    def __init__(self, handle: int, size: int, sha256: str) -> None:
        self.handle = handle
        self.size = size
        self.sha256 = sha256
        weakref.finalize(self, os.close, handle).atexit = False

    def read(self) -> bytes:
        """Return the file whole, unchecked; shorter where it was cut off."""
        return os.pread(self.handle, self.size, 0)

    def chunks(self) -> Iterator[memoryview]:
        """Yield it in parts, each valid until the next; fewer bytes where it was cut off."""
        buffer = memoryview(bytearray(min(_CHUNK, self.size)))
        at = 0
        while at < self.size:
            count = os.preadv(self.handle, [buffer[: self.size - at]], at)
            if count == 0:
                return
            yield buffer[:count]
            at += count

    def is_longer(self) -> bool:
        """Whether there is more of it than there should be."""
        return len(os.pread(self.handle, 1, self.size)) > 0


class PinnedFiles(Mapping[str, bytes]):
    """Files by name, as their pins say: ``files[name]`` is checked, or raises BundleError."""

    def __init__(self) -> None:
        self._files: dict[str, bytes | _Open] = {}

    def pin(self, name: str, handle: int, *, size: int, sha256: str) -> None:
        """Check an open file and keep it; the descriptor is its own from here on.

        Raises:
            BundleError: it is no plain file, not ``size`` bytes long, or another than pinned.
        """
        file = _Open(handle, size, sha256)
        try:
            check_plain(handle, name)
            digest = hashlib.sha256()
            length = 0
            for chunk in file.chunks():
                digest.update(chunk)
                length += len(chunk)
            length += file.is_longer()
        except OSError as error:
            refuse(f"file {name} cannot be read ({error.strerror})")
        _compare(name, (length, digest.hexdigest()), (size, sha256))
        self._files[name] = file
        if size <= KEPT_BYTES:
            self._files[name] = self[name]

    def keep(self, name: str, content: bytes, *, size: int, sha256: str) -> None:
        """Check a file's bytes and keep them.

        Raises:
            BundleError: they are not ``size`` long, or others than pinned.
        """
        _compare(name, (len(content), hashlib.sha256(content).hexdigest()), (size, sha256))
        self._files[name] = content

    def __getitem__(self, name: str) -> bytes:
        file = self._files[name]
        if isinstance(file, bytes):
            return file
        try:
            content = file.read()
        except OSError as error:
            raise _changed(name) from error
        if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
            raise _changed(name)
        return content

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: object) -> bool:
        return name in self._files  # without reading it

    def given(self, name: str) -> bytes | int:
        """Return a file's bytes, or its descriptor, which stays this mapping's own.

        For whoever checks it again.
        """
        file = self._files[name]
        return file if isinstance(file, bytes) else file.handle


def _compare(name: str, found: tuple[int, str], pinned: tuple[int, str]) -> None:
    """Compare size and digest.

    Raises:
        BundleError: they differ.
    """
    if found[0] != pinned[0]:
        refuse(f"file {name} is not {pinned[0]} bytes long")
    if found[1] != pinned[1]:
        refuse(f"file {name} is not the one that was pinned (SHA-256 differs)")


def _changed(name: str) -> BundleError:
    return BundleError(f"the bundle's file {name} changed after it was verified", _HINT)
