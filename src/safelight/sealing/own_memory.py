"""The guard's own memory: not read by others, not dumped, not swapped out.

For a process that is ours alone (the command line) and for single buffers in a host's process.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from typing import Final, Literal

from safelight.sealing import kernel
from safelight.sealing.layers import NO_CORE_DUMPS, NOT_TRACEABLE, Layer, attempt
from safelight.types import Picture

if sys.platform != "win32":  # so that this module can be imported anywhere
    import resource

LOCKED: Final = "locked"  # kept out of swap
NOT_DUMPED: Final = "not_dumped"  # left out of core dumps
NOT_INHERITED: Final = "not_inherited"  # absent, or zeros, in forked children


def hide_this_process() -> tuple[Layer, ...]:
    """Make this process not dumpable and not traceable by others of its user.

    For a process that is ours: in a host it would take its debugger and its crash reports.
    Programs that it starts are dumpable again.
    """
    return attempt(NOT_TRACEABLE, not_traceable), attempt(NO_CORE_DUMPS, no_core_dumps)


def lock_memory(
    address: int, size: int, *, in_children: Literal["kept", "absent", "zeros"] = "kept"
) -> tuple[Layer, ...]:
    """Keep a buffer out of swap, core dumps and, if asked, forked children.

    Args:
        address: where it begins; need not be on a page's edge.
        size: in bytes, at least 1.
        in_children: "absent" (a forked child that touches it crashes) or "zeros" (private
            memory only, not a shared ring). Both concern the pages that lie whole inside it.

    Returns:
        What held: ``locked`` (an ordinary user's RLIMIT_MEMLOCK may refuse), ``not_dumped``,
        and ``not_inherited`` unless children keep it. None of them is required.

    Raises:
        ValueError: there is no such buffer.
    """
    if address <= 0 or size <= 0:
        raise ValueError("a buffer has an address and a size")
    outer = address - address % mmap.PAGESIZE, _up(address + size)
    inner = _up(address), (address + size) - (address + size) % mmap.PAGESIZE
    layers = [
        attempt(LOCKED, _done(lambda: kernel.lock(address, size))),
        # Whole pages: what shares a page with the buffer is left out of dumps too.
        attempt(NOT_DUMPED, _advice(outer, kernel.MADV_DONTDUMP)),
    ]
    if in_children != "kept":
        advice = kernel.MADV_DONTFORK if in_children == "absent" else kernel.MADV_WIPEONFORK
        layers.append(attempt(NOT_INHERITED, _advice(inner, advice)))
    return tuple(layers)


def keep_to_this_process(memory: mmap.mmap) -> None:
    """Leave a map out of core dumps and out of forked children.

    Raises:
        OSError: the system does not.
    """
    memory.madvise(mmap.MADV_DONTDUMP)
    memory.madvise(mmap.MADV_DONTFORK)


def lock_picture(picture: Picture) -> tuple[Layer, ...]:
    """Keep the planes of a picture out of core dumps and, where RLIMIT_MEMLOCK allows, swap.

    Pages keep this when the memory is used for something else: a dump lacks that too.

    Returns:
        What held, as ``lock_memory`` says, plane by plane; nothing on other systems than Linux.
    """
    if not kernel.is_linux():
        return ()
    planes = (picture.y, picture.u, picture.v)
    return tuple(layer for p in planes for layer in lock_memory(p.ctypes.data, p.nbytes))


def not_traceable() -> str | None:
    """Set, then ask whether it is so."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    return None if kernel.prctl(kernel.PR_GET_DUMPABLE) == 0 else "the kernel kept it dumpable"


def no_core_dumps() -> str | None:
    """Set, then ask whether it is so."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return None if resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) else "the limit was not set"


def _up(address: int) -> int:
    return -(-address // mmap.PAGESIZE) * mmap.PAGESIZE


def _advice(span: tuple[int, int], advice: int) -> Callable[[], str | None]:
    start, end = span
    if end <= start:
        return lambda: "the buffer holds no whole page"
    return _done(lambda: kernel.advise(start, end - start, advice))


def _done(act: Callable[[], None]) -> Callable[[], str | None]:
    def apply() -> str | None:
        act()
        return None

    return apply
