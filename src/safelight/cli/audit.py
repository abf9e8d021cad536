"""``safelight audit``: whether a guard keeps its promises, seen from outside."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Final

import typer

from safelight.audit import auditing
from safelight.audit.outcome import Outcome
from safelight.errors import UntrustedError, UsageError

_WIDTH: Final = 100


def audit(
    pid: Annotated[
        int | None,
        typer.Option(metavar="PID", help="Watch this guard, which runs already. [one of its own]"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="N", help="How long to watch, with --pid.")
    ] = 10.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was found here too.")
    ] = None,
    no_strace: Annotated[
        bool, typer.Option("--no-strace", help="Do not trace system calls, even where it works.")
    ] = False,
) -> int:
    """See from outside whether a guard keeps or tells anything.

    Guards a stream of its own with marked pictures in it, and looks for them, for sockets,
    files, shared memory and dumps. Status 3 if anything is found. What could not be looked at
    here is not called clean.
    """
    if not 1.0 <= seconds <= 3600.0:
        raise UsageError(f"--seconds {seconds:g} is out of range", "use 1 to 3600")
    if pid is None:
        typer.echo("Guarding a stream of marked pictures, and watching …", err=True)
        outcome = auditing.own_stream(trace=not no_strace)
    else:
        typer.echo(f"Watching process {pid} for {seconds:g} s …", err=True)
        outcome = auditing.running(pid, seconds)
    typer.echo(f"Watched: {outcome.watched}\n")
    show(outcome)
    if json_file is not None:
        _write(json_file, outcome)
    if outcome.counts.red:
        raise ViolationError(
            f"{outcome.counts.red} of {len(outcome.rows)} checks found a violation",
            "do not use this guard; please report it",
        )
    return 0


class ViolationError(UntrustedError):
    """A guard that does what it must not."""


def show(outcome: Outcome) -> None:
    """Print the table, and below it what was found."""
    for one in outcome.rows:
        verdict = "RED" if one.verdict == "red" else one.verdict
        head = f"{one.check:<16}{verdict:<13}"
        says = textwrap.wrap(one.seen, _WIDTH - len(head)) or [""]
        typer.echo(head + says[0])
        for more in says[1:]:
            typer.echo(" " * len(head) + more)
        for what in one.found:
            typer.echo(f"    ! {what}")
    counts = outcome.counts
    typer.echo("")
    typer.echo(f"{counts.clean} clean · {counts.red} red · {counts.not_checked} not checked")


def _write(path: Path, outcome: Outcome) -> None:
    try:
        path.write_text(outcome.model_dump_json(by_alias=True, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(
            f"--json {path} cannot be written ({error.strerror})", "name another"
        ) from None
