"""A target that is broken on purpose, in the way that ``SAFELIGHT_PLANTED`` names."""

from __future__ import annotations

import ctypes
import os
import time

from tests.fuzz.target import DefectError, ReleaseError, Target

VARIABLE = "SAFELIGHT_PLANTED"
KINDS = ("crash", "segfault", "memory", "hang", "release")


def run(data: bytes) -> None:
    kind = os.environ.get(VARIABLE, "")
    if not kind or not data.startswith(kind.encode()):
        return
    match kind:
        case "crash":
            raise DefectError("planted")
        case "release":
            raise ReleaseError("planted")
        case "hang":
            time.sleep(30)
        case "segfault":
            ctypes.string_at(0)
        case "memory":
            held = bytearray(b"x") * (1 << 30)
            time.sleep(3 if held else 0)
        case _:
            raise KeyError(kind)


TARGET = Target(
    run,
    lambda: (os.environ.get(VARIABLE, "nothing").encode(),),
    text=False,
    pieces=10,
    timeout_s=2,
    rss_mb=512,
)
