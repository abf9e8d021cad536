"""The demo shows what it says, by what it wrote, and would say so if it leaked."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.running import lines, run, started, until

from safelight import messages
from safelight.core import card
from safelight.testing import canary, scenes
from safelight.testing.checking import Check, check
from safelight.testing.film import Shown
from safelight.types import Picture

SIZE = (320, 180)
TEXT = messages.card_text(messages.Face.REMOTE, None, test=False)
SCENE = scenes.picture_from_rgb(scenes.scene(0.0, SIZE))
CANARY = scenes.picture_from_rgb(canary.moving(0.0, SIZE))
CARD = card.draw(SCENE.format, TEXT)


def looked(*pairs: tuple[Picture, Picture, bool]) -> Check:
    """What is found when each first picture went in and the second came out."""
    nothing = np.zeros((1, 1, 3), np.uint8)
    film = [Shown(float(i), out.y, nothing) for i, (_, out, _) in enumerate(pairs)]
    return check(
        film, lambda at: (pairs[int(at)][0], pairs[int(at)][2]), TEXT, lambda _shown, _card: None
    )


def test_a_canary_that_left_is_found() -> None:
    found = looked((SCENE, SCENE, False), (CANARY, CANARY, True))
    assert (found.benign, found.canaries) == (1, 1)
    assert not found.clean


def test_a_card_in_its_place_is_clean() -> None:
    found = looked((SCENE, SCENE, False), (CANARY, CARD, True), (SCENE, CARD, False))
    assert found == Check(pictures=3, benign=1, cards=2)
    assert found.clean


def test_what_is_neither_is_no_proof() -> None:
    """Absence is never permission: a picture that nobody can account for is a fault."""
    strange = scenes.picture_from_rgb(scenes.cup(SIZE))
    assert looked((SCENE, strange, False)).unknown == 1
    assert not looked((SCENE, strange, False)).clean
    assert not looked().clean


def test_a_canary_that_left_at_another_time_is_found() -> None:
    assert not looked((SCENE, CANARY, False)).clean


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    done = run("demo", "--out", "shown", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    folder = tmp_path / "shown"
    assert {path.name for path in folder.iterdir()} == {
        "guarded.mp4",
        "side-by-side.mp4",
        "picture.png",
        "report.json",
    }
    assert "0 canary frames left" in done.stdout
    assert "Paused" in done.stdout
    assert "Interrupted" in done.stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["frames"]["unjudged_released"] == 0
    assert report["muted_s"] > 0
    with Image.open(folder / "picture.png") as picture:
        assert picture.width > 1000
    assert not (tmp_path / "state-home").exists(), "the demo began its user's cool-down"


@pytest.mark.slow
def test_a_demo_that_is_cut_short_leaves_nothing_that_looks_checked(tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "guarded.mp4").write_text("an earlier one")
    with started("demo", "--out", "shown", cwd=tmp_path) as demo:
        until(lambda: any((tmp_path / "shown").glob(".demo-*/*guarded.mp4*")))
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert len(lines(err)) == 1
    assert [path.name for path in (tmp_path / "shown").iterdir()] == ["guarded.mp4"]
    assert (tmp_path / "shown" / "guarded.mp4").read_text() == "an earlier one"
