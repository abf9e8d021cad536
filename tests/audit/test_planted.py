"""``safelight audit`` is clean on this project, and red on each violation planted in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys

import pytest
from tests.source import ROOT

from safelight.audit import auditing
from safelight.audit.outcome import Outcome

# Each starts a guard and watches it for a quarter of a minute: `make long`.
pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.long]


TRACED = frozenset({"nothing", "times", "connection", "socket", "telemetry"})


def audited(what: str, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    # A film: a guard waits for its judge there, so that a busy machine sees the same.
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}/src:{ROOT}")
    return auditing.own_stream(
        (sys.executable, "-m", "tests.audit.planted", what), trace=what in TRACED, live=False
    )


def red(outcome: Outcome) -> dict[str, str]:
    return {r.check: "\n".join(r.found) for r in outcome.rows if r.verdict == "red"}


def test_this_project_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = audited("nothing", monkeypatch)
    assert red(outcome) == {}
    verdicts = {r.check: r.verdict for r in outcome.rows}
    for check in ("judge sealed", "marked picture", "sink", "scores", "files left"):
        assert verdicts[check] == "clean"
    if shutil.which("strace") is not None:
        assert outcome.judge_calls


def may_leave_the_network() -> bool:
    command = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]), "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


# What is planted, the row that has to be red, and what its finding has to name.
PLANTS = (
    ("dump", "marked picture", "cache-"),
    ("socket", "sockets", "judge"),
    ("score", "scores", "stderr"),
    ("title", "processes", "names in turn"),
    ("line", "processes", "command line"),
    ("times", "shared memory", "utimensat"),
    ("digest", "scores", "events"),
    ("shm", "shared memory", "/dev/shm/psm_"),
    ("core", "core dumps", "a dump: "),
    ("connection", "sockets", "guard"),
    ("telemetry", "files left", "onnxruntime"),
)


@pytest.mark.parametrize(("what", "check", "names"), PLANTS, ids=[p[0] for p in PLANTS])
def test_a_planted_violation_is_red(
    what: str, check: str, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "telemetry" and not may_leave_the_network():
        pytest.skip("no network namespace here: the library's reports could reach its maker")
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        monkeypatch.setenv("PLANTED_PORT", str(somebody.getsockname()[1]))
        found = red(audited(what, monkeypatch))
    print(what, found)  # noqa: T201
    assert names in found.get(check, ""), found
