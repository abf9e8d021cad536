"""Whether a publisher can connect to this machine yet, as Linux shows it to anybody."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from safelight.audit import proc

_TCP: Final = ("tcp", "tcp6")
_RTMP_PORT: Final = 1935  # of an address that names none


def port_of(source: str) -> int:
    """Return the TCP port of a source that was accepted as one that listens."""
    return urlsplit(source).port or _RTMP_PORT


def listens(port: int) -> bool:
    """Return whether a program listens at a TCP port; True where that cannot be seen.

    Asking by connecting would be taken for a publisher.
    """
    seen = proc.sockets(os.getpid()).values()
    there = (s for s in seen if s.kind in _TCP and s.listens)
    return not seen or any(s.local.endswith(f":{port}") for s in there)
