"""A network namespace of a test's own, with nothing in it but its loopback."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def without_network(*command: str) -> list[str]:
    flags = ["-n"] if os.geteuid() == 0 else ["-Urn"]
    return ["unshare", *flags, *command]


def can_be_without() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(without_network("true"), check=False, capture_output=True).returncode == 0


def loopback_up() -> None:
    """Switch on the loopback of this process's own namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        asked = fcntl.ioctl(any_, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", asked)[1] | _IFF_UP
        fcntl.ioctl(any_, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))
