"""Cards: nothing of any picture, readable, high contrast, right in every range and matrix."""

from __future__ import annotations

import inspect
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from safelight.core import card
from safelight.messages import Face, card_text, regions
from safelight.types import CardText, Picture, PictureFormat

REMOTE = card_text(Face.REMOTE, None, test=False)
LONGEST = card_text(Face.LOCAL_INCOMING, "IE", test=False)
SIZES = [(16, 16), (64, 48), (96, 96), (320, 240), (360, 640), (640, 480), (1920, 1080)]
FORMATS = [
    PictureFormat(320, 240, full_range=full, matrix=matrix)
    for full in (False, True)
    for matrix in (1, 2, 5, 6, 9)
]
KR_KB = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


def to_rgb(picture: Picture) -> NDArray[np.float64]:
    """Decode by the textbook, apart from the code under test; [0, 1], chroma not smoothed."""
    form = picture.format
    kr, kb = KR_KB.get(form.matrix, (0.299, 0.114))
    low, span, chroma = (0, 255, 255) if form.full_range else (16, 219, 224)
    y = (picture.y.astype(float) - low) / span
    u, v = (
        (np.kron(p, np.ones((2, 2))).astype(float) - 128) / chroma for p in (picture.u, picture.v)
    )
    r, b = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=-1), 0, 1)


def luminance(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative luminance by WCAG 2."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


def ground_of(picture: Picture) -> int:
    return int(np.bincount(picture.y.ravel()).argmax())


def bands(picture: Picture) -> list[slice]:
    """The rows of writing: stretches of rows that hold anything but ground."""
    inked = (picture.y != ground_of(picture)).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inked.astype(int), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_a_card_is_given_no_picture() -> None:
    """Promise 5 and design.md: nothing of the picture, not even blurred."""
    given = inspect.signature(card.draw, eval_str=True).parameters
    assert [p.annotation for p in given.values()] == [PictureFormat, CardText]


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_every_row_of_writing_has_contrast_of_seven_to_one(form: PictureFormat) -> None:
    picture = card.draw(form, card_text(Face.LOCAL_INCOMING, "GB", test=True))
    light = luminance(to_rgb(picture))
    dark = float(np.median(light))
    rows = bands(picture)
    assert len(rows) >= 6
    for row in rows:
        # Not the one brightest pixel: the tenth brightest, so that strokes count, not specks.
        ink = float(np.sort(light[row].ravel())[-10])
        assert (ink + 0.05) / (dark + 0.05) >= 7


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_colour_is_right_in_every_range_and_matrix(form: PictureFormat) -> None:
    picture = card.draw(form, REMOTE)
    kr, kb = KR_KB.get(form.matrix, (0.299, 0.114))
    r, g, b = (channel / 255 for channel in card.GROUND_RGB)
    y = kr * r + (1 - kr - kb) * g + kb * b
    start, span, chroma = (0, 255, 255) if form.full_range else (16, 219, 224)
    # To the nearest step: the card is so nearly grey that a wrong matrix shifts it by one.
    assert picture.y[2, 2] == round(start + span * y)
    assert picture.u[1, 1] == round(128 + chroma * (b - y) / (2 - 2 * kb))
    assert picture.v[1, 1] == round(128 + chroma * (r - y) / (2 - 2 * kr))
    low, high = (0, 255) if form.full_range else (16, 235)
    assert low <= int(picture.y.min())
    assert int(picture.y.max()) <= high


def test_an_unspecified_matrix_follows_the_height() -> None:
    for height, matrix in ((718, 6), (720, 1)):
        guessed = card.draw(PictureFormat(640, height, matrix=2), REMOTE)
        said = card.draw(PictureFormat(640, height, matrix=matrix), REMOTE)
        assert np.array_equal(guessed.u, said.u)
        assert np.array_equal(guessed.v, said.v)


def test_nothing_is_told_by_colour_alone() -> None:
    """In grey, two different cards still differ, and hardly any colour is there at all."""
    stamped = card.draw(FORMATS[0], card_text(Face.REMOTE, None, test=True))
    plain = card.draw(FORMATS[0], REMOTE)
    assert (stamped.y != plain.y).any()
    assert int(np.abs(plain.u.astype(int) - 128).max()) <= 12
    assert int(np.abs(plain.v.astype(int) - 128).max()) <= 12


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("face", Face)
def test_a_card_fits_any_size(size: tuple[int, int], face: Face) -> None:
    picture = card.draw(PictureFormat(*size), card_text(face, "IE", test=False))
    assert picture.y.shape == size[::-1]
    ground = ground_of(picture)
    edge = max(1, min(size) // 40)
    for strip in (
        picture.y[:edge],
        picture.y[-edge:],
        picture.y[:, :edge],
        picture.y[:, -edge:],
    ):
        assert (strip == ground).all(), "writing runs out of the picture"
    assert (picture.y != ground).any(), "an empty card does not say that video is paused"


@pytest.mark.parametrize("size", [(16, 1080), (1920, 16), (16, 16), (18, 2000)])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(1, 1000), Fraction(100_000)])
def test_absurd_shapes_neither_crash_nor_fill_the_memory(
    size: tuple[int, int], aspect: Fraction
) -> None:
    form = PictureFormat(*size, sample_aspect=aspect)
    text = CardText("x", "wordwithoutend" * 40, ("", "y" * 500), "STAMP" * 30)
    assert card.draw(form, text).format == form


