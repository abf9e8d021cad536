"""What an evaluation will do, digested before its first item: later changes show."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

import safelight
from safelight.errors import UsageError
from safelight.evaluation import statistics
from safelight.evaluation.figures import Part
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Corpus
from safelight.types import VerifiedBundle

FILE: Final = "protocol.json"
BEGUN: Final = "begun.jsonl"


class Protocol(Part):
    """Everything that decides a number, but the pictures and the machine."""

    schema_: Literal["safelight.protocol/1"] = Field(alias="schema", default="safelight.protocol/1")
    safelight: str
    build: str
    corpus: str
    corpus_digest: str
    corpus_digest_kind: Literal[
        "SHA-256 of the manifest", "HMAC-SHA-256 of manifest and files under the lab's key"
    ]
    bundle: str
    bundle_sha256: str
    policy: str
    policy_sha256: str
    hold_ms: int | None
    sample_every_s: float
    seed: int
    sealed: bool
    confidence: float = statistics.CONFIDENCE
    min_clusters: int = statistics.MIN_CLUSTERS
    resamples: int = statistics.RESAMPLES

    @property
    def sha256(self) -> str:
        """The digest that reports name it by."""
        said = json.dumps(self.model_dump(by_alias=True), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(said.encode()).hexdigest()


class Changed(Part):
    """A part of the protocol that changed after results were seen: what follows is post hoc."""

    what: str
    before: str
    after: str


def of(
    corpus: Corpus,
    bundle: VerifiedBundle,
    setup: Setup,
    *,
    digest: str,
    sealed: bool,
) -> Protocol:
    """Return the protocol of an evaluation."""
    return Protocol(
        safelight=safelight.__version__,
        build=build(),
        # What a lab calls its corpus may name a case.
        corpus="sealed" if sealed else corpus.id,
        corpus_digest=digest,
        corpus_digest_kind=(
            "HMAC-SHA-256 of manifest and files under the lab's key"
            if sealed
            else "SHA-256 of the manifest"
        ),
        bundle=f"{bundle.id} {bundle.version}",
        bundle_sha256=bundle.sha256,
        policy=safelight.verify_policy(setup.policy).name,
        policy_sha256=safelight.policy_sha256(setup.policy),
        hold_ms=setup.hold_ms,
        sample_every_s=setup.sample_every_s,
        seed=setup.seed,
        sealed=sealed,
    )


def corpus_digest(
    corpus: Corpus, key: bytes | None = None, files: tuple[bytes | None, ...] = ()
) -> str:
    """Return what a corpus is known by: its manifest, and under a lab's key its files as well.

    Nothing that a file can be told by is written down without a key.
    """
    content = json.dumps(corpus.model_dump(mode="json", by_alias=True), sort_keys=True).encode()
    if key is None:
        return hashlib.sha256(content).hexdigest()
    content += b"".join(file or b"" for file in files)
    return hmac.new(key, content, hashlib.sha256).hexdigest()


@cache
def build() -> str:
    """Return the SHA-256 over the package's source files, by name and content."""
    root = Path(safelight.__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def compare(before: Protocol, now: Protocol) -> tuple[Changed, ...]:
    """Return what is different."""
    old, new = before.model_dump(), now.model_dump()
    return tuple(
        Changed(what=name, before=_said(old[name]), after=_said(new[name]))
        for name in new
        if old[name] != new[name]
    )


class Begun(Part):
    """An evaluation that was begun in a folder: its protocol, and the state of its files."""

    protocol: Protocol
    files: str


def begin(folder: Path, now: Begun) -> tuple[Changed, ...]:
    """Write a protocol down, before the first item; return what changed since any earlier one.

    All that were ever begun in the folder are kept: a mark of post hoc does not go away
    because the changed run was begun twice.

    Raises:
        UsageError: what was begun there cannot be read: it must not pass for nothing.
    """
    earlier = _begun(folder)
    if not earlier or earlier[-1] != now:
        with (folder / BEGUN).open("a", encoding="utf-8") as file:
            file.write(now.model_dump_json(by_alias=True) + "\n")
    write(folder, now.protocol)
    found: dict[str, Changed] = {}
    for one in earlier:
        for changed in compare(one.protocol, now.protocol):
            found.setdefault(changed.what, changed)
        if one.files != now.files:
            said = Changed(what="files of the corpus", before="others", after="these")
            found.setdefault(said.what, said)
    return tuple(found.values())


def _begun(folder: Path) -> list[Begun]:
    path = folder / BEGUN
    try:
        lines = path.read_text("utf-8").splitlines()
        return [Begun.model_validate_json(line) for line in lines if line]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise UsageError(
            f"{path} cannot be read ({type(error).__name__})", "name another folder"
        ) from None


def write(folder: Path, protocol: Protocol) -> None:
    """Write it down, before the first item."""
    content: dict[str, Any] = protocol.model_dump(by_alias=True)
    (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _said(value: object) -> str:
    return json.dumps(value)
