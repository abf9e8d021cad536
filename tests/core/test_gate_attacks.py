"""Nothing gets past the gate that every-frame judging would have stopped (promise 1).

Each attack runs twice, once with the gate and once with every frame judged, and what leaves
must be the same, frame by frame. The scores are the real network's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.core.attacks import (
    FPS,
    HOLD_FRAMES,
    LIVE,
    PATIENT,
    SIZE,
    EveryFrame,
    Film,
    Outcome,
    at_strength,
    mix,
    pair,
    play,
    shown,
    strengths,
)

from safelight.core.limits import Limits
from safelight.testing import canary, scenes
from safelight.types import Picture

pytestmark = pytest.mark.slow

NAMES = canary.names()
CLEAN = [0.0] * FPS


def same(film: Film, limits: Limits = PATIENT) -> Outcome:
    """Play a film both ways; what leaves must be the same."""
    gated = play(film, limits)
    are_the_same(film, gated, play(film, limits, EveryFrame()))
    return gated


def are_the_same(film: Film, gated: Outcome, judged: Outcome) -> None:
    assert gated.past_the_limit == []
    differing = [
        (seq, film[seq][1])
        for seq, (a, b) in enumerate(zip(gated.released, judged.released, strict=True))
        if a != b
    ]
    assert differing == []
    assert any(gated.released), "a film that never opens shows nothing"


@pytest.mark.parametrize("name", NAMES)
def test_a_slow_fade_in_over_ten_seconds(name: str) -> None:
    fade = [frame / (10 * FPS) for frame in range(10 * FPS + 1)]
    gated = same(strengths(name, [*CLEAN, *fade]))
    assert gated.judged_share < 0.9, "a gate that lets everything be judged proves nothing"


@pytest.mark.parametrize("seconds", [0.3, 1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_quicker_fade_in_and_out(name: str, seconds: float) -> None:
    count = round(seconds * FPS)
    up = [frame / count for frame in range(count + 1)]
    same(strengths(name, [*CLEAN, *up, *reversed(up), *CLEAN]))


@pytest.mark.parametrize("limits", [PATIENT, LIVE], ids=["file", "live"])
@pytest.mark.parametrize("name", NAMES)
def test_a_canary_for_one_frame_up_to_a_hold_in_its_own_clean_card(
    name: str, limits: Limits
) -> None:
    film: Film = []
    for count in range(1, HOLD_FRAMES + 2):
        film += strengths(name, [*CLEAN, *[1.0] * count])
        film += strengths(name, [0.0] * (FPS + count))  # every place in a bracket comes up
    same(film + strengths(name, CLEAN), limits)


@pytest.mark.parametrize("name", NAMES)
def test_a_weak_canary_for_a_few_frames(name: str) -> None:
    """Down to the strength at which the network stops calling it sexual."""
    for thousandths in (200, 225, 250, 300, 350, 400, 500, 700):
        share = thousandths / 1000
        film = strengths(name, [*CLEAN, *[share] * 3, *CLEAN, *[share] * HOLD_FRAMES, *CLEAN])
        same(film)


@pytest.mark.parametrize("apart", range(1, 10))
def test_interleaved_frames(apart: int) -> None:
    """Every second, third, … frame: between them, and at the places that are not sampled."""
    one_in = [float(frame % (apart + 1) == 0) for frame in range(FPS)]
    all_but_one_in = [float(frame % (apart + 1) != 0) for frame in range(FPS)]
    same(strengths("cup", [*CLEAN, *one_in, *CLEAN, *all_but_one_in, *CLEAN]))


@pytest.mark.parametrize("period", range(2, 17))
def test_flicker_at_the_rate_of_sampling(period: int) -> None:
    """Half of each period clean, half of it not: also in step with the brackets' ends."""
    flicker = [0.35 * (frame % period >= period / 2) for frame in range(2 * FPS)]
    same(strengths("house", [*CLEAN, *flicker, *CLEAN]))


