"""``safelight bundle``: what judges, read by people."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Final

import typer

import safelight

app = typer.Typer(help="List, show and verify bundles: the folders that judge.")
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
    """List the bundles that come with Safelight, and where they are."""
    default = safelight.default_folder()
    stand_ins = safelight.stand_in_folder("face").parent
    folders = [default, *sorted(f for f in stand_ins.iterdir() if f.is_dir())]
    for folder in folders:
        bundle = safelight.describe(folder)
        kind = "default" if folder == default else "stand-in: --test-bundle only"
        typer.echo(f"{bundle.id} {bundle.version} ({kind}): {bundle.title}")
        typer.echo(f"    {folder}")
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
    """Check every file of a bundle; status 3 unless it may judge."""
    bundle = safelight.verify_bundle(folder, test_bundle=test_bundle)
    test = " · TEST: a stand-in" if bundle.is_test else ""
    typer.echo(f"{bundle.id} {bundle.version} verifies: {len(bundle.files)} files{test}")
    typer.echo(f"sha256 {bundle.sha256}")
    return 0


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
