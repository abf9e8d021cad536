"""Forty ways to alter a picture, five severities each: all there, all different, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from safelight.evaluation import contact_sheet, transforms
from safelight.evaluation.transforms import ALL, SEVERITIES, Transform
from safelight.testing import scenes
from safelight.testing.drawings import Rgb

FILM = [scenes.scene(i / 5, (160, 120)) for i in range(6)]
FAMILIES = {"geometry", "light", "optics", "sensor", "re-capture", "codec", "overlay"}


def change(film: list[Rgb]) -> float:
    pairs = zip(film, FILM, strict=True)
    return float(np.mean([np.abs(a.astype(int) - b.astype(int)).mean() for a, b in pairs]))


def test_there_are_forty_in_every_family() -> None:
    assert len(ALL) >= 40
    assert len({transform.name for transform in ALL}) == len(ALL)
    assert {transform.family for transform in ALL} == FAMILIES
    asked = ["crop", "mirror", "rotate", "letterbox", "dark", "bright", "grey", "noise", "banding"]
    asked += ["moire", "perspective", "blocks", "text", "stickers", "bars", "tiles", "flicker"]
    asked += ["picture in picture", "zoom out", "colour cast", "night vision", "motion blur"]
    asked += ["dirty lens", "filmed screen", "low bitrate", "frame loss", "low frame rate"]
    assert set(asked) <= {transform.name for transform in ALL}


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.name)
def test_each_keeps_size_repeats_itself_and_grows(transform: Transform) -> None:
    before = [picture.copy() for picture in FILM]
    made = {severity: transform(FILM, severity) for severity in SEVERITIES}
    assert all(np.array_equal(a, b) for a, b in zip(before, FILM, strict=True)), (
        "it wrote on its input"
    )
    for film in made.values():
        assert [(p.shape, str(p.dtype)) for p in film] == [((120, 160, 3), "uint8")] * 6
    again = transform(FILM, 3)
    assert all(np.array_equal(a, b) for a, b in zip(made[3], again, strict=True))
    assert change(made[5]) > 0
    if transform.name != "tiles":  # shuffled is shuffled, in however many pieces
        assert change(made[5]) >= change(made[1])
    # What is made of some pictures is what is made of all.
    some = transform.some(FILM, 2, (1, 4))
    assert all(np.array_equal(a, made[2][i]) for a, i in zip(some, (1, 4), strict=True))


def test_an_unknown_severity_or_name_is_refused() -> None:
    with pytest.raises(ValueError, match="severity"):
        ALL[0](FILM, 6)
    with pytest.raises(KeyError):
        transforms.named("beautify")


def test_one_that_changes_the_size_is_refused() -> None:
    short = Transform("short", "geometry", lambda film, _: list(film[1:]))
    with pytest.raises(ValueError, match="size or number"):
        short(FILM, 1)


def test_the_sheet_shows_them_all() -> None:
    sheet = contact_sheet.draw()
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] > 1500
    # White is what is between the cells; there is far more that is not.
    assert (sheet < 250).any(axis=2).mean() > 0.5
