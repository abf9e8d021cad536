"""What inheriting guarantees: every pixel counts, in luma and in chroma (promise 1)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from safelight.core.gate import UNLIKE, BlockGate
from safelight.types import Picture, PictureFormat

SIZES = [(640, 360), (854, 482), (16, 16), (18, 34), (40, 56), (1280, 720)]


def picture(size: tuple[int, int], level: int = 100) -> Picture:
    width, height = size
    u, v = (np.full((height // 2, width // 2), 128, np.uint8) for _ in "uv")
    return Picture(PictureFormat(width, height), np.full((height, width), level, np.uint8), u, v)


def changed(base: Picture, plane: str, change: NDArray[np.int16]) -> Picture:
    """The picture with ``change`` added to one plane."""
    planes = {name: getattr(base, name) for name in "yuv"}
    planes[plane] = np.clip(planes[plane].astype(np.int16) + change, 0, 255).astype(np.uint8)
    return Picture(base.format, planes["y"], planes["u"], planes["v"])


def noise(size: tuple[int, int], level: int, seed: int = 1) -> NDArray[np.int16]:
    signs = np.random.default_rng(seed).integers(0, 2, (size[1], size[0])) * 2 - 1
    return (signs * level).astype(np.int16)


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_is_still_as_itself(size: tuple[int, int]) -> None:
    likeness = BlockGate().compare(picture(size), picture(size))
    assert likeness.still
    assert likeness.near
    assert likeness.changed_permille == 0


@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_counts(size: tuple[int, int]) -> None:
    """A block around any pixel, edges and odd remainders included, breaks *still*."""
    gate, base = BlockGate(), picture(size)
    width, height = size
    places = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
    rng = np.random.default_rng(3)
    places += [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(40)]
    for x, y in places:
        change = np.zeros((height, width), np.int16)
        x0, y0 = min(max(x - 2, 0), width - 5), min(max(y - 2, 0), height - 5)
        change[y0 : y0 + 5, x0 : x0 + 5] = 155  # 25 of 256 pixels by 155: their mean is 15
        # The patch may lie across four blocks; the fullest holds at least a quarter of it.
        assert not gate.compare(base, changed(base, "y", change)).still, (x, y)


@pytest.mark.parametrize("plane", ["u", "v"])
@pytest.mark.parametrize("size", SIZES)
def test_a_change_in_colour_alone_is_seen(size: tuple[int, int], plane: str) -> None:
    base = picture(size)
    half = (size[1] // 2, size[0] // 2)
    all_over = BlockGate().compare(base, changed(base, plane, np.full(half, 5, np.int16)))
    assert not all_over.still
    assert not all_over.close
    corner = np.zeros(half, np.int16)
    corner[-4:, -4:] = 40
    assert not BlockGate().compare(base, changed(base, plane, corner)).still


@pytest.mark.parametrize("size", [(640, 360), (854, 482)])
@pytest.mark.parametrize("level", [2, 4, 8, 16])
def test_fine_noise_into_the_same_card_is_neither_still_nor_close(
    size: tuple[int, int], level: int
) -> None:
    """A canary moves block means by next to nothing, and must not inherit from its card."""
    base = picture(size)
    likeness = BlockGate().compare(base, changed(base, "y", noise(size, level)))
    assert not likeness.still
    assert not likeness.close


def test_the_real_canary_does_not_inherit_from_its_clean_card() -> None:
    from safelight.testing import canary

    gate = BlockGate()
    for name in canary.names():
        luma = [
            (rgb.astype(np.uint32) @ np.array([77, 150, 29], np.uint32) >> 8).astype(np.uint8)
            for rgb in (canary.load(name), canary.clean(name))
        ]
        height, width = (side // 2 * 2 for side in luma[0].shape)
        grey = np.full((height // 2, width // 2), 128, np.uint8)
        form = PictureFormat(width, height)
        pair = [
            Picture(form, np.ascontiguousarray(y[:height, :width]), grey.copy(), grey.copy())
            for y in luma
        ]
        likeness = gate.compare(*pair)
        assert not likeness.still, name
        assert not likeness.close, name


def blocks_of(pixels: int) -> NDArray[np.int16]:
    """A block of 40 whose first ``pixels`` pixels, of 1,600, differ by one."""
    return (np.arange(1600).reshape(40, 40) < pixels).astype(np.int16)


# A third of a level: less than counts, and not nothing.
STIR = np.tile(blocks_of(533), (10, 10))


@pytest.mark.parametrize(
    ("by", "limit"), [(2, 50), (4, 50), (5, 30), (32, 30), (33, 15), (150, 15)]
)
def test_a_newcomer_is_close_up_to_the_stated_share_and_not_beyond(by: int, limit: int) -> None:
    gate, base = BlockGate(), picture((400, 400))  # a hundred blocks of 40
    for blocks in (limit - 1, limit):
        change = STIR.copy()
        for index in range(blocks):
            y, x = index // 10 * 40, index % 10 * 40
            change[y : y + 40, x : x + 40] = by
        likeness = gate.compare(base, changed(base, "y", change))
        assert likeness.faint_permille == blocks * 10
        assert likeness.changed_permille == (blocks * 10 if by > 4 else 0)
        assert likeness.strong_permille == (blocks * 10 if by > 32 else 0)
        assert likeness.close == likeness.near == (blocks < limit)
        assert not likeness.still


def inside(change: NDArray[np.int16], count: int, block: NDArray[np.int16]) -> NDArray[np.int16]:
    """Set the first ``count`` of the 64 blocks that are not on the rim of 100."""
    out = change.copy()
    for index in range(count):
        y, x = (index // 8 + 1) * 40, (index % 8 + 1) * 40
        out[y : y + 40, x : x + 40] = block
    return out


@pytest.mark.parametrize(("pixels", "limit"), [(801, 90), (1200, 90), (1201, 70), (1600, 70)])
def test_a_slight_change_is_near_up_to_the_stated_share_of_what_changed(
    pixels: int, limit: int
) -> None:
    """Of 1,600 pixels so many by one level: above half a level, above three quarters."""
    gate, base = BlockGate(), picture((400, 400))
    for blocks in (limit * 64 // 100, limit * 64 // 100 + 1, 64):
        change = inside(STIR, blocks, blocks_of(pixels))
        likeness = gate.compare(base, changed(base, "y", change))
        permille = -(-blocks * 1000 // 64)
        assert likeness.least_permille == permille
        assert likeness.slight_permille == (permille if pixels > 1200 else 0)
        assert likeness.near == (permille < limit * 10)
        assert likeness.close
        assert not likeness.still


def test_what_does_not_change_at_all_hides_no_slight_change_in_the_rest() -> None:
    """Bars beside the picture, a border, half a room: a quarter of a level is nothing."""
    gate, base = BlockGate(), picture((400, 400))
    nothing = np.tile(blocks_of(400), (10, 10))
    for blocks, near in ((12, True), (13, False), (32, False)):
        likeness = gate.compare(base, changed(base, "y", inside(nothing, blocks, blocks_of(1201))))
        assert likeness.least_permille == likeness.slight_permille == (0 if near else 1000)
        assert likeness.near is near
        assert likeness.close


def test_the_rim_hides_no_slight_change_inside_it_and_counts_for_none() -> None:
    gate, base = BlockGate(), picture((400, 400))
    assert not gate.compare(base, changed(base, "y", inside(STIR, 64, blocks_of(900)))).near
    rim = inside(np.tile(blocks_of(900), (10, 10)), 64, blocks_of(533))
    assert gate.compare(base, changed(base, "y", rim)).near


def test_a_picture_of_few_blocks_has_no_rim() -> None:
    for size in ((80, 80), (32, 16)):
        base = picture(size)
        level = np.ones((size[1], size[0]), np.int16)
        likeness = BlockGate().compare(base, changed(base, "y", level))
        assert (likeness.least_permille, likeness.slight_permille) == (1000, 1000)
        assert not likeness.near


def test_half_a_level_is_still_and_more_is_not() -> None:
    gate, base = BlockGate(), picture((320, 320))  # 400 blocks of 16
    for pixels, blocks, still in ((128, 400, True), (129, 19, True), (129, 20, False)):
        flat = np.zeros(256, np.int16)
        flat[:pixels] = 1
        change = np.zeros((320, 320), np.int16)
        for index in range(blocks):
            y, x = index // 20 * 16, index % 20 * 16
            change[y : y + 16, x : x + 16] = flat.reshape(16, 16)
        likeness = gate.compare(base, changed(base, "y", change))
        assert likeness.still is still, (pixels, blocks)
        assert likeness.close


def test_a_small_change_that_is_just_too_much_is_found_in_a_remainder() -> None:
    """854 and 482 are no multiples of 8 or 16: what lies in the last columns still counts."""
    gate, base = BlockGate(), picture((854, 482))
    change = np.zeros((482, 854), np.int16)
    change[478:482, 850:854] = 60  # 16 pixels by 60 in one block of 256: a mean of 3.75
    assert not gate.compare(base, changed(base, "y", change)).still


def test_pictures_of_another_format_are_unlike() -> None:
    base = picture((64, 64))
    full = Picture(PictureFormat(64, 64, full_range=True), base.y, base.u, base.v)
    assert BlockGate().compare(base, full) == UNLIKE
    assert BlockGate().compare(base, picture((64, 80))) == UNLIKE


def test_one_gate_serves_many_sizes_without_mixing_them_up() -> None:
    gate = BlockGate()
    for size in [*SIZES, *SIZES, (100, 100), (200, 200), (300, 300)]:
        base = picture(size)
        assert gate.compare(base, base).still
        assert not gate.compare(base, picture(size, 110)).still


def mean_blocks(a: NDArray[np.uint8], b: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """The slow way: the mean absolute difference of every aligned whole block."""
    apart = np.abs(a.astype(np.int32) - b.astype(np.int32))
    rows, columns = apart.shape[0] // side, apart.shape[1] // side
    cut = apart[: rows * side, : columns * side].reshape(rows, side, columns, side)
    means: NDArray[np.float64] = cut.mean(axis=(1, 3))
    return means


@settings(deadline=None, max_examples=150)
@given(
    size=st.sampled_from([(16, 16), (32, 16), (80, 80), (98, 66), (120, 160)]),
    seed=st.integers(0, 2**32),
    level=st.integers(0, 12),
    patches=st.integers(0, 12),
)
def test_what_inheriting_guarantees(
    size: tuple[int, int], seed: int, level: int, patches: int
) -> None:
    rng = np.random.default_rng(seed)
    width, height = size
    form = PictureFormat(width, height)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    first = [rng.integers(0, 256, shape).astype(np.int16) for shape in shapes]
    second = []
    for plane in first:
        other = plane + rng.integers(-level, level + 1, plane.shape)
        for _ in range(patches):
            y, x = rng.integers(plane.shape[0]), rng.integers(plane.shape[1])
            side = rng.integers(1, 16)
            other[y : y + side, x : x + side] += rng.integers(-120, 120)
        second.append(np.clip(other, 0, 255).astype(np.uint8))
    a = Picture(form, *(plane.astype(np.uint8) for plane in first))
    b = Picture(form, *second)
    likeness = BlockGate().compare(a, b)
    planes = [(a.y, b.y, 1), (a.u, b.u, 2), (a.v, b.v, 2)]
    if likeness.still:
        assert likeness.close
        for one, two, scale in planes:
            assert (mean_blocks(one, two, 16 // scale) <= 2.0).all()
        if not (width % 16 or height % 16):
            stirred = [mean_blocks(p, q, 16 // s) > 0.5 for p, q, s in planes]
            assert np.logical_or.reduce(stirred).mean() < 0.05
    if not (width % 40 or height % 40):
        means = np.maximum.reduce([mean_blocks(p, q, 40 // s) for p, q, s in planes])
        if likeness.close:
            for over, share in ((1.5, 0.50), (4.0, 0.30), (32.0, 0.15)):
                assert (means > over).mean() < share
        # Two sizes are too small to have a rim; the last has one block a side.
        inner = means[1:-1, 1:-1] if len(means) > 2 else means
        touched = (inner > 0.25).sum()
        if likeness.near and not likeness.still and touched >= 0.2 * inner.size:
            assert (inner > 0.5).sum() < 0.90 * touched
            assert (inner > 0.75).sum() < 0.70 * touched
    assert BlockGate().compare(b, a) == likeness


@given(seed=st.integers(0, 2**32 - 1), level=st.integers(1, 40), share=st.integers(1, 100))
@settings(max_examples=150, deadline=None)
def test_what_two_comparisons_with_a_third_picture_prove_is_what_comparing_says(
    seed: int, level: int, share: int
) -> None:
    """Never close by proof and not by comparison: pixels would be taken for like unseen."""
    rng = np.random.default_rng(seed)
    gate, size = BlockGate(), SIZES[seed % 5]
    third = picture(size)

    def another() -> Picture:
        change = np.zeros((size[1], size[0]), np.int16)
        rows = max(1, size[1] * share // 100)
        change[:rows] = rng.integers(-level, level + 1, (rows, size[0]))
        half = rng.integers(-level, level + 1, (size[1] // 2, size[0] // 2)).astype(np.int16)
        return changed(changed(third, "y", change), "uv"[seed % 2], half // 4)

    one, other = another(), another()
    ours, theirs = gate.compare(one, third), gate.compare(other, third)
    if ours.proves_close(theirs):
        assert gate.compare(one, other).close


def test_two_small_differences_prove_two_pictures_close_and_larger_ones_prove_nothing() -> None:
    gate, base = BlockGate(), picture((400, 400))
    part = np.zeros((400, 400), np.int16)
    part[:160] = 20
    some = gate.compare(base, changed(base, "y", part))
    corner = np.zeros((400, 400), np.int16)
    corner[:40, :200] = 20
    few = gate.compare(base, changed(base, "y", corner))
    assert few.proves_close(few)
    assert not some.proves_close(some)
    assert not few.proves_close(some)
    faint = gate.compare(base, changed(base, "y", noise((400, 400), 1)))
    assert faint.close
    assert not faint.proves_close(faint), "one and one make two, which is above a faint level"
    # No blocks were counted where pictures are still, or of other formats.
    assert gate.compare(base, base).blocks is None
    assert not few.proves_close(gate.compare(base, base))
    assert not UNLIKE.proves_close(UNLIKE)
    assert not few.proves_close(gate.compare(base, picture((64, 64))))
