"""spec/vectors/engine: the engine says, byte for byte, what the files say it does."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from tests.source import ROOT
from tools import make_vectors, vector_format

FOLDER = ROOT / "spec" / "vectors" / "engine"
FILES = sorted(FOLDER.glob("*.json"))


def read(name: str) -> vector_format.Dialogue:
    return vector_format.Dialogue.model_validate_json((FOLDER / f"{name}.json").read_bytes())


def replay(dialogue: vector_format.Dialogue) -> None:
    engine = dialogue.engine()
    for number, step in enumerate(dialogue.steps):
        event = vector_format.read_event(step.event, dialogue.stream)
        said = [vector_format.write_command(command) for command in engine.handle(event)]
        assert said == step.commands, f"{dialogue.name}, step {number}: {step.event}"


def test_the_files_are_those_that_the_stories_make() -> None:
    assert {path.stem for path in FILES} == set(make_vectors.names())
    assert len(FILES) >= 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_engine_replays_it(path) -> None:  # type: ignore[no-untyped-def]
    replay(read(path.stem))


@pytest.mark.parametrize("name", list(make_vectors.names()))
def test_making_it_again_gives_the_same_bytes(name: str) -> None:
    assert make_vectors.text(name).encode() == (FOLDER / f"{name}.json").read_bytes()


def test_the_schema_is_up_to_date() -> None:
    assert make_vectors.schema() == make_vectors.SCHEMA.read_text(encoding="utf-8")


def test_a_changed_file_fails() -> None:
    raw = json.loads((FOLDER / "canary-live.json").read_text())
    emits = [c for s in raw["steps"] for c in s["commands"] if c["type"] == "emit"]
    covered = next(c for c in emits if c["action"] == "cover")
    covered["action"] = "release"
    with pytest.raises(AssertionError, match="canary-live, step"):
        replay(vector_format.Dialogue.model_validate(raw))
    raw["lenient"] = True
    with pytest.raises(ValidationError):
        vector_format.Dialogue.model_validate(raw)


def test_together_they_show_every_kind_of_event_and_command() -> None:
    dialogues = [read(path.stem) for path in FILES]
    events = {step.event.type for d in dialogues for step in d.steps}
    commands = {c["type"] for d in dialogues for step in d.steps for c in step.commands}
    kinds = set(vector_format.PLAIN) | {"picture_arrived", "audio_arrived", "evidence_ready"}
    assert events >= kinds | {"fault", "interrupt"}
    assert commands >= {"ask", "emit", "emit_card", "mute", "drop", "stop", "state_changed"}
    assert commands >= {"fault_noted", "cool_down_started", "resume_refused"}
    bindings = {c.get("binding") for d in dialogues for s in d.steps for c in s.commands}
    assert bindings >= {"judged", "still", "bracketed"}
