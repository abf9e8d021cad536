"""The one seam to dlib: frontal faces, their five landmarks, and aligned chips."""

from __future__ import annotations

import os
from typing import Any, Final

import dlib
import numpy as np

from safelight.errors import JudgeError
from safelight.types import Plane

# dlib has no types of its own; what passes this file has ours.
_dlib: Any = dlib

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, ends included

_LANDMARKS: Final = 5
_HINT: Final = "reinstall safelight with its locked dependencies, or use another bundle"


class FaceFinder:
    """Finds frontal faces of about 80 pixels and more; it misses many others."""

    def __init__(self) -> None:
        self._detector = _dlib.get_frontal_face_detector()

    def find(self, pixels: Plane) -> list[Box]:
        """Return a box for each face in uint8 RGB ``(height, width, 3)``.

        Boxes may reach outside the picture.
        """
        found = self._detector(np.ascontiguousarray(pixels), 0)
        return [(box.left(), box.top(), box.right(), box.bottom()) for box in found]


class FaceAligner:
    """Cuts a face out, upright and centred by its landmarks."""

    def __init__(self, landmarks: bytes) -> None:
        """Load the landmark finder from its checked bytes.

        Raises:
            JudgeError: it does not load, or finds another number of points than five.
        """
        self._find_landmarks = _load(landmarks)

    def chip(self, pixels: Plane, box: Box, side: int, padding: float) -> Plane:
        """Return uint8 RGB ``(side, side, 3)`` of the face in ``box``."""
        shape = self._find_landmarks(pixels, _dlib.rectangle(*box))
        details = _dlib.get_face_chip_details(shape, side, padding)
        return np.asarray(_dlib.extract_image_chip(pixels, details), dtype=np.uint8)


def _load(content: bytes) -> Any:
    """Load a landmark finder from memory; dlib takes only paths, so an unnamed file serves."""
    try:
        handle = os.memfd_create("landmarks", os.MFD_CLOEXEC)
    except (AttributeError, OSError) as error:
        raise JudgeError("no memory file for the landmark finder", "run it on Linux") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            finder = _dlib.shape_predictor(f"/proc/self/fd/{handle}")
        blank = np.zeros((16, 16, 3), dtype=np.uint8)
        parts = finder(blank, _dlib.rectangle(0, 0, 15, 15)).num_parts
    except (RuntimeError, OSError) as error:
        raise JudgeError("the landmark finder does not load", _HINT) from error
    if parts != _LANDMARKS:
        raise JudgeError(f"the landmark finder finds {parts} points, not {_LANDMARKS}", _HINT)
    return finder
