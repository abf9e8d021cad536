"""What an audit says: a table for people, JSON for programs (spec/audit.schema.json)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["clean", "red", "not checked"]


class Row(BaseModel):
    """One check: what was seen, and, when red, what and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str
    verdict: Verdict
    seen: str = Field(description="what was seen, or why nothing could be")
    found: tuple[str, ...] = Field(default=(), description="each violation: what, and where")


class Counts(BaseModel):
    """How many rows of each verdict. What was not checked is not clean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clean: int
    red: int
    not_checked: int


class Outcome(BaseModel):
    """What ``safelight audit --json`` writes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["safelight.audit/1"] = Field(alias="schema", default="safelight.audit/1")
    safelight: str = Field(description="version of the auditor")
    watched: Literal["a live stream of its own", "a film of its own", "a guard that ran already"]
    by_root: bool
    strace: bool
    kernel: str
    rows: tuple[Row, ...]
    counts: Counts
    judge_calls: dict[str, int] = Field(
        description="system calls of sealed judges, by name; empty when they were not traced"
    )


def row(check: str, seen: str, found: list[str] | tuple[str, ...] = ()) -> Row:
    """Return a row that is red when something was found, else clean."""
    once = tuple(dict.fromkeys(found))
    return Row(check=check, verdict="red" if once else "clean", seen=seen, found=once)


def row_but(check: str, seen: str, found: list[str], unread: dict[str, int]) -> Row:
    """Return ``row``; where nothing was found, but ``unread`` was not to be seen, no clean one."""
    if found or not sum(unread.values()):
        return row(check, seen, found)
    hidden = ", ".join(f"{name} {count}" for name, count in sorted(unread.items()) if count)
    return unchecked(check, f"only root may see where these led to: {hidden} ({seen})")


def unchecked(check: str, why: str) -> Row:
    """Return a row of what could not be looked at here."""
    return Row(check=check, verdict="not checked", seen=why)


def counted(rows: tuple[Row, ...]) -> Counts:
    """Count the verdicts."""
    verdicts = [one.verdict for one in rows]
    return Counts(
        clean=verdicts.count("clean"),
        red=verdicts.count("red"),
        not_checked=verdicts.count("not checked"),
    )
