"""All targets by name. Each is imported only when asked for, so that it can be instrumented."""

from __future__ import annotations

import importlib
from typing import Final

from tests.fuzz.target import Target

NAMES: Final = (
    "policy", "manifest", "report", "events", "commands", "cooldown", "settings", "addresses",
    "evidence", "engine", "messages", "apart", "pictures", "media", "coded",
)  # fmt: skip
# Broken on purpose, to see that a finding is found.
PLANTED: Final = "planted"


def load(name: str) -> Target:
    """Return a target.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in (*NAMES, PLANTED):
        raise KeyError(name)
    target: Target = importlib.import_module(f"tests.fuzz.{name}_target").TARGET
    return target
