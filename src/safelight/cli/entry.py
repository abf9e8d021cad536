"""Where the program begins: before the libraries are loaded, which takes most of a second.

Being asked to stop while they load ends the program at once, as asked: nothing is open yet.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            # Not an exception: a library that is being loaded could take it for its own.
            signal.signal(number, _leave)
    from safelight.cli import main as command_line  # noqa: PLC0415

    command_line.main()


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)
