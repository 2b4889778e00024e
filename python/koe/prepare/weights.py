# SPDX-License-Identifier: Apache-2.0
"""Finds the vocoder's weights in an export: by the parameter names that survive every export, and by structure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

import numpy as np
from onnx import NodeProto

from koe.errors import InvalidModelError
from koe.prepare.architecture import Layer, Norm, Snake, Widths, layers, norms, snakes
from koe.prepare.graph import Constant, Graph, attribute

_FLOAT_CONVOLUTIONS = {"Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv"}
_LAYERS = _FLOAT_CONVOLUTIONS | {
    "ConvInteger",
    "DynamicQuantizeMatMul",
    "FusedGemm",
    "FusedMatMul",
    "Gemm",
    "MatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "QLinearConv",
}
# Operators that change a value's form, not what it is; Mul, Div and Floor are those of a quantised bias or a scale.
_RESHAPES = {"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_QUANTIZERS = {"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"}
_BIAS_PATH = _RESHAPES | _QUANTIZERS | {"Div", "Floor", "Mul", "Round"}
_OUTPUT_PATH = _RESHAPES | {"Add", "DequantizeLinear", "Mul", "QuantizeLinear"}

# What exporters and quantisers append to a parameter's name; scales and zero points are other things.
_SUFFIX = re.compile(r"(?:[_:/-](?!.*(?:scale|zero_point)).*)?")
_ANCHOR = "generator.conv_post.bias"


class WeightFinder:
    """The vocoder's weights in one graph, under their PyTorch names relative to `Decoder`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.prefix = _find_prefix(graph)
        self._named = sorted(name for name in graph.constants if name.startswith(self.prefix))
        self._layers: dict[str, NodeProto] = {}

    def weights(self) -> Iterator[tuple[str, Constant]]:
        """Every parameter, checked for its shape and for NaN and infinity.

        Raises:
            InvalidModelError: names the parameter that is missing, of the wrong shape, or not finite.
        """
        for name, constant in self._weights():
            floats = constant.values if constant.scale is None else constant.scale
            if not np.isfinite(floats).all():
                raise InvalidModelError(f"parameter {name} holds NaN or infinity: the model is damaged")
            yield name, constant

    def _weights(self) -> Iterator[tuple[str, Constant]]:
        widths = self._widths()
        for layer in layers(widths):
            yield from self._layer_weights(layer)
        for norm in norms(widths):
            fc = Layer(f"{norm.name}.fc", (2 * norm.n_channels, widths.style), "linear")
            yield from self._layer_weights(fc)
            yield from self._affine(norm)
        for snake in snakes(widths):
            yield snake.name, self._alpha(snake)

    def activation(self, layer: str) -> str:
        """Name of the tensor a layer (such as "asr_res.0") is applied to, before any quantisation."""
        node = self.layer(layer)
        name: str = node.input[1] if self.graph.is_constant(node.input[0]) else node.input[0]
        while (producer := self.graph.producers.get(name)) is not None:
            if producer.op_type not in _QUANTIZERS | {"Cast", "Identity"}:
                break
            name = producer.input[0]
        return name

    def layer(self, name: str) -> NodeProto:
        """The node that multiplies with `<name>.weight`."""
        node = self._layers.get(name)
        if node is None:
            node = self._unbiased(name) if name.endswith(".conv1x1") else self._biased(name)
            self._layers[name] = node
        return node

    def _widths(self) -> Widths:
        """Channel counts of this model, from a few parameters; every other one is checked against them."""

        def n_out(name: str) -> int:
            return int(self._bias(name).size)

        style = self._weight("encode.norm1.fc").shape
        n_in = self._weight("asr_res.0").shape
        if len(style) != 2 or len(n_in) != 3:
            raise InvalidModelError(
                f"encode.norm1.fc.weight has shape {style} and asr_res.0.weight {n_in}; looked for 2 and 3 axes"
            )
        return Widths(
            asr=n_in[1],
            asr_res=n_out("asr_res.0"),
            style=style[1],
            block=n_out("encode.conv1"),
            stages=(n_out("decode.3.conv1"), n_out("generator.ups.0"), n_out("generator.ups.1")),
        )

    def _candidates(self, parameter: str) -> list[str]:
        """Constants that carry this parameter's name, the exact one first."""
        full = self.prefix + parameter
        found = [name for name in self._named if name.startswith(full) and _SUFFIX.fullmatch(name, len(full))]
        return sorted(found, key=len)

    def _named_float(self, parameter: str) -> Constant | None:
        for name in self._candidates(parameter):
            constant = self.graph.constant(name)
            if (
                constant.scale is not None
                or constant.values.dtype.kind == "f"
                or constant.values.dtype.name == "bfloat16"
            ):
                return constant
        return None

    def _bias(self, layer: str) -> np.ndarray:
        found = self._named_float(f"{layer}.bias")
        if found is None:
            raise InvalidModelError(
                f"no parameter {self.prefix}{layer}.bias in the model: it is no Kokoro export koe knows"
            )
        return found.dequantized().reshape(-1)

    def _layer_weights(self, layer: Layer) -> Iterator[tuple[str, Constant]]:
        weight = self._weight(layer.name)
        _check_shape(f"{layer.name}.weight", weight.shape, layer.shape)
        yield f"{layer.name}.weight", weight
        if layer.bias:
            bias = self._bias(layer.name)
            _check_shape(f"{layer.name}.bias", bias.shape, (layer.n_out,))
            yield f"{layer.name}.bias", Constant(bias)

    def _weight(self, layer: str) -> Constant:
        node = self.layer(layer)
        kind = node.op_type
        inputs = [*node.input, "", "", "", "", "", ""]
        if kind in _FLOAT_CONVOLUTIONS:
            return self._constant(layer, inputs[1])
        if kind in ("Gemm", "FusedGemm"):
            weight = self._constant(layer, inputs[1])
            return weight if attribute(node, "transB", 0) else weight.transposed()
        if kind in ("MatMul", "FusedMatMul"):
            if self.graph.is_constant(inputs[0]):
                return self._constant(layer, inputs[0])
            weight = self._constant(layer, inputs[1])
            return weight if attribute(node, "transB", 0) else weight.transposed()
        if kind == "ConvInteger":
            return self._integers(layer, inputs[1], self._scale_after(layer, node), inputs[3])
        if kind == "MatMulInteger":
            return self._integers(layer, inputs[1], self._scale_after(layer, node), inputs[3], axis=1).transposed()
        if kind == "QLinearConv":
            return self._integers(layer, inputs[3], self._constant(layer, inputs[4]), inputs[5])
        if kind == "DynamicQuantizeMatMul":
            return self._integers(layer, inputs[1], self._constant(layer, inputs[2]), inputs[3], axis=1).transposed()
        if kind == "MatMulIntegerToFloat":
            return self._integers(layer, inputs[1], self._constant(layer, inputs[3]), inputs[5], axis=1).transposed()
        raise InvalidModelError(
            f"{layer}.weight is in a {kind} node, which koe does not read; use a float32, float16 or int8 export"
        )

    def _constant(self, layer: str, name: str) -> Constant:
        if not self.graph.is_constant(name):
            raise InvalidModelError(f"{layer}.weight is not a constant of the model (tensor {name!r})")
        return self.graph.constant(name)

    def _integers(self, layer: str, name: str, scale: Constant, zero: str, axis: int = 0) -> Constant:
        values = self._constant(layer, name).values
        zero_point = self._constant(layer, zero).values.reshape(-1) if zero else None
        step = scale.dequantized().reshape(-1)
        n_rows = values.shape[axis] if values.ndim > axis else 0
        for what, size in (
            ("scale", step.size),
            ("zero point", 1 if zero_point is None else zero_point.size),
        ):
            if size not in (1, n_rows):
                raise InvalidModelError(
                    f"{layer}.weight: its {what} has {size} values; looked for 1 or {n_rows} (weight {values.shape})"
                )
        return Constant(values, step, zero_point, axis)

    def _scale_after(self, layer: str, node: NodeProto) -> Constant:
        """The weight's scale: integer products are multiplied afterwards by it times the activation's own."""
        queue = deque(node.output)
        while queue:
            for consumer in self.graph.consumers[queue.popleft()]:
                if consumer.op_type == "Mul":
                    for name in consumer.input:
                        producer = self.graph.producers.get(name)
                        if self.graph.is_constant(name):
                            return self.graph.constant(name)
                        if producer is not None and producer.op_type == "Mul":
                            for factor in producer.input:
                                if self.graph.is_constant(factor):
                                    return self.graph.constant(factor)
                if consumer.op_type in _OUTPUT_PATH:
                    queue.extend(consumer.output)
        raise InvalidModelError(
            f"no scale found for the integers of {layer}.weight: looked for a Mul after {node.op_type}"
        )

    def _biased(self, layer: str) -> NodeProto:
        """From a bias forward to the layer it is added to."""
        names = self._candidates(f"{layer}.bias")
        if not names:
            raise InvalidModelError(
                f"no parameter {self.prefix}{layer}.bias in the model: it is no Kokoro export koe knows"
            )
        queue = deque(names)
        while queue:
            name = queue.popleft()
            for node in self.graph.consumers[name]:
                if node.op_type in _LAYERS:
                    return node
                if node.op_type == "Add":
                    for other in node.input:
                        if other != name and (found := self._layer_before(other)) is not None:
                            return found
                elif node.op_type in _BIAS_PATH:
                    queue.extend(node.output)
        raise InvalidModelError(f"parameter {self.prefix}{layer}.bias belongs to no convolution or matrix product")

    def _unbiased(self, layer: str) -> NodeProto:
        """A block's 1×1 convolution: its output is added to conv2's."""
        conv2 = self.layer(layer.removesuffix("conv1x1") + "conv2")
        queue = deque(conv2.output)
        while queue:
            name = queue.popleft()
            for node in self.graph.consumers[name]:
                if node.op_type == "Add":
                    for other in node.input:
                        found = None if other == name else self._layer_before(other)
                        if found is not None and found is not conv2:
                            return found
                if node.op_type in _OUTPUT_PATH:
                    queue.extend(node.output)
        raise InvalidModelError(f"no {self.prefix}{layer}: looked for a convolution whose output is added to conv2's")

    def _layer_before(self, name: str) -> NodeProto | None:
        queue = deque([name])
        seen = set()
        while queue:
            name = queue.popleft()
            node = self.graph.producers.get(name)
            if node is None or name in seen or self.graph.is_constant(name):
                continue
            seen.add(name)
            if node.op_type in _LAYERS:
                return node
            if node.op_type in _OUTPUT_PATH:
                queue.extend(self.graph.operands(node))
        return None

    def _before(self, layer: str, op_type: str) -> NodeProto | None:
        """The nearest node of a type that leads to a layer's input, with no other layer between."""
        queue = deque([self.activation(layer)])
        seen = set()
        while queue:
            name = queue.popleft()
            node = self.graph.producers.get(name)
            if node is None or name in seen or node.op_type in _LAYERS:
                continue
            seen.add(name)
            if node.op_type == op_type:
                return node
            queue.extend(self.graph.operands(node))
        return None

    def _affine(self, norm: Norm) -> Iterator[tuple[str, Constant]]:
        """InstanceNorm's weight and bias: by name, or from the node; 1 and 0 where the export folded them away."""
        node = self._before(norm.before, "InstanceNormalization")
        for position, parameter, default in ((1, "weight", np.ones), (2, "bias", np.zeros)):
            name = f"{norm.name}.norm.{parameter}"
            found = self._named_float(name)
            if found is None and node is not None and self.graph.is_constant(node.input[position]):
                found = self.graph.constant(node.input[position])
            values = default(norm.n_channels) if found is None else found.dequantized().reshape(-1)
            _check_shape(name, values.shape, (norm.n_channels,))
            yield name, Constant(values.astype(np.float32))

    def _alpha(self, snake: Snake) -> Constant:
        found = self._named_float(snake.name)
        if found is None:
            # Unnamed: the constant factor inside the sine.
            sine = self._before(snake.before, "Sin")
            product = None if sine is None else self.graph.producers.get(sine.input[0])
            factors = [] if product is None else [name for name in product.input if self.graph.is_constant(name)]
            if product is None or product.op_type != "Mul" or len(factors) != 1:
                raise InvalidModelError(
                    f"no parameter {self.prefix}{snake.name}: looked for its name, and for Sin(α · x) "
                    f"before {snake.before}"
                )
            found = self.graph.constant(factors[0])
        values = found.dequantized().reshape(-1)
        _check_shape(snake.name, values.shape, (snake.n_channels,))
        return Constant(values.reshape(1, -1, 1))


def _find_prefix(graph: Graph) -> str:
    """What this export puts before the parameter names of `Decoder`, such as "decoder.decoder."."""
    pattern = re.compile(rf"(|.*[./:_]){re.escape(_ANCHOR)}{_SUFFIX.pattern}")
    found = {match[1] for name in graph.constants if (match := pattern.fullmatch(name))}
    if not found:
        raise InvalidModelError(
            f"not a Kokoro model: looked for a parameter named '…{_ANCHOR}' among {len(graph.constants)} constants "
            f"and found none"
        )
    return min(found, key=len)


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(shape) != expected:
        raise InvalidModelError(f"parameter {name} has shape {list(shape)}; looked for {list(expected)}")
