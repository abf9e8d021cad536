"""safelight.toml: a ``UsageError`` of one line, or settings that such a file may choose."""

from __future__ import annotations

import os
from typing import Final

from tests.fuzz.target import Target, check, check_no_release, check_one_line, scratch

import safelight
from safelight.cli import settings
from safelight.errors import UsageError

_NEVER: Final = {"events", "report", "state", "bundle", "test-bundle"}


def run(data: bytes) -> None:
    path = scratch() / settings.NAME
    path.write_bytes(data)
    try:
        named, _ = settings.read(path)
    except UsageError as error:
        check_one_line(str(error))
        named = None
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        found, _ = settings.read(None)
    except UsageError as error:
        check_one_line(str(error))
        return
    finally:
        os.chdir(before)
    check(named == found, "it says one thing when named and another when found")
    check_no_release(not _NEVER.intersection(found.names()), "an unnamed file chose")
    known = {None, *safelight.policy_names()}
    check_no_release(found.policy in known, "an unnamed file brought a policy of its own")


def seeds() -> tuple[bytes, ...]:
    return (
        b'policy = "protect"\ndirection = "incoming"\nhold-ms = 250\nregion = "GB"\nquiet = true\n',
        b'policy = "own.toml"\nevents = "e.jsonl"\nreport = "r.json"\nstate = "s"\n',
        b'resume-after = 1.5\nbind = "127.0.0.1"\nbundle = "folder"\n',
    )


TARGET = Target(
    run,
    seeds,
    words=tuple(
        b'policy direction bundle report events hold-ms hold_ms resume-after region bind state '
        b'quiet test-bundle "protect" "outgoing" \'p\' [policy] [[x]] "\\u001b" . = '.split()
    ),
)  # fmt: skip
