"""The command line: one app, one way out.

Whatever happens ends in a status of design.md's contract (0, 2, 3 or 4, never 1) and, when
it is not 0, in one line on standard error: what is wrong and what to do. Never a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer

import safelight
from safelight.cli import (
    audit,
    bench,
    bundle,
    calibrate,
    call,
    camera,
    demo,
    doctor,
    entry,
    evaluate,
    evidence,
    guard,
    policy,
    screen,
    testcard,
)
from safelight.cli.plain_help import PlainApp
from safelight.cli.stopping import Stopped
from safelight.errors import EndOfStream, SafelightError

OK: Final = 0
USAGE: Final = 2
LOST: Final = 4

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
# What the library says where a word is no number.
_NOT_A_NUMBER: Final = re.compile(r"Input should be a valid (integer|number)\b.*")
_NUMBERS: Final = {"integer": "a whole number", "number": "a number"}
_FLUSH_S: Final = 1.0  # how long a reader may take for the rest of our output

app = PlainApp(
    name="safelight",
    help="Judges live video on this device before it leaves, and covers what must not.",
    epilog="Exit status: 0 ended as asked · 2 usage, or cannot be opened, or interrupted before it"
    " had a result · 3 not trusted to run · 4 lost later.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("guard")(guard.guard)
app.command("call")(call.call)
app.command("demo")(demo.demo)
app.command("testcard")(testcard.write_card)
app.command("doctor")(doctor.doctor)
app.add_typer(camera.app, name="camera")
app.add_typer(policy.app, name="policy")
app.add_typer(bundle.app, name="bundle")
app.command("bench")(bench.bench)
app.command("audit")(audit.audit)
app.command("evaluate")(evaluate.evaluate)
app.command("calibrate")(calibrate.calibrate)
app.command("evidence")(evidence.evidence)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"safelight {safelight.__version__}")
        raise typer.Exit(OK)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(OK)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit status; errors are said on stderr."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("safelight", list(arguments)) as context:
            status = command.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
    except typer.Exit as error:
        return error.exit_code
    except SafelightError as error:
        screen.complain(_without_keys(str(error), arguments))
        return error.exit_status
    except (Stopped, KeyboardInterrupt, typer.Abort):
        return _stopped_status(arguments)
    except BrokenPipeError:
        # Whoever read our output has read enough.
        _swallow_stdout()
        return OK
    except typer.TyperException as error:
        screen.complain(_without_keys(_usage(error), arguments))
        return USAGE
    except OSError as error:
        return _not_written(error)
    except Exception as error:  # noqa: BLE001  (the last resort: no traceback, never status 1)
        return _broke(error)
    return status if isinstance(status, int) else OK


def _stopped_status(arguments: Sequence[str]) -> int:
    status = entry.status_when_stopped(arguments)
    if status != OK:
        screen.complain(entry.INTERRUPTED)
    return status


def _not_written(error: OSError) -> int:
    """Return the status of an error of the system's that no command foresaw: most likely what
    it prints has no room. Whatever was opened by name says so itself, and has a file name."""
    if error.filename is not None or error.errno not in _NO_ROOM:
        return _broke(error)
    why = (error.strerror or "it fails").lower()
    _swallow_stdout()
    screen.complain(f"output cannot be written ({why}): make room, or send it somewhere else")
    return USAGE


def _broke(error: Exception) -> int:
    # Its text might hold anything; its kind cannot.
    screen.complain(f"the guard broke ({type(error).__name__}): please report it")
    return LOST


def main() -> NoReturn:
    """Run the command line of this process and end it; ``entry`` calls it."""
    _silence_libraries()
    threading.excepthook = _thread_broke
    status = entry.status_when_stopped(sys.argv[1:])
    try:
        _handle_signals(_stopped)
        status = run(sys.argv[1:])
    except (Stopped, KeyboardInterrupt):
        if status != OK:
            screen.complain(entry.INTERRUPTED)

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(status)  # asked to stop while it is ending: its status stays what it is

    _handle_signals(leave)
    # A reader that stopped reading must not keep the process: neither here nor when Python
    # flushes at exit.
    flushing = threading.Thread(target=_flush, daemon=True)
    # Where there is no room for a thread, what was not written yet is lost; the status is not.
    with contextlib.suppress(RuntimeError, MemoryError):
        flushing.start()
        flushing.join(_FLUSH_S)
    # Standard error is written through, and nothing else is left to do. Python's own way out
    # would take the signals' default back first: asked once more, it would die of that.
    os._exit(status)


def _silence_libraries() -> None:
    """Have nothing said but what we say: their lines may hold addresses and what was sent."""
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _broke: None


def _handle_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _stopped(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _swallow_stdout()


def _usage(error: typer.TyperException) -> str:
    message = str(getattr(error, "format_message", error.__str__)())
    message = _NOT_A_NUMBER.sub(lambda found: f"give {_NUMBERS[found[1]]}", message)
    message = message.replace("Input should be", "it should be")
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "safelight")
    return f"{message.rstrip('.')}: see `{path} --help`"


def _without_keys(message: str, arguments: Sequence[str]) -> str:
    """Hide stream keys where a message repeats an argument: an address may stand anywhere."""
    given = {word for argument in arguments for word in (argument, argument.partition("=")[2])}
    for word in sorted(given, key=len, reverse=True):
        shown = safelight.redact(word)
        if shown != word:
            # As it was written, as Python quotes it, and as a path of it reads.
            for form in (word, repr(word)[1:-1], str(Path(word))):
                message = message.replace(form, shown)
    return message


def _swallow_stdout() -> None:
    """Let nothing more be written where nobody reads, not even when Python flushes at exit."""
    if sys.stdout is None:
        return  # it was closed before we began
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _thread_broke(broke: threading.ExceptHookArgs) -> None:
    if not issubclass(broke.exc_type, EndOfStream):
        screen.complain(f"a part of the guard broke ({broke.exc_type.__name__}): please report it")
