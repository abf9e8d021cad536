"""An audit from beginning to end: of a stream of its own, or of a guard that runs already."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import safelight
from safelight.audit import checks, leavings, places, proc, stage, tracing
from safelight.audit.facts import Facts, addresses_of, by_root
from safelight.audit.outcome import Outcome, Row, counted, unchecked
from safelight.audit.stage import PROGRAM, TooBusyError, guard_of
from safelight.audit.watching import Watch
from safelight.errors import UsageError

_FILE_OPTIONS = ("--report", "--events", "--state")


def own_stream(
    program: Sequence[str] = PROGRAM, *, trace: bool = True, live: bool = True
) -> Outcome:
    """Guard a stream with marked pictures in it, and watch that.

    ``program`` is what is started as ``PROGRAM guard SOURCE SINK …``. ``live``: over RTMP on
    this machine; else from a file. A machine too busy for the first gets the second.

    Raises:
        LostError: it let nothing through, so there is nothing to say.
    """
    folder = Path(tempfile.mkdtemp(prefix="safelight-audit-"))
    try:
        if live:
            with suppress(TooBusyError):
                return _judged_stream(stage.play(_new(folder / "live"), program, trace=trace))
        played = stage.play(_new(folder / "file"), program, trace=trace, live=False)
        return _judged_stream(played)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


def running(pid: int, seconds: float) -> Outcome:
    """Watch a guard that runs already. No picture of its stream is looked at.

    Raises:
        UsageError: there is no such guard, or it may not be looked at.
    """
    try:
        line = proc.command_line(pid)
    except OSError:
        line = []
    if "guard" not in line:
        raise UsageError(f"process {pid} is no guard", "name the process of `safelight guard`")
    named = _named(line, Path(os.path.realpath(f"/proc/{pid}/cwd")) if by_root() else Path.cwd())
    since = time.time_ns()
    with Watch(pid) as watch:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and pid in proc.pids():
            time.sleep(0.1)
    guard = guard_of([p for p in watch.snapshot() if p.pid == pid])
    if guard is None:
        raise UsageError(f"process {pid} ended at once", "name one that runs")
    facts = Facts(
        watch=watch,
        guard=guard,
        addresses=addresses_of(line),
        named=named,
        looked=places.look(places.everywhere(), since),
        why="it ran already: only a stream of the audit's own is traced from its start",
    )
    rows = (*_rows(facts), unchecked("sink", "not this audit's stream"))
    return _outcome(rows, facts, own=False)


def _judged_stream(played: stage.Stage) -> Outcome:
    watch, guard = played.watch, played.guard
    if watch is None or guard is None or played.clear is None or played.held is None:
        raise UsageError("there was no guard to watch", "see `safelight doctor`")
    # What a system writes of a crash comes a little later.
    time.sleep(0.2)
    found = places.everywhere(*played.places, played.out)
    facts = Facts(
        watch=watch,
        guard=guard,
        addresses=frozenset({"{}:{}".format(*played.address)} if played.address else ()),
        named=played.named,
        looked=places.look(found, played.since_ns, (played.own,)),
        calls=None if played.traced else tracing.read(played.own / "trace", str(played.cwd)),
        why=played.traced or "",
        private=[*played.places, played.out],
        said=played.said,
        marks=[played.held, played.clear],
        killed=played.killed,
    )
    covered = "covered" in played.states
    last = (
        leavings.sink(facts, played.held, played.clear)
        if covered
        else unchecked("sink", "the guard never covered: the held back picture was not shown")
    )
    return _outcome((*_rows(facts), last), facts, own=True)


def _rows(facts: Facts) -> tuple[Row, ...]:
    return (
        checks.processes(facts),
        checks.sandbox(facts),
        checks.source(facts),
        checks.namespaces(facts),
        checks.system_calls(facts),
        checks.sockets(facts),
        checks.connections(facts),
        leavings.files_left(facts),
        leavings.files_opened(facts),
        leavings.shared_memory(facts),
        leavings.core_dumps(facts),
        leavings.score_lines(facts),
        leavings.picture(facts),
    )


def _outcome(rows: tuple[Row, ...], facts: Facts, *, own: bool) -> Outcome:
    return Outcome(
        safelight=safelight.__version__,
        watched=("a live stream of its own" if facts.addresses else "a film of its own")
        if own
        else "a guard that ran already",
        by_root=by_root(),
        strace=facts.calls is not None,
        kernel=f"{platform.system()} {platform.release()}",
        rows=rows,
        counts=counted(rows),
        judge_calls=dict(sorted(checks.judge_calls(facts).items())),
    )


def _named(line: list[str], folder: Path) -> dict[str, Path]:
    """Return the files that a guard's command line names."""
    words = line[line.index("guard") + 1 :]
    found = {}
    plain = []
    at = 0
    while at < len(words):
        flag, _, value = words[at].partition("=")
        if flag in _FILE_OPTIONS:
            at += not value
            found[flag[2:]] = folder / (value or (words[at] if at < len(words) else ""))
        elif not flag.startswith("--"):
            plain.append(words[at])
        at += 1
    if len(plain) > 1 and "://" not in plain[1] and plain[1] != "null:":
        found["sink"] = folder / plain[1]
    return found
