"""Bytes go in; a ``VerifiedBundle`` or a ``BundleError`` comes out. The only mint of it.

Every file is opened once, checked, and kept open; whoever reads it gets bytes that were checked
again, or an error (pinned.py): what was checked and what judges are the same bytes, whatever
happens on disk in the meantime.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safelight.bundle.pinned import PinnedFiles
from safelight.bundle.reading import (
    inside,
    inside_or_none,
    open_inside,
    open_packaged,
    refuse,
)
from safelight.errors import BundleError
from safelight.types import (
    TRUST_MINT,
    Calibration,
    DetectorSpec,
    SelfTest,
    VerifiedBundle,
    ViewSpec,
)

# Loaded where they are used: the judge's process, which only verifies again what was verified
# here, needs neither what reads a manifest (20 MB) nor what reads signatures.
if TYPE_CHECKING:
    from safelight.bundle.manifest import Manifest
    from safelight.bundle.signatures import Signing

MANIFEST: Final = "manifest.json"
CURRENT: Final = "current"
MAX_MANIFEST_BYTES: Final = 1024 * 1024
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,120}")
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


def current_folder(folder: Path) -> Path:
    """Return the bundle's own folder: ``folder``, or the one that its file ``current`` names.

    ``safelight bundle pull`` keeps bundles side by side and ``current`` says which one judges.

    Raises:
        BundleError: ``current`` names no folder inside.
    """
    raw = inside_or_none(folder, CURRENT, 200) if folder.is_dir() else None
    if raw is None:
        return folder
    name = raw.decode("ascii", "replace").removesuffix("\n")
    if not _NAME.fullmatch(name) or (folder / name).is_symlink():
        refuse(f"its file {CURRENT} names no folder in it")
    return folder / name


def describe(folder: Path) -> Manifest:
    """Read what a bundle declares, without checking its files. For showing, never for judging.

    Raises:
        BundleError: there is no well-formed manifest in ``folder``.
    """
    return _manifest(current_folder(folder))[0]


def who_signed(folder: Path) -> Signing:
    """Verify a bundle's signatures alone and return what they say. Mints nothing.

    Raises:
        BundleError: they do not verify, or the manifest is not what they sign.
    """
    where = current_folder(folder)
    manifest, raw = _manifest(where)
    return _signed(where, manifest, raw)


def verify(folder: Path, *, allow_test: bool, today: datetime.date) -> VerifiedBundle:
    """Check the signatures and every file of a bundle, and mint what may judge.

    ``allow_test``: also accept a stand-in bundle (purpose ``test``). ``today``: the date that
    ``judge_until`` is compared with; that day itself still counts.

    Raises:
        BundleError: anything at all is not as the manifest says; one line, and what to do.
    """
    from safelight.bundle.manifest import InFolder  # noqa: PLC0415

    folder = current_folder(folder)
    manifest, raw = _manifest(folder)
    _may_be_a_stand_in(manifest, allow_test=allow_test)
    _signed(folder, manifest, raw)
    _still_judges(manifest, today)
    files = PinnedFiles()
    for name, file in manifest.files.items():
        if isinstance(file.source, InFolder):
            handle = open_inside(folder, file.source.file)
        else:
            handle = open_packaged(file.source.package, file.source.path)
        files.pin(name, handle, size=file.bytes, sha256=file.sha256)
    return _mint(raw, json.loads(raw), files)


def check_still_judges(bundle: VerifiedBundle, *, allow_test: bool, today: datetime.date) -> None:
    """Check what another stream asks of a bundle that was verified earlier. Args as ``verify``.

    Raises:
        BundleError: it is a stand-in that nobody asked for, or was to judge no longer.
    """
    manifest = parse(bundle.manifest)
    _may_be_a_stand_in(manifest, allow_test=allow_test)
    _still_judges(manifest, today)


def _may_be_a_stand_in(manifest: Manifest, *, allow_test: bool) -> None:
    if manifest.purpose == "test" and not allow_test:
        raise BundleError(f"bundle {manifest.id} is a stand-in for tests", _HINT_TEST)


def _still_judges(manifest: Manifest, today: datetime.date) -> None:
    if manifest.judge_until is not None and manifest.judge_until < today:
        raise BundleError(
            f"bundle {manifest.id} was to judge until {manifest.judge_until.isoformat()}",
            "install a newer bundle",
        )


def verify_again(raw: bytes, given: Mapping[str, bytes | int], *, sha256: str) -> VerifiedBundle:
    """Check a verified bundle once more, where it arrived (in the judge's process).

    ``raw``: the manifest's bytes; ``sha256``: their digest, as it was verified at first. Bytes
    of that digest were parsed then, and are well-formed. ``given``: each file's bytes, or a
    descriptor of it, which is the bundle's own from here on.

    Raises:
        BundleError: anything is not as it was.
    """
    if hashlib.sha256(raw).hexdigest() != sha256:
        refuse("its manifest is not the one that was verified")
    said = json.loads(raw)
    pins = said["files"]
    if set(given) != set(pins):
        refuse("its files are not those that the manifest names")
    files = PinnedFiles()
    for name, pin in pins.items():
        content = given[name]
        if isinstance(content, bytes):
            files.keep(name, content, size=pin["bytes"], sha256=pin["sha256"])
        else:
            files.pin(name, content, size=pin["bytes"], sha256=pin["sha256"])
    return _mint(raw, said, files)


def _mint(raw: bytes, said: dict[str, Any], files: PinnedFiles) -> VerifiedBundle:
    """``raw``: a manifest that was checked before, here or where it came from; ``said``: what
    it says, as plain JSON."""
    calibration = said["calibration"]
    return VerifiedBundle(
        id=said["id"],
        version=said["version"],
        purpose=said["purpose"],
        sha256=hashlib.sha256(raw).hexdigest(),
        counts_people=said["counts_people"],
        every=_views(said["views"]["every"]),
        in_turn=_views(said["views"]["in_turn"]),
        detectors=tuple(
            DetectorSpec(kind=detector["kind"], files=tuple(sorted(detector["files"].items())))
            for detector in said["detectors"]
        ),
        calibration=Calibration(
            status=calibration["status"],
            points=tuple((score, ratio) for score, ratio in calibration["points"]),
        ),
        self_tests=tuple(
            SelfTest(
                test["file"],
                tuple(test["views"]),
                float(test["sexual_min"]),
                float(test["sexual_max"]),
            )
            for test in said["self_tests"]
        ),
        age_from=float(said["thresholds"]["age_from"]),
        mint=TRUST_MINT,
        manifest=raw,
        files=files,
    )


def _views(views: list[dict[str, str]]) -> tuple[ViewSpec, ...]:
    return tuple(ViewSpec(view["name"], view["kind"]) for view in views)


def _signed(folder: Path, manifest: Manifest, raw: bytes) -> Signing:
    from safelight.bundle import signatures  # noqa: PLC0415

    def read(path: str, limit: int) -> bytes | None:
        return inside_or_none(folder, path, limit)

    signing = signatures.check(read, manifest.purpose)
    signatures.agree(manifest, raw, hashlib.sha256(raw).hexdigest(), signing)
    return signing


def _manifest(folder: Path) -> tuple[Manifest, bytes]:
    raw = inside(folder, MANIFEST, MAX_MANIFEST_BYTES)
    return parse(raw), raw


def parse(raw: bytes) -> Manifest:
    """Parse a manifest. It is well-formed then, not trusted.

    Raises:
        BundleError: it is none.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from safelight.bundle.manifest import Manifest  # noqa: PLC0415

    try:
        # pydantic keeps the last of two equal keys; two readers could then disagree.
        json.loads(raw, object_pairs_hook=_no_duplicates)
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        refuse(f"{MANIFEST}: {place}: {first['msg']}")
    except (ValueError, RecursionError) as error:
        refuse(f"{MANIFEST} is not well-formed JSON ({error})")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found
