"""Leaves out of a network what no later layer looks at. Its answers stay the same, bit for bit.

In a network of residual blocks the last block of a stage computes every value at full size, but
where each of its readers is a convolution of one pixel in steps of two, three of four values are
never read. Then the last wide convolution of the block takes the steps instead, and its shortcut
is thinned to the values that are left. Of open_nsfw's 1.07 thousand million multiplications 9 %
go.
"""

from __future__ import annotations

from safelight.detect.onnx_bytes import Graph, Node


def thinned(model: bytes) -> tuple[bytes, int]:
    """Return ONNX bytes that give the same answers for less, and at how many places.

    Anything that does not look exactly as it must is left as it is.

    Raises:
        ValueError: these are not the bytes of a model.
    """
    graph = Graph(model)
    places = sum(_thin(graph, node) for node in list(graph.nodes) if node.op == "Relu")
    return (graph.as_bytes() if places else model), places


def _thin(graph: Graph, relu: Node) -> bool:
    """Thin the block that ends in ``relu``, if nobody reads all of it."""
    after = graph.readers(relu.outputs[0])
    if not after or relu.outputs[0] in graph.outputs:
        return False
    if not all(_is_convolution(node, side=1, step=2) for node in after):
        return False
    add = _only_maker(graph, relu.inputs[0], "Add")
    if add is None:
        return False
    block = [(way, wide) for way in add.inputs if (wide := _wide_of(graph, way)) is not None]
    if len(block) != 1:
        return False
    way, wide = block[0]
    shortcut = next(name for name in add.inputs if name != way)
    wide.set_ints("strides", [2, 2])
    for node in after:
        node.set_ints("strides", [1, 1])
    even = f"{shortcut} every second"
    add.read_instead({shortcut: even})
    # The largest of one value is that value; there is no plainer operator for it.
    sides = {"kernel_shape": [1, 1], "strides": [2, 2]}
    graph.nodes.insert(graph.nodes.index(add), Node.made("MaxPool", [shortcut], [even], sides))
    return True


def _wide_of(graph: Graph, way: str) -> Node | None:
    """Return the 3 x 3 convolution of ``3 x 3, Relu, 1 x 1``, if ``way`` is made by that alone."""
    last = _only_maker(graph, way, "Conv")
    if last is None or not _is_convolution(last, side=1, step=1):
        return None
    relu = _only_maker(graph, last.inputs[0], "Relu")
    wide = _only_maker(graph, relu.inputs[0], "Conv") if relu is not None else None
    return wide if wide is not None and _is_convolution(wide, side=3, step=1) else None


def _only_maker(graph: Graph, name: str, op: str) -> Node | None:
    """Return the node that makes a value for one reader alone, if it is an ``op``."""
    maker = graph.maker(name)
    return maker if maker and maker.op == op and len(graph.readers(name)) == 1 else None


def _is_convolution(node: Node, *, side: int, step: int) -> bool:
    return (
        node.op == "Conv"
        and node.ints("kernel_shape") == [side, side]
        and node.ints("strides") == [step, step]
        and node.ints("dilations") in ([], [1, 1])
        and node.ints("pads") in ([], [side // 2] * 4)
        # Padding that depends on the steps would shift what is looked at.
        and node.text("auto_pad") in {"", "NOTSET"}
    )
