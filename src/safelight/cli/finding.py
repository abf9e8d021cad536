"""What ``safelight doctor`` finds: one line each."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Finding(BaseModel):
    """One thing that was looked at. ``needed``: without it no guard runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    status: Literal["ok", "note", "fault"]
    needed: bool
    says: str


def ok(name: str, says: str, *, needed: bool = False) -> Finding:
    """Return what works."""
    return Finding(name=name, status="ok", needed=needed, says=says)


def note(name: str, says: str) -> Finding:
    """Return what is not there, with what would help; a guard runs without it."""
    return Finding(name=name, status="note", needed=False, says=says)


def fault(name: str, says: str) -> Finding:
    """Return what keeps a guard from running."""
    return Finding(name=name, status="fault", needed=True, says=says)
