"""Promise 2: a network that is not the expected one, or breaks, never becomes an answer."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from safelight.detect.runtime import InferenceError, Network, are_probabilities
from safelight.errors import JudgeError
from safelight.types import VerifiedBundle

EXPECTED: dict[str, Any] = {
    "name": "age",
    "inputs": "images",
    "shape": (3, 64, 64),
    "outputs": "probabilities",
    "width": 81,
}


@pytest.fixture(scope="module")
def network(default_bundle: VerifiedBundle) -> Network:
    return Network(default_bundle.files["age-v1.onnx"], **EXPECTED)


@pytest.mark.parametrize("model", [b"", b"not a network", b"\x08\x07"])
def test_what_is_no_network_does_not_load(model: bytes) -> None:
    with pytest.raises(JudgeError, match="age"):
        Network(model, **EXPECTED)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": "image"},
        {"outputs": "probs"},
        {"shape": (64, 64, 3)},
        {"width": 80},
    ],
)
def test_another_network_does_not_load(
    default_bundle: VerifiedBundle, change: dict[str, Any]
) -> None:
    with pytest.raises(JudgeError):
        Network(default_bundle.files["age-v1.onnx"], **{**EXPECTED, **change})


def test_the_bytes_of_a_network_are_let_go(default_bundle: VerifiedBundle) -> None:
    # They would stay in memory beside the network itself, in the template and in every judge.
    model = bytes(bytearray(default_bundle.files["age-v1.onnx"]))  # nobody else's
    before = sys.getrefcount(model)
    network = Network(model, **EXPECTED)
    assert sys.getrefcount(model) == before
    assert network.run(np.zeros((1, 3, 64, 64), dtype=np.float32)).shape == (1, 81)


def test_rows_come_back_in_order(network: Network) -> None:
    batch = np.random.default_rng(1).normal(0, 0.3, (3, 3, 64, 64)).astype(np.float32)
    rows = network.run(batch)
    assert rows.shape == (3, 81)
    assert are_probabilities(rows)
    for at in range(3):
        assert np.allclose(rows[at], network.run(batch[at : at + 1])[0], atol=1e-5)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 3, 64, 64), np.float64),
        np.zeros((1, 3, 64, 65), np.float32),
        np.zeros((3, 64, 64), np.float32),
        np.float32(0),
    ],
)
def test_a_wrong_batch_is_an_inference_error(network: Network, batch: Any) -> None:
    with pytest.raises(InferenceError):
        network.run(np.asarray(batch))


class _Session:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def run(self, names: object, feed: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("pixel 17 was 23"),
        [np.zeros((2, 81), np.float32)],
        [np.zeros((1, 80), np.float32)],
        [np.zeros((1, 81), np.float64)],
    ],
)
def test_a_break_at_run_time_is_an_inference_error_without_content(
    network: Network, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_session", _Session(answer))
    with pytest.raises(InferenceError) as caught:
        network.run(np.zeros((1, 3, 64, 64), np.float32))
    assert "pixel" not in str(caught.value)


def test_a_network_whose_probe_is_no_probability_does_not_load(
    default_bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Naive quantisation fails like this: everything is 0, without an error.
    def dead(network: Network, batch: object) -> object:
        return np.zeros((1, 81), np.float32)

    monkeypatch.setattr(Network, "run", dead)
    with pytest.raises(JudgeError, match="probabilities"):
        Network(default_bundle.files["age-v1.onnx"], **EXPECTED)


@pytest.mark.parametrize(
    ("row", "good"),
    [
        ([0.25, 0.75], True),
        ([0.0, 1.0], True),
        ([np.nan, 0.5], False),
        ([np.inf, 0.0], False),
        ([-0.1, 1.1], False),
        ([0.4, 0.4], False),
        ([0.0, 0.0], False),
    ],
)
def test_probabilities(row: list[float], good: bool) -> None:
    assert are_probabilities(np.array([row], np.float32)) is good
    assert not are_probabilities(np.array([[0.5, 0.5], row], np.float32)) or good


def test_no_rows_are_no_probabilities() -> None:
    assert not are_probabilities(np.zeros((0, 2), np.float32))


def test_one_thread_computes(default_bundle: VerifiedBundle) -> None:
    made = Network(default_bundle.files["age-v1.onnx"], **EXPECTED)
    options = made._session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
