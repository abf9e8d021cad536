"""``safelight call``: guard a video call between a browser, or OBS, and a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

import safelight
from safelight.cli import options
from safelight.cli.stopping import Stop
from safelight.errors import UsageError

_MOST_TOKEN: Final = 8192


def call(  # noqa: PLR0917  (a flag each; the contract of the command line)
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Publish what may leave to this service, by WHIP."),
    ] = None,
    to_token_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The service's bearer token: the file's one line."),
    ] = None,
    incoming: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="Guard what comes in, too: watch there, by WHEP."
        ),
    ] = None,
    from_token_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="That service's bearer token: the file's one line."),
    ] = None,
    direction: Annotated[
        str,
        typer.Option(
            metavar="outgoing|incoming",
            help="Whose camera comes in: this device's, or somebody else's.",
        ),
    ] = "outgoing",
    policy: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The policy to go by.")
    ] = "protect",
    bundle: options.Bundle = None,
    test_bundle: options.TestBundle = False,
    allow_weak_sandbox: options.AllowWeakSandbox = False,
    region: options.Region = None,
    bind: Annotated[
        str | None,
        typer.Option(metavar="ADDR", help="Where to listen. [127.0.0.1: this machine only]"),
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", help="Which port; 0: any.")] = 0,
    state: options.StateFolder = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print the address and errors only.")
    ] = False,
) -> int:
    """Guard a camera on its way into a call: a page, and WHIP.

    The page publishes this device's camera to the guard and shows what leaves. SIGINT and
    SIGTERM end it. Do not put it into emergency or relay calls.
    """
    # This process is ours alone, and holds pictures: nobody's debugger, no core dump.
    safelight.hide_this_process()
    given = {"to": to, "to_token_file": to_token_file, "policy": policy, "bundle": bundle}
    given |= {"from": incoming, "from_token_file": from_token_file}
    options.refuse_empty({**given, "region": region, "bind": bind, "state": state})
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} is no port", "give 0 to 65535")
    if to_token_file is not None and to is None:
        raise UsageError("--to-token-file without --to", "say which service it is for")
    if from_token_file is not None and incoming is None:
        raise UsageError("--from-token-file without --from", "say which service it is for")
    token = None if to_token_file is None else _token(Path(to_token_file))
    incoming_token = None if from_token_file is None else _token(Path(from_token_file))
    # What is wrong with these is said before anybody is let in.
    safelight.verify_policy(policy)
    safelight.verify_bundle(bundle, test_bundle=test_bundle)

    def ready(address: str) -> None:
        typer.echo(f"Open {address}")
        if not quiet:
            typer.echo(f"or publish by WHIP to {address}whip; Ctrl-C ends it")

    def told(event: safelight.CallEvent) -> None:
        if not quiet:
            happened = event.event
            typer.echo(f"{happened.at_s:8.2f} s  {event.direction}  {happened.text}")

    with Stop() as stop:
        guard = safelight.Call(
            policy=policy,
            bundle=bundle,
            test_bundle=test_bundle,
            region=region,
            state=state,
            allow_weak_sandbox=allow_weak_sandbox,
        )
        stop.opened(guard.close)
        safelight.serve_call(
            guard,
            ready=ready,
            stopping=lambda: stop.asked > 0,
            told=told,
            direction=direction,
            to=to,
            token=token,
            incoming=incoming,
            incoming_token=incoming_token,
            bind=bind,
            port=port,
        )
    return 0


def _token(file: Path) -> str:
    """Return the token in a file; it is in no message.

    Raises:
        UsageError: it cannot be read, or holds no token.
    """
    try:
        with file.open(encoding="ascii") as stream:
            token = stream.read(_MOST_TOKEN).strip()
    except (OSError, ValueError) as error:
        raise UsageError("the token's file cannot be read", "name another") from error
    if not token or any(not " " < char < "\x7f" for char in token):
        raise UsageError("the token's file holds no token", "write it on one line")
    return token
