"""A systemd of a user's that really runs: in namespaces of its own, with its journal and bus.

Nothing of this machine's systemd, if it has one, is touched. The user inside is nobody special:
their number is another one than root's, and stands for whoever runs the tests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.source import ROOT

MANAGER: Final = Path("/usr/lib/systemd/systemd")
BUS_UNIT: Final = Path("/usr/lib/systemd/user/dbus.socket")
_USER: Final = 61_003
_RUN: Final = f"/run/user/{_USER}"

# A control group of its own, in which the rest is.
_OUTER: Final = """
set -eu
mkdir -p "$1/cgroup"
mount -t cgroup2 cgroup2 "$1/cgroup"
own="$1/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$2"
mkdir "$own"
echo $$ >"$own/cgroup.procs"
exec unshare --mount --pid --cgroup --fork --kill-child sh -c "$3" sh "$1"
"""
# What a machine that systemd booted has, as far as a user's systemd looks for it. It is started
# again when it ends: then the user has logged in again.
_INNER: Final = f"""
set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
umount -Rl /sys/fs/cgroup || true
umount -l "$1/cgroup" || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p {_RUN} /run/log/journal
for each in system seats sessions users machines journal; do mkdir -p "/run/systemd/$each"; done
{{ cat /etc/passwd; echo "someone:x:{_USER}:{_USER}::$HOME:/bin/sh"; }} >/run/passwd
mount --bind /run/passwd /etc/passwd
mount --bind /dev/null /dev/kmsg || true  # the journal is of what runs here, not of the kernel
/usr/lib/systemd/systemd-journald &
echo made
exec unshare --user --map-user={_USER} --map-group={_USER} \\
  sh -c 'while :; do {MANAGER} --user --log-target=journal || sleep 1; done'
"""
_REMOVE: Final = """
set -eu
mount -t cgroup2 cgroup2 "$1/cgroup"
own="$1/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$2"
[ -d "$own" ] || exit 0
while grep -q "populated 1" "$own/cgroup.events"; do sleep 0.1; done
find "$own" -depth -type d -exec rmdir {} \\;
"""


class NoManagerError(Exception):
    """This machine runs no systemd in namespaces; why."""


class UserManager:
    """One that runs, and what is run beside it as its user."""

    def __init__(self, inside: int, env: dict[str, str]) -> None:
        self._env = env
        self._enter = ["nsenter", "--target", str(inside), "--preserve-credentials"]
        self._enter += ["--user", "--mount", "--pid", "--cgroup", f"--wdns={ROOT}"]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            [*self._enter, *command],
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def systemctl(self, *words: str) -> str:
        """Return what the user's ``systemctl`` prints."""
        return self.run("systemctl", "--user", *words).stdout.strip()

    def journal_of(self, program: str) -> list[str]:
        """Return what a program wrote into the journal, a line each."""
        said = self.run("journalctl", "--output=cat", f"SYSLOG_IDENTIFIER={program}")
        return said.stdout.splitlines()

    def is_up(self) -> bool:
        """Whether it has started what starts with it."""
        return self.systemctl("is-active", "default.target") == "active"


@contextlib.contextmanager
def user_manager(folder: Path) -> Iterator[UserManager]:
    """Start one; ``folder`` is its user's home, and this one's alone.

    Raises NoManagerError.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        raise NoManagerError("namespaces and control groups need root, unshare and nsenter")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "DBUS_"))}
    env = {
        **kept,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": _RUN,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={_RUN}/bus",
    }
    name = f"safelight-test-{os.getpid()}"
    private = ["unshare", "--mount", "--propagation=private", "sh", "-c"]
    with (folder / "manager.log").open("w") as log, subprocess.Popen(
        [*private, _OUTER, "sh", str(folder), name, _INNER],
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "made\n":
                process.wait(10)
                said = (folder / "manager.log").read_text().strip().splitlines()
                raise NoManagerError(said[-1] if said else "no reason given")
            yield UserManager(_child_of(process.pid), env)
        finally:
            process.kill()  # and with its namespace all that is in it
            process.wait()
            remove = [*private, _REMOVE, "sh", str(folder), name]
            subprocess.run(remove, timeout=30, capture_output=True, check=False)


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
