"""``safelight guard``: judge a source, let what may leave go to a sink."""

from __future__ import annotations

import contextlib
import math
import queue
import sys
import threading
from pathlib import Path
from typing import Annotated, Final

import typer

import safelight
from safelight.cli import options, settings
from safelight.cli.keys import Keys
from safelight.cli.outputs import STDOUT, Outputs
from safelight.cli.screen import Screen
from safelight.cli.settings import Settings
from safelight.cli.stopping import Stop
from safelight.errors import LostError, SafelightError, SinkLostError, UsageError

RESUME_KEY: Final = "r"
_DRAW_EVERY_S: Final = 0.1
_FINISH_S: Final = 2.0

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file, rtmp:// or rtmps:// (pull), rtmp://127.0.0.1:1935/app/key?listen=1 (accept"
        " a publisher such as OBS), rtsp://, device:/dev/video0, lavfi:GRAPH.",
    ),
]
Sink = Annotated[
    str,
    typer.Argument(
        metavar="SINK",
        help="A file, rtmp(s)://, camera: (a virtual camera), or null:. A file that is there is"
        " replaced at the end, by what left.",
    ),
]


def guard(  # noqa: PLR0917  (a flag each; the contract of the command line)
    source: Source,
    sink: Sink,
    policy: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The policy to go by. [protect]")
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            metavar="outgoing|incoming",
            help="Whose camera it is: this device's, or somebody else's. [outgoing]",
        ),
    ] = None,
    bundle: options.Bundle = None,
    test_bundle: options.TestBundle = False,
    allow_weak_sandbox: options.AllowWeakSandbox = False,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy",
            help="Pass H.264 pictures on as they came, coded, where nothing of them is covered."
            " Much cheaper; trusts the stream's structure more (docs/media.md).",
        ),
    ] = False,
    source_inside: Annotated[
        bool,
        typer.Option(
            "--source-inside",
            help="Read and decode in the guard's own process. Cheaper; a flaw in a decoder"
            " then reaches the guard (docs/sandbox.md).",
        ),
    ] = False,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a JSON report at the end.")
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Write events as JSON lines; - is standard output."),
    ] = None,
    events_socket: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Tell host apps the same at a Unix socket; they may resume."
        ),
    ] = None,
    hold_ms: Annotated[
        int | None,
        typer.Option(metavar="N", help="How long frames may wait, milliseconds. [250]"),
    ] = None,
    resume_after: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Resume by itself so many seconds after an interruption. For tests and demos;"
            " never before the cool-down is over.",
        ),
    ] = None,
    region: options.Region = None,
    bind: Annotated[
        str | None,
        typer.Option(metavar="ADDR", help="Where ?listen=1 may listen besides this machine."),
    ] = None,
    state: options.StateFolder = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Read flags from here. [safelight.toml, if there]"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> int:
    """Judge a source, let what may leave go to a sink.

    It starts closed, covers what must not leave with a card, mutes its sound, and interrupts
    when that is confirmed. SIGINT and SIGTERM end it cleanly.
    """
    # This process is ours alone, and holds pictures: nobody's debugger, no core dump.
    safelight.hide_this_process()
    options.refuse_empty({"config": config})
    written, read_from = settings.read(Path(config) if config is not None else None)
    given = {
        "policy": policy,
        "direction": direction,
        "bundle": bundle,
        "report": report,
        "events": events,
        "events_socket": events_socket,
        "hold_ms": hold_ms,
        "resume_after": resume_after,
        "region": region,
        "bind": bind,
        "state": state,
        "quiet": quiet or None,
    }
    options.refuse_empty({"source": source, "sink": sink, **given, **written.model_dump()})
    chosen = written.model_copy(update={k: v for k, v in given.items() if v is not None})
    after = chosen.resume_after
    if after is not None and not (math.isfinite(after) and after >= 0):
        raise UsageError(f"--resume-after {after} is not a time", "give seconds, 0 or more")
    with (
        Stop() as stop,
        Outputs(
            chosen.report,
            chosen.events,
            taken=_taken(source, sink, chosen, read_from),
            socket=chosen.events_socket,
        ) as outputs,
    ):
        session = safelight.open(
            source,
            sink,
            policy=_policy(chosen),
            direction="outgoing" if chosen.direction is None else chosen.direction,
            bundle=chosen.bundle,
            test_bundle=test_bundle,
            allow_weak_sandbox=allow_weak_sandbox,
            copy=copy,
            source_inside=source_inside,
            hold_ms=chosen.hold_ms,
            resume_after_s=after,
            region=chosen.region,
            bind=chosen.bind,
            state=chosen.state,
        )
        stop.opened(session.close)
        outputs.on_resume(session.resume)
        try:
            return _follow(session, stop, outputs, chosen, _Said(source, sink, read_from, written))
        finally:
            # Whatever broke here, the stream is closed and its sink finished, unless it hangs.
            session.close()
            with contextlib.suppress(SafelightError):
                session.wait(_FINISH_S)


