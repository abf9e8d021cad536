"""Reports: what is read back is what was written, or pydantic's ``ValidationError``."""

from __future__ import annotations

import json

from pydantic import ValidationError
from tests.fuzz.target import Target, check

from safelight.report import Report


def run(data: bytes) -> None:
    try:
        report = Report.model_validate_json(data)
    except ValidationError:
        return
    text = report.as_json()
    check(Report.model_validate_json(text) == report, "it reads back as another report")
    json.loads(text, parse_constant=_no_number)
    for span in report.states:
        check(span.from_pts_s - span.from_pts_s == 0, "a time that is none")


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def seeds() -> tuple[bytes, ...]:
    frames = {
        "in": 9, "released": 3, "covered": 3, "interrupted": 2, "dropped": 1, "judged": 4,
        "still": 1, "bracketed": 1, "unjudged_released": 0,
    }  # fmt: skip
    state = {"state": "live", "from_pts_s": 0.0, "to_pts_s": 1.5, "reason": "clear"}
    report = Report.model_validate(
        {
            "outcome": "ended",
            "frames": frames,
            "states": [state, {**state, "state": "covered", "reason": "sexual_content"}],
            "muted_s": 0.25,
            "added_latency_ms": {"p50": 251.0, "p99": 290.5, "max": 301.25},
            "cpu_s": {"total": 3.5, "judge": 2.0},
            "policy": {"name": "protect", "adults_affirmed": False, "sha256": "0" * 64},
            "bundle": {"id": "b", "version": 1, "sha256": "0" * 64, "purpose": "test", "test": 1},
            "direction": "outgoing",
            "dropped_streams": [{"kind": "audio", "what": "aac", "count": 1}],
            "faults": [{"what": "late", "count": 2}],
            "versions": {"av": "18.1.0"},
        }
    )
    return (report.as_json().encode(), report.model_dump_json(by_alias=True).encode())


TARGET = Target(
    run,
    seeds,
    words=tuple(b'"in" "in_" "unjudged_released" "not measured" "measured" -1 1e308 "1"'.split()),
)
