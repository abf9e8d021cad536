"""The options that more than one command takes, said once, and what is refused in any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from safelight.errors import UsageError

Bundle = Annotated[
    str | None, typer.Option(metavar="DIR", help="The bundle that judges. [the default one]")
]
TestBundle = Annotated[
    bool, typer.Option("--test-bundle", help="Let a stand-in bundle judge; all is stamped TEST.")
]
AllowWeakSandbox = Annotated[
    bool,
    typer.Option(
        "--allow-weak-sandbox",
        help="Run although what judges or decodes cannot be isolated. See safelight doctor.",
    ),
]
Region = Annotated[
    str | None,
    typer.Option(metavar="CC", help="Country whose help lines are shown. [by locale]"),
]
StateFolder = Annotated[
    str | None, typer.Option(metavar="DIR", help="Folder of the cool-down file.")
]


def refuse_empty(given: Mapping[str, object]) -> None:
    """Refuse what names nothing: a script's unset variable must not choose a default.

    Raises:
        UsageError: a value is empty.
    """
    for name, value in given.items():
        if isinstance(value, str) and not value.strip():
            named = name if name in ("source", "sink") else f"--{name.replace('_', '-')}"
            raise UsageError(f"{named} is empty", "give a value, or leave it out")
