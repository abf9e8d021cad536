"""Carries a verified bundle into the judge's process, as the very bytes that were verified.

The judge never opens a bundle's folder, and checks each byte that reaches it: a judge that is
started again judges with what the first one did, or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Final

from safelight.bundle import trust
from safelight.bundle.pinned import PinnedFiles
from safelight.errors import BundleError
from safelight.types import VerifiedBundle

MOST_FILES: Final = 64
_HEAD_BYTES: Final = 8
_MAX_HEAD: Final = 65_536
_HINT: Final = "nothing was released; start again, or reinstall safelight"


def pack(bundle: VerifiedBundle) -> tuple[int, tuple[int, ...]]:
    """Return the descriptors that a bundle is made of again, in the order of ``unpack``.

    The first is of anonymous memory with the manifest and small files; the caller closes it.
    The others are large files, and stay the bundle's own: nothing of them is copied.

    Raises:
        BundleError: it has more than ``MOST_FILES`` large files.
        OSError: there is no memory left.
    """
    files = bundle.files
    if not isinstance(files, PinnedFiles):
        raise TypeError("a verified bundle's files are pinned")
    given = {name: files.given(name) for name in sorted(files)}
    kept = {name: content for name, content in given.items() if isinstance(content, bytes)}
    opened = {name: handle for name, handle in given.items() if isinstance(handle, int)}
    if len(opened) > MOST_FILES:
        raise BundleError(f"the bundle has more than {MOST_FILES} large files", _HINT)
    sizes = [[name, len(content)] for name, content in kept.items()]
    head = json.dumps(
        {"manifest": len(bundle.manifest), "kept": sizes, "opened": list(opened)}
    ).encode()
    handle = os.memfd_create("safelight-bundle", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as memory:
            memory.write(len(head).to_bytes(_HEAD_BYTES, "little"))
            memory.write(head)
            memory.write(bundle.manifest)
            for content in kept.values():
                memory.write(content)
    except BaseException:
        os.close(handle)
        raise
    return handle, tuple(opened.values())


def unpack(handles: Sequence[int], *, sha256: str) -> VerifiedBundle:
    """Make a packed bundle again, and verify every byte of it; the descriptors are its own.

    Raises:
        BundleError: it is not the bundle that was packed.
    """
    try:
        first, *others = handles
        os.lseek(first, 0, os.SEEK_SET)
        with os.fdopen(first, "rb") as memory:
            head = memory.read(int.from_bytes(memory.read(_HEAD_BYTES), "little") % _MAX_HEAD)
            said = json.loads(head)
            manifest = memory.read(said["manifest"])
            given: dict[str, bytes | int] = {n: memory.read(size) for n, size in said["kept"]}
            given.update(zip(said["opened"], others, strict=True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError("the bundle did not reach the judge whole", _HINT) from error
    return trust.verify_again(manifest, given, sha256=sha256)
