"""``safelight doctor`` says whether a quicker network looks first, and what would make it."""

from __future__ import annotations

from importlib import metadata

import pytest

from safelight.cli import doctor, machine


@pytest.mark.parametrize(
    ("used", "there", "status", "says"),
    [
        ("1.2", {"bf16", "openvino"}, "ok", "bf16 by openvino 1.2"),
        (None, {"openvino"}, "ok", "none"),
        (None, set[str](), "ok", "none"),
        (None, {"bf16"}, "note", "pip install 'safelight[fast]'"),
        (None, {"bf16", "openvino"}, "note", "does not agree or saves nothing"),
    ],
)
def test_doctor_on_the_first_look(
    monkeypatch: pytest.MonkeyPatch, used: str | None, there: set[str], status: str, says: str
) -> None:
    def version(name: str) -> str:
        if name not in there:
            raise metadata.PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(machine, "has_bf16", lambda: "bf16" in there)
    monkeypatch.setattr(metadata, "version", version)
    found = doctor._first_look(used)
    assert found.status == status
    assert says in found.says
