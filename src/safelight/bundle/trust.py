"""Bytes go in; a ``VerifiedBundle`` or a ``BundleError`` comes out. The only mint of it.

Every file is read once, whole, into memory, and its bytes are checked there and kept: what
was checked and what judges are the same bytes, whatever happens on disk in the meantime.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from pydantic import ValidationError

from safelight.bundle.manifest import InFolder, Manifest, View
from safelight.errors import BundleError
from safelight.types import (
    TRUST_MINT,
    Calibration,
    DetectorSpec,
    SelfTest,
    VerifiedBundle,
    ViewSpec,
)

MANIFEST: Final = "manifest.json"
CHECKSUM: Final = "checksum.json"
_MAX_MANIFEST_BYTES: Final = 1024 * 1024
_MAX_SHOWN: Final = 400
_HINT_REINSTALL: Final = "use a bundle from its publisher, or reinstall safelight"
_HINT_TEST: Final = "load it with --test-bundle, or choose a bundle that is not a stand-in"


def default_folder() -> Path:
    """Return the folder of the bundle that this package ships."""
    return Path(__file__).resolve().parent / "default"


def stand_in_folder(name: str) -> Path:
    """Return the folder of a stand-in bundle that this package ships, such as ``face``.

    Raises:
        BundleError: there is no stand-in of that name.
    """
    bundles = Path(__file__).resolve().parent.parent / "testing" / "bundles"
    known = (
        sorted(path.name for path in bundles.iterdir() if path.is_dir()) if bundles.is_dir() else []
    )
    if name not in known:
        raise BundleError(
            f"no stand-in bundle is called {name!r}", f"known stand-ins: {', '.join(known)}"
        )
    return bundles / name


def checksum_bytes(manifest: bytes) -> bytes:
    """Return what ``checksum.json`` must hold, to the byte, beside these manifest bytes.

    It catches a damaged manifest. It is no signature: whoever can write both can change both.
    """
    return (json.dumps({MANIFEST: hashlib.sha256(manifest).hexdigest()}) + "\n").encode()


def describe(folder: Path) -> Manifest:
    """Read what a bundle declares, without checking its files. For showing, never for judging.

    Raises:
        BundleError: there is no well-formed manifest in ``folder``.
    """
    return _manifest(folder)[0]


def verify(folder: Path, *, allow_test: bool, today: datetime.date) -> VerifiedBundle:
    """Check every file of a bundle and mint what may judge.

    ``allow_test``: also accept a stand-in bundle (purpose ``test``). ``today``: the date that
    ``judge_until`` is compared with; that day itself still counts.

    Raises:
        BundleError: anything at all is not as the manifest says; one line, and what to do.
    """
    manifest, raw = _manifest(folder)
    if manifest.purpose == "test" and not allow_test:
        raise BundleError(f"bundle {manifest.id} is a stand-in for tests", _HINT_TEST)
    if manifest.judge_until is not None and manifest.judge_until < today:
        raise BundleError(
            f"bundle {manifest.id} was to judge until {manifest.judge_until.isoformat()}",
            "install a newer bundle",
        )
    files: dict[str, bytes] = {}
    for name, file in manifest.files.items():
        if isinstance(file.source, InFolder):
            files[name] = _read_inside(folder, file.source.file, file.bytes)
        else:
            files[name] = _read_packaged(file.source.package, file.source.path, file.bytes)
    return _mint(manifest, raw, files)


def verify_again(raw: bytes, files: Mapping[str, bytes], *, sha256: str) -> VerifiedBundle:
    """Check a verified bundle's bytes once more, where they arrived (in the judge's process).

    ``raw``: the manifest's bytes; ``sha256``: their digest, as it was verified at first.

    Raises:
        BundleError: anything is not as it was.
    """
    if hashlib.sha256(raw).hexdigest() != sha256:
        _refuse("its manifest is not the one that was verified")
    return _mint(_parse(raw), raw, files)


def _mint(manifest: Manifest, raw: bytes, files: Mapping[str, bytes]) -> VerifiedBundle:
    if set(files) != set(manifest.files):
        _refuse("its files are not those that the manifest names")
    for name, file in manifest.files.items():
        if len(files[name]) != file.bytes:
            _refuse(f"file {name} is not {file.bytes} bytes long")
        if hashlib.sha256(files[name]).hexdigest() != file.sha256:
            _refuse(f"file {name} is not the one that was pinned (SHA-256 differs)")
    return VerifiedBundle(
        id=manifest.id,
        version=manifest.version,
        purpose=manifest.purpose,
        sha256=hashlib.sha256(raw).hexdigest(),
        counts_people=manifest.counts_people,
        every=_views(manifest.views.every),
        in_turn=_views(manifest.views.in_turn),
        detectors=tuple(
            DetectorSpec(kind=detector.kind, files=tuple(sorted(detector.files.items())))
            for detector in manifest.detectors
        ),
        calibration=Calibration(
            status=manifest.calibration.status, points=manifest.calibration.points
        ),
        self_tests=tuple(
            SelfTest(test.file, test.views, test.sexual_min, test.sexual_max)
            for test in manifest.self_tests
        ),
        age_from=manifest.thresholds.age_from,
        mint=TRUST_MINT,
        manifest=raw,
        files=files,
    )


def _views(views: tuple[View, ...]) -> tuple[ViewSpec, ...]:
    return tuple(ViewSpec(view.name, view.kind) for view in views)


def _manifest(folder: Path) -> tuple[Manifest, bytes]:
    raw = _read_inside(folder, MANIFEST, _MAX_MANIFEST_BYTES)
    checksum = _read_inside(folder, CHECKSUM, _MAX_MANIFEST_BYTES)
    if checksum != checksum_bytes(raw):
        _refuse(f"{MANIFEST} does not match {CHECKSUM}")
    return _parse(raw), raw


def _parse(raw: bytes) -> Manifest:
    try:
        # pydantic keeps the last of two equal keys; two readers could then disagree.
        json.loads(raw, object_pairs_hook=_no_duplicates)
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        _refuse(f"{MANIFEST}: {place}: {first['msg']}")
    except (ValueError, RecursionError) as error:
        _refuse(f"{MANIFEST} is not well-formed JSON ({error})")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _read_packaged(package: str, path: str, limit: int) -> bytes:
    # find_spec does not run the package. Links are followed here: some installers link
    # packages into place, and the digest decides in any case.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BundleError(
            f"package {package} is not installed", "reinstall safelight with its dependencies"
        )
    where = os.path.join(next(iter(spec.submodule_search_locations)), *path.split("/"))
    try:
        handle = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _refuse(f"{package}: {path} cannot be read ({error.strerror})")
    return _take(handle, f"{package}: {path}", limit)


def _read_inside(folder: Path, path: str, limit: int) -> bytes:
    """Read a file of the folder, following no link below it."""
    *parents, last = path.split("/")
    flags = os.O_RDONLY | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened.append(os.open(folder, flags | os.O_DIRECTORY))
        for part in parents:
            opened.append(os.open(part, flags | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        handle = os.open(last, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1])
    except OSError as error:
        raise BundleError(
            f"bundle folder {str(folder)!r}: {path} cannot be read ({error.strerror})",
            "name a folder that holds manifest.json, checksum.json and plain files, no links",
        ) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return _take(handle, path, limit)


def _take(handle: int, what: str, limit: int) -> bytes:
    """Read at most ``limit`` bytes of a plain file and close it; one byte more is refused."""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            _refuse(f"{what} is not a plain file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as error:
        _refuse(f"{what} cannot be read ({error.strerror})")
    finally:
        os.close(handle)
    if len(content) > limit:
        _refuse(f"{what} is larger than {limit} bytes")
    return content


def _refuse(what: str) -> NoReturn:
    # A manifest's own words are in it: they may neither break the line nor steer a terminal.
    line = re.sub(r"\s+", " ", f"the bundle does not verify: {what}")
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    raise BundleError(shown[:_MAX_SHOWN], _HINT_REINSTALL)
