"""Forty ways to alter a picture, each at five severities. Deterministic: chance is seeded.

A transform takes a film: uint8 RGB ``(height, width, 3)`` pictures of one size, in order, and
returns as many of the same size. Most alter each picture alone; some need its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from safelight.evaluation import transforms_codec as codec
from safelight.evaluation import transforms_geometry as geometry
from safelight.evaluation import transforms_light as light
from safelight.evaluation import transforms_optics as optics
from safelight.evaluation import transforms_overlay as overlay
from safelight.testing.drawings import Rgb

SEVERITIES: Final = (1, 2, 3, 4, 5)
Film = list[Rgb]


@dataclass(frozen=True, slots=True)
class Transform:
    """One way to alter a film; ``severity`` is 1 (hardly) to 5 (heavily)."""

    name: str
    family: str
    of_film: Callable[[Sequence[Rgb], int], Film]
    of_one: Callable[[Rgb, int, int], Rgb] | None = None

    def __call__(self, film: Sequence[Rgb], severity: int) -> Film:
        """Return the altered film.

        Raises:
            ValueError: there is no such severity, or the transform changed size or count.
        """
        if severity not in SEVERITIES:
            raise ValueError(f"severity {severity} is not one of {SEVERITIES}")
        made = self.of_film(film, severity)
        if [p.shape for p in made] != [p.shape for p in film]:
            raise ValueError(f"{self.name} changed the size or number of pictures")
        return made

    def some(self, film: Sequence[Rgb], severity: int, wanted: Sequence[int]) -> Film:
        """Return these pictures of the altered film; others are made only where needed."""
        if self.of_one is None:
            made = self(film, severity)
            return [made[index] for index in wanted]
        return [self.of_one(film[index], severity, index) for index in wanted]


def _each(alter: Callable[[Rgb, int, int], Rgb]) -> Callable[[Sequence[Rgb], int], Film]:
    def all_of(film: Sequence[Rgb], severity: int) -> Film:
        return [alter(picture, severity, index) for index, picture in enumerate(film)]

    return all_of


def _alone(family: str, *alter: Callable[[Rgb, int, int], Rgb]) -> list[Transform]:
    return [Transform(one.__name__.replace("_", " "), family, _each(one), one) for one in alter]


def _films(family: str, *alter: Callable[[Sequence[Rgb], int], Film]) -> list[Transform]:
    return [Transform(one.__name__.replace("_", " "), family, one) for one in alter]


ALL: Final[tuple[Transform, ...]] = (
    *_alone(
        "geometry",
        geometry.crop,
        geometry.mirror,
        geometry.rotate,
        geometry.letterbox,
        geometry.picture_in_picture,
        geometry.zoom_out,
        geometry.squeeze,
        geometry.perspective,
    ),
    *_alone(
        "light",
        light.dark,
        light.bright,
        light.grey,
        light.colour_cast,
        light.night_vision,
        light.low_contrast,
        light.backlight,
        light.inverted,
    ),
    *_alone(
        "optics",
        optics.defocus,
        optics.motion_blur,
        optics.dirty_lens,
        optics.glare,
        optics.fish_eye,
    ),
    *_alone("sensor", optics.noise, optics.banding, optics.dead_lines, optics.low_resolution),
    *_alone("re-capture", optics.filmed_screen, optics.moire, optics.scan_lines),
    *_films("codec", codec.low_bitrate, codec.frame_loss, codec.low_frame_rate),
    *_alone("codec", codec.jpeg, codec.blocks, codec.few_colours),
    *_alone(
        "overlay",
        overlay.text,
        overlay.stickers,
        overlay.bars,
        overlay.tiles,
        overlay.watermark,
        overlay.emoji_on_middle,
    ),
    *_films("overlay", overlay.flicker),
)


def named(name: str) -> Transform:
    """Return a transform by its name.

    Raises:
        KeyError: there is none.
    """
    return {transform.name: transform for transform in ALL}[name]
