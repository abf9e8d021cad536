"""A guarded stream of the audit's own, with marked pictures in it, watched from outside.

A publisher on this machine sends a drawn scene with one mark, then a canary with another.
The first may leave by the sink and be nowhere else. The second may be nowhere at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import secrets
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from safelight.audit import mark, tracing
from safelight.audit.search import Marked
from safelight.audit.watching import JUDGE, Seen, Watch
from safelight.errors import LostError
from safelight.testing import canary, scenes
from safelight.testing.film import Film, read_back

PROGRAM: Final = (sys.executable, "-m", "safelight")
# Slow enough for a busy machine whose every system call is traced: what a guard cannot judge in
# time it drops, and a dropped picture shows nothing.
RATE: Final = 10
CLEAR_S: Final = 3.0
HELD_S: Final = 3.0
_CANARY: Final = "cup"
_FILM: Final = "marked.mp4"
_START_S: Final = 60.0
_END_S: Final = 8.0


@dataclass(slots=True)
class Stage:
    """One stream: where it lay, and what was seen of it. Paths are the audit's own scratch."""

    folder: Path
    address: tuple[str, int] | None  # where the guard listens; None when it reads a file
    watch: Watch | None = None
    traced: str | None = None  # why not; None when it was
    since_ns: int = 0
    status: int | None = None
    killed: int | None = None  # the judge that was sent a fault
    states: list[str] = field(default_factory=list)
    clear: Marked | None = None
    held: Marked | None = None

    @property
    def own(self) -> Path:
        """What the audit itself writes: not looked at."""
        return self.folder / "audit"

    @property
    def cwd(self) -> Path:
        """The folder that the guard runs in."""
        return self.folder / "work"

    @property
    def places(self) -> list[Path]:
        """Folders that only the guard knows of: whatever is written there is its own."""
        return [self.folder / name for name in ("work", "home", "tmp", "run")]

    @property
    def out(self) -> Path:
        """Where it is told to write."""
        return self.folder / "out"

    @property
    def named(self) -> dict[str, Path]:
        """The files that its user named."""
        return {
            "sink": self.out / "guarded.mp4",
            "report": self.out / "report.json",
            "events": self.out / "events.jsonl",
            "state": self.out / "state",
        }

    @property
    def said(self) -> list[Path]:
        """What it wrote to its terminal."""
        return [self.own / "stdout", self.own / "stderr"]

    @property
    def guard(self) -> Seen | None:
        """The guard's process."""
        return None if self.watch is None else guard_of(self.watch.snapshot())


def guard_of(processes: list[Seen]) -> Seen | None:
    """Return the first process that is no tracer and no judge."""
    return next((p for p in processes if p.looks and p.name not in {"strace", JUDGE}), None)


def play(
    folder: Path, program: Sequence[str] = PROGRAM, *, trace: bool = True, live: bool = True
) -> Stage:
    """Run one stream to its end, in an empty folder.

    ``live``: publish it over RTMP on this machine. A machine too busy to judge in time sees
    nothing but dropped pictures then; a guard that reads a file waits for its judge.

    Raises:
        LostError: the guard did not start, or never let anything through: nothing was audited.
        TooBusyError: of the second kind, live.
    """
    stage = Stage(folder, ("127.0.0.1", _free_port()) if live else None)
    for place in (stage.own, stage.out, *stage.places):
        place.mkdir(mode=0o700)
    stage.clear, stage.held = _film(stage.own / _FILM)
    log = stage.own / "trace"
    stage.traced = tracing.works(log) if trace else "not asked for (--no-strace)"
    wrapped = (tracing.command(log) or []) if stage.traced is None else []
    stage.since_ns = time.time_ns()
    with (
        _running([*wrapped, *program, *_arguments(stage)], stage) as guard,
        Watch(guard.pid) as watch,
    ):
        stage.watch = watch
        _until_it_ended(stage, guard)
    _check(stage)
    return stage


def _arguments(stage: Stage) -> list[str]:
    named = stage.named
    source = str(stage.own / _FILM)
    if stage.address is not None:
        source = "rtmp://{}:{}/live/audit?listen=1".format(*stage.address)
    options = [("--report", "report"), ("--events", "events"), ("--state", "state")]
    return [
        "guard",
        source,
        str(named["sink"]),
        *(part for flag, name in options for part in (flag, str(named[name]))),
    ]


