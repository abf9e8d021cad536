"""The systemd user unit that has the guarded camera run, now and at login."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from safelight.errors import UsageError

NAME: Final = "safelight-camera.service"
_PATIENCE_S: Final = 60.0
_BY_HAND: Final = "run it by hand: safelight camera run SOURCE"
_TEXT: Final = """\
# Written by `safelight camera on`; removed by `safelight camera uninstall`.
[Unit]
Description=Safelight guarded camera
After=pipewire.service wireplumber.service

[Service]
ExecStart={command}
# A network camera that is switched off and on again has ended its stream, which is no failure.
Restart=always
RestartSec=5
# Starts and faults only; never what was seen, or when.
StandardOutput=journal
StandardError=journal
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
RestrictAddressFamilies={families}
LimitCORE=0
UMask=0077

[Install]
WantedBy=default.target
"""


def path() -> Path:
    """Return where the unit lies."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "systemd" / "user" / NAME


def text(source: str, arguments: Sequence[str]) -> str:
    """Return the unit that guards ``source``.

    Raises:
        UsageError: a word that cannot be written into a unit.
    """
    # -P: what lies in the folder it starts in is no part of it.
    line = [sys.executable, "-P", "-m", "safelight", "camera", "run", *arguments, source]
    families = "AF_UNIX AF_NETLINK" + (" AF_INET AF_INET6" if "://" in source else "")
    return _TEXT.format(command=" ".join(map(_quoted, line)), families=families)


def _quoted(word: str) -> str:
    """Return a word as systemd reads it back, which expands % and $."""
    if not word.isprintable():
        raise UsageError("a name holds control characters", "name it otherwise")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def write(source: str, arguments: Sequence[str]) -> Path:
    """Write the unit.

    Raises:
        UsageError: it cannot be written.
    """
    place = path()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(text(source, arguments), encoding="utf-8")
        part.replace(place)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written ({error.strerror})", "check your home folder"
        ) from None
    return place


def remove() -> bool:
    """Remove the unit; False when there was none."""
    place = path()
    there = place.exists()
    place.unlink(missing_ok=True)
    return there


def systemctl(*arguments: str, hint: str = _BY_HAND) -> None:
    """Have the user's systemd do something; ``hint`` says what to do where it cannot.

    Raises:
        UsageError: there is none here, or it refuses.
    """
    if shutil.which("systemctl") is None:
        raise UsageError("there is no systemd here", hint)
    try:
        done = subprocess.run(
            ["systemctl", "--user", *arguments],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise UsageError("the user's systemd does not answer", hint) from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(f"the user's systemd refuses ({said})", hint)
