"""A network in bf16, by OpenVINO (the extra ``fast``), where the processor computes it.

bf16 has the range of f32 and eight bits of its precision. A processor that multiplies it itself
(AVX512-BF16, AMX) takes half the time or less; its score is off by a few hundredths at most, so
it only ever looks first (detect/first_look.py).
"""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np

from safelight.detect.runtime import Floats, InferenceError

_SETTINGS: Final = {
    "INFERENCE_PRECISION_HINT": "bf16",
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
}


class Bf16Network:
    """One network with one float32 input and one output. It computes in the calling thread.

    Making one starts threads that it does not need; judge/worker.py leaves them behind.
    """

    def __init__(self, compiled: Any, name: str, width: int) -> None:
        self._request = compiled.create_infer_request()
        self._name = name
        self._width = width

    @classmethod
    def load(
        cls, model: bytes, *, name: str, shape: tuple[int, ...], width: int
    ) -> Bf16Network | None:
        """Load ``model`` (ONNX bytes) for one picture ``(1, *shape)`` at a time.

        None where that cannot be: no OpenVINO, a processor without bf16, anything else. f32 is
        always there instead.
        """
        # It would bring a module that reports to its maker: without, it has a stub of its own.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        try:
            import openvino  # noqa: PLC0415  (an extra)

            core: Any = openvino.Core()
            if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                return None
            network = core.read_model(model=model)
            network.reshape([1, *shape])
            return cls(core.compile_model(network, "CPU", _SETTINGS), name, width)
        except Exception:  # noqa: BLE001  (its exceptions share no base; without it, f32)
            return None

    def run(self, batch: Floats) -> Floats:
        """Return float32 ``(1, width)`` for float32 ``batch`` ``(1, *shape)``.

        Raises:
            InferenceError: the network failed.
        """
        try:
            (rows,) = self._request.infer({0: batch}).values()
        except Exception as error:
            raise InferenceError(f"network {self._name} failed ({type(error).__name__})") from error
        answer = np.array(rows, dtype=np.float32)
        if answer.shape != (1, self._width):
            raise InferenceError(f"network {self._name} returned {answer.shape}")
        return answer
