"""Promise 2: a restart that goes wrong, whatever the way, ends the stream."""

from __future__ import annotations

import queue

import pytest

from safelight.errors import JudgeError
from safelight.judge.keeper import Keeper, Restarted
from safelight.testing.fakes import FakeJudge, Silent

WAIT = 20.0


class Broken(FakeJudge):
    def __init__(self, error: Exception) -> None:
        super().__init__(lambda *_: Silent())
        self._error = error

    def restart(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    "error", [JudgeError("gone", "see"), OSError("gone"), RuntimeError("closed"), KeyError("x")]
)
def test_a_restart_that_fails_is_told_whatever_it_raised(error: Exception) -> None:
    told: queue.Queue[object] = queue.Queue()
    keeper = Keeper(Broken(error), told.put)
    keeper.restart()
    said = told.get(timeout=WAIT)
    assert isinstance(said, Restarted)
    assert isinstance(said.error, JudgeError)
    keeper.close()
