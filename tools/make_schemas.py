"""Write the JSON Schemas of spec/ from the models that read and write those files.

    .venv/bin/python tools/make_schemas.py

tests/cli/test_schemas.py checks that they are up to date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from safelight.audit.outcome import Outcome
from safelight.cli.doctor import Findings
from safelight.cli.event_line import EventLine
from safelight.evaluation.evaluation import Evaluation
from safelight.evaluation.manifest import Corpus
from safelight.evaluation.pack import Pack
from safelight.evaluation.sealing import SealedResult
from safelight.host_command import HostCommand
from safelight.policies.policy_file import PolicyFile
from safelight.report import Report

SPEC: Final = Path(__file__).resolve().parent.parent / "spec"
MODELS: Final[dict[str, type[BaseModel]]] = {
    "audit.schema.json": Outcome,
    "corpus.schema.json": Corpus,
    "command.schema.json": HostCommand,
    "doctor.schema.json": Findings,
    "evaluation.schema.json": Evaluation,
    "evidence.schema.json": Pack,
    "event.schema.json": EventLine,
    "policy.schema.json": PolicyFile,
    "report.schema.json": Report,
    "sealed-result.schema.json": SealedResult,
}


def text(model: type[BaseModel]) -> str:
    """Return the text of a model's schema file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True),
    }
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    for name, model in MODELS.items():
        (SPEC / name).write_text(text(model), encoding="utf-8")


if __name__ == "__main__":
    main()
