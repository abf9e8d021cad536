"""What altered pictures do to the detectors and to the whole guard, with harmless stand-ins.

Recall here is that of a face finder relative to clean pictures: it says nothing about recall
of sexual content.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

import safelight
from safelight.evaluation import attacks, figures, guarding, own_corpora
from safelight.evaluation.figures import Figure
from safelight.evaluation.guarding import CountingSink, Setup
from safelight.evaluation.manifest import Span
from safelight.evaluation.pack import Cell, Robustness, RobustnessRow
from safelight.evaluation.transforms import ALL, SEVERITIES, Transform
from safelight.evaluation.transforms_geometry import resized
from safelight.evaluation_door import Looker, covers, pictures_of
from safelight.testing import scenes
from safelight.testing.drawings import Rgb
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.film import rgb_of
from safelight.types import Picture

SAYS: Final = (
    "{ways} ways to alter a picture, five severities each. A stand-in (a face in view) takes"
    " the place of what must be found, on the clips of adults signing; it says nothing about"
    " recall of sexual content. System leaks: pictures that the whole guard let out without, or"
    " against, a verdict. Gate leaks: pictures that it let out bound to clear ones although their"
    " own score covers them. False covers: altered benign pictures that the default bundle would"
    " cover."
)
SIZE: Final = (400, 300)
_HEAD: Final = (slice(0, 300), slice(120, 520))  # of 640 x 480: where the signers' heads are
_LENGTH: Final = 8
_LOOKED_AT: Final = (1, 4, 7)
_GUARDED: Final = (2, 4)
_REOPEN: Final = 33  # pictures at 30 a second: a cover lifts after a clear second
Tell = Callable[[int, int], None]
Films = Sequence[Sequence[Rgb]]


@dataclass(frozen=True, slots=True)
class Made:
    """One transform: its row, its cells, and what was found of each film."""

    row: RobustnessRow
    cells: tuple[Cell, ...]
    found_by_film: tuple[int, ...]


def measure(media: Path, command: str, *, jobs: int, quick: bool, tell: Tell) -> Robustness:
    """Alter, look and guard; return the whole table.

    Raises:
        SafelightError: a clip or a guard cannot be used.
    """
    shown = films(media)[: 1 if quick else None]
    todo = ALL[::8] if quick else ALL
    own = threading.local()

    def lookers() -> tuple[Looker, Looker]:
        # The stand-in's and the default bundle's. They serve one thread each.
        if not hasattr(own, "lookers"):
            folder = safelight.stand_in_folder("face")
            stand_in = Looker(safelight.verify_bundle(folder, test_bundle=True))
            own.lookers = (stand_in, Looker(safelight.verify_bundle()))
        kept: tuple[Looker, Looker] = own.lookers
        return kept

    clean = [[_found(lookers()[0], film[i]) for i in _LOOKED_AT] for film in shown]
    done = 0

    def work(transform: Transform) -> Made:
        nonlocal done
        made = one(transform, shown, clean, lookers())
        done += 1
        tell(done, len(todo))
        return made

    tell(0, len(todo))
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        made = list(pool.map(work, todo))
    cells = tuple(cell for one in made for cell in one.cells)
    total = sum(sum(row) for row in clean)
    return Robustness(
        says=SAYS.format(ways=len(todo)),
        command=command,
        clean_found=total,
        clean_pictures=sum(len(row) for row in clean),
        figures=_summary(made, cells, total, sum(len(row) for row in clean)),
        rows=tuple(one.row for one in made),
        cells=cells,
        attacks=attacks.run(quick=quick),
    )


def films(media: Path) -> list[list[Rgb]]:
    """Return a few neighbouring pictures of each signer: head and shoulders, 400 x 300."""
    seen: set[str] = set()
    found = []
    for item in own_corpora.ordinary().items:
        if item.file is None or not item.cluster.startswith("signer") or item.cluster in seen:
            continue
        seen.add(item.cluster)
        film: list[Rgb] = []
        for _, picture in pictures_of(media / item.file):
            film.append(resized(np.ascontiguousarray(rgb_of(picture)[_HEAD]), *SIZE))
            if len(film) == _LENGTH:
                break
        found.append(film)
    return found


def one(
    transform: Transform, shown: Films, clean: list[list[bool]], lookers: tuple[Looker, Looker]
) -> Made:
    """Alter, look and guard. ``clean``: what is found of each film unaltered."""
    setup = Setup(bundle=str(safelight.stand_in_folder("face")), test_bundle=True)
    looker, default = lookers
    total = sum(sum(row) for row in clean)
    cells, by_film, false_covers, benign = [], [0] * len(shown), 0, 0
    for severity in SEVERITIES:
        found = 0
        for number, film in enumerate(shown):
            altered = transform.some(film, severity, _LOOKED_AT)
            hits = [
                was and _found(looker, picture)
                for was, picture in zip(clean[number], altered, strict=True)
            ]
            found += sum(hits)
            by_film[number] += sum(hits)
            score = default.look(scenes.picture_from_rgb(altered[0])).sexual
            false_covers += score is None or covers("protect", score)
            benign += 1
        cells.append(
            Cell(
                transform=transform.name,
                severity=severity,
                pictures=total,
                found=found,
                recall=round(found / total, 6) if total else 0.0,
            )
        )
    leaks, bound, pictures = _guarded(transform, shown[0], setup, looker)
    recalls = [cell.recall for cell in cells]
    row = RobustnessRow(
        transform=transform.name,
        family=transform.family,
        recall_mean=round(sum(recalls) / len(recalls), 6),
        recall_worst=min(recalls),
        system_leaks=leaks,
        gate_leaks=bound,
        guarded_pictures=pictures,
        false_covers=false_covers,
        benign_pictures=benign,
    )
    return Made(row, tuple(cells), tuple(by_film))


def _guarded(
    transform: Transform, film: Sequence[Rgb], setup: Setup, looker: Looker
) -> tuple[int, int, int]:
    """Guard a street into which the altered film is cut, twice.

    Returns:
        System leaks, gate leaks, pictures.
    """
    street = _street()
    pictures: list[Picture] = []
    for severity in _GUARDED:
        pictures += street
        pictures += [scenes.picture_from_rgb(rgb) for rgb in transform(film, severity)]
    sink = CountingSink((Span(from_s=0.0, to_s=1e9),), setup.policy, looker)
    report = guarding.through(DrawnSource(pictures), sink, setup)
    return sink.leaked + report.frames.unjudged_released, sink.bound, len(pictures)


@lru_cache(maxsize=1)
def _street() -> list[Picture]:
    return [scenes.picture_from_rgb(scenes.scene(i / 30, SIZE)) for i in range(_REOPEN)]


def _found(looker: Looker, rgb: Rgb) -> bool:
    score = looker.look(scenes.picture_from_rgb(rgb)).sexual
    return score is not None and score >= 0.5


def _summary(
    made: Sequence[Made], cells: Sequence[Cell], clean: int, pictures: int
) -> tuple[Figure, ...]:
    n = len(cells)
    dead = sum(cell.recall == 0 for cell in cells)
    benign = sum(one.row.benign_pictures for one in made)
    guarded = sum(one.row.guarded_pictures for one in made)
    people = len(made[0].found_by_film)
    return (
        figures.plain(
            "clean_found", "clean pictures in which a face is found", clean, pictures, "pictures"
        ),
        figures.clustered(
            "recall_mean",
            "mean recall relative to clean, over all transforms and severities",
            sum(cell.recall for cell in cells) / n,
            n * clean,
            "altered pictures",
            clusters=people,
            found=None,
        ),
        figures.plain(
            "recall_worst",
            "worst recall relative to clean, of one transform at one severity",
            min(cell.recall for cell in cells),
            clean,
            "pictures",
            note=f"It is 0 in {dead} of {n} such cells.",
        ),
        figures.plain(
            "robustness_leaks",
            "system leaks, all transforms",
            sum(one.row.system_leaks for one in made),
            guarded,
            "guarded pictures",
            note="It must be 0.",
        ),
        figures.plain(
            "robustness_gate_leaks",
            "gate leaks, all transforms: pictures let out as bracketed or still that their own"
            " score covers",
            sum(one.row.gate_leaks for one in made),
            guarded,
            "guarded pictures",
            note="A detector that flickers from picture to picture makes them.",
        ),
        figures.clustered(
            "robustness_false_covers",
            "false covers: share of altered benign pictures that the default bundle covers",
            sum(one.row.false_covers for one in made) / benign if benign else float("nan"),
            benign,
            "altered pictures",
            clusters=people,
            found=None,
            note="One picture a person and cell, so these are not independent.",
        ),
    )
