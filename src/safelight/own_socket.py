"""A Unix socket that only its user reaches: made, checked, removed."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from safelight.errors import UsageError

_MAX_PATH: Final = 107  # bytes that the kernel takes
_BACKLOG: Final = 8
_OTHERS: Final = 0o022  # may write: group, everybody


def listen(path: Path) -> socket.socket:
    """Return a listening socket at ``path``, mode 0600, in a folder that is this user's alone.

    Raises:
        UsageError: it cannot be one.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        raise UsageError("an events socket needs Linux", "read the events with --events instead")
    if len(os.fsencode(path)) > _MAX_PATH:
        raise UsageError(f"{path} is too long for a socket", f"use at most {_MAX_PATH} bytes")
    _check_folder(path.parent)
    _clear(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Nobody gets in between: it does not listen yet.
        made.bind(str(path))
        os.chmod(path, 0o600)
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise _cannot(path, error) from None
    return made


def same_user(connection: socket.socket) -> bool:
    """Whether whoever connected runs as this user. No answer is no."""
    layout = struct.Struct("3i")
    try:
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
        _, user, _ = layout.unpack(told)
    except (OSError, struct.error):
        return False
    return bool(user == os.geteuid())


def inode(path: Path) -> tuple[int, int]:
    """Return what tells this file from another of its name."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def remove(path: Path, made: tuple[int, int]) -> None:
    """Remove the socket that was made, and nothing that took its name since."""
    with contextlib.suppress(OSError):
        if inode(path) == made:
            path.unlink()


def _check_folder(folder: Path) -> None:
    try:
        found = folder.stat()
    except OSError as error:
        raise _cannot(folder, error) from None
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{folder} is no folder", "name a socket in a folder of yours")
    if found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
        raise UsageError(
            f"others may write in {folder}", "name a socket in a folder of yours alone"
        )


def _clear(path: Path) -> None:
    """Remove a socket that a guard left behind when it was killed."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot(path, error) from None
    if not stat.S_ISSOCK(found.st_mode):
        raise UsageError(f"{path} is there and is no socket", "name another place")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        try:
            knock.settimeout(1.0)
            knock.connect(str(path))
        except ConnectionRefusedError:
            remove(path, (found.st_dev, found.st_ino))
            return
        except OSError as error:
            raise _cannot(path, error) from None
    raise UsageError(f"another guard listens at {path}", "name another place")


def _cannot(path: Path, error: OSError) -> UsageError:
    why = (error.strerror or "it fails").lower()
    return UsageError(f"{path} cannot be an events socket ({why})", "name another place")
