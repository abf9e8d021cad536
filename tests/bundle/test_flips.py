"""Promise 6 against damage: whatever bit of a bundle is flipped, nothing changes what judges."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.bundle import flips
from tests.bundle.rehearsal import Rehearsal, judging

from safelight.bundle import trust, update


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A pulled stand-in, whose chain of roots is two long."""
    theirs = Rehearsal(tmp_path)
    theirs.next_root()
    theirs.offer(2)
    update.pull(str(theirs.path), tmp_path / "place", test=True)
    return tmp_path / "place"


def test_no_flipped_bit_changes_what_judges(place: Path) -> None:
    before = judging(place)
    tally = flips.flip(place, 400, seed=1)
    assert tally.changed == []
    assert tally.refused + tally.same == 400
    assert tally.refused > 300
    assert judging(place) == before
    assert {name.rpartition("/")[2] for name in tally.files} == {
        "current",
        "manifest.json",
        "face.png",
        "no_face.png",
        "2.root.json",
        "targets.json",
    }


@pytest.mark.slow
def test_no_flipped_bit_changes_the_default_bundle(tmp_path: Path) -> None:
    place = shutil.copytree(trust.default_folder(), tmp_path / "default")
    tally = flips.flip(place, 60, seed=2)
    assert tally.changed == []
    assert len(tally.files) == 7  # four of them in packages


def test_a_change_would_be_seen(place: Path) -> None:
    """The test above can fail: two bundles that differ are told apart."""
    one = trust.verify(place, allow_test=True, today=flips.TODAY)
    other = trust.verify(trust.stand_in_folder("face"), allow_test=True, today=flips.TODAY)
    assert not flips.same(one, other)
