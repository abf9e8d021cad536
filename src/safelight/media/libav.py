"""What everything that touches libav shares: silence on standard error, and plain words."""

from __future__ import annotations

import errno
import os
import ssl
from typing import Final

import av
from av.error import FFmpegError

# libav's own lines may hold addresses with stream keys, and are not one line of ours.
av.logging.set_level(None)

# A decoder refuses to allocate for more pixels than this: 7680x4320 and some alignment.
MAX_PIXELS: Final = 36_000_000

_WORDS: Final = {
    errno.ECONNREFUSED: "nobody listens there",
    errno.ECONNRESET: "the other end hung up",
    errno.EPIPE: "the other end hung up",
    errno.EIO: "the connection broke off",
    errno.ETIMEDOUT: "it does not answer",
    errno.EHOSTUNREACH: "it cannot be reached",
    errno.ENETUNREACH: "it cannot be reached",
    errno.EADDRINUSE: "another program listens there already",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENOENT: "there is no such file",
    errno.ENODEV: "there is no such device",
    errno.EBUSY: "another program is using it",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file may grow no further",
    errno.EROFS: "the disk is read-only",
    errno.EISDIR: "it is a directory",
    errno.ENOTDIR: "its folder is not a folder",
    errno.ENOMEM: "there is not enough memory",
}


# Where Debian, Fedora, SUSE, Alpine and macOS keep it.
_CA_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def words(error: BaseException) -> str:
    """Say in a few plain words what a libav or system error means; no address, no path."""
    if isinstance(error, av.error.ExitError):
        return _WORDS[errno.ETIMEDOUT]
    if isinstance(error, TimeoutError):
        return _WORDS[errno.ETIMEDOUT]
    if isinstance(error, ssl.SSLError):
        return "its certificate or encryption is not to be trusted"
    if isinstance(error, av.error.InvalidDataError):
        return "its data cannot be read"
    if isinstance(error, EOFError):
        return "it ends too early"
    number = getattr(error, "errno", None)
    if number in _WORDS:
        return _WORDS[number]
    if isinstance(error, FFmpegError | OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    if isinstance(error, ValueError):
        # The binding's own, about a text that is no UTF-8 or a number out of range.
        return "its data cannot be read"
    return type(error).__name__


def tls_options() -> dict[str, str]:
    """Return the options with which libav checks a server's certificate and its name.

    It trusts nobody unless told whom, so where no list of authorities is found it refuses
    every server.
    """
    named = ssl.get_default_verify_paths().cafile
    found = next((path for path in (named, *_CA_FILES) if path and os.path.isfile(path)), None)
    return {"tls_verify": "1"} | ({} if found is None else {"ca_file": found})


LIBAV_ERRORS: Final = (FFmpegError, OSError)
"""What the binding raises when media or a connection is bad."""
