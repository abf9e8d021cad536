"""Runs an evaluation: the whole guard and each detector, over every item of a corpus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safelight
from safelight.errors import SafelightError, UsageError
from safelight.evaluation import checking, guarding, looking, protocol
from safelight.evaluation.checking import Fault
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Corpus, Item
from safelight.evaluation.protocol import Changed, Protocol
from safelight.evaluation.results import ItemResult, Store
from safelight.evaluation_door import Looker, Looking
from safelight.types import VerifiedBundle

Tell = Callable[[int, int], None]
Workers = Callable[["Plan", VerifiedBundle, Sequence[int]], Iterator[ItemResult]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate. ``folder`` holds the corpus's files; ``out`` None: keep nothing.

    ``workers`` run items and yield each one's result once, in any order: threads of this
    process, or a cluster (on_ray.py). ``looker`` and ``guard_options`` are for tests, which
    plant a detector or a judge.
    """

    corpus: Corpus
    folder: Path
    setup: Setup = field(default_factory=Setup)
    out: Path | None = None
    key: bytes | None = None
    jobs: int = 1
    workers: Workers = field(default_factory=lambda: threads)
    looker: Callable[[VerifiedBundle], Looking] = Looker
    guard_options: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run gave: results of the usable items, and every fault."""

    corpus: Corpus
    bundle: VerifiedBundle
    protocol: Protocol
    post_hoc: tuple[Changed, ...]
    results: tuple[ItemResult, ...]
    faults: tuple[Fault, ...]


def run(plan: Plan, tell: Tell = lambda _done, _all: None) -> Ran:
    """Evaluate. The protocol is digested, and written down, before the first item.

    Raises:
        SafelightError: the bundle, policy or corpus cannot be used, or the folder not written.
    """
    bundle = safelight.verify_bundle(plan.setup.bundle, test_bundle=plan.setup.test_bundle)
    sealed = plan.key is not None
    if sealed and plan.workers is not threads:
        raise UsageError("a sealed run stays on one machine", "leave --ray out")
    checking.refuse_absent(plan.corpus, plan.folder)
    known_as = checking.digests(plan.corpus, plan.folder)
    digest = protocol.corpus_digest(plan.corpus, plan.key, known_as)
    meant = protocol.of(plan.corpus, bundle, plan.setup, digest=digest, sealed=sealed)
    files = "" if sealed else checking.files_state(plan.corpus, plan.folder)
    post_hoc: tuple[Changed, ...] = ()
    if plan.out is not None and sealed:
        protocol.write(plan.out, meant)
    elif plan.out is not None:
        post_hoc = protocol.begin(plan.out, protocol.Begun(protocol=meant, files=files))
    found = checking.check(plan.corpus, plan.folder, known_as)
    todo = checking.usable(plan.corpus, found)
    # In a sealed room nothing of an item is written, so a run that breaks begins again.
    store = Store(None if sealed else plan.out, meant.sha256, files)
    left = [index for index in todo if not store.has(index)]
    tell(0, len(left))
    for done, result in enumerate(plan.workers(plan, bundle, left), start=1):
        store.add(result)
        tell(done, len(left))
    results = store.of(todo)
    failed = tuple(result.fault for result in results if result.fault is not None)
    return Ran(plan.corpus, bundle, meant, post_hoc, results, (*found, *failed))


def threads(plan: Plan, bundle: VerifiedBundle, todo: Sequence[int]) -> Iterator[ItemResult]:
    """Evaluate these items in threads of this process; yield each result as it comes."""
    own = threading.local()

    def looker() -> Looking:
        # Detectors serve one thread each; loading them is slow, so a thread keeps its own.
        if not hasattr(own, "looker"):
            own.looker = plan.looker(bundle)
        kept: Looking = own.looker
        return kept

    def work(index: int) -> ItemResult:
        item = plan.corpus.items[index]
        return one(index, item, plan.folder, plan.setup, looker(), **plan.guard_options())

    with ThreadPoolExecutor(max_workers=max(1, plan.jobs)) as pool:
        running: list[Future[ItemResult]] = [pool.submit(work, index) for index in todo]
        try:
            for future in as_completed(running):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def one(
    index: int, item: Item, folder: Path, setup: Setup, looker: Looking, **options: Any
) -> ItemResult:
    """Evaluate one item. It depends on nothing else, so it may run anywhere, and again.

    ``options`` go to the guard, for tests that plant a judge.
    """
    try:
        guarded, spent = guarding.run(item, folder, setup, looker, **options)
        samples = looking.look(item, folder, setup, looker)
    except SafelightError as error:
        return faulty(index, item, type(error).__name__)
    if item.pictures is not None and guarded.pictures != item.pictures:
        what = f"{guarded.pictures} pictures came of {item.pictures}"
        fault = Fault(kind="corrupt video", item=index, what=what)
        return ItemResult(item=index, fault=fault)
    if any(stretch.pictures == 0 for stretch in guarded.stretches):
        said = "must_cover names a time with no picture"
        return ItemResult(item=index, fault=Fault(kind="empty stretch", item=index, what=said))
    return ItemResult(item=index, guarded=guarded, spent=spent, samples=samples)


def faulty(index: int, item: Item, kind: str) -> ItemResult:
    """Return the result of an item that has none. ``kind``: the name of the error."""
    # Only its kind: the text of an error can name a file, and a sealed run must not.
    corrupt = item.file is not None and kind in {"SourceError", "SourceLostError"}
    said = "it cannot be read to its end" if corrupt else f"no result ({kind})"
    fault = Fault(kind="corrupt video" if corrupt else "the guard failed", item=index, what=said)
    return ItemResult(item=index, fault=fault)
