"""In which order pictures leave when some are passed on as they came and some encoded anew.

A coded picture may refer to any reference picture that was decoded before it since the last IDR
picture. So one is passed on only right behind the one that was decoded before it, all the way
from an IDR picture; what nothing refers to may be missing between. From the first reference
picture that may not leave, and from whatever did not come whole, everything is encoded anew until
the next IDR picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from safelight.media.coded import CodedPicture, Place
from safelight.types import Picture

# So many pictures a decoder may hold back at most (H.264, A.3.1).
MOST_REORDERED: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture that may leave, or a card, at ``out`` seconds of the sink's own clock.

    ``shift`` is what was added to stream time. ``coded``: how it came, if it came whole.
    """

    picture: Picture
    out: Fraction
    shift: Fraction
    coded: CodedPicture | None


class Splicer:
    """Takes pictures in the order of showing, calls ``copy`` and ``encode``.

    ``copy`` is called in the order of decoding; ``encode`` in that of showing, with True for
    the first after something else, which may refer to nothing. ``place`` says of a packet where
    its picture stands, None if that is not known: one that is shown before what has come by now,
    and has not come, was dropped.
    """

    def __init__(
        self,
        copy: Callable[[Shown, CodedPicture], None],
        encode: Callable[[Shown, bool], None],
        place: Callable[[int], Place | None],
    ) -> None:
        self._copy = copy
        self._encode = encode
        self._place = place
        self._next: int | None = None  # the packet whose turn it is; None while encoding
        self._shift: Fraction | None = None
        self._waiting: dict[int, tuple[Shown, CodedPicture]] = {}
        self._fresh = True

    def push(self, shown: Shown, *, late: bool = False) -> bool:
        """Take the next picture in the order of showing; return whether it leaves.

        ``late``: it is left out if it would have to be encoded behind another that was.
        """
        coded = shown.coded
        if coded is None or not self._may_follow(shown, coded):
            self.settle()
        if coded is not None and self._next is None and coded.idr:
            self._next, self._shift = coded.index, shown.shift
        if coded is None or self._next is None:
            if late and not self._fresh:
                return False
            self._encode(shown, self._fresh)
            self._fresh = False
            return True
        self._waiting[coded.index] = (shown, coded)
        run, broken = self._run(self._next, coded.place.at)
        for ready, its in run:
            del self._waiting[its.index]
            self._copy(ready, its)
            self._fresh = True
            self._next = its.index + 1
        if broken or len(self._waiting) > MOST_REORDERED:
            self.settle()
        return True

    def _run(self, first: int, now: Fraction) -> tuple[list[tuple[Shown, CodedPicture]], bool]:
        """Return what can be copied now: as much as leaves no earlier picture waiting.

        One that had to be encoded after all would otherwise come after a later one. ``now``:
        when the last that came is shown. Returned besides: whether what comes next in the order
        of decoding was dropped, and others may refer to it.
        """
        run: list[tuple[Shown, CodedPicture]] = []
        whole = 0
        index, broken = first, False
        while True:
            if index in self._waiting:
                run.append(self._waiting[index])
                latest = max(shown.out for shown, _ in run)
                done = {its.index for _, its in run}
                if all(
                    s.out > latest for s, its in self._waiting.values() if its.index not in done
                ):
                    whole = len(run)
            else:
                place = self._place(index)
                if place is None or place.at >= now:
                    break  # not known, or still to come
                if place.referred_to:
                    broken = True
                    break
            index += 1
        return run[:whole], broken

    def settle(self) -> None:
        """Encode what waits for a packet that will not come; copy nothing until an IDR picture."""
        left = sorted(self._waiting.values(), key=lambda one: one[0].out)
        self._waiting.clear()
        self._next = None
        for shown, _ in left:
            self._encode(shown, self._fresh)
            self._fresh = False

    def _may_follow(self, shown: Shown, coded: CodedPicture) -> bool:
        """Whether what is under way can go on with this one."""
        if self._next is None:
            return True
        if coded.index < self._next or shown.shift != self._shift:
            return False
        # All that is decoded before an IDR picture is shown before it: what is still missing
        # will not come.
        return not coded.idr or coded.index == self._next
