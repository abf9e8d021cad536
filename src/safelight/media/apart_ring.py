"""The memory through which pictures come from a process that decodes: its side writes.

Anonymous, without a name in any file system, left out of core dumps. The guard maps it
read-only, and copies a picture out once: what is judged and what leaves are that copy,
whatever the other side writes later. Neither side can make it smaller, so that no read of the
guard's can fail.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safelight.media.av_picture import Upright
from safelight.sealing.own_memory import keep_to_this_process
from safelight.types import Picture, PictureFormat, Plane

SLOTS: Final = 8
# So many bytes of pictures may wait to be taken, unless they are two only.
AHEAD_BYTES: Final = 64 * 1024 * 1024
AHEAD_LEAST: Final = 2
# A file waits for whoever reads it: more would only be memory.
AHEAD_OF_FILE: Final = 3
SLOT_BYTES: Final = 7680 * 4320 * 3 // 2  # the largest picture that is taken in (docs/media.md)
RING_BYTES: Final = SLOTS * SLOT_BYTES  # of addresses: a page costs memory once it is written

_F_ADD_SEALS: Final = 1033
_F_GET_SEALS: Final = 1034
_SEALS: Final = 0x1 | 0x2 | 0x4  # no further seal, not smaller, not larger


class Inbox:
    """The guard's side: can read, and nothing else. One thread at a time."""

    def __init__(self) -> None:
        """Make a ring.

        Raises:
            OSError: the system has no sealed memory, or none left.
        """
        handle = os.memfd_create("safelight-inbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(handle, RING_BYTES)
            fcntl.fcntl(handle, _F_ADD_SEALS, _SEALS)
            self._map = mmap.mmap(handle, RING_BYTES, prot=mmap.PROT_READ)
        except BaseException:
            os.close(handle)
            raise
        self.handle = handle
        keep_to_this_process(self._map)
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._map, dtype=np.uint8)

    def take(self, slot: int, form: PictureFormat) -> Picture:
        """Copy the picture in a slot.

        Raises:
            ValueError: there is no such slot, or the picture does not fit into it.
        """
        if not 0 <= slot < SLOTS:
            raise ValueError("no such slot")
        return Picture(form, *(np.array(view) for view in _planes(self._bytes, slot, form)))

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        if self.handle < 0:
            return
        # An array keeps its memory mapped: it has to go before the mapping can.
        self._bytes = np.empty(0, dtype=np.uint8)
        self._map.close()
        os.close(self.handle)
        self.handle = -1


class Outbox:
    """The side of the process that decodes."""

    def __init__(self, handle: int) -> None:
        """Map the ring behind a descriptor that was passed on, and close that.

        Raises:
            OSError, ValueError: it is no sealed ring.
        """
        if fcntl.fcntl(handle, _F_GET_SEALS) & _SEALS != _SEALS:
            raise ValueError("a ring that somebody could cut off")
        self._map = mmap.mmap(handle, RING_BYTES)
        keep_to_this_process(self._map)
        os.close(handle)
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._map, dtype=np.uint8)

    def most_ahead(self, form: PictureFormat, *, live: bool) -> int:
        """How many pictures of a format may wait: large ones fill memory."""
        size = form.width * form.height * 3 // 2
        most = SLOTS if live else AHEAD_OF_FILE
        return max(AHEAD_LEAST, min(most, AHEAD_BYTES // size))

    def put(self, slot: int, picture: Upright) -> None:
        """Copy a picture from libav's memory into a slot."""
        views = _planes(self._bytes, slot, picture.format)
        for view, plane in zip(views, (picture.y, picture.u, picture.v), strict=True):
            view[...] = plane


def _planes(ring: NDArray[np.uint8], slot: int, form: PictureFormat) -> tuple[Plane, Plane, Plane]:
    at = slot * SLOT_BYTES
    luma = form.width * form.height
    chroma = luma // 4
    if luma + 2 * chroma > SLOT_BYTES:
        raise ValueError("a picture that is larger than a slot")
    half = (form.height // 2, form.width // 2)
    return (
        ring[at : at + luma].reshape(form.height, form.width),
        ring[at + luma : at + luma + chroma].reshape(half),
        ring[at + luma + chroma : at + luma + 2 * chroma].reshape(half),
    )
