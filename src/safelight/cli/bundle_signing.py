"""``safelight bundle new-key | new-root | put | sign | publish``: the bench of key holders.

docs/bundles.md walks through a ceremony with them. None of it reaches a network, and none of
it is needed on a device that is guarded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from safelight.errors import UsageError

_VARIABLE: Final = "SAFELIGHT_PASSPHRASE"
Repository = Annotated[Path, typer.Argument(metavar="REPO", help="The repository's folder.")]
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="The holder's key.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"Else {_VARIABLE} in the environment, else it is asked for.",
    ),
]


def new_key(
    key: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    passphrase_file: PassphraseFile = None,
) -> int:
    """Make a signing key: FILE (keep it secret) and FILE.pub (give it to the others)."""
    from safelight.bundle import keys

    keyid = keys.new(key, _passphrase(passphrase_file, twice=True))
    typer.echo(f"key {keyid}")
    return 0


def new_root(
    repository: Repository,
    root: Annotated[list[Path], typer.Option("--root", metavar="PUB", help="May sign roots.")],
    targets: Annotated[
        list[Path], typer.Option("--targets", metavar="PUB", help="May sign bundles.")
    ],
    online: Annotated[
        list[Path], typer.Option("--online", metavar="PUB", help="May say that it is fresh.")
    ],
    threshold: Annotated[int, typer.Option("--threshold", min=2, help="How many must sign.")] = 3,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="Until it expires.")] = 730,
    test: Annotated[bool, typer.Option("--test", help="For stand-ins: a rehearsal.")] = False,
) -> int:
    """Draft a repository's first root, or its next one; holders then sign it in turn."""
    from safelight.bundle import keys
    from safelight.bundle import repository as making

    version = making.new_root(
        repository,
        root=[keys.public(path) for path in root],
        targets=[keys.public(path) for path in targets],
        online=[keys.public(path) for path in online],
        threshold=threshold,
        expires=making.after(days),
        purpose="test" if test else making.PURPOSE,
        kind="test" if test else "ceremony",
    )
    typer.echo(f"root {version} is drafted: holders sign it with --role root")
    return 0


def put(
    repository: Repository,
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.")],
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="Until it expires.")] = 365,
) -> int:
    """Put a bundle into a repository and draft its targets; holders then sign them in turn."""
    from safelight.bundle import repository as making

    version = making.put(repository, folder, expires=making.after(days))
    typer.echo(f"targets {version} are drafted: holders sign them with --role targets")
    return 0


def sign(
    repository: Repository,
    key: KeyFile,
    role: Annotated[str, typer.Option("--role", metavar="root|targets", help="What is signed.")],
    passphrase_file: PassphraseFile = None,
) -> int:
    """Add one holder's signature to what is drafted, and print what it was put under."""
    from safelight.bundle import keys
    from safelight.bundle import repository as making

    done = making.sign(repository, role, keys.signer(key, _passphrase(passphrase_file)))
    for line in done.says:
        typer.echo(line)
    state = "complete" if done.complete else "more are needed"
    typer.echo(f"{done.role} {done.version}: {done.have} of {done.need} signatures, {state}")
    return 0


def publish(
    repository: Repository,
    key: KeyFile,
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="Until it expires.")] = 14,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Say, with the online key, that what is signed is the newest there is."""
    from safelight.bundle import keys
    from safelight.bundle import repository as making

    signer = keys.signer(key, _passphrase(passphrase_file))
    version = making.publish(repository, signer, days=days)
    typer.echo(f"timestamp {version} holds for {days} days")
    return 0


def _passphrase(file: Path | None, *, twice: bool = False) -> str:
    from safelight.bundle import keys

    if file is not None:
        return keys.passphrase_from(file)
    if _VARIABLE in os.environ:
        return os.environ[_VARIABLE]
    try:
        said: str = typer.prompt("passphrase", hide_input=True, confirmation_prompt=twice)
    except (typer.Abort, EOFError) as error:
        raise UsageError("no passphrase was given", "type it, or name --passphrase-file") from error
    return said
