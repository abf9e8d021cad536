"""Promise 5 in the guard's own process: its buffers are in no dump and no swap."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.source import SRC

from safelight.judge import sandbox
from safelight.sealing import own_memory
from safelight.sealing.own_memory import LOCKED, NOT_DUMPED, NOT_INHERITED
from safelight.types import Picture, PictureFormat

pytestmark = pytest.mark.skipif(sandbox.unsupported() is not None, reason="Linux only")

PAGE = mmap.PAGESIZE
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def buffer(pages: int, flags: int = PRIVATE) -> tuple[mmap.mmap, int]:
    memory = mmap.mmap(-1, pages * PAGE, flags=flags)
    memory[:] = b"x" * len(memory)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


def flags_of(address: int) -> set[str]:
    """What the kernel says of the mapping that an address is in (VmFlags)."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        first = line.split(" ", 1)[0]
        if "-" in first:
            start, end = (int(part, 16) for part in first.split("-"))
            inside = start <= address < end
        elif inside and first == "VmFlags:":
            return set(line.split()[1:])
    raise LookupError("no such mapping")


def held(layers: tuple[sandbox.Layer, ...]) -> dict[str, bool]:
    return {layer.name: layer.held for layer in layers}


def test_a_buffer_is_left_out_of_dumps_and_swap() -> None:
    memory, address = buffer(4)
    assert "dd" not in flags_of(address)
    found = held(sandbox.lock_memory(address, len(memory)))
    assert found == {LOCKED: True, NOT_DUMPED: True}
    assert {"dd", "lo"} <= flags_of(address)


def test_a_buffer_that_is_on_no_edge_is_wholly_left_out() -> None:
    _memory, address = buffer(3)
    assert held(sandbox.lock_memory(address + PAGE - 1, 2))[NOT_DUMPED]
    assert "dd" in flags_of(address)
    assert "dd" in flags_of(address + PAGE)
    assert "dd" not in flags_of(address + 2 * PAGE)


def test_children_find_zeros_where_asked() -> None:
    memory, address = buffer(2)
    assert held(sandbox.lock_memory(address, len(memory), in_children="zeros"))[NOT_INHERITED]
    pid = os.fork()
    if pid == 0:
        os._exit(0 if memory[:] == bytes(2 * PAGE) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert memory[:2] == b"xx"


def test_shared_memory_can_be_absent_in_children_but_not_zeros() -> None:
    memory, address = buffer(2, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    (refused,) = (
        layer
        for layer in sandbox.lock_memory(address, len(memory), in_children="zeros")
        if layer.name == NOT_INHERITED
    )
    assert not refused.held
    assert refused.why
    assert held(sandbox.lock_memory(address, len(memory), in_children="absent"))[NOT_INHERITED]
    assert "dc" in flags_of(address)


def test_what_shares_a_page_stays_in_children() -> None:
    _memory, address = buffer(1)
    layers = sandbox.lock_memory(address + 8, 16, in_children="absent")
    assert held(layers)[NOT_INHERITED] is False
    assert "dc" not in flags_of(address)


@pytest.mark.parametrize(("address", "size"), [(0, 10), (-1, 10), (4096, 0), (4096, -5)])
def test_no_buffer_is_no_success(address: int, size: int) -> None:
    with pytest.raises(ValueError, match="a buffer has"):
        sandbox.lock_memory(address, size)


def test_memory_that_is_not_there_is_not_held() -> None:
    memory, address = buffer(1)
    del memory
    assert not any(held(sandbox.lock_memory(1 << 46, 4096)).values())
    assert address


def test_a_picture_is_left_out_of_dumps_and_swap() -> None:
    planes = [np.full(shape, 7, np.uint8) for shape in ((720, 1280), (360, 640), (360, 640))]
    picture = Picture(PictureFormat(width=1280, height=720), *planes)
    assert all(layer.held for layer in own_memory.lock_picture(picture))
    for plane in (picture.y, picture.u, picture.v):
        for address in (plane.ctypes.data, plane.ctypes.data + plane.nbytes - 1):
            assert {"dd", "lo"} <= flags_of(address)


def test_a_picture_is_left_out_of_dumps_where_nothing_more_may_be_locked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(address: int, size: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("safelight.sealing.kernel.lock", refused)
    picture = Picture(
        PictureFormat(width=16, height=16),
        *(np.full(shape, 7, np.uint8) for shape in ((16, 16), (8, 8), (8, 8))),
    )
    assert {name for name, ok in held(own_memory.lock_picture(picture)).items() if ok} == {
        NOT_DUMPED
    }
    assert "dd" in flags_of(picture.y.ctypes.data)


def test_a_guard_of_our_own_is_hidden() -> None:
    program = (
        "import os\nfrom safelight.judge import sandbox\n"
        "assert all(layer.held and layer.required for layer in sandbox.hide_this_process())\n"
        "print(sorted(sandbox.observed(os.getpid())))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "no_core_dumps" in ran.stdout


def test_this_process_is_as_it_was() -> None:
    """Nothing of the above changed the process that runs the tests."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY


def test_time_is_given_by_whole_seconds_to_a_process_that_is_there() -> None:
    with pytest.raises(ValueError, match="one second"):
        sandbox.renew_cpu(os.getpid(), 0)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(OSError):  # noqa: PT011  (which one is the kernel's to say)
        sandbox.renew_cpu(pid, 5)