def test_another_scene_flashed_in_for_one_frame() -> None:
    scene = strengths("cup", CLEAN)
    for name in NAMES:
        scene += [at_strength(name, 1000), *strengths("cup", CLEAN)]
    same(scene)


def test_noise_raised_until_everything_changes() -> None:
    """Noise hides a fade in it: it costs judgements, and hides nothing."""
    clean, _ = pair("card")
    rng = np.random.default_rng(7)
    film = strengths("card", CLEAN)
    pictures = []
    for frame in range(2 * FPS):
        under, _ = at_strength("card", round(1000 * frame / (2 * FPS)))
        reach = frame // 5 + 1
        noise = rng.integers(-reach, reach + 1, under.y.shape)
        y = np.clip(under.y + noise, 0, 255).astype(np.uint8)
        pictures.append(Picture(clean.format, y, under.u, under.v))
    gated = same(film + shown(pictures))
    assert gated.log.asked > FPS


def moving_in(frames: int, place: Callable[[int], tuple[int, int, int, int]]) -> Film:
    """The canary of the cup in a part (left, top, width, height) of the street scene."""
    pictures = []
    for frame in range(frames):
        left, top, width, height = place(frame)
        rgb = scenes.scene(frame / FPS, SIZE).copy()
        if width > 1 and height > 1:
            rgb[top : top + height, left : left + width] = canary.at_size(
                canary.load("cup"), (width, height)
            )
        pictures.append(scenes.picture_from_rgb(rgb))
    return shown(pictures)


def test_a_growing_picture_in_picture() -> None:
    def place(frame: int) -> tuple[int, int, int, int]:
        share = max(0, frame - 20) / 100
        return 20, 10, round(SIZE[0] * 0.9 * share), round(SIZE[1] * 0.9 * share)

    film = moving_in(120, place)
    assert max(value for _, value in film) >= 0.5, "it shows the network nothing"
    same(film)


def test_a_drifting_crop() -> None:
    """The canary drifts into the frame from beside it."""
    wide, high = SIZE
    rgb = np.concatenate([scenes.scene(0.0, SIZE), canary.load("cup")], axis=1)
    pictures = [
        scenes.picture_from_rgb(np.ascontiguousarray(rgb[:, at : at + wide]))
        for at in (max(0, min(wide, 6 * (frame - 20))) for frame in range(130))
    ]
    assert pictures[0].y.shape == (high, wide)
    film = shown(pictures)
    assert max(value for _, value in film) >= 0.5
    same(film)


def raised(*turns: tuple[int, int, bool]) -> list[float]:
    """Strengths, frame by frame: a clean start, then steps and ramps to so many fortieths."""
    levels = [0.0] * 12
    for step, frames, ramp in turns:
        goal = step / 40
        start = levels[-1] if ramp else goal
        levels += [start + (goal - start) * (at + 1) / frames for at in range(frames)]
    return levels


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(NAMES),
    turns=st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 12), st.booleans()), min_size=1, max_size=12
    ),
)
# Found so, when half a level all over the picture was not too much for a bracket.
@example(name="card", turns=[(13, 5, True), (3, 12, True)])
def test_made_up_ways_of_raising_and_lowering_a_canary(
    name: str, turns: list[tuple[int, int, bool]]
) -> None:
    """Steps and ramps of any strength and length, in any order."""
    same(strengths(name, raised(*turns)))


def lit(picture: Picture, part: tuple[slice, slice], by: int) -> Picture:
    """Make a part of the luma brighter or darker: what moves is never still."""
    y = picture.y.astype(np.int16)
    y[part] += by
    return Picture(picture.format, np.clip(y, 0, 255).astype(np.uint8), picture.u, picture.v)


def stirred(picture: Picture, frame: int) -> Picture:
    """Have a band of a tenth of the picture move."""
    left = frame * 9 % (SIZE[0] - 64)
    return lit(picture, np.s_[:, left : left + 64], (frame % 5 - 2) * 6)


