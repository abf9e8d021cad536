"""A score in text is found; times and counts are none."""

from __future__ import annotations

import pytest

from safelight.audit import scores
from safelight.report import Cpu


@pytest.mark.parametrize(
    "line",
    [
        "frame 12 sexual=0.9312",
        "score: 0.93",
        "0.931 sexual",
        "DEBUG nsfw 9.3e-05",
        '{"at_s": 1.5, "value": 0.25}',
        "minor 0.412",
        '{"at_s": 1.5, "text": "nsfw 0.93"}',
        '{"at_s": 1.5, "sexual": 931}',
        '{"at_s": 1.5, "score_ms": 931.5}',
        '{"at_s": 1.5, "text": "Live (3c7e9fe1c0f0e0c8)"}',
    ],
)
def test_a_score_is_found(line: str) -> None:
    assert list(scores.in_text(f"first\n{line}\n")) == [2]


@pytest.mark.parametrize(
    "line",
    [
        "     2.50 s  Paused: a card leaves in place of the video",
        "135 pictures in: 75 released, 39 covered, 21 interrupted, 0 dropped",
        "system leaks: 0 · misses: not measured",
        '{"at_s": 2.5, "state": "covered", "reason": "sexual_content"}',
        '{"id": "safelight-default", "sha256": "e5843b91a76133083832ea5453699855bcc912ce"}',
    ],
)
def test_times_and_counts_are_none(line: str) -> None:
    assert list(scores.in_text(line)) == []


def test_no_cpu_time_of_a_report_passes_for_a_score() -> None:
    """Each of its fields: one that the auditor does not know would make every guard red."""
    used = Cpu(**dict.fromkeys(Cpu.model_fields, 0.25))
    assert list(scores.in_document(used.model_dump())) == []