@contextlib.contextmanager
def _running(command: list[str], stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    _, home, scratch, run = stage.places
    environment = {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "XDG_RUNTIME_DIR": str(run),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        # Where packages of this user are: its home is another one here.
        "PYTHONUSERBASE": site.getuserbase(),
    }
    out, err = stage.said
    with out.open("wb") as stdout, err.open("wb") as stderr, _dumps_allowed():
        process = subprocess.Popen(
            command,
            cwd=stage.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            # Its own session: the guard, its tracer and nobody else.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _dumps_allowed() -> Iterator[None]:
    """Let what is started dump as far as its user may: that it does not must be its own doing."""
    now, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (now, most))


def _until_it_ended(stage: Stage, guard: subprocess.Popen[bytes]) -> None:
    publisher = _publisher(stage)
    try:
        ends = time.monotonic() + _START_S + CLEAR_S + HELD_S
        while guard.poll() is None and time.monotonic() < ends:
            if publisher is not None and publisher.poll() is not None:
                break
            time.sleep(0.02)
            if stage.killed is None and "covered" in _states(stage):
                stage.killed = _fault(stage)
    finally:
        if publisher is not None:
            publisher.kill()
            publisher.wait()
    for wait_s, number in ((1.5, signal.SIGTERM), (_END_S, signal.SIGKILL)):
        try:
            guard.wait(wait_s)
        except subprocess.TimeoutExpired:
            if (seen := stage.guard) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(seen.pid, number)
    stage.status = guard.wait(_END_S)
    stage.states = _states(stage)


def _publisher(stage: Stage) -> subprocess.Popen[bytes] | None:
    if stage.address is None:
        return None
    address = "rtmp://{}:{}/live/audit".format(*stage.address)
    module = "safelight.testing.publish"
    return subprocess.Popen(
        [sys.executable, "-m", module, str(stage.own / _FILM), address, str(_START_S)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _states(stage: Stage) -> list[str]:
    found = []
    try:
        lines = stage.named["events"].read_text("utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found.append(str(json.loads(line)["state"]))
    return found


def _fault(stage: Stage) -> int:
    """Have the judge crash while it has a marked picture before it; return its number."""
    processes = [] if stage.watch is None else stage.watch.snapshot()
    judges = [p for p in processes if p.name == JUDGE]
    if not judges:
        return 0
    youngest = judges[-1]
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(youngest.pid, signal.SIGSEGV)
        return youngest.pid
    return 0


def _film(path: Path) -> tuple[Marked, Marked]:
    """Draw what is published; return what to look for of both parts, as a decoder gives it."""
    clear = mark.new("clear", secrets.randbits(63))
    held = mark.new("held back", secrets.randbits(63))
    still = held.onto(canary.at_size(canary.load(_CANARY), mark.SIZE))
    with Film(path, mark.SIZE, rate=RATE, lossless=True) as film:
        for index in range(round(CLEAR_S * RATE)):
            film.add(clear.onto(scenes.scene(index / RATE, mark.SIZE)))
        for _ in range(round(HELD_S * RATE)):
            film.add(still)
    shown = list(read_back(path))
    change = round(CLEAR_S * RATE)
    parts = [shown[at] for at in range(0, change, change // 4)], [shown[change + 5]]
    pictures = [[(np.asarray(s.luma), np.asarray(s.rgb)) for s in part] for part in parts]
    return Marked(clear, pictures[0]), Marked(held, pictures[1])


def _check(stage: Stage) -> None:
    if "live" in stage.states:
        return
    said = stage.said[1].read_text("utf-8", "replace").strip().splitlines()
    if stage.status == 0:
        raise TooBusyError("the guard let nothing through", "close other programs, and try again")
    why = said[-1][:200] if said else "it said nothing"
    raise LostError(f"the guard ended with {stage.status} ({why})", "see `safelight doctor`")


class TooBusyError(LostError):
    """A live stream of which nothing could be judged in time."""
