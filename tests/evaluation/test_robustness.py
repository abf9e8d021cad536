"""Attacks and alterations are run for real, and reported as they come out."""

from __future__ import annotations

from pathlib import Path

import pytest

import safelight
from safelight.errors import SourceError
from safelight.evaluation import attacks, robustness, transforms
from safelight.evaluation_door import Looker

pytestmark = pytest.mark.slow


def test_white_box_is_reported_as_it_is_and_scaling_is_withstood() -> None:
    found = {attack.id: attack for attack in attacks.run(quick=True)}
    assert found["white_box"].bad
    assert found["white_box"].result.startswith("5 of 5 drawings are covered afterwards, 0 before")
    assert not found["scaling"].bad
    assert [attack.system_leaks for attack in found.values()] == [0, 0, 0]
    assert "through strided sampling it is not covered" in found["scaling"].result


def test_one_alteration_through_detectors_and_guard(media: Path) -> None:
    shown = robustness.films(media)
    assert len(shown) == 4, "one film a signer"
    stand_in = Looker(safelight.verify_bundle(safelight.stand_in_folder("face"), test_bundle=True))
    default = Looker(safelight.verify_bundle())
    made = robustness.one(
        transforms.named("grey"), shown[:1], [[True, True, True]], (stand_in, default)
    )
    assert [cell.severity for cell in made.cells] == [1, 2, 3, 4, 5]
    assert made.row.recall_mean == 1.0
    assert made.row.system_leaks == 0
    blind = robustness.one(
        transforms.named("zoom out"), shown[:1], [[True, True, True]], (stand_in, default)
    )
    assert blind.row.recall_worst == 0.0
    assert blind.row.system_leaks == 0


def test_without_the_clips_there_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        robustness.films(tmp_path)
