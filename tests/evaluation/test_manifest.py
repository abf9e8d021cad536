"""A corpus says all that is true of its items, or it is refused, and the fault is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safelight.errors import UsageError
from safelight.evaluation import checking, manifest, own_corpora

DRAWN = {
    "drawing": {"before_s": 1.0, "after_s": 1.0},
    "sexual_content": "no",
    "stimulus": "none",
    "age_band": "nobody",
    "scene": "drawn",
    "groups": {},
    "cluster": "a",
    "rights": "Apache-2.0",
    "lawful_basis": "drawn",
}


def corpus(*items: dict[str, Any], **more: Any) -> str:
    said = {
        "schema": "safelight.corpus/1",
        "id": "c",
        "title": "t",
        "purpose": "test",
        "provenance": "p",
        "items": list(items),
    }
    return json.dumps({**said, **more})


def parsed(*items: dict[str, Any]) -> manifest.Corpus:
    return manifest.parse(corpus(*items), "corpus.json")


def film(**more: Any) -> dict[str, Any]:
    return {**{k: v for k, v in DRAWN.items() if k != "drawing"}, **more}


@pytest.mark.parametrize(
    "label",
    ["sexual_content", "stimulus", "age_band", "scene", "groups", "cluster", "rights"],
)
def test_a_missing_label_is_named_with_its_item(label: str) -> None:
    short = {k: v for k, v in DRAWN.items() if k != label}
    with pytest.raises(UsageError, match=rf"items\.1\.{label}: a missing label"):
        parsed(DRAWN, short)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sexual_content": "yes"},
        {"stimulus": "real"},
        {"stimulus": "canary"},
        {"stimulus": "stand_in"},
        {"must_cover": [{"from_s": 0, "to_s": 1}]},
        {"file": "a.mp4"},
        {"drawing": None},
        {"drawing": {"canary": "card"}},
        {"drawing": {"before_s": 0, "after_s": 0}},
        {"sexual_content": "maybe"},
        {"age_years": float("nan")},
        {"unknown_key": 1},
        {"groups": {"kind": "difference"}},
        {"groups": {"kind": "a.b"}},
    ],
)
def test_labels_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not validate"):
        parsed({**DRAWN, **wrong})


def test_one_stretch_said_twice_does_not_count_twice() -> None:
    real = {**film(file="a.mp4"), "sexual_content": "yes", "stimulus": "real"}
    spans = [{"from_s": 0, "to_s": 2}, {"from_s": 2, "to_s": 3}]
    assert len(parsed({**real, "must_cover": spans}).items[0].spans()) == 2
    for twice in ([spans[0], spans[0]], spans[::-1]):
        with pytest.raises(UsageError, match="follow one another"):
            parsed({**real, "must_cover": twice})


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/passwd", ".hidden", "a/../b", "http://x/y", ""])
def test_a_file_lies_in_the_corpus(name: str) -> None:
    with pytest.raises(UsageError, match="file"):
        parsed(film(file=name))


def test_what_is_unknown_counts_neither_as_benign_nor_as_positive() -> None:
    (item,) = parsed({**DRAWN, "sexual_content": "unknown"}).items
    assert not item.is_benign
    assert not item.is_positive


def test_a_manifest_comes_back_from_its_text() -> None:
    for one in (own_corpora.ordinary(), own_corpora.canaries(), own_corpora.stand_in()):
        assert manifest.parse(manifest.text(one), "again") == one


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 5000, "\0", '{"schema": "other/1"}'])
def test_what_is_no_manifest_gets_its_one_line(text: str) -> None:
    with pytest.raises(UsageError) as error:
        manifest.parse(text, "corpus.json")
    assert "\n" not in str(error.value)


# --- faults of a corpus ---------------------------------------------------------------------------


def test_faults_are_found_and_named(tmp_path: Path) -> None:
    for name, content in (("a.mkv", b"one"), ("b.mkv", b"one"), ("c.mkv", b"two")):
        (tmp_path / name).write_bytes(content)
    found = checking.check(
        parsed(
            film(file="a.mkv"),
            film(file="b.mkv"),
            film(file="c.mkv", rights="all rights reserved"),
            film(file="gone.mkv"),
            DRAWN,
            DRAWN,
        ),
        tmp_path,
    )
    assert [(fault.item, fault.kind) for fault in found] == [
        (1, "duplicated clip"),
        (2, "unknown licence"),
        (3, "file missing"),
        (5, "duplicated clip"),
    ]


def test_a_faulty_item_is_left_out_of_every_figure() -> None:
    one = parsed(DRAWN, DRAWN, {**DRAWN, "rights": "?"})
    assert checking.usable(one, checking.check(one, Path())) == (0,)


def test_a_shared_cluster_is_refused_and_named() -> None:
    checking.refuse_shared({"a", "b"}, {"c"})
    with pytest.raises(UsageError, match="a shared cluster: 'b'"):
        checking.refuse_shared({"a", "b"}, {"b", "c"})
