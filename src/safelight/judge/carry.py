"""Carries a verified bundle into the judge's process, as the very bytes that were verified.

The judge never opens a bundle's folder, and checks each byte that reaches it: a judge that is
started again judges with what the first one did, or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Final

from safelight.bundle import pinned, trust
from safelight.errors import BundleError
from safelight.types import VerifiedBundle

_HEAD_BYTES: Final = 8
_MAX_HEAD: Final = 65_536
_HINT: Final = "nothing was released; start again, or reinstall safelight"


def pack(bundle: VerifiedBundle) -> int:
    """Return a descriptor of anonymous memory that holds the bundle's bytes. The caller closes it.

    Raises:
        BundleError: a file of it has become shorter. (``unpack`` finds whatever else.)
        OSError: there is no memory left.
    """
    files = bundle.files
    names = sorted(files)
    sizes = [[name, pinned.size(files, name)] for name in names]
    head = json.dumps({"manifest": len(bundle.manifest), "files": sizes}).encode()
    handle = os.memfd_create("safelight-bundle", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as memory:
            memory.write(len(head).to_bytes(_HEAD_BYTES, "little"))
            memory.write(head)
            memory.write(bundle.manifest)
            for name in names:
                pinned.copy(files, name, memory)
    except BaseException:
        os.close(handle)
        raise
    return handle


def unpack(handle: int, *, sha256: str) -> VerifiedBundle:
    """Read a packed bundle and verify every byte of it again; closes the descriptor.

    Raises:
        BundleError: it is not the bundle that was packed.
    """
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        with os.fdopen(handle, "rb") as memory:
            head = memory.read(int.from_bytes(memory.read(_HEAD_BYTES), "little") % _MAX_HEAD)
            sizes = json.loads(head)
            manifest = memory.read(sizes["manifest"])
            files: Mapping[str, bytes] = {name: memory.read(n) for name, n in sizes["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError("the bundle did not reach the judge whole", _HINT) from error
    return trust.verify_again(manifest, files, sha256=sha256)
