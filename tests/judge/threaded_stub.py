"""The stub judge, with a library that starts threads when it is loaded, as some do."""

from __future__ import annotations

import threading

from tests.judge.stub_judge import Stub, run

from safelight.types import VerifiedBundle

THREADS = 3


def load(bundle: VerifiedBundle) -> Stub:
    """Start threads that wait for work, and never get any."""
    for _ in range(THREADS):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return Stub(bundle)


if __name__ == "__main__":
    run(load)
