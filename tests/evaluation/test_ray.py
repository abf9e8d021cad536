"""Items on a cluster give what items here give, whoever dies meanwhile; never in a sealed room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation import planted
from tests.evaluation.namespace import can_be_without, without_network
from tests.source import ROOT

import safelight
from safelight.errors import UsageError
from safelight.evaluation import evaluating, evaluation, on_ray
from safelight.evaluation.evaluating import Plan
from safelight.evaluation.manifest import Item
from safelight.evaluation.results import ItemResult
from safelight.types import VerifiedBundle


def film_plan(folder: Path) -> Plan:
    (folder / "a.mp4").write_bytes(b"film")
    said = {**planted.BASE, "stimulus": "none", "groups": {}, "cluster": "film", "file": "a.mp4"}
    return Plan(planted.corpus(Item.model_validate(said), planted.item(1, None, "a")), folder)


def test_a_job_is_what_a_worker_needs_and_goes_over_the_wire(tmp_path: Path) -> None:
    import pickle

    plan, bundle = film_plan(tmp_path), safelight.verify_bundle()
    jobs = [on_ray.job(plan, bundle, index) for index in (0, 1)]
    assert [job.size for job in jobs] == [4, None]
    assert [pickle.loads(pickle.dumps(job)) for job in jobs] == jobs  # noqa: S301
    # Audits are keyed alike wherever an item runs.
    assert jobs[0].setup.secret == plan.setup.secret
    assert Item.model_validate_json(jobs[0].item) == plan.corpus.items[0]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"build": "another"}, "another build"),
        ({"bundle_sha256": "another"}, "another bundle"),
        ({"policy_sha256": "another"}, "another policy"),
        ({"size": 5}, "item 0 is another"),
        ({"folder": "/nowhere"}, "not shared with it"),
    ],
)
def test_a_worker_that_would_not_give_the_same_refuses(
    changed: dict[str, Any], why: str, tmp_path: Path
) -> None:
    """A file that one worker cannot see must not come out as a corrupt one."""
    job = replace(on_ray.job(film_plan(tmp_path), safelight.verify_bundle(), 0), **changed)
    answer = on_ray.work(job)
    assert answer.result is None
    assert why in (answer.refused or "")


@pytest.mark.slow
def test_a_worker_says_what_a_thread_says() -> None:
    plan = Plan(planted.corpus(planted.item(0, "card", "a")), Path())
    bundle = safelight.verify_bundle()
    (here,) = evaluating.threads(plan, bundle, [0])
    answer = on_ray.work(on_ray.job(plan, bundle, 0))
    there = ItemResult.model_validate_json(answer.result or "")
    assert there.model_dump(exclude={"spent"}) == here.model_dump(exclude={"spent"})


@pytest.mark.slow
def test_in_whatever_order_results_come_the_figures_are_the_same(tmp_path: Path) -> None:
    made = planted.plan(planted.corpus(*(planted.item(i, "card", "a") for i in range(3))))

    def backwards(plan: Plan, bundle: VerifiedBundle, todo: Sequence[int]) -> Iterator[ItemResult]:
        return iter([*evaluating.threads(plan, bundle, todo)][::-1])

    def broken(plan: Plan, bundle: VerifiedBundle, todo: Sequence[int]) -> Iterator[ItemResult]:
        yield next(backwards(plan, bundle, todo))
        raise UsageError("the cluster was lost", "run it again")

    def figures(plan: Plan) -> dict[str, Any]:
        return evaluation.of(evaluating.run(plan), "t").model_dump(exclude={"timing"})

    expected = figures(made)
    assert figures(replace(made, workers=backwards)) == expected
    # What a cluster had done before it was lost is kept.
    with pytest.raises(UsageError):
        evaluating.run(replace(made, out=tmp_path, workers=broken))
    todo: list[int] = []
    evaluating.run(replace(made, out=tmp_path), lambda _, n: todo.append(n))
    assert todo[0] == 2
    assert figures(replace(made, out=tmp_path)) == expected


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "auto", "ray://x", "h:99999", ":1"])
def test_where_no_cluster_is_it_says_so_at_once(address: str) -> None:
    plan = Plan(planted.corpus(planted.item(0, None, "a")), Path())
    with pytest.raises(UsageError, match="Ray cluster"):
        evaluating.run(replace(plan, workers=on_ray.at(address)))


def test_a_sealed_run_does_not_leave_its_machine(tmp_path: Path) -> None:
    plan = Plan(planted.corpus(planted.item(0, None, "a")), Path(), key=bytes(32))
    with pytest.raises(UsageError, match="one machine"):
        evaluating.run(replace(plan, workers=on_ray.at("127.0.0.1:1")))
    command = [sys.executable, "-m", "safelight", "evaluate", "c", "--out", str(tmp_path)]
    for more, why in ((["--sealed"], "--sealed"), (["--jobs", "2"], "--jobs")):
        ran = subprocess.run(
            [*command, "--ray", "x", *more], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 2
        assert f"does not go with {why}" in ran.stderr or f"{why} does not go with" in ran.stderr


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(500)
@pytest.mark.xdist_group("ray")
def test_two_workers_of_which_one_is_killed_give_the_numbers_of_one_process() -> None:
    if not can_be_without():
        pytest.skip("namespaces cannot be made here, and Ray listens on every address")
    ran = subprocess.run(
        without_network(sys.executable, "-m", "tests.evaluation.ray_scene"),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        timeout=450,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert json.loads(ran.stdout.splitlines()[-1]) == {
        "the numbers of one process": True,
        "killed": 1,
        "left behind": 0,
        "faults": [],
        "items": 4,
    }
