"""What a fuzz target is: bytes in; silence, a refusal that is documented, or a defect."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path


class DefectError(AssertionError):
    """What came back is not what is documented."""


class ReleaseError(DefectError):
    """The worst of them: something may leave, or may judge, that must not."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser of ours, or one place that takes in what somebody else made.

    ``run`` raises for a defect and only then: whatever it raises is one. ``seeds`` makes the
    inputs to begin with, from the project's own files. ``words`` are what a mutation may
    put in. ``text``: inputs are made of words rather than of bytes. ``pieces``: how many
    mutated inputs a test takes.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], tuple[bytes, ...]]
    words: tuple[bytes, ...] = ()
    text: bool = True
    pieces: int = 2000
    max_len: int = 8192
    timeout_s: int = 10
    rss_mb: int = 1024


@cache
def scratch() -> Path:
    """Return a folder of this process, for targets that read files."""
    # In memory, where there is such a place: a run writes thousands of small files.
    shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
    where = os.environ.get("TMPDIR") or shared
    folder = tempfile.mkdtemp(prefix="safelight-fuzz-", dir=where)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def check(holds: bool, what: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise DefectError(what)


def check_no_release(holds: bool, what: str) -> None:
    """Raise the worst unless it holds."""
    if not holds:
        raise ReleaseError(what)


def check_one_line(text: str) -> None:
    """An error is one line that a terminal can show, and not a whole input repeated."""
    check(text.isprintable(), f"an error is no printable line: {text!a}")
    check(len(text) <= 1000, f"an error of {len(text)} characters")
