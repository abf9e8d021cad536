"""``safelight calibrate``: from scores to log-likelihood ratios, for a bundle to carry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from safelight.cli.evaluation_extra import needed, progress
from safelight.errors import UsageError


def calibrate(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="A folder with corpus.json, or that file.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results go.")],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            "--evaluation",
            metavar="CORPUS",
            help="A corpus that it will be evaluated on: refused if they share a cluster.",
        ),
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the items lie. [beside the manifest]"),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="isotonic|logistic", help="What is fitted.")
    ] = "logistic",
    bundle: Annotated[
        str | None, typer.Option(metavar="DIR", help="The bundle to calibrate. [the default one]")
    ] = None,
    test_bundle: Annotated[
        bool, typer.Option("--test-bundle", help="Let it be a stand-in bundle.")
    ] = False,
) -> int:
    """Fit a calibration to a corpus of its own.

    Writes calibration.json, whose "calibration" goes into a bundle's manifest, and a
    reliability plot. It is cross-validated by cluster.
    """
    needed()
    # Loaded here: only an evaluation needs what the extra brings.
    from safelight.evaluation import calibrate_command, calibrating  # noqa: PLC0415
    from safelight.evaluation.guarding import Setup  # noqa: PLC0415

    if method not in {"isotonic", "logistic"}:
        raise UsageError(f"there is no method {method!r}", "use isotonic or logistic")
    with progress("Looking") as tell:
        lines = calibrate_command.calibrate(
            calibrate_command.Request(
                corpus=corpus,
                out=out,
                files=files,
                evaluated_on=tuple(evaluation or ()),
                method=cast("calibrating.Method", method),
                setup=Setup(bundle=bundle, test_bundle=test_bundle),
            ),
            tell,
        )
    for line in lines:
        typer.echo(line)
    return 0
