"""Found by GStreamer's loader of Python plug-ins: finds Safelight, and hands over.

The interpreter here is the one that GStreamer was built with, not the one that Safelight was
installed with. They have to be of the same version (3.11, say).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"


def _find() -> None:
    root = Path(__file__).resolve().parents[4]
    places = [root]
    if root.name != "site-packages":
        # A checkout: what it needs lies in its own environment, or in the one that is active.
        environments = [root.parent / ".venv", Path(os.environ.get("VIRTUAL_ENV") or ".venv")]
        places += [place / "lib" / _VERSION / "site-packages" for place in environments]
    found = [str(place) for place in places if place.is_dir()]
    sys.path[:0] = [place for place in found if place not in sys.path]
    # An embedded interpreter guesses its program from PATH. The judge is started by it.
    program = Path(sys.base_exec_prefix) / "bin" / _VERSION
    if program.is_file():
        sys.executable = str(program)


_find()

from safelight.media.gstreamer import FACTORY  # noqa: E402

__gstelementfactory__ = FACTORY
