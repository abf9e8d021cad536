"""Age: age-v1's 81 bins (one a year, 0 to 80) on each frontal face that dlib finds.

P(<18) is the sum of the bins below 18, never a comparison of the point estimate. A face that
is not found is missing evidence: it never means "adult".
"""

from __future__ import annotations

from typing import Final

import numpy as np

from safelight.detect.faces import Box, FaceAligner, FaceFinder
from safelight.detect.runtime import Floats, Network
from safelight.types import Plane

LABELS: Final = tuple(str(age) for age in range(81))
ADULT_FROM: Final = 18
MAX_SIDE: Final = 640
PREPROCESSING: Final = (
    "longest side at most 640, dlib frontal faces, 5 landmarks, 64x64 chip with padding"
    " 0.2, NCHW float32, (RGB minus (122.781998, 117.000999, 104.297997)) / 256"
)
_CHIP: Final = 64
_PADDING: Final = 0.2
_MEAN_RGB: Final = np.array([122.781998, 117.000999, 104.297997], dtype=np.float32)
_MAX_FACES: Final = 32


class Age:
    """Estimates the age of the faces in a picture."""

    def __init__(self, model: bytes, landmarks: bytes) -> None:
        """Load the network and the landmark finder from their checked bytes.

        Raises:
            JudgeError: one does not load, or is another network.
        """
        self._network = Network(
            model,
            name="age",
            inputs="images",
            shape=(3, _CHIP, _CHIP),
            outputs="probabilities",
            width=len(LABELS),
        )
        self._finder = FaceFinder()
        self._aligner = FaceAligner(landmarks)

    def rows(self, pixels: Plane) -> Floats | None:
        """Return ``bins`` of the faces found (at most 32), or None when none was found."""
        boxes = self._finder.find(pixels)[:_MAX_FACES]
        return self.bins(pixels, boxes) if boxes else None

    def bins(self, pixels: Plane, boxes: list[Box]) -> Floats:
        """Return float32 ``(faces, 81)``: how likely each age from 0 to 80 is. Unchecked.

        ``pixels`` is uint8 RGB ``(height, width, 3)``; ``boxes`` holds at least one face.

        Raises:
            InferenceError: the network failed.
        """
        chips = np.empty((len(boxes), 3, _CHIP, _CHIP), dtype=np.float32)
        for row, box in zip(chips, boxes, strict=True):
            chip = self._aligner.chip(pixels, box, _CHIP, _PADDING).astype(np.float32)
            row[:] = ((chip - _MEAN_RGB) / np.float32(256)).transpose(2, 0, 1)
        return self._network.run(chips)


def under_age(rows: Floats) -> float:
    """Return the largest P(<18) estimate over the rows of ``bins``, in [0, 1]."""
    return min(1.0, float(rows[:, :ADULT_FROM].sum(axis=1, dtype=np.float64).max()))
