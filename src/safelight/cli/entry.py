"""Where the program begins: before the libraries are loaded, which takes most of a second.

Being asked to stop while they load ends the program at once: nothing is open yet. A guard that
was asked to stop ended as asked; a check that was, checked nothing, and says so.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Final, NoReturn

ENDED: Final = 0
NOTHING_DONE: Final = 2
INTERRUPTED: Final = "interrupted, so nothing is certain: run it again"


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    _fill_standard_descriptors()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            # Not an exception: a library that is being loaded could take it for its own.
            signal.signal(number, _leave)
    from safelight.cli import main as command_line  # noqa: PLC0415

    command_line.main()


def status_when_stopped(arguments: Sequence[str]) -> int:
    """Return the exit status of a command line that is asked to stop.

    Only what guards, a stream or a call, is meant to be stopped that way. Whatever else is cut
    short has no result, and no result must not read as a good one.
    """
    words = [word for word in arguments if not word.startswith("-")]
    guards = words[:1] in (["guard"], ["call"]) or words[:2] == ["camera", "run"]
    return ENDED if guards else NOTHING_DONE


def _fill_standard_descriptors() -> None:
    """Open nothing in the place of each of the three that is closed.

    Else what is opened next takes its number, the judge's channel or the sink's file; and
    whatever a library says to standard error would be said there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number


def _leave(_number: int, _frame: FrameType | None) -> None:
    status = status_when_stopped(sys.argv[1:])
    if status != ENDED:
        try:
            os.write(2, f"safelight: {INTERRUPTED}\n".encode())
        except OSError:
            os._exit(status)  # nobody listens; the status says it
    os._exit(status)
