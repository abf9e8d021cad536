"""Whether a publisher can connect to this machine yet, as Linux shows it to anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENS: Final = "0A"  # TCP_LISTEN, in the kernel's include/net/tcp_states.h
_RTMP_PORT: Final = 1935  # of an address that names none


def port_of(source: str) -> int:
    """Return the TCP port of a source that was accepted as one that listens."""
    return urlsplit(source).port or _RTMP_PORT


def listens(port: int) -> bool:
    """Return whether a program listens at a TCP port; True where that cannot be seen.

    Asking by connecting would be taken for a publisher.
    """
    seen = False
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        seen = True
        sockets = [line.split() for line in lines]
        if any(one[1].endswith(f":{port:04X}") and one[3] == _LISTENS for one in sockets):
            return True
    return not seen