@pytest.mark.parametrize(
    ("name", "there", "peak"),
    [
        ("card", 0.2, 0.33),
        ("card", 0.26, 0.33),
        ("cup", 0.085, 0.205),
        ("cup", 0.135, 0.205),
        ("flower", 0.235, 0.355),
        ("flower", 0.305, 0.355),
        ("house", 0.195, 0.325),
        ("house", 0.245, 0.325),
    ],
)
def test_a_canary_that_was_there_all_along_and_grows_for_one_frame(
    name: str, there: float, peak: float
) -> None:
    """By half a level everywhere, over a scene that moves, from below a limit to above it."""
    levels = [0.0] * 12 + [there] * 15
    for more in (0, 3, 5):
        levels += [there] * (8 + more) + [peak] + [there] * 8
    film = shown(
        [
            stirred(at_strength(name, round(level * 1000))[0], frame)
            for frame, level in enumerate(levels)
        ]
    )
    assert max(value for _, value in film) >= 0.5, "it shows the network nothing"
    same(film)


def in_window(name: str, share: float, window: tuple[int, int, int, int]) -> Picture:
    """A canary in the part from left, top to right, bottom; beside it the clean drawing."""
    under, over = pair(name)[0], at_strength(name, round(share * 1000))[0]
    left, top, right, bottom = window
    planes = {}
    for plane, scale in (("y", 1), ("u", 2), ("v", 2)):
        whole = getattr(under, plane).copy()
        part = np.s_[top // scale : bottom // scale, left // scale : right // scale]
        whole[part] = getattr(over, plane)[part]
        planes[plane] = whole
    return Picture(under.format, planes["y"], planes["u"], planes["v"])


def in_bars(name: str, share: float, window: tuple[int, int, int, int]) -> Picture:
    """A canary shrunk into a part of the picture, black beside it."""
    left, top, right, bottom = window
    rgb = [np.zeros((SIZE[1], SIZE[0], 3), np.uint8) for _ in range(2)]
    for whole, drawn in zip(rgb, (canary.clean(name), canary.load(name)), strict=True):
        whole[top:bottom, left:right] = canary.at_size(drawn, (right - left, bottom - top))
    clean, changed = map(scenes.picture_from_rgb, rgb)
    return mix(clean, changed, share)


@pytest.mark.parametrize(
    ("make", "name", "there", "peak", "window"),
    [
        (in_window, "cup", 0.14, 0.28, (38, 22, 602, 338)),  # a border that stays
        (in_window, "flower", 0.30, 0.44, (38, 22, 602, 338)),
        (in_window, "cup", 0.10, 0.24, (0, 120, 640, 360)),  # the upper third stays
        (in_window, "house", 0.22, 0.36, (200, 0, 640, 360)),  # the left side
        (in_bars, "postcard", 0.34, 0.52, (140, 0, 500, 360)),
        (in_bars, "postcard", 0.26, 0.36, (80, 0, 560, 360)),
        (in_bars, "card", 0.28, 0.36, (0, 20, 640, 340)),
    ],
)
def test_a_canary_that_grows_beside_what_does_not_change(
    make: Callable[[str, float, tuple[int, int, int, int]], Picture],
    name: str,
    there: float,
    peak: float,
    window: tuple[int, int, int, int],
) -> None:
    """For one frame or three, in a picture of which a part is never touched."""
    film: Film = [(pair(name)[0], 0.0)] * 12
    before, grown = (
        shown([lit(make(name, share, window), np.s_[168:184, 312:328], by) for by in (-6, 6)])
        for share in (there, peak)
    )
    assert max(value for _, value in grown) >= 0.5, "it shows the network nothing"
    for wait, frames in ((23, 1), (8, 3), (11, 1), (11, 3)):
        film += [before[turn % 2] for turn in range(wait)]
        film += [grown[turn % 2] for turn in range(frames)]
    film += [before[turn % 2] for turn in range(FPS)]
    for limits in (PATIENT, LIVE):
        same(film, limits)
