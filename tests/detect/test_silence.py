"""Promise 5: loading what looks at pictures tells nobody, and writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.source import SRC

LOAD = "import os, safelight.detect.runtime; print(len(os.listdir('/proc/self/task')))"


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_the_inference_library_reports_to_nobody(tmp_path: Path) -> None:
    """Its reports have a thread of their own, and files in the home and temporary folders."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    env = {
        **os.environ,
        "PYTHONPATH": str(SRC),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    env.pop("ORT_DISABLE_TELEMETRY", None)
    ran = subprocess.run(
        [sys.executable, "-P", "-c", LOAD],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.split() == ["1"]
    assert [path for folder in (home, temporary) for path in folder.rglob("*")] == []
