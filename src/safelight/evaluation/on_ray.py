"""Items on a Ray cluster, for corpora that outgrow a machine. Never in a sealed room.

One task is one item. A worker does what a thread does here (``evaluating.one``), so it makes
no difference where an item runs, nor how often: a task whose worker dies is run again. Workers
read the corpus at the same path, so its folder has to be shared. No picture travels; results
do, and they hold scores, over a network that Ray neither encrypts nor guards by itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import safelight
from safelight.errors import LostError, UsageError
from safelight.evaluation import checking, evaluating, protocol
from safelight.evaluation.evaluating import Plan, Workers
from safelight.evaluation.guarding import Setup
from safelight.evaluation.manifest import Item
from safelight.evaluation.results import ItemResult
from safelight.evaluation_door import Looker
from safelight.types import VerifiedBundle

TRIES: Final = 4
_PATIENCE_S: Final = 5.0
_AHEAD: Final = 2  # tasks waiting for each that runs: a cluster is never idle, nor flooded


@dataclass(frozen=True, slots=True)
class Job:
    """One item, and what a worker has to agree with before it may say anything of it.

    ``size``: of the item's file in bytes, None for a drawing.
    """

    index: int
    item: str
    folder: str
    setup: Setup
    size: int | None
    build: str
    bundle_sha256: str
    policy_sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says: a result as JSON, or why it may not say one."""

    result: str | None
    refused: str | None = None


def at(address: str) -> Workers:
    """Return workers of the cluster at an address, ``HOST:PORT``.

    Raises (when they run):
        UsageError: no cluster is there, or a worker has another build, bundle, policy or corpus.
        LostError: the cluster went away. What was done is kept.
    """

    def workers(plan: Plan, bundle: VerifiedBundle, todo: Sequence[int]) -> Iterator[ItemResult]:
        jobs = [job(plan, bundle, index) for index in todo]
        with _Cluster(address) as cluster:
            yield from cluster.run(plan, jobs)

    return workers


def job(plan: Plan, bundle: VerifiedBundle, index: int) -> Job:
    """Return the job of an item; its paths are those of the shared folder."""
    item, setup = plan.corpus.items[index], plan.setup
    folder = plan.folder.resolve()
    if setup.bundle is not None:
        setup = replace(setup, bundle=str(Path(setup.bundle).resolve()))
    if Path(setup.policy).is_file():
        setup = replace(setup, policy=str(Path(setup.policy).resolve()))
    return Job(
        index=index,
        item=item.model_dump_json(),
        folder=str(folder),
        setup=setup,
        size=checking.place(item, folder).stat().st_size if item.file is not None else None,
        build=protocol.build(),
        bundle_sha256=bundle.sha256,
        policy_sha256=safelight.policy_sha256(setup.policy),
    )


def work(job: Job) -> Answer:
    """Do a job. Runs in a worker's process, which keeps its detectors from job to job."""
    refused = _refused(job)
    if refused is not None:
        return Answer(None, refused)
    item = Item.model_validate_json(job.item)
    looker = _looker(job.setup.bundle, job.setup.test_bundle)
    result = evaluating.one(job.index, item, Path(job.folder), job.setup, looker)
    return Answer(result.model_dump_json())


def _refused(job: Job) -> str | None:
    """Return why this worker's results would not be the same; None if they would."""
    if job.build != protocol.build():
        return "it has another build of safelight"
    if job.bundle_sha256 != _bundle(job.setup.bundle, job.setup.test_bundle).sha256:
        return "it has another bundle"
    if job.policy_sha256 != safelight.policy_sha256(job.setup.policy):
        return "it has another policy"
    item = Item.model_validate_json(job.item)
    if job.size is not None:
        # A file that is not there must not pass for one that is corrupt.
        try:
            size = checking.place(item, Path(job.folder)).stat().st_size
        except OSError:
            return f"it cannot read item {job.index}: the corpus's folder is not shared with it"
        if size != job.size:
            return f"its file of item {job.index} is another"
    return None


@lru_cache(maxsize=1)
def _bundle(folder: str | None, test_bundle: bool) -> VerifiedBundle:
    return safelight.verify_bundle(folder, test_bundle=test_bundle)


@lru_cache(maxsize=1)
def _looker(folder: str | None, test_bundle: bool) -> Looker:
    return Looker(_bundle(folder, test_bundle))


def _see(address: str) -> None:
    """See that something listens there: Ray by itself asks for minutes before it gives up.

    Raises:
        UsageError: nothing does, or it is no address.
    """
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) <= 65535):
        raise UsageError(f"{address!r} is no address of a Ray cluster", "write HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
    except OSError as error:
        raise _nobody(address, error) from None


def _nobody(address: str, error: Exception) -> UsageError:
    return UsageError(
        f"no Ray cluster answers at {address} ({type(error).__name__})",
        "start one: ray start --head (docs/evaluation.md)",
    )


class _Cluster:
    """A connection to a Ray cluster for as long as it takes."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> _Cluster:
        _see(self._address)
        # Nothing is told to Ray's makers.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray  # noqa: PLC0415  (an extra, and slow to load)

        self._ray: Any = ray
        try:
            ray.init(address=self._address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            raise _nobody(self._address, error) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def run(self, plan: Plan, jobs: Sequence[Job]) -> Iterator[ItemResult]:
        """Yield the result of each job once, as they come.

        Raises:
            UsageError: a worker may not take part.
            LostError: the cluster went away.
        """
        ray = self._ray
        task = ray.remote(num_cpus=1, max_retries=TRIES - 1)(work)
        most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        left = list(reversed(jobs))
        running: dict[object, Job] = {}
        try:
            while left or running:
                while left and len(running) < most:
                    next_ = left.pop()
                    running[task.remote(next_)] = next_
                (done, *_), _ = ray.wait(list(running))
                yield self._result(plan, running.pop(done), done)
        except ray.exceptions.RayError as error:
            raise LostError(
                f"the Ray cluster was lost ({type(error).__name__})",
                "run it again: it goes on where it stopped",
            ) from None

    def _result(self, plan: Plan, job: Job, done: object) -> ItemResult:
        errors = self._ray.exceptions
        try:
            answer: Answer = self._ray.get(done)
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            # It took its worker with it every time: one item must not stop all the others.
            item = plan.corpus.items[job.index]
            return evaluating.faulty(job.index, item, type(error).__name__)
        if answer.result is None:
            raise UsageError(
                f"a worker of the cluster cannot take part: {answer.refused}",
                "give every node the same build and policy, and the corpus at the same path",
            )
        return ItemResult.model_validate_json(answer.result)
