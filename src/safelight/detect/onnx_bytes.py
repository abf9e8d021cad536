"""Just enough of the ONNX format to rewrite a network's graph: bytes in, bytes out.

ONNX files are protocol buffers. What is read here has been verified, byte for byte, before; so
anything unexpected is an error, and nothing is guessed. Fields that are not looked at are kept
as they are. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto names the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Field = tuple[int, int, bytes | int]  # number, wire type, value

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED: Final = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}

_MODEL_GRAPH: Final = 7
_GRAPH_NODE, _GRAPH_OUTPUT, _GRAPH_SHAPES = 1, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_TEXT, _ATTRIBUTE_INTS, _ATTRIBUTE_TYPE = 1, 4, 8, 20
_INTS: Final = 7  # a type of attribute
_VALUE_NAME: Final = 1


class Node:
    """One operator: what it reads and makes by name, its kind, its attributes."""

    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields

    @classmethod
    def made(
        cls,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        ints: Mapping[str, Sequence[int]],
    ) -> Node:
        """Make a node; ``ints`` are its attributes, which are lists of whole numbers."""
        fields: list[Field] = [
            *((_NODE_INPUT, _LENGTH, name.encode()) for name in inputs),
            *((_NODE_OUTPUT, _LENGTH, name.encode()) for name in outputs),
            (_NODE_OP, _LENGTH, op.encode()),
        ]
        for name, values in ints.items():
            attribute: list[Field] = [
                (_ATTRIBUTE_NAME, _LENGTH, name.encode()),
                *((_ATTRIBUTE_INTS, _VARINT, value) for value in values),
                (_ATTRIBUTE_TYPE, _VARINT, _INTS),
            ]
            fields.append((_NODE_ATTRIBUTE, _LENGTH, message(attribute)))
        return cls(fields)

    @property
    def op(self) -> str:
        """The operator's name."""
        return self._texts(_NODE_OP)[0]

    @property
    def inputs(self) -> list[str]:
        """Names of what it reads, in order."""
        return self._texts(_NODE_INPUT)

    @property
    def outputs(self) -> list[str]:
        """Names of what it makes, in order."""
        return self._texts(_NODE_OUTPUT)

    def ints(self, name: str) -> list[int]:
        """Return an attribute that is a list of whole numbers; empty when it has none."""
        return [_int(v) for no, _, v in self._attribute(name) if no == _ATTRIBUTE_INTS]

    def text(self, name: str) -> str:
        """Return an attribute that is a text; empty when it has none."""
        found = [_text(v) for no, _, v in self._attribute(name) if no == _ATTRIBUTE_TEXT]
        return found[-1] if found else ""

    def set_ints(self, name: str, values: Sequence[int]) -> None:
        """Give an attribute that is there another list.

        Raises:
            ValueError: it is not there.
        """
        for at, (number, kind, raw) in enumerate(self._fields):
            if number == _NODE_ATTRIBUTE:
                parts = parse(_bytes(raw))
                if (_ATTRIBUTE_NAME, _LENGTH, name.encode()) in parts:
                    kept = [part for part in parts if part[0] != _ATTRIBUTE_INTS]
                    kept += [(_ATTRIBUTE_INTS, _VARINT, value) for value in values]
                    self._fields[at] = (number, kind, message(kept))
                    return
        raise ValueError(f"a node without {name}")

    def read_instead(self, names: dict[str, str]) -> None:
        """Read what ``names`` says instead of each name in it."""
        self._fields = [
            (number, kind, names.get(_text(value), _text(value)).encode())
            if number == _NODE_INPUT
            else (number, kind, value)
            for number, kind, value in self._fields
        ]

    def as_bytes(self) -> bytes:
        """Return the node as the format has it."""
        return message(self._fields)

    def _attribute(self, name: str) -> list[Field]:
        for number, _, raw in self._fields:
            if number == _NODE_ATTRIBUTE:
                parts = parse(_bytes(raw))
                if (_ATTRIBUTE_NAME, _LENGTH, name.encode()) in parts:
                    return parts
        return []

    def _texts(self, which: int) -> list[str]:
        return [_text(value) for number, _, value in self._fields if number == which]


class Graph:
    """A network's graph; ``nodes`` may be changed."""

    def __init__(self, model: bytes) -> None:
        """Read the bytes of a model.

        Raises:
            ValueError: they are not a model's.
        """
        self._model = parse(model)
        graphs = [value for number, _, value in self._model if number == _MODEL_GRAPH]
        if len(graphs) != 1:
            raise ValueError("a model has one graph")
        fields = parse(_bytes(graphs[0]))
        self.nodes = [Node(parse(_bytes(v))) for n, _, v in fields if n == _GRAPH_NODE]
        # Shapes of what lies between are left out: they may not hold any more.
        self._others = [f for f in fields if f[0] not in {_GRAPH_NODE, _GRAPH_SHAPES}]

    @property
    def outputs(self) -> list[str]:
        """Names of what the network answers."""
        found = [parse(_bytes(value)) for no, _, value in self._others if no == _GRAPH_OUTPUT]
        return [_text(value) for fields in found for no, _, value in fields if no == _VALUE_NAME]

    def maker(self, name: str) -> Node | None:
        """Return the node that makes a value; None for inputs and weights."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def readers(self, name: str) -> list[Node]:
        """Return the nodes that read a value."""
        return [node for node in self.nodes if name in node.inputs]

    def as_bytes(self) -> bytes:
        """Return the model as the format has it."""
        nodes: list[Field] = [(_GRAPH_NODE, _LENGTH, node.as_bytes()) for node in self.nodes]
        graph = message([*nodes, *self._others])
        return message(
            [
                (number, kind, graph if number == _MODEL_GRAPH else value)
                for number, kind, value in self._model
            ]
        )


def parse(data: bytes) -> list[Field]:
    """Return the fields of a message, in order.

    Raises:
        ValueError: it is none.
    """
    found: list[Field] = []
    at = 0
    while at < len(data):
        key, at = _read_number(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_number(data, at)
            found.append((key >> 3, kind, value))
            continue
        if kind == _LENGTH:
            size, at = _read_number(data, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise ValueError("no such wire type")
        if at + size > len(data):
            raise ValueError("a message that is cut off")
        found.append((key >> 3, kind, data[at : at + size]))
        at += size
    return found


def message(fields: Iterable[Field]) -> bytes:
    """Return the bytes of a message with these fields."""
    parts: list[bytes] = []
    for number, kind, value in fields:
        parts.append(_number(number << 3 | kind))
        if kind == _VARINT:
            parts.append(_number(_int(value)))
        else:
            raw = _bytes(value)
            parts += [_number(len(raw)), raw] if kind == _LENGTH else [raw]
    return b"".join(parts)


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number that does not end")


def _number(value: int) -> bytes:
    if value < 0:
        raise ValueError("a number below zero")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(value: bytes | int) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where bytes belong")
    return value


def _int(value: bytes | int) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number belongs")
    return value


def _text(value: bytes | int) -> str:
    return _bytes(value).decode("utf-8")
