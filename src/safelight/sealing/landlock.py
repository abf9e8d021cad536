"""Landlock: no file and no TCP for this process and its children, whatever rights they have."""

from __future__ import annotations

import ctypes
import os
from typing import Final

from safelight.sealing import kernel

# The same on every machine that has them.
_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1

# Rights that a ruleset can take away, by the version that brought them (linux/landlock.h).
_FILE_RIGHTS: Final = ((1, 13), (2, 14), (3, 15), (5, 16))  # (from version, bits known then)
_BIND_AND_CONNECT_TCP: Final = 0b11  # from version 4
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11  # from version 6


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def version() -> int:
    """Which version of Landlock the kernel offers.

    Raises:
        OSError: none: it was built without, or started with it off.
    """
    return kernel.system_call(_CREATE_RULESET, 0, 0, _ASK_VERSION)


def deny_everything() -> int:
    """Take away every file right, TCP, abstract sockets and signals to others. For good.

    Open descriptors keep working. Needs no-new-privileges to be set. Returns the version.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    offered = version()
    bits = max(count for since, count in _FILE_RIGHTS if since <= offered)
    ruleset = _Ruleset(
        (1 << bits) - 1,
        _BIND_AND_CONNECT_TCP if offered >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if offered >= 6 else 0,
    )
    # An older kernel refuses a structure with fields that it does not know.
    words = 3 if offered >= 6 else 2 if offered >= 4 else 1
    handle = kernel.system_call(_CREATE_RULESET, ctypes.byref(ruleset), 8 * words, 0)
    try:
        kernel.system_call(_RESTRICT_SELF, handle, 0)
    finally:
        os.close(handle)
    return offered
