"""The guarded camera that runs for this user, found by its events socket."""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safelight.errors import UsageError

_PATIENCE_S: Final = 2.0
_MAX_LINE: Final = 16_384


@dataclass(frozen=True, slots=True)
class Running:
    """A guarded camera that runs: its process, and the state it says it is in."""

    pid: int
    state: str


def place() -> Path:
    """Return where its socket lies; makes the folder.

    Raises:
        UsageError: this user has no folder for it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base:
        raise UsageError(
            "XDG_RUNTIME_DIR is not set", "log in to a desktop, or set it to a folder of yours"
        )
    folder = Path(base) / "safelight"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made ({error.strerror})",
            "set XDG_RUNTIME_DIR to a folder of yours",
        ) from None
    return folder / "camera"


def find(at: Path | None = None) -> Running | None:
    """Return the guarded camera that runs, or None. No answer is no camera.

    ``at``: where its socket lies, where it is not this user's usual place.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(_PATIENCE_S)
        try:
            knock.connect(str(place() if at is None else at))
            layout = struct.Struct("3i")
            told = knock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
            pid, user, _ = layout.unpack(told)
            state = _state(knock)
        except (OSError, ValueError, KeyError):
            return None
    return Running(pid, state) if user == os.geteuid() else None


def _state(knock: socket.socket) -> str:
    said = b""
    while b"\n" not in said and len(said) < _MAX_LINE:
        part = knock.recv(4096)
        if not part:
            raise ValueError("it says nothing")
        said += part
    return str(json.loads(said.partition(b"\n")[0])["state"])