def _policy(chosen: Settings) -> str:
    return "protect" if chosen.policy is None else chosen.policy


def _taken(source: str, sink: str, chosen: Settings, config: Path | None) -> list[str]:
    """Return where neither a report nor events may be written."""
    places = [source, source.removeprefix("device:"), sink, f"{sink}.part"]
    others = (chosen.policy, chosen.bundle, config)
    return places + [str(place) for place in others if place is not None]


class _Said:
    """What the first lines say."""

    def __init__(self, source: str, sink: str, config: Path | None, written: Settings) -> None:
        self.source = safelight.redact(source)
        self.sink = safelight.redact(sink)
        self.config = config
        self.keys = ", ".join(written.names())


def _follow(
    session: safelight.Session, stop: Stop, outputs: Outputs, chosen: Settings, said: _Said
) -> int:
    quiet = bool(chosen.quiet)
    moving = not (chosen.events == STDOUT and sys.stdout.isatty())
    # A file waits for nobody: what was interrupted in it stays so.
    live = session.info is None or session.info.live
    with Keys(wanted=live and not quiet) as keys:
        screen = Screen(
            quiet=quiet,
            moving=moving,
            live=live,
            resume_key=RESUME_KEY if keys.there else None,
            source=said.source,
        )
        screen.say(f"Guarding {said.source} → {said.sink}")
        if said.config is not None and said.keys:
            screen.say(f"from {said.config}: {said.keys}")
        if safelight.verify_policy(_policy(chosen)).adults_affirmed:
            screen.say(f"{_policy(chosen)} behaves as protect: no bundle counts people yet")
        finished = False
        try:
            _watch(session, stop, outputs, screen, keys)
            finished = not stop.asked
        finally:
            screen.stop(finished=finished)
    late: LostError | None = None
    report = session.report
    if report is not None:
        try:
            outputs.report(report)
            outputs.check()
        except LostError as error:
            late = error
        screen.summary(report)
    session.wait()  # raises what ended the stream, if it did not end by itself
    if late is not None:
        raise late
    return 0


def _watch(
    session: safelight.Session, stop: Stop, outputs: Outputs, screen: Screen, keys: Keys
) -> None:
    """Show, write and pass on what happens, until the stream has ended.

    Raises:
        SinkLostError: it was asked to end and does not.
    """
    came: queue.SimpleQueue[safelight.StreamEvent | None] = queue.SimpleQueue()
    threading.Thread(target=_collect, args=(session, came), daemon=True).start()
    said_broken = False
    while True:
        try:
            event = came.get(timeout=_DRAW_EVERY_S)
        except queue.Empty:
            screen.tick(session)
        else:
            if event is None:
                break
            outputs.event(event)
            screen.happened(event)
            continue
        if outputs.broken is not None and not said_broken:
            said_broken = True
            screen.say(f"events are no longer written ({outputs.broken})")
        if RESUME_KEY in keys.pressed().lower():
            session.resume()
        if stop.overdue:
            raise SinkLostError("the sink does not finish", "see whether it is reachable")


def _collect(
    session: safelight.Session, came: queue.SimpleQueue[safelight.StreamEvent | None]
) -> None:
    for event in session.events():
        came.put(event)
    came.put(None)
