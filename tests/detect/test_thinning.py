"""What is left out of a network changes no answer, and only what nobody reads is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from safelight.detect import views
from safelight.detect.onnx_bytes import Field, Graph, Node, message, parse
from safelight.detect.sexual_content import SexualContent
from safelight.detect.thinning import thinned
from safelight.errors import JudgeError
from safelight.testing import canary, scenes
from safelight.types import Picture, Plane, VerifiedBundle

ORT: Any = onnxruntime
MODEL = "open-nsfw.onnx"


@pytest.fixture(scope="module")
def model(default_bundle: VerifiedBundle) -> bytes:
    return default_bundle.files[MODEL]


def answers(model: bytes, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    options = ORT.SessionOptions()
    options.intra_op_num_threads = 1
    session = ORT.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (rows,) = session.run(["outputs"], {"input:0": batch})
    return np.asarray(rows)


def pictures() -> list[Plane]:
    strengths = [0.0, 0.2, 0.35, 0.6, 1.0]
    clean = canary.clean("card").astype(np.float32)
    change = canary.load("card").astype(np.float32) - clean
    of = [views.from_rgb(np.clip(clean + change * s, 0, 255).astype(np.uint8)) for s in strengths]
    of += [scenes.picture_from_rgb(scenes.scene(at, (640, 360))) for at in (0.5, 2.0)]
    return [rendered(picture, kind) for picture in of for kind in ("reference", "whole")]


def a_scene() -> Picture:
    return scenes.picture_from_rgb(scenes.scene(0.5, (640, 360)))


def rendered(picture: Picture, kind: str) -> Plane:
    return views.render(views.shown(picture), kind)


def test_three_stages_are_thinned_and_every_answer_is_the_same_to_the_bit(model: bytes) -> None:
    less, places = thinned(model)
    assert places == 3
    noise = np.random.default_rng(3).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    rows = np.stack([*pictures(), *noise]).astype(np.float32)[..., ::-1] - 110
    batch = np.ascontiguousarray(rows)
    expected = answers(model, batch)
    assert expected[:, 1].max() > 0.9
    assert expected[:, 1].min() < 0.1
    assert np.array_equal(answers(less, batch), expected)


def test_what_was_thinned_has_nothing_more_to_leave_out(model: bytes) -> None:
    less, _ = thinned(model)
    again, places = thinned(less)
    assert places == 0
    assert again is less


def test_another_network_is_left_as_it_is(default_bundle: VerifiedBundle) -> None:
    age = default_bundle.files["age-v1.onnx"]
    assert thinned(age) == (age, 0)


def _ends(graph: Graph) -> list[Node]:
    """Return the Relus whose readers are convolutions in steps of two alone."""
    return [
        node
        for node in graph.nodes
        if node.op == "Relu"
        and (after := graph.readers(node.outputs[0]))
        and all(reader.op == "Conv" and reader.ints("strides") == [2, 2] for reader in after)
    ]


def test_a_value_that_somebody_else_reads_too_is_not_thinned(model: bytes) -> None:
    graph = Graph(model)
    end = _ends(graph)[0]
    graph.nodes.append(Node.made("Relu", end.outputs, ["read by another"], {}))
    assert thinned(graph.as_bytes())[1] == 2


def test_a_value_that_the_network_answers_with_is_not_thinned(model: bytes) -> None:
    (between,) = _ends(Graph(model))[1].outputs
    output = message([(12, 2, message([(1, 2, between.encode())]))])  # one more of a graph's
    answering = [
        (no, kind, v + output if isinstance(v, bytes) and no == 7 else v)
        for no, kind, v in parse(model)
    ]
    assert thinned(message(answering))[1] == 2


def test_a_convolution_of_another_shape_is_not_thinned(model: bytes) -> None:
    graph = Graph(model)
    for node in graph.nodes:
        if node.op == "Conv" and node.ints("kernel_shape") == [3, 3]:
            node.set_ints("dilations", [2, 2])
    assert thinned(graph.as_bytes())[1] == 0


def test_a_convolution_whose_padding_depends_on_its_steps_is_not_thinned(model: bytes) -> None:
    graph = Graph(model)
    for node in graph.nodes:
        if node.op == "Conv" and node.ints("kernel_shape") == [3, 3]:
            _set(node, "pads", None)
            _set(node, "auto_pad", (4, 2, b"SAME_UPPER"))
    assert thinned(graph.as_bytes())[1] == 0


def test_a_network_whose_lists_are_packed_is_used_as_it_is(model: bytes) -> None:
    graph = Graph(model)
    for node in graph.nodes:
        if sides := node.ints("kernel_shape"):
            _set(node, "kernel_shape", (8, 2, bytes(sides)))
    with pytest.raises(ValueError, match=r"."):
        thinned(graph.as_bytes())
    view = rendered(a_scene(), "whole")
    packed, plain = (SexualContent(one).rows([view]) for one in (graph.as_bytes(), model))
    assert np.array_equal(packed, plain)


@pytest.mark.parametrize("model", [b"", b"\x08", b"\xff" * 20, b"\x0b\x00", b"\x3a\x05ab"])
def test_what_is_no_model_is_an_error_and_does_not_load(model: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Graph(model)
    with pytest.raises(JudgeError):
        SexualContent(model)


def test_fields_are_read_and_written_alike(model: bytes) -> None:
    assert message(parse(model)) == model
    graph = Graph(model)
    assert answers(graph.as_bytes(), np.zeros((1, 224, 224, 3), np.float32)).tolist() == (
        answers(model, np.zeros((1, 224, 224, 3), np.float32)).tolist()
    )


def _set(node: Node, name: str, field: Field | None) -> None:
    """Replace an attribute's value by a field; None: take the attribute away."""
    fields: list[Field] = []
    for number, kind, raw in parse(node.as_bytes()):
        parts = parse(raw) if number == 5 and isinstance(raw, bytes) else []
        if (1, 2, name.encode()) not in parts:
            fields.append((number, kind, raw))
        elif field is not None:
            kept = [part for part in parts if part[0] in {1, 20}]
            fields.append((number, kind, message([*kept, field])))
    node._fields = fields
