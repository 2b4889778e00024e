# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph as koe looks at it: who makes and who uses a tensor, and which tensors are constants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper, numpy_helper

from koe.errors import InvalidModelError

Array = npt.NDArray[Any]

_RANDOM = {
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
}


@dataclass(frozen=True)
class Constant:
    """A constant tensor: its values, or integers with value = (values - zero_point) * scale.

    `scale` and `zero_point` have one element, or one for each index of `axis`.
    """

    values: Array
    scale: npt.NDArray[np.float32] | None = None
    zero_point: Array | None = None
    axis: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def transposed(self, order: tuple[int, ...] | None = None) -> Constant:
        """The axes in another order (reversed by default)."""
        order = order or tuple(reversed(range(self.values.ndim)))
        axis = order.index(self.axis) if self.values.ndim else 0
        return Constant(self.values.transpose(order), self.scale, self.zero_point, axis)

    def dequantized(self) -> npt.NDArray[np.float32]:
        """The values as float32."""
        if self.scale is None:
            return np.asarray(self.values, dtype=np.float32)
        shape = [1] * self.values.ndim
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        zero = 0 if self.zero_point is None else self.zero_point.astype(np.float32)
        if self.zero_point is not None and self.zero_point.size > 1:
            zero = np.reshape(zero, shape)
        values = self.values.astype(np.float32) - zero
        return np.asarray(values * self.scale.reshape(shape if self.scale.size > 1 else ()), dtype=np.float32)


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """A node's attribute as a Python value."""
    for candidate in node.attribute:
        if candidate.name == name:
            return helper.get_attribute_value(candidate)
    return default


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for candidate in node.attribute:
        yield from [candidate.g] if candidate.type == AttributeProto.GRAPH else candidate.graphs


def subgraph_reads(node: NodeProto) -> Iterator[str]:
    """Names that a node's bodies (If, Loop, Scan) read; some may be the body's own."""
    for body in _bodies(node):
        for inner in body.node:
            yield from inner.input
            yield from subgraph_reads(inner)
        yield from (output.name for output in body.output)


def operator_domains(nodes: Iterable[NodeProto]) -> set[str]:
    """The domains of the operators of some nodes and of their bodies."""
    domains = set()
    for node in nodes:
        domains.add(node.domain)
        for body in _bodies(node):
            domains |= operator_domains(body.node)
    return domains


class Graph:
    """Look-ups over one model. Constants are evaluated when asked for, so nothing large is kept."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        # Before IR version 4 an initializer was listed among the inputs as well.
        self.inputs = [value for value in model.graph.input if value.name not in self.initializers]
        self.producers: dict[str, NodeProto] = {}
        self.consumers: defaultdict[str, list[NodeProto]] = defaultdict(list)
        self._constants = set(self.initializers)
        for node in model.graph.node:  # ONNX demands topological order
            for name in node.output:
                self.producers[name] = node
            for name in node.input:
                self.consumers[name].append(node)
            if self._is_constant(node):
                self._constants.update(name for name in node.output if name)

    def _is_constant(self, node: NodeProto) -> bool:
        if node.op_type in _RANDOM or any(True for _ in subgraph_reads(node)):
            return False
        if node.op_type == "Constant":
            return True
        return bool(node.input) and all(not name or name in self._constants for name in node.input)

    @property
    def constants(self) -> set[str]:
        """Names of the tensors that depend on no input."""
        return self._constants

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def operands(self, node: NodeProto) -> list[str]:
        """The node's inputs that depend on the model's inputs."""
        return [name for name in node.input if name and name not in self._constants]

    def constant(self, name: str) -> Constant:
        """Evaluates a constant tensor; a DequantizeLinear of int8 or uint8 keeps its integers.

        Raises:
            InvalidModelError: if its bytes don't fit its shape, or an operator can't be evaluated.
        """
        tensor = self.initializers.get(name)
        if tensor is not None:
            try:
                return Constant(numpy_helper.to_array(tensor))
            except Exception as error:
                raise InvalidModelError(f"tensor {name!r} can't be read: {error}") from error
        node = self.producers[name]
        if node.op_type == "DequantizeLinear":
            return self._dequantized(node)
        if node.op_type == "Identity":
            return self.constant(node.input[0])
        if node.op_type == "Transpose":
            order = attribute(node, "perm")
            return self.constant(node.input[0]).transposed(tuple(order) if order else None)
        if node.op_type == "Cast":
            source = self.constant(node.input[0])
            if source.scale is not None:
                return source
        return Constant(self._evaluate(node, name))

    def _dequantized(self, node: NodeProto) -> Constant:
        values = self.constant(node.input[0]).values
        scale = self.constant(node.input[1]).values.astype(np.float32)
        zero = self.constant(node.input[2]).values if len(node.input) > 2 and node.input[2] else None
        axis = int(attribute(node, "axis", 1)) % max(values.ndim, 1)
        if scale.ndim > 1 or scale.size not in (1, *values.shape[axis : axis + 1]):
            raise InvalidModelError(
                f"weight {node.input[0]!r} is quantised in blocks (scale of shape {scale.shape}), which koe does "
                f"not read; use a float32, float16 or int8 export"
            )
        constant = Constant(values, scale.reshape(-1), None if zero is None else zero.reshape(-1), axis)
        if values.dtype in (np.int8, np.uint8):
            return constant
        return Constant(constant.dequantized())

    def _evaluate(self, node: NodeProto, name: str) -> Array:
        from onnx.reference import ReferenceEvaluator

        feeds = {source: self.constant(source) for source in node.input if source}
        values = {key: one.values if one.scale is None else one.dequantized() for key, one in feeds.items()}
        graph = helper.make_graph(
            [node],
            "constant",
            [
                helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                for key, value in values.items()
            ],
            [onnx.ValueInfoProto(name=name)],
        )
        model = helper.make_model(graph, opset_imports=list(self.model.opset_import))
        model.ir_version = self.model.ir_version
        try:
            results: Any = ReferenceEvaluator(model).run([name], values)
            return np.asarray(results[0])
        except Exception as error:
            raise InvalidModelError(f"constant {name!r} ({node.op_type}) can't be evaluated: {error}") from error
