"""What an evaluation will do, digested before its first item: later changes show."""

from __future__ import annotations

import hashlib
import hmac
import json
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


class Protocol(Part):
    """Everything that decides a number, but the pictures and the machine."""

    schema_: Literal["safelight.protocol/1"] = Field(alias="schema", default="safelight.protocol/1")
    safelight: str
    corpus: str
    corpus_digest: str
    corpus_digest_kind: Literal["SHA-256 of the manifest", "HMAC-SHA-256 under the lab's key"]
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
        corpus=corpus.id,
        corpus_digest=digest,
        corpus_digest_kind=(
            "HMAC-SHA-256 under the lab's key" if sealed else "SHA-256 of the manifest"
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


def manifest_digest(corpus: Corpus, key: bytes | None = None) -> str:
    """Return what a corpus's manifest is known by: keyed, where a key is given."""
    content = json.dumps(corpus.model_dump(mode="json", by_alias=True), sort_keys=True).encode()
    if key is None:
        return hashlib.sha256(content).hexdigest()
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def compare(before: Protocol, now: Protocol) -> tuple[Changed, ...]:
    """Return what is different."""
    old, new = before.model_dump(), now.model_dump()
    return tuple(
        Changed(what=name, before=_said(old[name]), after=_said(new[name]))
        for name in new
        if old[name] != new[name]
    )


def earlier(folder: Path) -> Protocol | None:
    """Return the protocol that a folder's results were begun with; None if there is none.

    Raises:
        UsageError: there is one that cannot be read: it must not pass for none.
    """
    path = folder / FILE
    try:
        return Protocol.model_validate_json(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
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
