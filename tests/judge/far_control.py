"""A stub judge whose template's channel has a number beyond those that are closed by number."""

from __future__ import annotations

from tests.judge import stub_judge

from safelight.judge import worker

if __name__ == "__main__":
    vars(worker)["_MAX_HANDLE"] = 6
    worker.main(stub_judge.Stub)
