"""What machine this is, in words for a person."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cpu_name() -> str:
    """Return the processor's name, "unknown" where the system does not say."""
    for key, value in _of_processor():
        if key in {"model name", "Model", "Hardware"} and value:
            return " ".join(value.split())
    return platform.processor() or platform.machine() or "unknown"


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself, as far as the system says."""
    return any(
        key == "flags" and {"avx512_bf16", "amx_bf16"} & set(value.split())
        for key, value in _of_processor()
    )


def _of_processor() -> list[tuple[str, str]]:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return []
    parts = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, _, value in parts]


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
