"""The form of the evidence pack: ``pack.json``, JSON Schema in spec/evidence.schema.json."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from safelight.evaluation.checking import Fault
from safelight.evaluation.detector_figures import Curve
from safelight.evaluation.figures import Figure, Part
from safelight.evaluation.protocol import Changed, Protocol
from safelight.evaluation.trade_off import Point


class Product(Part):
    """What was measured. ``build``: SHA-256 over the package's own source files."""

    name: str
    version: str
    build: str
    licence: str


class ModelCard(Part):
    """One model of the bundle."""

    kind: str
    files: tuple[str, ...]
    sha256: tuple[str, ...]
    licences: tuple[str, ...]
    provenance: tuple[str, ...]
    preprocessing: str
    labels: str
    intended_use: str
    limits: tuple[str, ...]


class BundleCard(Part):
    """The bundle that judged, and its models."""

    id: str
    version: int
    sha256: str
    title: str
    purpose: str
    intended_use: str
    known_limits: tuple[str, ...]
    calibration: str
    models: tuple[ModelCard, ...]


class Surface(Part):
    """Where live video passes, and who is at its ends."""

    name: str
    state: str
    topology: str


class Harm(Part):
    """A kind of illegal harm, in the terms of Ofcom's risk assessment."""

    kind: str
    addressed: str


class RiskStep(Part):
    """A step of Ofcom's illegal content risk assessment, and what this pack gives to it."""

    step: str
    gives: str


class DataFlow(Part):
    """What goes where, and what of it is kept."""

    what: str
    path: str
    kept: str


class Criterion(Part):
    """A measure that the Safety Tech Challenge Fund's evaluation looked for."""

    area: str
    measure: str
    present: Literal["yes", "partly", "no"]
    where: str


class Published(Part):
    """What others say of theirs: self-reported, not comparable."""

    who: str
    says: str


class Statements(Part):
    """What the pack says in words (statements.toml)."""

    intended_use: str
    prohibited_use: tuple[str, ...]
    accountable_owner: str
    calibration_status: str
    reviewed: str
    surfaces: tuple[Surface, ...]
    harms: tuple[Harm, ...]
    risk_steps: tuple[RiskStep, ...]
    data_flows: tuple[DataFlow, ...]
    retention: str
    network_egress: str
    failure_modes: tuple[str, ...]
    known_limitations: tuple[str, ...]
    published: tuple[Published, ...]
    criteria: tuple[Criterion, ...]


class Provenance(Part):
    """A corpus that was used."""

    id: str
    title: str
    provenance: str
    items: int
    used: int
    clusters: int


class Section(Part):
    """Figures that one command made, and what a reader has to know of them."""

    id: str
    title: str
    says: str
    command: str
    provenance: Provenance | None
    protocol: Protocol | None
    protocol_sha256: str | None
    post_hoc: tuple[Changed, ...]
    figures: tuple[Figure, ...]
    groups: tuple[Figure, ...]
    faults: tuple[Fault, ...]


class Cell(Part):
    """One transform at one severity: how many of the clean pictures' findings remain."""

    transform: str
    severity: int
    pictures: int
    found: int
    recall: float


class RobustnessRow(Part):
    """One transform over all severities."""

    transform: str
    family: str
    recall_mean: float
    recall_worst: float
    system_leaks: int
    gate_leaks: int
    guarded_pictures: int
    false_covers: int
    benign_pictures: int


class Attack(Part):
    """An attack on the gate, on resizing or on the network, and what came of it.

    ``system_leaks``: pictures that left without, or against, a verdict meanwhile.
    """

    id: str
    what: str
    result: str
    bad: bool
    system_leaks: int = 0


class Robustness(Part):
    """What altered pictures do, with harmless stand-ins."""

    says: str
    command: str
    clean_found: int
    clean_pictures: int
    figures: tuple[Figure, ...]
    rows: tuple[RobustnessRow, ...]
    cells: tuple[Cell, ...]
    attacks: tuple[Attack, ...]


class CalibrationShown(Part):
    """That a calibration can be fitted, on harmless data."""

    says: str
    command: str
    method: str
    points: tuple[tuple[int, int], ...]
    before: Curve | None
    after: Curve | None
    figures: tuple[Figure, ...]


class Curves(Part):
    """Points of the plots."""

    trade_off: tuple[Point, ...]
    reliability: Curve | None
    roc: Curve | None


class Timing(Part):
    """All that differs from run to run and from machine to machine."""

    made: str
    machine: str
    cores: int
    command: str
    wall_s: dict[str, float]
    live: tuple[Figure, ...]
    judged: dict[str, dict[str, float]]


class Pack(Part):
    """The evidence pack. Outside ``timing`` two runs of one build give the same."""

    schema_: Literal["safelight.evidence/1"] = Field(alias="schema", default="safelight.evidence/1")
    product: Product
    bundle: BundleCard
    statements: Statements
    owner: str
    misses: Literal["not measured"] = "not measured"
    system_leaks: int
    gate_leaks: int
    headline: tuple[Figure, ...]
    hours_for_budget: float
    sections: tuple[Section, ...]
    robustness: Robustness | None
    calibration: CalibrationShown | None
    curves: Curves
    quick: bool
    timing: Timing

    def as_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"

    def section(self, id_: str) -> Section | None:
        """Return a section by its id, None where it was not run."""
        return next((section for section in self.sections if section.id == id_), None)
