"""One judge for several streams, owned by the host that opens them (decision 0023).

A seat whose questions broke the judge twice goes on with a judge of its own, which it can break
as often as it likes; so does one whose pictures are so large that the others would wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from safelight.errors import JudgeError
from safelight.judge.desk import HINT, Desk
from safelight.judge.judge import Judge
from safelight.judge.seat import Seat
from safelight.judge.supervisor import ProcessJudge
from safelight.types import VerifiedBundle

SUSPECT_FAULTS: Final = 2  # one less than interrupts the streams of the others
COMMON_BYTES: Final = 1920 * 1088 * 3 // 2  # a larger picture takes two to six times as long
SUSPECT_S: Final = 3600.0  # for so long a fault is held against a seat


class SharedJudge:
    """One process that judges for every seat. It starts with the first and ends with the last.

    ``with`` closes it when its block is left: streams that are still open then end.
    """

    def __init__(
        self,
        bundle: VerifiedBundle,
        *,
        allow_weak: bool = False,
        first_look_below: float = 0.0,
        make: Callable[[], Judge] | None = None,
    ) -> None:
        """Make a judge that nobody uses yet.

        ``allow_weak``: run although layers of the sandbox that are required do not hold here.
        ``first_look_below``: see ``ProcessJudge``; a seat whose stream leaves less room than
        this gets a judge of its own.
        ``make``: another judge than one in a process of its own, of the same bundle.
        """
        self._bundle = bundle
        self._allow_weak = allow_weak
        self._first_look_below = first_look_below
        self._make = make
        self._lock = threading.Lock()
        self._common = self._desk(first_look_below)
        self._own: set[Desk] = set()
        self._gone_cpu_s = 0.0
        self._closed = False

    @property
    def bundle(self) -> VerifiedBundle:
        """The bundle that judges."""
        return self._bundle

    @property
    def apart(self) -> bool:
        """Whether it judges in another process, whose CPU time is not this one's."""
        return self._make is None

    def seat(self) -> Seat:
        """Return a ``Judge`` for one stream."""
        return Seat(self)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of its processes so far, for all seats together."""
        with self._lock:
            desks = (self._common, *self._own)
            gone_s = self._gone_cpu_s
        return gone_s + sum(desk.all_cpu_s() for desk in desks)

    def close(self) -> None:
        """End it; whatever is open gets no answer any more, and ends. Safe to call twice."""
        with self._lock:
            self._closed = True
            desks = (self._common, *self._own)
        for desk in desks:
            desk.close()

    def __enter__(self) -> SharedJudge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- as a seat knows it ---------------------------------------------------------------

    def place(self, seat: Seat) -> Desk:
        """Return the desk that a seat starts at.

        Raises:
            JudgeError: none takes anybody any more.
        """
        if seat.first_look_below >= self._first_look_below:
            return self._common
        return self._own_desk(seat)

    def takes(self, desk: Desk, size: int) -> bool:
        """Whether a picture of so many bytes is small enough for those who wait at a desk."""
        return desk is not self._common or size <= COMMON_BYTES

    def move(self, seat: Seat, desk: Desk) -> Desk:
        """Return the desk that a seat goes on at after a fault."""
        since_s = time.monotonic() - SUSPECT_S
        # A copy: another stream's thread may add to them at this moment.
        against = sum(1 for at_s in tuple(seat.suspicions) if at_s >= since_s)
        harmful = against >= SUSPECT_FAULTS and desk.seats > 1
        if desk is not self._common or not (seat.too_large or harmful):
            return desk
        return self._own_desk(seat)

    def gone(self, _: Seat, desk: Desk) -> None:
        """Note that a seat has left a desk."""
        with self._lock:
            if desk in self._own:
                self._own.remove(desk)
                self._gone_cpu_s += desk.all_cpu_s()

    # --- inside ---------------------------------------------------------------------------

    def _own_desk(self, seat: Seat) -> Desk:
        with self._lock:
            if self._closed:
                raise JudgeError("the judge is closed", HINT)
            own = self._desk(seat.first_look_below)
            self._own.add(own)
        return own

    def _desk(self, first_look_below: float) -> Desk:
        def make() -> Judge:
            return ProcessJudge(
                self._bundle, allow_weak=self._allow_weak, first_look_below=first_look_below
            )

        return Desk(self._make or make)
