"""Opens and reads files of a bundle: plain files only, whole, bounded, through no link."""

from __future__ import annotations

import importlib.util
import os
import re
import stat
from pathlib import Path
from typing import Final, NoReturn

from safelight.errors import BundleError

_MAX_SHOWN: Final = 400
_HINT_REINSTALL: Final = "use a bundle from its publisher, or reinstall safelight"
_HINT_FOLDER: Final = "name a folder that holds manifest.json, metadata and plain files, no links"


def refuse(what: str) -> NoReturn:
    """Raise the one-line error of a bundle that does not verify."""
    # A manifest's own words are in it: they may neither break the line nor steer a terminal.
    line = re.sub(r"\s+", " ", f"the bundle does not verify: {what}")
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    raise BundleError(shown[:_MAX_SHOWN], _HINT_REINSTALL)


def inside(folder: Path, path: str, limit: int) -> bytes:
    """Read a file of the folder, following no link below it.

    Raises:
        BundleError: it is not there, no plain file, or larger than ``limit`` bytes.
    """
    return _take(open_inside(folder, path), path, limit)


def open_inside(folder: Path, path: str) -> int:
    """Open a file of the folder, following no link below it. The caller closes the descriptor.

    Raises:
        BundleError: it is not there.
    """
    try:
        return _open(folder, path)
    except OSError as error:
        raise BundleError(
            f"bundle folder {str(folder)!r}: {path} cannot be read ({error.strerror})",
            _HINT_FOLDER,
        ) from error


def inside_or_none(folder: Path, path: str, limit: int) -> bytes | None:
    """Read a file of the folder; None where there is no such file. Else as ``inside``."""
    try:
        handle = _open(folder, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        refuse(f"{path} cannot be read ({error.strerror})")
    return _take(handle, path, limit)


def open_packaged(package: str, path: str) -> int:
    """Open a file that an installed package carries; the package is not run.

    The caller closes the descriptor.

    Raises:
        BundleError: the package or the file is not there.
    """
    # find_spec does not run the package. Links are followed here: some installers link
    # packages into place, and the digest decides in any case.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BundleError(
            f"package {package} is not installed", "reinstall safelight with its dependencies"
        )
    where = os.path.join(next(iter(spec.submodule_search_locations)), *path.split("/"))
    try:
        return os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        refuse(f"{package}: {path} cannot be read ({error.strerror})")


def check_plain(handle: int, what: str) -> None:
    """Check that what was opened is a plain file.

    Raises:
        BundleError: it is none.
        OSError: the system does not say.
    """
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        refuse(f"{what} is not a plain file")


def _open(folder: Path, path: str) -> int:
    *parents, last = path.split("/")
    flags = os.O_RDONLY | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened.append(os.open(folder, flags | os.O_DIRECTORY))
        for part in parents:
            opened.append(os.open(part, flags | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        return os.open(last, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _take(handle: int, what: str, limit: int) -> bytes:
    """Read at most ``limit`` bytes of a plain file and close it; one byte more is refused."""
    try:
        check_plain(handle, what)
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as error:
        refuse(f"{what} cannot be read ({error.strerror})")
    finally:
        os.close(handle)
    if len(content) > limit:
        refuse(f"{what} is larger than {limit} bytes")
    return content
