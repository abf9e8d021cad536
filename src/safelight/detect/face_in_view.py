"""A stand-in: something harmless, a frontal face, is the sensitive class. For tests only.

What it shows is about the system (leaks, delays, covers), never about recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from safelight.detect.faces import FaceFinder
from safelight.detect.runtime import Floats
from safelight.types import Plane

LABELS: Final = ("no_face", "face")
PREPROCESSING: Final = "view as it is, dlib frontal faces"
VIEW_KINDS: Final = frozenset({"reference", "whole", "left_square", "right_square", "fit_560"})


class FaceInView:
    """Scores a view 1.0 when dlib finds a frontal face in it, else 0.0."""

    def __init__(self) -> None:
        self._finder = FaceFinder()

    def rows(self, views: Sequence[Plane]) -> Floats:
        """Return float32 ``(n, 2)``, (no_face, face) a view, for uint8 RGB views."""
        found = [len(self._finder.find(view)) > 0 for view in views]
        return np.array([(1 - face, face) for face in found], dtype=np.float32)
