"""Promise 5 in the ring: read-only to the judge, empty between questions, in no file system."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from safelight.judge import ring
from safelight.judge.ring import Ring, RingReader
from safelight.types import Picture, PictureFormat


@pytest.fixture
def made() -> Iterator[Ring]:
    made = Ring()
    yield made
    made.close()


def picture(seed: int = 1, width: int = 320, height: int = 240) -> Picture:
    dice = np.random.default_rng(seed)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    y, u, v = (dice.integers(1, 255, shape, np.uint8) for shape in shapes)
    return Picture(PictureFormat(width, height), y, u, v)


def written(one: Ring) -> int:
    """How many bytes of the ring are not zero, as anybody with the descriptor can see."""
    with mmap.mmap(one.handle, 4 * ring.SLOT_BYTES, prot=mmap.PROT_READ) as seen:
        content = np.frombuffer(seen, np.uint8)
        count = int(np.count_nonzero(content))
        del content
    return count


def test_the_judge_reads_what_the_guard_wrote(made: Ring) -> None:
    first, second = picture(1), picture(2, 640, 362)
    slots = made.write(first), made.write(second)
    reader = RingReader(made.handle)
    for slot, sent in zip(slots, (first, second), strict=True):
        assert slot is not None
        got = reader.read(slot, sent.format)
        for name in "yuv":
            assert np.array_equal(getattr(got, name), getattr(sent, name))


def test_nobody_else_can_write_or_resize_it(made: Ring) -> None:
    with pytest.raises(PermissionError):
        mmap.mmap(made.handle, ring.RING_BYTES)
    for size in (0, ring.RING_BYTES // 2, 2 * ring.RING_BYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(made.handle, size)
    with pytest.raises(PermissionError):
        os.pwrite(made.handle, b"x", 0)
    reader = RingReader(made.handle)
    with pytest.raises(TypeError):
        reader._map[0] = 1


def test_an_unsealed_or_shorter_ring_is_refused() -> None:
    handle = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(handle, ring.RING_BYTES)
        with pytest.raises(ValueError, match="ring"):
            RingReader(handle)
    finally:
        os.close(handle)


def test_an_answered_slot_is_wiped_and_used_again(made: Ring) -> None:
    for seed in range(3):
        slot = made.write(picture(seed))
        assert slot == 0
        assert written(made) == 320 * 240 * 3 // 2
        made.wipe(slot)
        assert written(made) == 0
    assert made.in_use == 0


def test_everything_is_wiped_at_the_end(made: Ring) -> None:
    for seed in range(4):
        made.write(picture(seed))
    watcher = os.dup(made.handle)
    try:
        assert written(made) > 0
        made.close()
        made.close()
        assert not any(os.pread(watcher, 115_200, slot * ring.SLOT_BYTES)[0] for slot in range(4))
        assert os.pread(watcher, 115_200, 0) == bytes(115_200)
    finally:
        os.close(watcher)


def test_no_slot_is_given_twice(made: Ring) -> None:
    slots = [made.write(picture(1, 16, 16)) for _ in range(ring.SLOTS)]
    assert sorted(slot for slot in slots if slot is not None) == list(range(ring.SLOTS))
    assert made.write(picture(1, 16, 16)) is None
    made.wipe(3)
    assert made.write(picture(1, 16, 16)) == 3


def test_a_question_cannot_point_outside(made: Ring) -> None:
    reader = RingReader(made.handle)
    for slot in (-1, ring.SLOTS, 1 << 40):
        with pytest.raises(ValueError, match="slot"):
            reader.read(slot, PictureFormat(320, 240))
    with pytest.raises(ValueError, match="slot"):
        reader.read(0, PictureFormat(16_000, 16_000))


def test_it_is_left_out_of_core_dumps_and_of_children_and_has_no_name() -> None:
    made = Ring()
    made.write(picture())
    reader = RingReader(made.handle)
    *heads, _ = Path("/proc/self/smaps").read_text().split("VmFlags:")
    _, *rest = Path("/proc/self/smaps").read_text().split("VmFlags:")
    flags = [
        set(tail.partition("\n")[0].split())
        for head, tail in zip(heads, rest, strict=True)
        if "memfd:safelight-ring (deleted)" in head
    ]
    assert len(flags) >= 2
    assert all({"dd", "dc"} <= one for one in flags)  # not dumped, not copied to a child
    assert any("wr" in one for one in flags)
    if os.geteuid() == 0:  # others have a limit on what they may lock
        assert any("lo" in one for one in flags)  # what is written is never swapped out
    assert not any("ring" in name for name in os.listdir("/dev/shm"))
    del reader
    made.close()
