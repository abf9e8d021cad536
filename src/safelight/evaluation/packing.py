"""Makes the evidence pack: runs what it reports, and types in no number."""

from __future__ import annotations

import datetime
import os
import platform
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeVar

import safelight
from safelight.evaluation import (
    calibrating,
    evaluating,
    evaluation,
    figures,
    live,
    own_corpora,
    protocol,
    robustness,
    statistics,
)
from safelight.evaluation.evaluating import Plan
from safelight.evaluation.evaluation import Evaluation
from safelight.evaluation.figures import Figure
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Corpus
from safelight.evaluation.pack import (
    BundleCard,
    CalibrationShown,
    Curves,
    ModelCard,
    Pack,
    Product,
    Provenance,
    Section,
    Statements,
    Timing,
)

Tell = Callable[[str, int, int], None]
T = TypeVar("T")
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What pack is wanted. ``media`` None: no clips, so what needs them is "not measured"."""

    media: Path | None
    owner: str | None = None
    jobs: int = 1
    quick: bool = False

    @property
    def command(self) -> str:
        """The line that makes the pack again."""
        words = "safelight evidence --out DIR"
        words += " --media MEDIA" if self.media is not None else ""
        return words + (" --quick" if self.quick else "")


def make(wish: Wish, tell: Tell) -> Pack:
    """Run everything and return the pack.

    Raises:
        SafelightError: something could not be run.
    """
    took: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.monotonic()
        value = work()
        took[name] = round(time.monotonic() - began, 2)
        return value

    def run(name: str, corpus: Corpus, folder: Path, *, stand_in: bool = False) -> Evaluation:
        setup = Setup(
            seed=SEED,
            bundle=str(safelight.stand_in_folder("face")) if stand_in else None,
            test_bundle=stand_in,
        )
        plan = Plan(corpus, folder, setup, jobs=wish.jobs)
        ran = timed(name, lambda: evaluating.run(plan, lambda done, total: tell(name, done, total)))
        return evaluation.of(ran, wish.command)

    nowhere = Path()
    ordinary = (
        run("ordinary", _some(own_corpora.ordinary(), wish), wish.media) if wish.media else None
    )
    canaries = run("canaries", own_corpora.canaries(quick=wish.quick), nowhere)
    standing = (
        run("stand-in", own_corpora.stand_in(quick=wish.quick), wish.media, stand_in=True)
        if wish.media
        else None
    )
    robust = None
    if wish.media is not None:
        media = wish.media
        robust = timed(
            "robustness",
            lambda: robustness.measure(
                media,
                wish.command,
                jobs=wish.jobs,
                quick=wish.quick,
                tell=lambda done, total: tell("robustness", done, total),
            ),
        )
    lived = timed("live", lambda: live.measure(seconds=3.0 if wish.quick else 10.0))
    results = {"ordinary": ordinary, "canaries": canaries, "stand-in": standing}
    done = {name: result for name, result in results.items() if result is not None}
    leaks = sum(int(r.figure("system_leaks").value or 0) for r in done.values())
    bound = sum(int(r.figure("gate_leaks").value or 0) for r in done.values())
    if robust is not None:
        leaks += sum(row.system_leaks for row in robust.rows)
        leaks += sum(attack.system_leaks for attack in robust.attacks)
        bound += sum(row.gate_leaks for row in robust.rows)
    policy = safelight.verify_policy("protect")
    return Pack(
        product=Product(
            name="Safelight",
            version=safelight.__version__,
            build=protocol.build(),
            licence="Apache-2.0",
        ),
        bundle=bundle_card(),
        statements=statements(),
        owner=wish.owner or statements().accountable_owner,
        system_leaks=leaks,
        gate_leaks=bound,
        headline=_headline(ordinary, canaries),
        hours_for_budget=statistics.event_free_for(policy.false_interruptions_per_100h / 100),
        sections=tuple(section(name, result) for name, result in done.items()),
        robustness=robust,
        calibration=_calibration(wish),
        curves=_curves(ordinary, canaries),
        quick=wish.quick,
        timing=Timing(
            made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            cores=os.cpu_count() or 1,
            command=wish.command,
            wall_s=took,
            live=lived,
            judged={
                name: result.timing.model_dump(include={"judged", "still", "bracketed"})
                for name, result in done.items()
            },
        ),
    )


def _calibration(wish: Wish) -> CalibrationShown:
    fitted = calibrating.fit(calibrating.made_up(), "logistic")
    return CalibrationShown(
        says="Fitted to score traces made up by chance, with no picture at all: it shows that"
        " fitting works, nothing about any detector. The default bundle stays uncalibrated.",
        command=wish.command,
        method=fitted.method,
        points=fitted.points,
        before=fitted.before,
        after=fitted.after,
        figures=fitted.figures,
    )


def _some(corpus: Corpus, wish: Wish) -> Corpus:
    return corpus if not wish.quick else corpus.model_copy(update={"items": corpus.items[:3]})


_OF_ORDINARY: Final = {
    "false_interruptions_per_hour",
    "benign_items_covered_per_hour",
    "false_cover_s_per_hour",
    "availability",
    "misses.real",
}
_SAYS: Final = {
    "ordinary": (
        "Ordinary video",
        "Nothing here must be covered, so every cover is a false one. The clips are minutes long"
        " and hold few people: the intervals are wide, and say so.",
    ),
    "canaries": (
        "Canaries: does anything leak",
        "A canary is a harmless drawing, changed a little so that the real network calls it"
        " sexual. It measures the system (leaks, delays), never how much real content is found.",
    ),
    "stand-in": (
        "A stand-in, with people",
        "A face in view takes the place of what must be covered, so that the whole system runs"
        " on people who move. What it misses is faces that its face finder misses. Says nothing"
        " about recall of sexual content.",
    ),
}


def section(name: str, result: Evaluation) -> Section:
    """Return the part of the pack that one evaluation fills."""
    title, says = _SAYS[name]
    # Its detector answers 0 or 1, so curves and ages of a stand-in mean nothing.
    alone = () if name == "stand-in" else (*result.detector, *result.ages)
    # Seconds of drawings beside the ordinary clips would only make noise of these.
    system = [f for f in result.system if name == "ordinary" or f.id not in _OF_ORDINARY]
    return Section(
        id=name,
        title=title,
        says=says,
        command=result.command,
        provenance=Provenance(**result.corpus.model_dump(exclude={"purpose"})),
        protocol=result.protocol,
        protocol_sha256=result.protocol_sha256,
        post_hoc=result.post_hoc,
        figures=(*system, *alone),
        groups=result.groups,
        faults=result.faults,
    )


def _headline(ordinary: Evaluation | None, canaries: Evaluation) -> tuple[Figure, ...]:
    found = [canaries.figure("time_to_cover_s.canary"), canaries.figure("missed_spans.canary")]
    if ordinary is None:
        no = "no clips were given (--media)"
        names = ("false_interruptions_per_hour", "false_cover_s_per_hour")
        return (*(figures.unmeasured(n, n.replace("_", " "), no) for n in names), *found)
    return (
        ordinary.figure("false_interruptions_per_hour"),
        ordinary.figure("false_cover_s_per_hour"),
        *found,
    )


def _curves(ordinary: Evaluation | None, canaries: Evaluation) -> Curves:
    """False alarms are of the ordinary clips, delays of the canaries, limit by limit."""
    delays = {point.limit_nats: point for point in canaries.curves.trade_off}
    joined = tuple(
        point.model_copy(
            update={
                "delay_s": delays[point.limit_nats].delay_s,
                "reached": delays[point.limit_nats].reached,
                "positives": delays[point.limit_nats].positives,
            }
        )
        for point in (ordinary.curves.trade_off if ordinary is not None else ())
        if point.limit_nats in delays
    )
    return Curves(
        trade_off=joined, reliability=canaries.curves.reliability, roc=canaries.curves.roc
    )


def statements() -> Statements:
    """Return what the pack says in words."""
    text = (files("safelight.evaluation") / "statements.toml").read_text("utf-8")
    return Statements.model_validate(tomllib.loads(text))


def bundle_card() -> BundleCard:
    """Return what the default bundle says of itself, model by model."""
    folder = safelight.default_folder()
    manifest = safelight.describe(folder)
    verified = safelight.verify_bundle(folder)
    models = tuple(
        ModelCard(
            kind=detector.kind,
            files=tuple(detector.files.values()),
            sha256=tuple(manifest.files[name].sha256 for name in detector.files.values()),
            licences=tuple(manifest.licences[name] for name in detector.files.values()),
            provenance=tuple(manifest.provenance[name] for name in detector.files.values()),
            preprocessing=detector.preprocessing,
            labels=", ".join(detector.labels[:4]) + (" …" if len(detector.labels) > 4 else ""),
            intended_use=manifest.intended_use,
            limits=manifest.known_limits,
        )
        for detector in manifest.detectors
    )
    return BundleCard(
        id=manifest.id,
        version=manifest.version,
        sha256=verified.sha256,
        title=manifest.title,
        purpose=manifest.purpose,
        intended_use=manifest.intended_use,
        known_limits=manifest.known_limits,
        calibration=f"{manifest.calibration.status}: {manifest.calibration.source}",
        models=models,
    )