@pytest.mark.parametrize("region", [None, *regions()])
@pytest.mark.parametrize("face", Face)
@pytest.mark.parametrize("test", [False, True])
def test_every_card_is_readable_at_320x240(face: Face, region: str | None, test: bool) -> None:
    """All its lines are there, and the small letters are at least 6 pixels tall."""
    text = card_text(face, region, test=test)
    picture = card.draw(PictureFormat(320, 240), text)
    assert len(bands(picture)) >= 1 + len(text.lines)
    lines, headline = card._fit(text, (320 * 0.88, 240 * 0.92 - (40 if test else 0)))
    written = " ".join(line.words for line in lines)
    assert written == " ".join((text.headline, *text.lines))
    assert min(line.size for line in lines) >= 11  # x-height is just over half of it
    assert headline >= 16


def test_a_number_is_never_broken_over_two_rows() -> None:
    for width in range(60, 400, 7):
        rows = card._rows("Help: Stop It Now +44 1372 847 161 (not free)", card._font(14), width)
        if rows is not None:
            assert any("+44 1372 847 161" in row for row in rows), rows


def test_the_test_stamp_is_seen_in_its_corner() -> None:
    for size in ((160, 120), (320, 240), (1280, 720), (360, 640)):
        form = PictureFormat(*size)
        plain, stamped = (
            card.draw(form, card_text(Face.REMOTE, None, test=test)).y for test in (False, True)
        )
        corner = (slice(0, size[1] // 5), slice(size[0] // 2, None))
        assert (plain[corner] == plain[0, 0]).all()
        inked = np.argwhere(stamped[corner] > 180)
        tall, wide = inked.max(axis=0) - inked.min(axis=0)
        assert tall >= 9
        assert wide > 2 * tall


def test_words_keep_their_shape_on_pixels_that_are_not_square() -> None:
    """Anamorphic 1:2 pixels: drawn half as wide, so that a player shows the very same card."""
    square = card.draw(PictureFormat(640, 360), LONGEST)
    narrow = card.draw(PictureFormat(320, 360, sample_aspect=Fraction(2)), LONGEST)
    halved = square.y.reshape(360, 320, 2).mean(axis=2)
    assert float(np.abs(halved - narrow.y).mean()) < 2


def test_a_card_is_drawn_once_and_cannot_be_painted_over() -> None:
    first = card.draw(PictureFormat(320, 240), CardText("a", "Video paused"))
    assert card.draw(PictureFormat(320, 240), CardText("a", "Video paused")) is first
    with pytest.raises(ValueError, match="read-only"):
        first.y[0, 0] = 1
