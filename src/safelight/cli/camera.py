"""``safelight camera``: a guarded camera that any app can choose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

import safelight
from safelight import messages
from safelight.cli import camera_run, camera_test, camera_unit
from safelight.cli.camera_running import Running, find
from safelight.cli.camera_users import users
from safelight.cli.plain_help import PlainApp
from safelight.errors import UsageError

app = PlainApp(
    help="Offer a guarded camera to other apps.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_NOT_PROTECTED: Final = 3

Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="The real camera, or any source of `guard`."),
]
Policy = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="The policy to go by. [protect]")
]
Region = Annotated[
    str | None,
    typer.Option(metavar="CC", help="Country whose help lines are shown. [by locale]"),
]
DEFAULT_SOURCE: Final = "device:/dev/video0"


@app.command("on")
def on(source: Source = DEFAULT_SOURCE, policy: Policy = None, region: Region = None) -> int:
    """Start the guarded camera, now and at every login."""
    safelight.source(source)
    safelight.verify_policy("protect" if policy is None else policy)
    arguments: list[str] = []
    if policy is not None:
        # systemd starts it elsewhere: a file keeps its place.
        ours = policy in safelight.policy_names()
        arguments += ["--policy", policy if ours else str(Path(policy).resolve())]
    if region is not None:
        arguments += ["--region", messages.known_region(region)]
    place = camera_unit.write(
        str(Path(source).resolve()) if Path(source).is_file() else source, arguments
    )
    try:
        camera_unit.systemctl("daemon-reload")
        camera_unit.systemctl("enable", camera_unit.NAME)
        camera_unit.systemctl("restart", camera_unit.NAME)
    except UsageError:
        camera_unit.remove()
        raise
    typer.echo(f"On, now and at every login ({place}).")
    typer.echo("In each app, choose the camera “Safelight guarded camera”.")
    typer.echo("It does not keep an app from the real camera: safelight camera status")
    return 0


@app.command("off")
def off() -> int:
    """Stop the guarded camera, and do not start it at login."""
    hint = "end one that was started by hand with Ctrl-C"
    camera_unit.systemctl("disable", "--now", camera_unit.NAME, hint=hint)
    typer.echo("Off.")
    return 0


@app.command("uninstall")
def uninstall() -> int:
    """Stop it and remove what `on` wrote."""
    place = camera_unit.path()
    if not place.exists():
        typer.echo("It is not installed.")
        return 0
    try:
        camera_unit.systemctl("disable", "--now", camera_unit.NAME)
    except UsageError as error:
        # Without systemd nothing starts it either; the file goes all the same.
        typer.echo(error.what)
    camera_unit.remove()
    try:
        camera_unit.systemctl("daemon-reload")
    except UsageError as error:
        typer.echo(error.what)
    typer.echo(f"Removed {place}.")
    return 0


@app.command("run")
def run(
    source: Source = DEFAULT_SOURCE,
    policy: Policy = None,
    region: Region = None,
    to: Annotated[
        str, typer.Option(metavar="SINK", help="camera:, or a v4l2loopback camera:/dev/video10.")
    ] = "camera:",
) -> int:
    """Guard the camera in the foreground; what `on` has systemd start."""
    return camera_run.run(source, to, policy=policy, region=region)


@app.command("status")
def status(
    device: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="A real camera to look at. [every /dev/video*]"),
    ] = None,
) -> int:
    """Say whether the camera is guarded: status 0 if it is, 3 if not."""
    running = find()
    devices = device or sorted(Path("/dev").glob("video*"))
    seen, hidden = users(devices, but=running.pid if running is not None else None)
    for line in _said(running, [f"{user.name} uses {user.device} directly" for user in seen]):
        typer.echo(line)
    if hidden:
        typer.echo(f"Programs of other users cannot be seen ({hidden}).")
    return 0 if running is not None and not seen else _NOT_PROTECTED


def _said(running: Running | None, direct: list[str]) -> list[str]:
    if running is None:
        return [
            "Not protected: the guarded camera is off",
            *(f"Not protected: {user}" for user in direct),
        ]
    if direct:
        return [f"Not protected: {user}" for user in direct]
    return [f"Protected ({running.state})"]


@app.command("test")
def test() -> int:
    """Show the test card to the running guard, and look at what comes out.

    For a moment everybody who looks at the guarded camera sees "Video paused".
    """
    return camera_test.test()
