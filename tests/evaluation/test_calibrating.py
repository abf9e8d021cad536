"""A calibration finds the ratios that are there, on clusters that it did not see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation import planted

import safelight
from safelight.bundle.manifest import Calibration
from safelight.core.sequential import Sequential
from safelight.errors import UsageError
from safelight.evaluation import calibrate_command, calibrating, manifest
from safelight.evaluation.calibrate_command import Request
from safelight.evaluation.calibrating import Method
from safelight.evaluation.detector_figures import Scored
from safelight.evaluation.guarding import Setup
from safelight.types import Calibration as Carried


def known(clusters: int = 60, each: int = 30) -> Scored:
    """Scores whose log-likelihood ratio is twice their logit: by Bayes, of two Gaussians."""
    chance = np.random.default_rng(11)
    positive = np.repeat(np.arange(clusters) % 2 == 0, each)
    logits = chance.normal(np.where(positive, 1.0, -1.0), 1.0)
    names = np.repeat([f"c{i}" for i in range(clusters)], each)
    return Scored(1 / (1 + np.exp(-logits)), positive, tuple(names.tolist()))


@pytest.mark.parametrize("method", ["isotonic", "logistic"])
def test_it_finds_the_ratio_that_is_there(method: Method) -> None:
    points = dict(calibrating.fit(known(), method).points)
    for score in (300, 400, 500, 600, 700):
        logit = np.log(score / (1000 - score))
        assert points[score] / 1000 == pytest.approx(2 * logit, abs=0.5)


@pytest.mark.parametrize("method", ["isotonic", "logistic"])
def test_a_bundle_and_the_evidence_over_time_take_it(method: Method) -> None:
    fitted = calibrating.fit(calibrating.made_up(), method)
    Calibration.model_validate(
        {"status": "measured", "source": "s", "points": fitted.points}, strict=False
    )
    Sequential(Carried("measured", fitted.points), 3000, 10_000, 500_000_000)


def test_it_is_better_on_clusters_that_it_did_not_see() -> None:
    fitted = calibrating.fit(calibrating.made_up(), "logistic")
    found = {figure.id: figure.value for figure in fitted.figures}
    assert (found["calibration_error.after"] or 1) < (found["calibration_error.before"] or 0) / 2
    assert (found["brier.after"] or 1) < (found["brier.before"] or 0)


def test_no_more_certainty_than_the_clusters_can_give() -> None:
    data = Scored(
        np.repeat([0.0, 1.0], 6000), np.repeat([False, True], 6000),
        tuple(f"c{i // 1000}" for i in range(12_000)),
    )  # fmt: skip
    points = calibrating.fit(data, "isotonic").points
    # 12 clusters: odds of 13 to 1, not of 12,001 to 1.
    assert points[-1][1] == pytest.approx(1000 * np.log(13), abs=1)


@pytest.mark.parametrize("case", ["one kind", "few clusters", "no difference", "upside down"])
def test_what_makes_no_calibration_is_refused(case: str) -> None:
    chance = np.random.default_rng(12)
    data = known()
    scores, positive, clusters = data.scores, data.positive, data.clusters
    if case == "one kind":
        positive = np.ones_like(positive)
    elif case == "few clusters":
        clusters = tuple(f"c{int(name[1:]) % 8}" for name in clusters)
    elif case == "no difference":
        scores = chance.random(len(scores))
    else:
        scores = 1 - scores
    with pytest.raises(UsageError):
        calibrating.fit(Scored(scores, positive, clusters), "logistic")


# --- the command ----------------------------------------------------------------------------------


def written(folder: Path, name: str, *items: manifest.Item) -> Path:
    path = folder / name
    path.write_text(manifest.text(planted.corpus(*items)), "utf-8")
    return path


def request(corpus: Path, out: Path, **more: Any) -> Request:
    return Request(corpus, out, None, more.pop("evaluated_on", ()), "isotonic", Setup(), **more)


def test_a_corpus_that_shares_a_cluster_with_an_evaluation_is_refused(tmp_path: Path) -> None:
    mine = written(tmp_path, "mine.json", planted.item(0, None, "a"), planted.item(1, None, "b"))
    theirs = written(tmp_path, "theirs.json", planted.item(1, None, "b"))
    with pytest.raises(UsageError, match="a shared cluster: 'b-1'"):
        calibrate_command.calibrate(
            request(mine, tmp_path / "out", evaluated_on=(theirs,)), lambda *_: None
        )
    assert not (tmp_path / "out").exists()


def test_a_corpus_gives_a_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate_command, "Looker", lambda _: planted.Stub())
    items = [planted.item(i, "card", "a") for i in range(6)]
    items += [planted.item(i, None, "b") for i in range(6)]
    corpus = written(tmp_path, "corpus.json", *items)
    lines = calibrate_command.calibrate(request(corpus, tmp_path / "out"), lambda *_: None)
    said = json.loads((tmp_path / "out" / "calibration.json").read_text("utf-8"))
    Calibration.model_validate(said["calibration"], strict=False)
    assert said["bundle_sha256"] == safelight.verify_bundle().sha256
    assert "12 clusters" in said["calibration"]["source"]
    assert (tmp_path / "out" / "reliability.svg").read_text("utf-8").startswith("<svg")
    assert any("Brier" in line for line in lines)


def test_a_faulty_item_ends_it(tmp_path: Path) -> None:
    corpus = written(
        tmp_path, "corpus.json", planted.item(0, None, "a"), planted.item(0, None, "b")
    )
    with pytest.raises(UsageError, match="duplicated clip: item 1"):
        calibrate_command.calibrate(request(corpus, tmp_path / "out"), lambda *_: None)
