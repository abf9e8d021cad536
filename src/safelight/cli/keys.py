"""Single keys from the terminal, which is given back as it was whatever happens."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self


class Keys:
    """Reads keys as they are pressed, while this process is in the terminal's foreground.

    Where standard input is no terminal, or belongs to the shell in front, there are no keys.
    """

    def __init__(self, *, wanted: bool) -> None:
        self._terminal: int | None = None
        self._before: list[Any] | None = None
        self._wanted = wanted

    def __enter__(self) -> Self:
        if not self._wanted or sys.stdin is None or not sys.stdin.isatty():
            return self
        descriptor = sys.stdin.fileno()
        if _in_front(descriptor):
            self._before = termios.tcgetattr(descriptor)
            self._terminal = descriptor
            tty.setcbreak(descriptor, termios.TCSANOW)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._terminal is not None and self._before is not None and _in_front(self._terminal):
            termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)
        self._terminal = None

    @property
    def there(self) -> bool:
        """Whether keys can be read."""
        return self._terminal is not None

    def pressed(self) -> str:
        """Return what was typed since the last call, "" if nothing was."""
        if self._terminal is None or not _in_front(self._terminal):
            return ""
        try:
            if not select.select([self._terminal], [], [], 0)[0]:
                return ""
            typed = os.read(self._terminal, 64)
        except OSError:
            typed = b""
        if not typed:
            self._terminal = None  # the terminal has gone
        return typed.decode("ascii", "ignore")


def _in_front(descriptor: int) -> bool:
    # Changing a terminal from behind its shell would stop the guard (SIGTTOU).
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
