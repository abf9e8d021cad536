"""The one seam to the inference library: bytes of a network in, rows of numbers out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from safelight.errors import JudgeError

# It has no types of its own; what passes this file has ours.
_ort: Any = onnxruntime

Floats = NDArray[np.float32]

HINT: Final = "reinstall safelight with its locked dependencies, or use another bundle"
_SUM_TOLERANCE = 1e-3


class InferenceError(RuntimeError):
    """A network did not answer at run time. The text says nothing of the picture."""


class Network:
    """One network with one float32 input ``(n, *shape)`` and one output ``(n, width)``.

    It computes in the thread that calls it, and in no other: on few cores a second thread
    made it slower as often as faster, and a sandbox may forbid new threads.
    """

    def __init__(
        self,
        model: bytes,
        *,
        name: str,
        inputs: str,
        shape: tuple[int, ...],
        outputs: str,
        width: int,
    ) -> None:
        """Load ``model`` (ONNX bytes), check its signature, run it once on zeros.

        Raises:
            JudgeError: it does not load, is another network than expected, or does not
                return probabilities.
        """
        self._name = name
        self._inputs, self._shape = inputs, shape
        self._outputs, self._width = outputs, width
        options = _ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4  # its warnings would land on the user's terminal
        try:
            self._session = _ort.InferenceSession(
                model, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # The library's exceptions share no base but Exception. No network, no start.
            raise JudgeError(
                f"network {name} does not load ({type(error).__name__})", HINT
            ) from error
        # It keeps the bytes that it was made of, in case it has to be made again with other
        # providers, which nobody does here: as much memory again as the network takes.
        self._session._model_bytes = None
        self._check_signature()
        self._check_probe()

    def run(self, batch: Floats) -> Floats:
        """Return float32 ``(n, width)`` for float32 ``batch`` ``(n, *shape)``, n at least 1.

        The values are as the network gave them: they may be NaN or out of range.

        Raises:
            InferenceError: the network failed, or the shapes are not as they must be.
        """
        if batch.dtype != np.float32 or batch.ndim < 1 or batch.shape[1:] != self._shape:
            raise InferenceError(f"network {self._name} was given {batch.dtype}{batch.shape}")
        try:
            (rows,) = self._session.run([self._outputs], {self._inputs: batch})
        except Exception as error:
            # Same as above: no common base. Raised on, so it becomes a fault, never an answer.
            raise InferenceError(f"network {self._name} failed ({type(error).__name__})") from error
        answer = np.asarray(rows)
        if answer.shape != (batch.shape[0], self._width) or answer.dtype != np.float32:
            raise InferenceError(f"network {self._name} returned {answer.dtype}{answer.shape}")
        return answer

    def _check_signature(self) -> None:
        found = [
            [(node.name, tuple(node.shape[1:]), node.type) for node in nodes]
            for nodes in (self._session.get_inputs(), self._session.get_outputs())
        ]
        expected = [
            [(self._inputs, self._shape, "tensor(float)")],
            [(self._outputs, (self._width,), "tensor(float)")],
        ]
        if found != expected:
            raise JudgeError(f"network {self._name} has other inputs or outputs", HINT)

    def _check_probe(self) -> None:
        try:
            rows = self.run(np.zeros((1, *self._shape), dtype=np.float32))
        except InferenceError as error:
            raise JudgeError(str(error), HINT) from error
        if not are_probabilities(rows):
            raise JudgeError(f"network {self._name} does not return probabilities", HINT)


def are_probabilities(rows: Floats) -> bool:
    """Whether each row of ``(n, width)`` is finite, in [0, 1], and sums to 1 within 0.001."""
    if rows.size == 0 or not np.isfinite(rows).all():
        return False
    sums = rows.sum(axis=1, dtype=np.float64)
    return bool(
        (rows >= 0).all()
        and (rows <= 1 + _SUM_TOLERANCE).all()
        and (np.abs(sums - 1) <= _SUM_TOLERANCE).all()
    )
