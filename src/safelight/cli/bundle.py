"""``safelight bundle``: what judges, read by people."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

import safelight
from safelight.cli import bundle_signing
from safelight.cli.plain_help import PlainApp

if TYPE_CHECKING:
    from safelight.bundle.signatures import Signing

app = PlainApp(help="Pull, list, show, verify and sign what judges.")
app.command("new-key", short_help="Key holders: make a signing key.")(bundle_signing.new_key)
app.command("new-root", short_help="Key holders: draft who may sign.")(bundle_signing.new_root)
app.command("put", short_help="Publishers: draft a bundle's signatures.")(bundle_signing.put)
app.command("sign", short_help="Key holders: sign a draft.")(bundle_signing.sign)
app.command("publish", short_help="Publishers: say what is newest.")(bundle_signing.publish)
Folder = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="The bundle's folder. [the default one]")
]
TestBundle = Annotated[bool, typer.Option("--test-bundle", help="Allow a stand-in bundle.")]
_WIDTH: Final = 88


@app.callback(invoke_without_command=True)
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_() -> int:
    """List the bundles that come with Safelight or were pulled, and where they are."""
    default = safelight.default_folder()
    stand_ins = safelight.stand_in_folder("face").parent
    folders = [default, *sorted(f for f in stand_ins.iterdir() if f.is_dir())]
    for folder in folders:
        bundle = safelight.describe(folder)
        kind = "default" if folder == default else "stand-in: --test-bundle only"
        typer.echo(f"{bundle.id} {bundle.version} ({kind}): {bundle.title}")
        typer.echo(f"    {folder}")
    for test, kind in ((False, "pulled"), (True, "pulled stand-in: --test-bundle only")):
        place = safelight.bundles_folder(test_bundle=test)
        if (place / "current").exists():
            bundle = safelight.describe(place)
            typer.echo(f"{bundle.id} {bundle.version} ({kind}): {bundle.title}")
            typer.echo(f"    {place}")
    return 0


@app.command()
def pull(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="https:// address or folder.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="Where to keep it.")
    ] = None,
    test_bundle: TestBundle = False,
) -> int:
    """Fetch a repository's bundle, verify it, and keep it; status 3 if it does not verify.

    The only command that fetches anything. Nothing about you or this device is sent.
    """
    done = safelight.pull_bundle(repository, into, test_bundle=test_bundle)
    what = "is new" if done.new else "is up to date"
    test = " · TEST: a stand-in" if test_bundle else ""
    typer.echo(f"{done.id} {done.version} {what} and verifies{test}")
    place = into or safelight.bundles_folder(test_bundle=test_bundle)
    typer.echo(f"use it with: --bundle {place}" + (" --test-bundle" if test_bundle else ""))
    return 0


@app.command()
def show(folder: Folder = None, test_bundle: TestBundle = False) -> int:
    """Print what a bundle declares, once every file of it was checked."""
    where = folder or safelight.default_folder()
    checked = safelight.verify_bundle(where, test_bundle=test_bundle)
    bundle = safelight.describe(where)
    test = "  TEST: a stand-in" if checked.is_test else ""
    _line("bundle", f"{bundle.id} {bundle.version}: {bundle.title}{test}")
    _line("sha256", checked.sha256)
    _line("purpose", bundle.purpose)
    _line("use", bundle.intended_use)
    _line("every", ", ".join(view.name for view in bundle.views.every) + " (on each judged frame)")
    in_turn = ", ".join(view.name for view in bundle.views.in_turn)
    _line("in turn", f"{in_turn} (extra recall, no guarantee)" if in_turn else "none")
    _line("people", "counts people" if bundle.counts_people else "does not count people")
    until = bundle.judge_until.isoformat() if bundle.judge_until else "no end"
    _line("until", until)
    _signed(where)
    _line("limits", f"{bundle.calibration.status}. {bundle.calibration.source}")
    typer.echo("files")
    for name, file in bundle.files.items():
        typer.echo(f"  {name}  {file.bytes:,} bytes  {bundle.licences[name]}")
        typer.echo(f"    sha256 {file.sha256}")
        _paragraph(bundle.provenance[name], "    ")
    typer.echo("known limits")
    for limit in bundle.known_limits:
        _paragraph(limit, "  - ", "    ")
    return 0


@app.command()
def verify(folder: Folder = None, test_bundle: TestBundle = False) -> int:
    """Check signatures and every file of a bundle; status 3 unless it may judge."""
    bundle = safelight.verify_bundle(folder, test_bundle=test_bundle)
    test = " · TEST: a stand-in" if bundle.is_test else ""
    typer.echo(f"{bundle.id} {bundle.version} verifies: {len(bundle.files)} files{test}")
    typer.echo(f"sha256 {bundle.sha256}")
    signing = safelight.who_signed(folder or safelight.default_folder())
    need, keys = signing.targets_threshold
    typer.echo(f"signed by {len(signing.signers)} of {keys} keys ({need} needed), {_root(signing)}")
    return 0


def _root(signing: Signing) -> str:
    kind = {"ceremony": "", "development": ", a DEVELOPMENT root", "test": ", the TEST root"}
    return f"root {signing.root_version}{kind.get(signing.kind, '')}"


def _signed(where: Path) -> None:
    signing = safelight.who_signed(where)
    need, keys = signing.targets_threshold
    _line("signed", f"by {len(signing.signers)} of {keys} keys, {need} needed")
    for keyid in signing.signers:
        typer.echo(f"         {keyid}")
    need, keys = signing.root_threshold
    _line("root", f"{_root(signing)[5:]}: {need} of {keys} keys change it")
    if signing.kind == "development":
        _line("", "Made by a script; nobody holds its keys. No key ceremony was held yet.")
    _line("updates", f"targets {signing.targets_version} until {signing.targets_expires:%Y-%m-%d}")


def _line(name: str, text: str) -> None:
    _paragraph(text, f"{name:<9}", " " * 9)


def _paragraph(text: str, first: str, later: str | None = None) -> None:
    typer.echo(
        textwrap.fill(
            text,
            _WIDTH,
            initial_indent=first,
            subsequent_indent=first if later is None else later,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
