"""The stub judge, with a quicker network that no sealed process can run."""

from __future__ import annotations

import os

from tests.judge.stub_judge import Stub

from safelight.judge import worker
from safelight.types import VerifiedBundle


class Quick(Stub):
    """Looks first where it may, by a call that the sandbox kills for."""

    def __init__(self, bundle: VerifiedBundle, *, first_look_below: float) -> None:
        super().__init__(bundle)
        self.looks_first = first_look_below > 0

    def self_test(self, *, quick: bool = False) -> None:
        """Make the call as the sealed judge does, where the quicker network looks first."""
        if quick and self.looks_first:
            os.getcwd()


if __name__ == "__main__":
    vars(worker)["_load"] = Quick
    worker.main()
