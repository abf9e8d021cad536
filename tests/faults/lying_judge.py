"""The real detectors, in a judge that lies or breaks where the picture orders it.

Each picture goes through the networks first; only then does the first luma pixel decide
whether what they said is passed on.
"""

from __future__ import annotations

from tests.judge import stub_judge
from tests.judge.stub_judge import Order, Stub

from safelight.detect.detectors import Detectors
from safelight.types import Evidence, Picture, VerifiedBundle


class Lying(Stub):
    def __init__(self, bundle: VerifiedBundle) -> None:
        super().__init__(bundle)
        self._detectors = Detectors(bundle)

    def self_test(self, *, quick: bool = False) -> None:
        self._detectors.self_test(quick=quick)

    def infer(self, picture: Picture, views: tuple[str, ...]) -> Evidence:
        honest = self._detectors.infer(picture, views)
        ordered = super().infer(picture, views)
        return honest if picture.y[0, 0] == Order.CLEAR else ordered


if __name__ == "__main__":
    stub_judge.run(Lying)
