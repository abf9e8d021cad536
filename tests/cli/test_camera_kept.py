"""What holds of two ways to keep programs of one user from a camera (docs/camera.md).

Needs root, to make what belongs to somebody else; the device is a stand-in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import desktop
from tests.cli.running import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes what belongs to somebody else"),
]
OWNER, OTHER = 61_001, 61_002


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    # Both users have to get as far as the folder itself.
    made = Path("/tmp") / f"safelight-kept-{os.getpid()}"
    made.mkdir(mode=0o755)
    yield made
    shutil.rmtree(made)


def as_user(user: int, *command: str, **env: str) -> int:
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    return subprocess.run(
        words, env={**os.environ, **env}, capture_output=True, check=False, timeout=30
    ).returncode


def test_a_device_of_another_user_cannot_be_opened(folder: Path) -> None:
    device = folder / "video0"
    device.write_bytes(b"x")
    device.chmod(0o600)
    os.chown(device, OWNER, OWNER)
    assert as_user(OWNER, "head", "-c1", str(device)) == 0
    assert as_user(OTHER, "head", "-c1", str(device)) != 0


def test_a_pipewire_of_another_user_cannot_be_reached(folder: Path) -> None:
    desktop.need_pipewire()
    private, own = folder / "private", folder / "own"
    for place, user in ((private, OWNER), (own, OTHER)):
        place.mkdir(mode=0o700)
        os.chown(place, user, user)
    server = subprocess.Popen(
        ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "pipewire"],
        env={**os.environ, "XDG_RUNTIME_DIR": str(private), "HOME": str(private)},
        stderr=subprocess.DEVNULL,
    )
    try:
        until((private / "pipewire-0").exists)
        reached = {
            user: as_user(
                user, "timeout", "10", "pw-cli", "ls", "Core",
                PIPEWIRE_REMOTE=str(private / "pipewire-0"),
                XDG_RUNTIME_DIR=str(own if user == OTHER else private),
                HOME="/tmp",
            )
            for user in (OWNER, OTHER)
        }  # fmt: skip
    finally:
        server.kill()
        server.wait()
    assert reached[OWNER] == 0
    assert reached[OTHER] != 0
