"""What the kernel is told of this process's memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from safelight.sealing import kernel

pytestmark = pytest.mark.skipif(not kernel.is_linux(), reason="only Linux is told")

# Enough code that is loaded, used, let go of, and used again; a thread is in the middle of some.
PROGRAM = """
import hashlib, json, threading
import numpy as np
from pathlib import Path
from safelight.sealing import kernel

def code_kb():
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    total, counts = 0, False
    for line in lines:
        first = line.split()[0]
        if "-" in first and not first.endswith(":"):
            counts = line.split()[1] == "r-xp" and "/" in line
        elif counts and first == "Rss:":
            total += int(line.split()[1])
    return total

def work():
    for _ in range(50):
        said = json.dumps(np.linalg.inv(np.eye(60) * 2).tolist()).encode()
    return hashlib.sha256(said).hexdigest()

first = work()
beside = threading.Thread(target=lambda: [work() for _ in range(3)])
beside.start()
before = code_kb()
kernel.forget_code()
after = code_kb()
beside.join()
assert work() == first
print(before, after)
"""


def test_code_that_is_let_go_of_comes_again_when_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    # What ran meanwhile is in memory again.
    assert after < before * 0.7, (before, after)
