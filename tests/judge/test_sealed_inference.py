"""The real detectors work in the sandbox, and make only the calls of the list."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.source import ROOT, SRC

from safelight.judge import sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sandbox.unsupported() is not None, reason="no sandbox here"),
]

USERS = ("root", "ordinary") if os.geteuid() == 0 else ("self",)
CLIP = "again.mkv"  # a face is in view


def run(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **sandbox.SINGLE_THREADED, "PYTHONPATH": f"{SRC}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [*before, sys.executable, "-P", "-m", "tests.judge.sealed_inference", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("who", USERS)
def test_inference_works_after_sealing(who: str, media: Path) -> None:
    """Every view, faces, 16x16 to 4K, exceptions of every library: nothing kills it."""
    ran = run(who, str(media / CLIP))
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["missing"]) == (0, [])
    assert found["faces"] > 0
    assert len(found["raised"]) == 5


@pytest.mark.e2e
def test_calls_seen_from_outside_are_on_the_list(media: Path, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    run(USERS[0], str(media / CLIP), before=("strace", "-f", "-o", str(trace)))
    if not trace.is_file() or "MARK begin" not in trace.read_text(errors="replace"):
        pytest.skip("this machine lets nobody trace")
    between = trace.read_text(errors="replace").split("MARK begin")[1].split("MARK end")[0]
    seen = set(re.findall(r"^\d+ +(\w+)\(", between, re.MULTILINE)) - {"wait4"}  # the template's
    print("an inference makes:", *sorted(seen))  # noqa: T201  (docs/sandbox.md quotes it)
    assert seen
    assert seen <= set(sandbox.JUDGE_CALLS)
