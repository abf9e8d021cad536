"""``safelight policy``: the policies, read by people."""

from __future__ import annotations

from typing import Annotated

import typer

import safelight
from safelight.cli.plain_help import PlainApp

app = PlainApp(help="List, show and check policies.")
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
    """Print a policy, and what it comes to in this version."""
    policy = safelight.verify_policy(name)
    typer.echo(safelight.policy_text(name).rstrip())
    # As comments, so that what is printed is the policy itself, whole: it can be saved.
    said = []
    if policy.adults_affirmed:
        said.append(
            "In this version it behaves as `protect`, with every bundle: none counts people."
        )
    said += [
        "It also covers lawful adult nudity, and may cover breastfeeding, bathing, birth,",
        "medical care and swimwear. There is no exemption.",
        "Sexual content together with evidence of a minor is covered by every policy.",
        "Its limits come from a design budget, not shown.",
        "Not yet reviewed by survivors or practitioners.",
    ]
    typer.echo("\n" + "\n".join(f"# {line}" for line in said))
    return 0


@app.command()
def check(file: Named) -> int:
    """See whether a policy file validates."""
    policy = safelight.verify_policy(file)
    typer.echo(f"{file} validates: {policy.name}, {policy.title}")
    typer.echo(f"sha256 {safelight.policy_sha256(file)}")
    return 0
