"""``safelight evaluate``: the guard and its detectors, measured over a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safelight.cli.evaluation_extra import needed, needed_for_ray, progress
from safelight.cli.machine import cores
from safelight.errors import UsageError


def evaluate(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="A folder with corpus.json, or that file.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results go.")],
    files: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the items lie. [beside the manifest]"),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(metavar="DIR", help="The bundle that judges. [the default one]")
    ] = None,
    test_bundle: Annotated[
        bool, typer.Option("--test-bundle", help="Let a stand-in bundle judge.")
    ] = False,
    policy: Annotated[str, typer.Option(metavar="NAME|FILE", help="What is gone by.")] = "protect",
    jobs: Annotated[
        int | None, typer.Option(metavar="N", help="How many items at a time. [the cores]")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Items run on this Ray cluster, not here."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of resampling and audits.")] = 1,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="For a lawful body's isolated room; see the docs.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sealed: the lab's secret, for the corpus digest."),
    ] = None,
    sign_with: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sealed: the lab's Ed25519 key, PEM."),
    ] = None,
    lab_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Sealed: what stays in the lab; not under --out."),
    ] = None,
) -> int:
    """Measure the guard, and each detector by itself, over a corpus.

    Writes evaluation.json: figures with their 95 % intervals. A run that broke goes on where
    it stopped, if nothing of its protocol changed; what changed is marked post hoc.
    """
    needed()
    # Loaded here: only an evaluation needs what the extra brings.
    from safelight.evaluation import command, sealed_command  # noqa: PLC0415
    from safelight.evaluation.guarding import Setup  # noqa: PLC0415

    if jobs is not None and not 1 <= jobs <= 256:
        raise UsageError(f"--jobs {jobs} is out of range", "use 1 to 256")
    if ray is not None:
        if sealed:
            raise UsageError("--ray does not go with --sealed", "a sealed run stays on one machine")
        if jobs is not None:
            raise UsageError("--jobs does not go with --ray", "the cluster says how many at a time")
        needed_for_ray()
    setup = Setup(bundle=bundle, test_bundle=test_bundle, policy=policy, seed=seed)
    given = command.Sealed(key, sign_with, lab_dir)
    if not sealed and (key or sign_with or lab_dir):
        raise UsageError("--key, --sign-with and --lab-dir go with --sealed", "add it, or not them")
    request = command.Request(
        corpus=corpus,
        out=out,
        files=files,
        setup=setup,
        jobs=jobs or cores(),
        sealed=sealed,
        ray=ray,
    )
    with progress("Evaluating") as tell:
        if sealed:
            result = sealed_command.evaluate(request, given, tell)
        else:
            result = command.evaluate(request, tell)
    for line in result:
        typer.echo(line)
    return 0
