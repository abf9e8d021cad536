"""A quick network first, f32 wherever it does not say *far below every limit*.

The quick one (detect/bf16.py) is off by little where it says little, and by more where scores
rise. Its answer counts below a score that the policy leaves room for; from there on f32 looks
again, and every score that could decide anything is f32's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Protocol

from safelight.detect.runtime import Floats, InferenceError, are_probabilities

# What an answer that counts may be away from f32's on the pictures of a self-test.
TOLERANCE: Final = 0.02
# How much of f32's time a first look may take: some views are looked at twice.
MOST_TIME: Final = 0.75


class Runs(Protocol):
    """A network, in whatever form."""

    def run(self, batch: Floats) -> Floats:
        """Return float32 ``(1, width)`` for one picture; raise InferenceError."""
        ...


class FirstLook:
    """Two forms of one network; the second column of their answers is the score."""

    def __init__(self, exact: Runs, quick: Runs, below: float) -> None:
        self._exact = exact
        self._quick = quick
        self._below = below

    def run(self, batch: Floats) -> Floats:
        """Return float32 ``(1, width)`` for one picture, ``batch`` float32 ``(1, *shape)``.

        Raises:
            InferenceError: a network failed.
        """
        said = self._quick.run(batch)
        return said if self._counts(said) else self._exact.run(batch)

    def holds_here(self, batches: Sequence[Floats]) -> bool:
        """Whether it agrees with f32 on these pictures on this machine, and saves time.

        A library or a processor that computes otherwise, or not faster, or not at all, is found
        out here: it may even say zero to everything.

        Raises:
            InferenceError: f32 failed.
        """
        times: list[tuple[float, float]] = []
        counted = 0
        for batch in batches:
            # Of all threads: what computes in others is not free, and a judge has no others.
            began = time.process_time()
            try:
                said = self._quick.run(batch)
            except InferenceError:
                return False
            between = time.process_time()
            truth = self._exact.run(batch)
            times.append((between - began, time.process_time() - between))
            if self._counts(said):
                counted += 1
                if not abs(float(truth[0, 1] - said[0, 1])) <= TOLERANCE:
                    return False
        if counted == 0:  # every picture would be looked at twice
            return False
        quick_s, exact_s = (min(column) for column in zip(*times, strict=True))
        return bool(quick_s <= MOST_TIME * exact_s)

    def _counts(self, said: Floats) -> bool:
        # Written so that only a comparison that holds spares the second look.
        return are_probabilities(said) and float(said[0, 1]) < self._below
