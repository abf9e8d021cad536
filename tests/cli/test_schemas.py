"""spec/ says what is written and read: the schemas are those of the models."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import make_schemas

SPEC = Path(__file__).resolve().parents[2] / "spec"


@pytest.mark.parametrize("name", sorted(make_schemas.MODELS))
def test_a_schema_is_the_model(name: str) -> None:
    assert (SPEC / name).read_text("utf-8") == make_schemas.text(make_schemas.MODELS[name]), (
        "run tools/make_schemas.py"
    )


@pytest.mark.parametrize("name", ["report.schema.json", "event.schema.json"])
def test_what_leaves_the_guard_has_no_scores(name: str) -> None:
    """Promise 8: nothing finer than states."""
    text = (SPEC / name).read_text("utf-8")
    for word in ("score", 'sexual"', "minor", "p_under", "evidence"):
        assert word not in text.replace("no scores", ""), word
