"""The memory through which pictures reach the judge: anonymous, and read-only on its side.

Each question has a slot. A picture is written into it once, and the slot is wiped as soon as
its answer is there, or at the end: between questions the ring holds nothing. It has no name
in any file system, is left out of core dumps and of forked children, and where the system
permits it is never swapped out.
"""

from __future__ import annotations

import fcntl
import heapq
import mmap
import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safelight.sealing.own_memory import keep_to_this_process, lock_memory
from safelight.types import Picture, PictureFormat

SLOTS: Final = 16
SLOT_BYTES: Final = 7680 * 4320 * 3 // 2  # the largest picture that is taken in (docs/media.md)
RING_BYTES: Final = SLOTS * SLOT_BYTES  # of addresses: a page costs memory once it is written

_F_ADD_SEALS: Final = 1033
_F_GET_SEALS: Final = 1034
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 0x1, 0x2, 0x4, 0x10
_SEALS: Final = _SEAL_SEAL | _SEAL_SHRINK | _SEAL_GROW | _SEAL_FUTURE_WRITE


def picture_bytes(form: PictureFormat) -> int:
    """Return how many bytes the three planes of a picture have together."""
    return form.width * form.height * 3 // 2


class Ring:
    """The guard's side: the only one that can write. One thread at a time."""

    def __init__(self) -> None:
        """Make a ring.

        Raises:
            OSError: the system has no sealed memory, or none left.
        """
        self._handle = os.memfd_create("safelight-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._handle, RING_BYTES)
            self._map = mmap.mmap(self._handle, RING_BYTES)
            # From here on nobody can map it for writing, whoever holds the descriptor.
            fcntl.fcntl(self._handle, _F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(self._handle)
            raise
        keep_to_this_process(self._map)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._free = list(range(SLOTS))
        self._used: dict[int, int] = {}  # slot -> bytes written
        self._locked: dict[int, int] = {}  # slot -> bytes kept out of swap, if that is permitted

    @property
    def handle(self) -> int:
        """The descriptor to pass to the judge; it can be mapped read-only."""
        return self._handle

    @property
    def in_use(self) -> int:
        """How many slots hold a picture."""
        return len(self._used)

    def write(self, picture: Picture) -> int | None:
        """Copy a picture into a free slot and return its number; None when none is free.

        Raises:
            ValueError: the picture is larger than a slot.
        """
        size = picture_bytes(picture.format)
        if size > SLOT_BYTES:
            raise ValueError("a picture that is larger than a slot")
        if not self._free:
            return None
        slot = heapq.heappop(self._free)  # the lowest, so that few pages are ever written
        self._used[slot] = size
        at = slot * SLOT_BYTES
        if self._locked.get(slot, 0) < size:
            lock_memory(self._bytes.ctypes.data + at, size)
            self._locked[slot] = size
        for plane in (picture.y, picture.u, picture.v):
            self._bytes[at : at + plane.size] = plane.reshape(-1)
            at += plane.size
        return slot

    def wipe(self, slot: int) -> None:
        """Zero a slot and make it free."""
        size = self._used.pop(slot)
        self._bytes[slot * SLOT_BYTES : slot * SLOT_BYTES + size] = 0
        heapq.heappush(self._free, slot)

    def close(self) -> None:
        """Wipe what is left and give the memory back. Safe to call twice."""
        if self._handle < 0:
            return
        for slot in tuple(self._used):
            self.wipe(slot)
        # An array keeps its memory mapped: it has to go before the mapping can.
        self._bytes = np.empty(0, dtype=np.uint8)
        self._free = []
        self._map.close()
        os.close(self._handle)
        self._handle = -1


class RingReader:
    """The judge's side: pictures can be read, never written."""

    def __init__(self, handle: int) -> None:
        """Map the ring behind a descriptor that was passed on; the descriptor stays open.

        Raises:
            OSError, ValueError: it is no sealed ring.
        """
        seals = fcntl.fcntl(handle, _F_GET_SEALS)
        if seals & _SEALS != _SEALS or os.fstat(handle).st_size != RING_BYTES:
            raise ValueError("a ring that somebody else could write to or cut off")
        self._map = mmap.mmap(handle, RING_BYTES, prot=mmap.PROT_READ)
        keep_to_this_process(self._map)
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._map, dtype=np.uint8)

    def read(self, slot: int, form: PictureFormat) -> Picture:
        """Return the picture in a slot.

        Raises:
            ValueError: there is no such slot, or the picture does not fit into it.
        """
        size = picture_bytes(form)
        if not 0 <= slot < SLOTS or size > SLOT_BYTES:
            raise ValueError("no such slot")
        at = slot * SLOT_BYTES
        luma, chroma = form.width * form.height, form.width * form.height // 4
        half = (form.height // 2, form.width // 2)
        return Picture(
            form,
            self._bytes[at : at + luma].reshape(form.height, form.width),
            self._bytes[at + luma : at + luma + chroma].reshape(half),
            self._bytes[at + luma + chroma : at + size].reshape(half),
        )
