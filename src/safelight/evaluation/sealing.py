"""Sealed mode: an evaluation in a lawful body's isolated room, of which only aggregates leave.

Nothing of an item is written anywhere but its opaque index, if it is faulty, and that stays
in the lab's folder. Results of items are held in memory and end with the process.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

import safelight
from safelight.errors import UntrustedError, UsageError
from safelight.evaluation import suppression
from safelight.evaluation.checking import Fault
from safelight.evaluation.evaluation import Evaluation
from safelight.evaluation.figures import Figure, Part
from safelight.evaluation.protocol import FILE as PROTOCOL
from safelight.evaluation.protocol import Protocol

RESULT: Final = "sealed-result.json"
SIGNATURE: Final = "sealed-result.sig"
LOG: Final = "sealed-log.txt"
FAULTS: Final = "faulty-items.json"
RUNS: Final = "earlier-runs.jsonl"
# Reserved for documents (RFC 5737, RFC 3849): nothing answers there. Connecting a datagram
# socket sends nothing; it only asks the kernel whether there is a way.
_NOWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_NO_WAY: Final = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
DIFFERENCING: Final = (
    "Results of runs over corpora that differ in few items must not be put side by side: the"
    " difference tells about those items."
)


class EarlierRun(Part):
    """A run that this lab made before: by its protocol, never by its results."""

    protocol_sha256: str
    bundle_sha256: str
    corpus_digest: str


class SealedResult(Part):
    """All that leaves the room: aggregates, without small cells. No item, no picture, no score."""

    schema_: Literal["safelight.sealed-result/1"] = Field(
        alias="schema", default="safelight.sealed-result/1"
    )
    command: str
    protocol: Protocol
    protocol_sha256: str
    items: str
    used: str
    clusters: str
    system: tuple[Figure, ...]
    detector: tuple[Figure, ...]
    ages: tuple[Figure, ...]
    groups: tuple[Figure, ...]
    groups_are_whole: bool
    faults: dict[str, str]
    groups_missed: tuple[str, ...]
    earlier_runs: tuple[EarlierRun, ...]
    warning: str
    network: str

    def as_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


class NetworkError(UntrustedError):
    """A sealed run on a machine that can reach a network."""


@dataclass(slots=True)
class Log:
    """Lines that an officer can read: what was done, in order, without a word on any item."""

    path: Path
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Add a line, and write it at once."""
        self.lines.append(line)
        self.path.write_text("\n".join(self.lines) + "\n", "utf-8")


def check_network() -> str:
    """See that no network can be reached, and return what was seen.

    Raises:
        NetworkError: one can be, or it cannot be told.
    """
    for family, address in _NOWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((address, 9))
        except OSError as error:
            if error.errno in _NO_WAY:
                continue
            raise NetworkError(
                f"it cannot be told whether there is a network ({error.strerror})",
                "run it without one: unshare -Urn, or a container with --network none",
            ) from None
        raise NetworkError(
            "this machine can reach a network, and a sealed run must not",
            "pull the cable, or run it in: unshare -Urn, or a container with --network none",
        )
    return "The kernel has no way to any address, neither IPv4 nor IPv6."


def check_folders(out: Path, lab: Path, corpus: Path) -> None:
    """Refuse folders that would mix what leaves with what stays.

    Raises:
        UsageError: one lies in another.
    """
    places = {"--out": out.resolve(), "--lab-dir": lab.resolve(), "the corpus": corpus.resolve()}
    for name, place in places.items():
        for other, parent in places.items():
            if name != other and (place == parent or parent in place.parents):
                raise UsageError(
                    f"{name} lies in {other}", "keep what leaves the room, and what stays, apart"
                )


def of(full: Evaluation, earlier: tuple[EarlierRun, ...], network: str) -> SealedResult:
    """Take everything out of a result that could tell of an item."""
    groups = suppression.table(full.groups)
    said = {figure.id for figure in groups}
    kinds: Counter[str] = Counter(fault.kind for fault in full.faults if fault.item is not None)
    behind = (full.corpus.clusters, full.corpus.used)
    return SealedResult(
        command=full.command,
        protocol=full.protocol,
        protocol_sha256=full.protocol_sha256,
        items=suppression.count(full.corpus.items),
        used=suppression.count(full.corpus.used),
        clusters=suppression.count(full.corpus.clusters),
        system=suppression.aggregates(full.system, *behind),
        detector=suppression.aggregates(full.detector, *behind),
        ages=_kept(suppression.aggregates(full.ages, *behind)),
        groups=groups,
        groups_are_whole=len(groups) == len(full.groups),
        faults=suppression.faults(kinds),
        groups_missed=tuple(
            figure.what
            for figure in full.groups
            if figure.id.startswith("covered.")
            and figure.id.endswith(".difference")
            and figure.id in said
            and figure.high is not None
            and figure.high < 0
        ),
        earlier_runs=earlier,
        warning=DIFFERENCING,
        network=network,
    )


def _kept(figures: tuple[Figure, ...]) -> tuple[Figure, ...]:
    """Leave out even the name of a band that was taken out: there are few of it, or none."""
    return tuple(figure for figure in figures if figure.said != "suppressed")


def same_time(folder: Path) -> None:
    """Give the files that leave one time: how long a run took tells how long its films are."""
    now = time.time_ns()
    for name in (PROTOCOL, RESULT, SIGNATURE, LOG):
        os.utime(folder / name, ns=(now, now))


def lab_faults(faults: tuple[Fault, ...]) -> str:
    """Return the file of faulty items, by opaque index, for the lab alone."""
    rows = [{"item": fault.item, "kind": fault.kind} for fault in faults if fault.item is not None]
    return json.dumps({"schema": "safelight.faulty-items/1", "faulty": rows}, indent=2) + "\n"


def earlier_runs(lab: Path) -> tuple[EarlierRun, ...]:
    """Return the runs that this lab's folder lists.

    Raises:
        UsageError: the list cannot be read: it must not pass for none.
    """
    path = lab / RUNS
    if not path.exists():
        return ()
    try:
        return tuple(
            EarlierRun.model_validate_json(line)
            for line in path.read_text("utf-8").splitlines()
            if line
        )
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise UsageError(
            f"{path} cannot be read ({type(error).__name__})", "restore it, or see who changed it"
        ) from None


def remember(lab: Path, protocol: Protocol) -> None:
    """Add a run to the lab's list."""
    run = EarlierRun(
        protocol_sha256=protocol.sha256,
        bundle_sha256=protocol.bundle_sha256,
        corpus_digest=protocol.corpus_digest,
    )
    with (lab / RUNS).open("a", encoding="utf-8") as file:
        file.write(run.model_dump_json() + "\n")


def digest(text: str) -> str:
    """Return the SHA-256 of a text, for the log."""
    return hashlib.sha256(text.encode()).hexdigest()


def version() -> str:
    """Return what runs, for the log."""
    return f"safelight {safelight.__version__}"
