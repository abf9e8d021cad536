"""A guarded call under loss, delay and reordering: the network's, and where packets are sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.media.rough_call import NO_LINK
from tests.source import ROOT

SECONDS = float(os.environ.get("SECONDS_OF_CALL", "20"))
CALL = (sys.executable, "-m", "tests.media.rough_call", str(SECONDS))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.mark.slow
def test_a_rough_network_between_two_processes_leaks_nothing_and_stops_nothing() -> None:
    """Two namespaces of the test's own. SECONDS_OF_CALL=600 for a call of ten minutes."""
    said = call(*CALL, "linked")
    check(said)
    if said["link"] == "relay":
        assert said["lost"]
        assert said["overtaken"]


@pytest.mark.long
def test_loss_and_delay_where_packets_are_sent_leak_nothing_and_stop_nothing() -> None:
    check(call(*CALL, "injected"))


def call(*command: str) -> dict[str, object]:
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    if ran.returncode == NO_LINK:
        pytest.skip(ran.stdout)
    assert ran.returncode == 0, ran.stderr[-2000:]
    said: dict[str, object] = json.loads(ran.stdout)
    print(said)  # noqa: T201
    return said


def check(said: dict[str, object]) -> None:
    assert said["bright"] == 0
    assert said["unjudged_released"] == 0
    assert said["ended_well"]
    pictures, cards, memory = said["pictures"], said["cards"], said["memory_kb_every_30_s"]
    assert isinstance(pictures, int)
    assert pictures > SECONDS
    assert cards
    assert isinstance(memory, list)
    if len(memory) > 4:
        assert max(memory[2:]) < memory[1] * 1.2, "memory grows"
