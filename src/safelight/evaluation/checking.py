"""Faults of a corpus that can be seen before anything runs: each is found and named.

A fault never makes a number better: the item is left out of every figure and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from safelight.errors import UsageError
from safelight.evaluation.figures import Part
from safelight.evaluation.manifest import RIGHTS, Corpus, Item

Kind = Literal[
    "file missing",
    "duplicated clip",
    "unknown licence",
    "shared cluster",
    "corrupt video",
    "the guard failed",
    "fault of the guard",
    "empty stretch",
    "absent evidence",
    "group missed",
    "system leak",
    "gate leak",
]
_CHUNK: Final = 1 << 20


class Fault(Part):
    """Something wrong with an item, or found by way of it. ``item`` counts from 0."""

    kind: Kind
    item: int | None
    what: str


def digests(corpus: Corpus, folder: Path) -> tuple[bytes | None, ...]:
    """Return a digest of each item's bytes, None where they cannot be read.

    They tell what an item is, so they stay in memory and end with the run.
    """
    return tuple(_known(item, folder) for item in corpus.items)


def files_state(corpus: Corpus, folder: Path) -> str:
    """Return what changes when a file of the corpus is put in another's place.

    Made of sizes and times, never of what is in them: it is written down, so that a run does
    not go on with results of other files.
    """
    state = hashlib.sha256()
    for item in corpus.items:
        if item.file is not None:
            try:
                found = place(item, folder).stat()
                state.update(f"{found.st_size} {found.st_mtime_ns}\n".encode())
            except OSError:
                state.update(b"gone\n")
    return state.hexdigest()


def check(
    corpus: Corpus, folder: Path, known_as: tuple[bytes | None, ...] | None = None
) -> tuple[Fault, ...]:
    """Return what is wrong with the items themselves, in their order.

    ``known_as``: their digests, if they were made already.
    """
    known_as = known_as or digests(corpus, folder)
    found = []
    seen: dict[bytes, int] = {}
    for index, item in enumerate(corpus.items):
        if item.rights not in RIGHTS:
            found.append(
                Fault(
                    kind="unknown licence",
                    item=index,
                    what=f"rights {item.rights!r} are none of {', '.join(sorted(RIGHTS))}",
                )
            )
        known = known_as[index]
        if known is None:
            found.append(Fault(kind="file missing", item=index, what="it cannot be read"))
        elif known in seen:
            found.append(
                Fault(
                    kind="duplicated clip",
                    item=index,
                    what=f"the same bytes as item {seen[known]}",
                )
            )
        else:
            seen[known] = index
    return tuple(found)


def usable(corpus: Corpus, faults: Iterable[Fault]) -> tuple[int, ...]:
    """Return the indices of the items without a fault."""
    faulty = {fault.item for fault in faults}
    return tuple(i for i in range(len(corpus.items)) if i not in faulty)


def refuse_shared(fitted_on: Iterable[str], evaluated_on: Iterable[str]) -> None:
    """Refuse two corpora that share clusters: what was fitted on one would look too good.

    Raises:
        UsageError: they share one.
    """
    shared = sorted(set(fitted_on) & set(evaluated_on))
    if shared:
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        raise UsageError(
            f"a shared cluster: {shared[0]!r}{more} is in both corpora",
            "no person, household or case may be in the calibration and in the evaluation",
        )


def refuse_absent(corpus: Corpus, folder: Path) -> None:
    """Refuse a run of which no item is there: it would measure nothing, and count as begun.

    Raises:
        UsageError: the corpus is files alone, and ``folder`` has none of them.
    """
    if not any(item.file is None or place(item, folder).exists() for item in corpus.items):
        raise UsageError("none of the corpus's files is there", "name their folder with --files")


def place(item: Item, folder: Path) -> Path:
    """Return where an item's file lies.

    Raises:
        ValueError: it is drawn and has none.
    """
    if item.file is None:
        raise ValueError("a drawing has no file")
    return folder / item.file


def _known(item: Item, folder: Path) -> bytes | None:
    if item.drawing is not None:
        return repr(item.drawing).encode()
    digest = hashlib.sha256()
    try:
        with place(item, folder).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.digest()
