"""``safelight policy``: the policies, read by people."""

from __future__ import annotations

from typing import Annotated

import typer

import safelight

app = typer.Typer(help="List, show and check policies.")
Named = Annotated[str, typer.Argument(metavar="NAME|FILE", help="One of ours, or a file.")]


@app.callback(invoke_without_command=True)
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_() -> int:
    """List the policies that come with Safelight."""
    for name in safelight.policy_names():
        default = " (default)" if name == "protect" else ""
        typer.echo(f"{name:<16}{safelight.verify_policy(name).title}{default}")
    return 0


@app.command()
def show(name: Named) -> int:
    """Print a policy, and what it comes to with the default bundle."""
    policy = safelight.verify_policy(name)
    typer.echo(safelight.policy_text(name).rstrip())
    typer.echo("")
    if policy.adults_affirmed and not safelight.describe(safelight.default_folder()).counts_people:
        typer.echo(
            "With the default bundle it behaves as `protect`: that bundle does not count people."
        )
    else:
        typer.echo(
            "It also covers lawful adult nudity, and may cover breastfeeding, bathing, birth,\n"
            "medical care and swimwear. There is no exemption."
        )
    typer.echo(
        "Sexual content together with evidence of a minor is covered by every policy.\n"
        "Its limits come from a design budget, not shown.\n"
        "Not yet reviewed by survivors or practitioners."
    )
    return 0


@app.command()
def check(file: Named) -> int:
    """See whether a policy file validates."""
    policy = safelight.verify_policy(file)
    typer.echo(f"{file} validates: {policy.name}, {policy.title}")
    return 0
