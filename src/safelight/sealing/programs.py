"""What a program of ours is handed when it is started to be sealed."""

from __future__ import annotations

import os
import sys
from types import MappingProxyType
from typing import Final

# A process that seals itself has one thread: namespaces and Landlock bind one, a fork copies
# one.
# Libraries that start threads when they are imported ask these. (onnxruntime's is for reports
# to its maker, which nothing here may send.)
SINGLE_THREADED: Final = MappingProxyType(
    {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
)

# What a fresh interpreter needs to find itself and its libraries. Nothing else of the user's
# environment (keys, proxies) is handed to what looks at pictures.
_KEPT: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "PYTHONHOME", "SYSTEMROOT")


def environment() -> dict[str, str]:
    """Return the environment of such a program."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return {**kept, **SINGLE_THREADED}
