"""A guarded call under loss and delay: by netem in a namespace of the test's own, and without."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.source import ROOT

SECONDS = float(os.environ.get("SECONDS_OF_CALL", "60"))
CALL = "tests.media.rough_call"
ROUGH = ("loss", "3%", "delay", "40ms", "15ms")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        pytest.skip("a network namespace needs root, ip and tc (iproute2)")
    name = f"safelight-{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        # WebRTC uses no address of 127.0.0.0/8; this one is loopback's too.
        ip("-n", name, "addr", "add", "10.77.0.1/32", "dev", "lo")
        command = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", *ROUGH]
        subprocess.run(["ip", "netns", "exec", name, *command], check=True, capture_output=True)
        yield name
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this kernel makes no such network: {error.stderr.decode().strip()}")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_loss_and_delay_by_netem_leak_nothing_and_stop_nothing(namespace: str) -> None:
    check(["ip", "netns", "exec", namespace, sys.executable, "-m", CALL, str(SECONDS)])


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_loss_and_delay_where_packets_are_sent_leak_nothing_and_stop_nothing() -> None:
    """SECONDS_OF_CALL=600 for the ten minutes that docs/webrtc.md tells of."""
    check([sys.executable, "-m", CALL, str(SECONDS), "injected"])


def check(command: list[str]) -> None:
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    said = json.loads(ran.stdout)
    print(said)  # noqa: T201
    assert said["bright"] == 0
    assert said["unjudged_released"] == 0
    assert said["ended_well"]
    assert said["pictures"] > SECONDS
    assert said["cards"] > 0
    memory = said["memory_kb_every_30_s"]
    if len(memory) > 4:
        assert max(memory[2:]) < memory[1] * 1.2, "memory grows"
