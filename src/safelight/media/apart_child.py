"""The guard's handle on a process that decodes: its channel, its ring, its end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from safelight.media.apart_ring import Inbox
from safelight.media.apart_wire import MAX_BYTES
from safelight.sealing.observing import cpu_seconds
from safelight.sealing.programs import environment


class Child:
    """The other process, its channel and its ring. ``kill`` is for any thread."""

    def __init__(self, program: str) -> None:
        """Start it. The thread that does so must live as long.

        Raises:
            OSError: it does not start.
        """
        self.ring = Inbox()
        self._lock = threading.Lock()
        self.closed = False
        self._used_s = 0.0
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        try:
            with theirs:
                handles = (theirs.fileno(), self.ring.handle)
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", program, *map(str, (*handles, os.getpid()))],
                    pass_fds=handles,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # More arenas would have the C library ask how many processors there are.
                    env={**environment(), "MALLOC_ARENA_MAX": "2"},
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            self.ring.close()
            raise

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        with self._lock:
            return self._has_ended()

    def tell(self, data: bytes) -> None:
        """Send it something; that it is gone shows when it is heard next."""
        with suppress(OSError):
            self._channel.send(data)

    def hear(self, patience: float | None) -> bytes:
        """Wait for a message; empty when it has ended.

        Raises:
            TimeoutError: none came in so many seconds.
            OSError: it cannot be heard.
        """
        self._channel.settimeout(patience)
        return self._channel.recv(MAX_BYTES)

    def cpu_seconds(self) -> float:
        """CPU time that it used so far, in seconds, also when it is gone."""
        with self._lock:
            self._has_ended()
            return self._used_s

    def kill(self) -> None:
        """End it; whoever listens to it finds that it ended. Safe to call twice."""
        with self._lock:
            if not self._has_ended():
                self._process.kill()
                self._process.wait()

    def _has_ended(self) -> bool:
        """Whether it runs no more. Notes what it used first: asking is what forgets that."""
        if self._process.returncode is None:
            with suppress(OSError, ValueError):
                self._used_s = cpu_seconds(self.pid)
        return self._process.poll() is not None

    def close(self) -> None:
        """End it, and let go of everything. Safe to call twice."""
        self.kill()
        self.closed = True
        self._channel.close()
        self.ring.close()
