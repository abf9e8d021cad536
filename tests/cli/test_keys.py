"""The key that resumes, on a real terminal; and the terminal is given back as it was."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.running import LIVE, PROGRAM, environment, until

pytestmark = pytest.mark.slow

WAIT_S = 15.0  # longer than any start takes


class Terminal:
    """A guard on a terminal of its own, and what it has shown."""

    def __init__(self, cwd: Path, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""
        slave = self.slave

        def in_front() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=cwd,
            env={**environment(cwd), "COLUMNS": "120"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=in_front,  # noqa: PLW1509  (no other way to a controlling terminal)
        )

    def shows(self, words: str) -> Callable[[], bool]:
        def look() -> bool:
            while select.select([self.master], [], [], 0)[0]:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
            return words in self.seen

        return look

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def given_back(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before


@contextlib.contextmanager
def interrupted(cwd: Path) -> Iterator[Terminal]:
    """A guard that begins interrupted, because of a cool-down that lasts ``WAIT_S`` yet."""
    state = cwd / "state"
    state.mkdir()
    over = time.time() + WAIT_S
    (state / "cool-down.json").write_text(json.dumps({"level": 1, "until": over}))
    terminal = Terminal(cwd, "guard", LIVE, "null:", "--state", str(state))
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)
        os.close(terminal.slave)


def cool_down_is_over(cwd: Path) -> bool:
    kept = json.loads((cwd / "state" / "cool-down.json").read_text())
    return time.time() > float(kept["until"]) + 0.5


def test_the_key_resumes_once_the_cool_down_is_over(tmp_path: Path) -> None:
    """Promise 7: an interruption needs a deliberate resume, and a key is enough for it."""
    with interrupted(tmp_path) as terminal:
        until(terminal.shows("resume possible in"))
        assert "press r to resume" not in terminal.seen, "not as long as it would be refused"
        terminal.press("x")
        terminal.press("r")
        until(lambda: not terminal.shows("Live:")() and cool_down_is_over(tmp_path))
        until(terminal.shows("press r to resume"))
        assert not terminal.shows("Live:")(), "it resumed by itself"
        terminal.press("r")
        until(terminal.shows("Live: video is checked before it leaves"))
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(60) == 0
        assert terminal.given_back()
        assert "Traceback" not in terminal.seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_after_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    with interrupted(tmp_path) as terminal:
        until(terminal.shows("resume possible in"))
        assert not terminal.given_back(), "keys cannot be read yet: the test shows nothing"
        terminal.process.send_signal(number)
        assert terminal.process.wait(60) == 0
        assert terminal.given_back()
