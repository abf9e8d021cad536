"""Pulls a signed bundle from a repository. The one place of ours that fetches anything.

Only ``safelight bundle pull`` comes here: never a guard, never the judge. What is fetched is
addresses of a TUF repository and nothing else; nothing about the user or the device is sent.
"""

from __future__ import annotations

import datetime
import http.client
import os
import shutil
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.api.metadata import Root, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from safelight.bundle import installed, signatures, trust
from safelight.bundle.manifest import MAX_BUNDLE_BYTES, Manifest
from safelight.bundle.reading import inside_or_none
from safelight.errors import BundleError, SafelightError, UsageError

PURPOSE: Final = "prevent-livestreamed-child-sexual-abuse"
_CHUNK: Final = 64 * 1024
_KEPT: Final = "what is installed stays as it is"


@dataclass(frozen=True, slots=True)
class Limits:
    """``stall_s``: how long a server may say nothing; ``total_s``: how long a pull may take."""

    stall_s: float = 15.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did. ``folder``: the bundle that is current now."""

    id: str
    version: int
    folder: Path
    new: bool


def pull(
    repository: str,
    into: Path,
    *,
    test: bool = False,
    limits: Limits | None = None,
    context: ssl.SSLContext | None = None,
) -> Pulled:
    """Fetch a repository's bundle, verify it, and make it the current one in ``into``.

    ``repository``: a folder, or an ``https://`` address. ``test``: a stand-in, under the TEST
    root. ``context``: whom to trust as an HTTPS server, in tests.

    Raises:
        UsageError: it cannot be reached, read or written.
        BundleError: anything at all does not verify. What was installed is then unchanged.
    """
    base, fetcher = _fetcher(repository, limits or Limits(), context)
    purpose = "test" if test else PURPOSE
    current = _current(into, purpose)
    try:
        with installed.staging(into) as staged:
            return _pull(base, fetcher, into, staged, purpose=purpose, current=current)
    except ExpiredMetadataError as error:
        raise BundleError(
            f"the repository's metadata is out of date ({error}), so newer bundles may be held"
            " back",
            f"try again later; {_KEPT}",
        ) from error
    except RepositoryError as error:
        raise BundleError(_line(f"the update does not verify: {error}"), _KEPT) from error
    except DownloadLengthMismatchError as error:
        raise BundleError("the repository sends more than was announced", _KEPT) from error
    except DownloadHTTPError as error:
        raise UsageError(
            f"the repository answers with status {error.status_code}",
            "check its address; redirects are not followed",
        ) from error
    except DownloadError as error:
        cause = error.__cause__ or error
        raise UsageError(_line(f"the repository cannot be read ({cause})"), _KEPT) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UsageError(_line(f"the pull broke off ({error})"), _KEPT) from error


def _pull(
    base: str,
    fetcher: FetcherInterface,
    into: Path,
    staged: Path,
    *,
    purpose: str,
    current: Manifest | None,
) -> Pulled:
    trusted = into / installed.TRUSTED
    history = trusted / "root_history"
    history.mkdir(parents=True, exist_ok=True)
    where = trust.current_folder(into)
    for old in sorted((where / "metadata").glob("*.root.json")) if current else ():
        # Where the trusted metadata was lost, the chain that came with the bundle counts on.
        if not (history / old.name).exists():
            shutil.copyfile(old, history / old.name)
    first = signatures.shipped_root(purpose)
    updater = Updater(
        str(trusted),
        f"{base}/metadata",
        target_base_url=f"{base}/targets",
        fetcher=fetcher,
        config=UpdaterConfig(
            max_root_rotations=signatures.MAX_ROOTS,
            max_delegations=0,
            root_max_length=signatures.MAX_METADATA_BYTES,
            snapshot_max_length=signatures.MAX_METADATA_BYTES,
            targets_max_length=signatures.MAX_METADATA_BYTES,
        ),
        bootstrap=first,
    )
    updater.refresh()
    raw = (trusted / "targets.json").read_bytes()
    offered = signatures.load(raw, Targets).signed
    pins = {path: file.length for path, file in offered.targets.items()}
    if pins.get(trust.MANIFEST, trust.MAX_MANIFEST_BYTES + 1) > trust.MAX_MANIFEST_BYTES:
        raise BundleError("the repository offers no manifest of a bundle", _KEPT)
    _fetch(updater, staged, trust.MANIFEST)
    manifest = trust.parse((staged / trust.MANIFEST).read_bytes())
    _not_older(manifest, offered.version, current, where, purpose)
    needed = signatures.in_folder(manifest)
    if set(needed) | {trust.MANIFEST} != set(pins) or sum(pins.values()) > MAX_BUNDLE_BYTES:
        raise BundleError("the repository offers other files than its manifest names", _KEPT)
    for path in needed:
        _fetch(updater, staged, path)
    metadata = staged / "metadata"
    metadata.mkdir()
    (metadata / "targets.json").write_bytes(raw)
    newest = signatures.load((trusted / "root.json").read_bytes(), Root).signed.version
    for version in range(signatures.load(first, Root).signed.version + 1, newest + 1):
        shutil.copyfile(history / f"{version}.root.json", metadata / f"{version}.root.json")
    today = datetime.datetime.now(datetime.UTC).date()
    bundle = trust.verify(staged, allow_test=purpose == "test", today=today)
    if current is not None and _same(where, bundle.sha256, raw, today, purpose):
        return Pulled(bundle.id, bundle.version, where, new=False)
    folder = installed.adopt(into, staged, f"{bundle.id}-{bundle.version}")
    return Pulled(bundle.id, bundle.version, folder, new=True)


def _fetch(updater: Updater, staged: Path, path: str) -> None:
    info = updater.get_targetinfo(path)
    if info is None:
        raise BundleError(f"the repository does not offer {path}", _KEPT)
    updater.download_target(info, str(staged / path))


def _current(into: Path, purpose: str) -> Manifest | None:
    """Return what is installed. What is damaged counts as far as it can still be read."""
    if installed.named(into) is None:
        return None
    try:
        found = trust.describe(into)
    except BundleError:
        return None
    if found.purpose != purpose:
        raise UsageError(f"{into} holds a bundle of another purpose", "name another with --into")
    return found


def _not_older(
    offered: Manifest, targets: int, current: Manifest | None, where: Path, purpose: str
) -> None:
    """Refuse what is older than what was accepted once, even if all update state was lost."""
    floor = [current] if current is not None else []
    if purpose == PURPOSE:
        floor.append(trust.describe(trust.default_folder()))
    if current is not None:
        if current.id != offered.id:
            raise BundleError(
                f"bundle {current.id} is installed there, {offered.id} is offered",
                "name another folder with --into",
            )
        raw = inside_or_none(where, signatures.TARGETS, signatures.MAX_METADATA_BYTES)
        if raw is not None and signatures.load(raw, Targets).signed.version > targets:
            raise BundleError("the repository offers older signatures than are installed", _KEPT)
    for accepted in floor:
        if accepted.id == offered.id and accepted.version > offered.version:
            raise BundleError(
                f"bundle {offered.id} {offered.version} is older than {accepted.version},"
                " which was accepted before",
                _KEPT,
            )


def _same(where: Path, sha256: str, targets: bytes, today: datetime.date, purpose: str) -> bool:
    try:
        old = trust.verify(where, allow_test=purpose == "test", today=today)
        signed = inside_or_none(where, signatures.TARGETS, signatures.MAX_METADATA_BYTES)
    except SafelightError:
        return False
    return old.sha256 == sha256 and signed == targets


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


# --- where it comes from ---------------------------------------------------------------------


def _fetcher(
    repository: str, limits: Limits, context: ssl.SSLContext | None
) -> tuple[str, FetcherInterface]:
    if "://" not in repository:
        folder = Path(repository)
        if not (folder / "metadata").is_dir():
            raise UsageError(f"{repository} is no repository", "name a folder or https:// address")
        return "folder:", _Folder(folder, limits)
    try:
        parts = urlsplit(repository)
        plain = parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        plain = False
    if not plain or parts.query or parts.fragment:
        raise UsageError("that is no address of a repository", "use https://HOST/PATH alone")
    if parts.scheme != "https":
        raise UsageError(f"{parts.scheme}:// is not fetched from", "use https://, or a folder")
    return repository.rstrip("/"), _Https(limits, context or ssl.create_default_context())


class _Folder(FetcherInterface):
    """Reads a repository from a folder: plain files only."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._ends = time.monotonic() + limits.total_s

    def _fetch(self, url: str) -> Iterator[bytes]:
        parts = url.removeprefix("folder:/").split("/")
        if any(part in {"", ".", ".."} for part in parts):
            raise DownloadError("a path that leaves the repository")
        try:
            handle = os.open(
                self._folder.joinpath(*parts), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{parts[-1]} is absent", 404) from error
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise DownloadError(f"{parts[-1]} is not a plain file")
            while chunk := file.read(_CHUNK):
                if time.monotonic() > self._ends:
                    raise DownloadError("it takes too long")
                yield chunk


class _Https(FetcherInterface):
    """Plain GETs to the one server that was named: no redirect, no proxy, no user agent."""

    def __init__(self, limits: Limits, context: ssl.SSLContext) -> None:
        self._limits = limits
        self._context = context
        self._ends = time.monotonic() + limits.total_s

    def _fetch(self, url: str) -> Iterator[bytes]:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise DownloadError("it takes too long")
        parts = urlsplit(url)
        host = parts.hostname or ""
        stall = min(self._limits.stall_s, left)
        address = (host, parts.port or 443)
        with socket.create_connection(address, timeout=stall) as raw, raw.dup() as whole:
            # A server that drips a byte at a time never stalls; this ends it all the same,
            # whatever is waiting on the connection.
            timer = threading.Timer(left, _shut, (whole,))
            timer.daemon = True
            timer.start()
            try:
                yield from self._get(raw, host, parts.netloc, parts.path)
            finally:
                timer.cancel()
                timer.join()

    def _get(self, raw: socket.socket, host: str, netloc: str, path: str) -> Iterator[bytes]:
        with self._context.wrap_socket(raw, server_hostname=host) as secured:
            connection = http.client.HTTPConnection(host)
            connection.sock = secured
            connection.request("GET", path, headers={"Host": netloc, "Connection": "close"})
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise DownloadHTTPError("not found", response.status)
            while chunk := response.read1(_CHUNK):
                yield chunk
            # A length that was announced and not reached is an error, not an end.
            if response.length:
                raise DownloadError("the server broke off")


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself
