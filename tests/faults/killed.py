"""The guard itself is killed: its stream ends there, and its judge with it.

Run as a program it is that guard: what leaves it is told on its standard output.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Final

from tests.faults import pictures, stream
from tests.faults.ledger import Ledger, LedgerSink
from tests.faults.pictures import Truth
from tests.faults.stream import Count, Outcome

from safelight.types import Picture, SafeFrame

KIND: Final = "the guard itself is killed"
_RECORD: Final = struct.Struct("<iBB")  # number or -1 for a card, truth, whether it is a leak
_GONE_S: Final = 10.0
_WAYS: Final = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)


class TellingSink(LedgerSink):
    """A ledger's sink that tells another process what arrived."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._told = ledger

    def write(self, frame: SafeFrame) -> None:
        super().write(frame)
        mark = pictures.read(frame.content) if isinstance(frame.content, Picture) else None
        number, truth = mark or (-1, Truth.CLEAR)
        os.write(1, _RECORD.pack(number, truth, bool(self._told.leaks)))


def kill_one(seed: str) -> Outcome:
    """Start a guard, kill it in the middle, and say what came of it."""
    dice = random.Random(seed)
    outcome = Outcome(seed, "live", False)
    guard = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.killed", seed],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    told: list[tuple[int, int, int]] = []
    if guard.stdout is None:
        raise RuntimeError("a guard without an output")
    with guard.stdout:
        for _ in range(dice.randint(1, 150)):
            if (one := _next(guard.stdout)) is None:
                break
            told.append(one)
        time.sleep(dice.uniform(0.0, 0.05))
        templates = _children(guard.pid)
        if guard.poll() is not None or not templates:
            outcome.broken = f"it ended before it was killed ({guard.poll()})"
        if dice.random() < 0.5:
            _stop(templates)  # what is stopped cannot notice the end by itself
        guard.send_signal(dice.choice(_WAYS))
        guard.wait()
        while (one := _next(guard.stdout)) is not None:  # what it wrote before it died
            told.append(one)
    count = outcome.counts[KIND] = Count(injected=1)
    numbers = [number for number, _, _ in told if number >= 0]
    count.released, count.covered = len(numbers), len(told) - len(numbers)
    for number, truth, leak in told:
        if leak or truth == Truth.NEVER:
            outcome.leaks.append((number, f"picture {number} left a guard that was killed"))
    count.leaks = len(outcome.leaks)
    if not _gone(templates):
        outcome.broken = "its judge outlived it"
    return outcome


def _next(told: IO[bytes]) -> tuple[int, int, int] | None:
    raw = told.read(_RECORD.size)
    if len(raw) < _RECORD.size:
        return None
    number, truth, leak = _RECORD.unpack(raw)
    return number, truth, leak


def _stat(pid: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _processes() -> list[tuple[int, list[str]]]:
    return [(int(pid), _stat(pid)) for pid in os.listdir("/proc") if pid.isdigit()]


def _children(guard: int) -> set[int]:
    return {pid for pid, stat in _processes() if stat and int(stat[1]) == guard}


def _stop(sessions: set[int]) -> None:
    for pid in _of(sessions):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            # One that has not yet named itself is loading, has been handed nothing, and has
            # not yet asked the kernel to end it: stopped by us it would stay so for ever.
            if Path(f"/proc/{pid}/comm").read_text().strip() == "safelight-judge":
                os.kill(pid, signal.SIGSTOP)


def _of(sessions: set[int]) -> list[int]:
    """Return what runs in these sessions."""
    return [
        pid
        for pid, stat in _processes()
        if stat and int(stat[3]) in sessions and stat[0] not in "ZX"
    ]


def _gone(sessions: set[int]) -> bool:
    """Whether everything that the templates began has ended: each began a session."""
    until = time.monotonic() + _GONE_S
    while time.monotonic() < until:
        if not _of(sessions):
            return True
        time.sleep(0.02)
    return False


if __name__ == "__main__":
    stream.run(stream.plan(sys.argv[1], "live", faults=12), TellingSink)
