"""How pictures came, coded, for a sink that passes them on as they are.

A source notes it for the very picture that it made of it; a sink asks for that of a picture
that it may let leave. A picture that nobody holds any more takes its coded form with it.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from safelight.media.h264 import ParameterSets
from safelight.types import Picture

# Of so many packets it is remembered when they are shown: more than can be held, or wait.
_MOST_KNOWN: Final = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture stands: shown at ``at`` seconds; ``referred_to``: others may refer to it."""

    at: Fraction
    referred_to: bool


@dataclass(frozen=True, slots=True, eq=False)
class CodedPicture:
    """One access unit that decoded to one picture, alone and without a fault.

    ``index`` counts packets in the order in which they are decoded; one that is not offered
    (it was damaged, or held anything unusual) leaves its number out. ``idr``: nothing from
    here on refers to anything before. ``is_reference``: others may refer to it. Times in units
    of ``time_base`` seconds. ``data``: its slices, each with a length of 4 bytes.
    """

    index: int
    idr: bool
    is_reference: bool
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    data: bytes
    sets: ParameterSets

    @property
    def place(self) -> Place:
        """Where its picture stands among the others."""
        return Place(self.pts * self.time_base, self.is_reference)


class CodedPictures:
    """Filled by a source's thread, asked by a sink's. ``sets``: of what can be passed on at all;
    ``copying``: whether anything may be that still comes on this connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: weakref.WeakKeyDictionary[Picture, CodedPicture] = weakref.WeakKeyDictionary()
        self._places: OrderedDict[int, Place] = OrderedDict()
        self.sets: ParameterSets | None = None
        self.copying = False
        self._packets = 0
        self._delay = Fraction(0)

    @property
    def delay(self) -> Fraction:
        """How many seconds after it is decoded an IDR picture is shown, as the last one came.

        What is encoded between has to leave as long before it is shown: players look for where
        to begin by when a picture is decoded.
        """
        with self._lock:
            return self._delay

    def count_packet(self) -> int:
        """Return the next packet's number; never one that was given before."""
        with self._lock:
            self._packets += 1
            return self._packets

    def note(self, picture: Picture, coded: CodedPicture) -> None:
        """Remember how this picture came."""
        with self._lock:
            self._of[picture] = coded
            self._places[coded.index] = coded.place
            if len(self._places) > _MOST_KNOWN:
                self._places.popitem(last=False)
            if coded.idr:
                self._delay = max(Fraction(0), (coded.pts - coded.dts) * coded.time_base)

    def withdraw(self, index: int) -> None:
        """Know nothing any more of a packet's picture: it was not its only one."""
        with self._lock:
            self._places.pop(index, None)
            for picture in [each for each, its in self._of.items() if its.index == index]:
                del self._of[picture]

    def place(self, index: int) -> Place | None:
        """Return where the picture of a packet stands, whether or not it is still there.

        None: it has not been decoded, not without a fault, or long ago.
        """
        with self._lock:
            return self._places.get(index)

    def begins(self, picture: Picture) -> bool:
        """Whether what follows can be passed on from ``picture`` on, if any of it can."""
        if self.sets is None or not self.copying or not self.sets.leaves_room:
            return True
        coded = self.of(picture)
        return coded is not None and coded.idr

    def of(self, picture: Picture) -> CodedPicture | None:
        """Return how it came; None when it has to be encoded anew."""
        with self._lock:
            return self._of.get(picture)
