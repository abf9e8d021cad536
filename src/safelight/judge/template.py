"""The guard's handle on the template: starts it, hands it the bundle, has it fork judges."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any, Final

from safelight.errors import BundleError, JudgeError
from safelight.judge import carry
from safelight.judge.sandbox import Layer
from safelight.judge.worker import MAX_CONTROL_BYTES
from safelight.sealing.programs import environment
from safelight.types import VerifiedBundle

READY_S: Final = 60.0
FORK_S: Final = 10.0
MEMORY_BYTES: Final = 1 << 30  # on top of what is loaded: an 8K picture takes less than half
HINT: Final = "nothing was released; see safelight doctor, or reinstall safelight"


class NoReasonError(JudgeError):
    """It ended, or was not ready in time, and said nothing of why."""


class Template:
    """One template process. One thread at a time; the thread that makes it must outlive it."""

    def __init__(
        self, bundle: VerifiedBundle, module: str, *, first_look_below: float = 0.0
    ) -> None:
        """Start the process and wait until it has tested itself.

        ``first_look_below``: up to which score a quicker network may answer.

        Raises:
            NoReasonError: it ends, or is not ready in time.
            JudgeError: it does not start, or gives wrong answers.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._ended_cpu_s = 0.0
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment(),
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise JudgeError(f"the judge does not start ({error.strerror})", HINT) from error
        try:
            said = self._hand_over(bundle, first_look_below)
            self.layers = layers_of(said)
            self.looks_first = said.get("looks_first") is True
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process number of the template."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def fork(self, ring: int, channel: socket.socket) -> int:
        """Have it fork a judge that reads ``ring`` and talks on ``channel``; return its pid.

        Raises:
            JudgeError: it does not.
        """
        self._control.settimeout(FORK_S)
        try:
            socket.send_fds(self._control, [b'{"fork": true}'], [ring, channel.fileno()])
        except OSError as error:
            raise JudgeError("the judge cannot be started again", HINT) from error
        pid = self._hear().get("pid")
        if not isinstance(pid, int) or pid <= 1:
            raise JudgeError("the judge cannot be started again", HINT)
        return pid

    def close(self) -> None:
        """Kill it, and with it every judge that it forked. Safe to call twice."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _hand_over(self, bundle: VerifiedBundle, below: float) -> dict[str, Any]:
        order = json.dumps(
            {"sha256": bundle.sha256, "memory": MEMORY_BYTES, "first_look_below": below}
        ).encode()
        self._control.settimeout(READY_S)
        try:
            packed, files = carry.pack(bundle)
            try:
                socket.send_fds(self._control, [order], [packed, *files])
            finally:
                os.close(packed)
        except BundleError as error:
            raise JudgeError(error.what, error.hint) from error
        except OSError as error:
            raise JudgeError("the judge ended while it started", HINT) from error
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        try:
            return heard(self._control.recv(MAX_CONTROL_BYTES))
        except OSError as error:
            raise NoReasonError("the judge was not ready in time", HINT) from error


def heard(message: bytes) -> dict[str, Any]:
    """Read what a judge says before its first frame.

    Raises:
        NoReasonError: it has ended.
        JudgeError: it gives up, or says something else.
    """
    if not message:
        raise NoReasonError("the judge ended while it started", HINT)
    try:
        said = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise JudgeError("the judge says what cannot be read", HINT) from error
    if not isinstance(said, dict):
        raise JudgeError("the judge says what cannot be read", HINT)
    failed = said.get("failed")
    if failed is not None:
        what, hint = (str(part) for part in failed) if len(failed) == 2 else (str(failed), HINT)
        raise JudgeError(what, hint)
    return said


def layers_of(said: dict[str, Any]) -> tuple[Layer, ...]:
    """Read the layers of a sandbox, as a judge reports them.

    Raises:
        JudgeError: it says something else.
    """
    try:
        return tuple(
            Layer(str(name), bool(required), held is True, str(why))
            for name, required, held, why in said["layers"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JudgeError("the judge says what cannot be read", HINT) from error
