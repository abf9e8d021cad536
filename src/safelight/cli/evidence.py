"""``safelight evidence``: the evidence pack, made by running what it reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safelight.cli.evaluation_extra import needed, steps
from safelight.cli.machine import cores
from safelight.errors import UsageError


def evidence(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the pack goes.")] = Path(
        "safelight-evidence"
    ),
    media: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The ordinary test clips. [none: not measured]"),
    ] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Who answers for this deployment.")
    ] = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="Also the brief for law-makers, and a letter.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", help="How many items at a time. [the cores]")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A sample, to see that it works; not to be quoted.")
    ] = False,
) -> int:
    """Make the evidence pack: pack.json, a page, and model cards.

    Runs the guard over ordinary clips and over harmless drawings that the network misjudges,
    and writes what came of it. No number is typed in. Takes minutes.
    """
    needed()
    from safelight.evaluation import packing, writing  # noqa: PLC0415

    if media is not None and not media.is_dir():
        raise UsageError(f"--media {media} is no folder", "name the folder of the test clips")
    if jobs is not None and not 1 <= jobs <= 256:
        raise UsageError(f"--jobs {jobs} is out of range", "use 1 to 256")
    wish = packing.Wish(media=media, owner=owner, jobs=jobs or cores(), quick=quick)
    with steps() as tell:
        pack = packing.make(wish, tell)
    paths = writing.write_pack(pack, out)
    if brief:
        paths += writing.write_brief(pack, out)
    for path in paths:
        typer.echo(str(path))
    typer.echo(
        f"system leaks: {pack.system_leaks} · gate leaks: {pack.gate_leaks} · misses: {pack.misses}"
    )
    return 0
