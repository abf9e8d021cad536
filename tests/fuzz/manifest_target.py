"""A bundle's manifest: a ``BundleError`` of one line, or a bundle that is what it says."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Final

from tests.fuzz.target import Target, check, check_no_release, check_one_line, scratch

from safelight.bundle import trust
from safelight.bundle.manifest import Manifest, View
from safelight.errors import BundleError
from safelight.types import VerifiedBundle

_PURPOSES: Final = {"prevent-livestreamed-child-sexual-abuse", "test"}


@cache
def _files() -> dict[str, bytes]:
    """A few bytes under each name that a seed's manifest gives to a file."""
    named: set[str] = set()
    for raw in _shipped():
        named.update(json.loads(raw)["files"])
    return {name: b"contents of " + name.encode() for name in named}


def _shipped() -> tuple[bytes, ...]:
    folders = (trust.default_folder(), trust.stand_in_folder("face"))
    return tuple((folder / trust.MANIFEST).read_bytes() for folder in folders)


def run(data: bytes) -> None:
    folder = scratch()
    (folder / trust.MANIFEST).write_bytes(data)
    try:
        manifest = trust.describe(folder)
    except BundleError as error:
        check_one_line(str(error))
        return
    given = {name: _files().get(name, b"?") for name in manifest.files}
    try:
        bundle = trust.verify_again(data, given, sha256=hashlib.sha256(data).hexdigest())
    except BundleError as error:
        check_one_line(str(error))
        return
    _judge(bundle, json.loads(data))
    _agree(bundle, manifest)


def _judge(bundle: VerifiedBundle, said: dict[str, dict[str, dict[str, object]]]) -> None:
    check_no_release(bundle.purpose in _PURPOSES, "a purpose that is not this project's")
    check_no_release(not bundle.counts_people, "nothing counts people")
    check_no_release(bool(bundle.every), "no view for every picture")
    check_no_release(bundle.calibration.points[-1][1] >= 1000, "nothing would ever add up")
    check_no_release(0.0 <= bundle.age_from <= 0.2, "the age would be looked at too late")
    kinds = [detector.kind for detector in bundle.detectors]
    stands_in = "face_in_view" in kinds
    check_no_release(bundle.is_test or not stands_in, "a stand-in that is no test")
    check_no_release(("sexual_content" in kinds) is not stands_in, "what scores is not one")
    for name, content in bundle.files.items():
        pinned = said["files"][name]["sha256"]
        check_no_release(hashlib.sha256(content).hexdigest() == pinned, "a file that is not pinned")
    for view in bundle.every:
        alone = [test for test in bundle.self_tests if test.views == (view.name,)]
        low = [test for test in bundle.self_tests if view.name in test.views]
        check_no_release(any(test.sexual_min >= 0.5 for test in alone), "nothing shows it can see")
        check_no_release(any(test.sexual_max <= 0.5 for test in low), "nothing shows it can clear")
    check(isinstance(bundle.version, int) and bundle.version >= 1, "a version that is none")


def _agree(bundle: VerifiedBundle, manifest: Manifest) -> None:
    """Two read the manifest: what checks it, and what then makes a bundle of the same bytes."""
    for said, checked in (
        (bundle.id, manifest.id),
        (bundle.version, manifest.version),
        (bundle.purpose, manifest.purpose),
        (bundle.counts_people, manifest.counts_people),
        (bundle.age_from, manifest.thresholds.age_from),
        (bundle.calibration.status, manifest.calibration.status),
        (bundle.calibration.points, manifest.calibration.points),
        ([(v.name, v.kind) for v in bundle.every], _views(manifest.views.every)),
        ([(v.name, v.kind) for v in bundle.in_turn], _views(manifest.views.in_turn)),
        (
            [(d.kind, dict(d.files)) for d in bundle.detectors],
            [(d.kind, d.files) for d in manifest.detectors],
        ),
        (
            [(t.file, t.views, t.sexual_min, t.sexual_max) for t in bundle.self_tests],
            [(t.file, t.views, t.sexual_min, t.sexual_max) for t in manifest.self_tests],
        ),
    ):
        check_no_release(said == checked, "a bundle that is not what was checked")


def _views(views: tuple[View, ...]) -> list[tuple[str, str]]:
    return [(view.name, view.kind) for view in views]


def seeds() -> tuple[bytes, ...]:
    """The shipped manifests, pinning bytes that are at hand in place of networks."""
    made = []
    for raw in _shipped():
        said = json.loads(raw)
        for name, file in said["files"].items():
            content = _files()[name]
            file["sha256"], file["bytes"] = hashlib.sha256(content).hexdigest(), len(content)
        made.append(json.dumps(said, indent=1).encode())
    return tuple(made)


TARGET = Target(
    run,
    seeds,
    words=tuple(
        b'"test" "prevent-livestreamed-child-sexual-abuse" "purpose" "counts_people" "every" '
        b'"in_turn" "face_in_view" "sexual_content" "age" "reference" "whole" "points" "age_from" '
        b'"sexual_min" "sexual_max" "2020-01-01" 1000 999 0.49 0.51 0.21 "judge_until"'.split()
    ),
    pieces=2500,
    max_len=32_768,
)  # fmt: skip
