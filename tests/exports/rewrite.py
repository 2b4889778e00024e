# SPDX-License-Identifier: Apache-2.0
"""Turns the int8 export into the float32, float16, QDQ and unfolded ones, and strips it of its names."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper


class Rewriter:
    """A model under change: nodes are replaced one by one, then whatever nobody reads any more goes."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.arrays = {tensor.name: tensor for tensor in model.graph.initializer}
        self.readers: defaultdict[str, list[NodeProto]] = defaultdict(list)
        self.makers: dict[str, NodeProto] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers[name].append(node)
            for name in node.output:
                self.makers[name] = node
        self.replaced: dict[int, list[NodeProto]] = {}

    def array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self.arrays[name])

    def store(self, name: str, values: np.ndarray) -> str:
        self.arrays[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def replace(self, node: NodeProto, *nodes: NodeProto) -> None:
        self.replaced[id(node)] = list(nodes)

    def finish(self) -> ModelProto:
        nodes = [new for node in self.model.graph.node for new in self.replaced.get(id(node), [node])]
        wanted = {output.name for output in self.model.graph.output}
        kept = []
        for node in reversed(nodes):
            if any(name in wanted for name in node.output):
                kept.append(node)
                wanted.update(node.input)
        graph = helper.make_graph(
            kept[::-1],
            self.model.graph.name,
            list(self.model.graph.input),
            list(self.model.graph.output),
            initializer=[tensor for name, tensor in self.arrays.items() if name in wanted],
        )
        model = helper.make_model(graph, opset_imports=list(self.model.opset_import))
        model.ir_version = self.model.ir_version
        return model

    def follow(self, node: NodeProto, op_types: Iterable[str]) -> list[NodeProto]:
        """The nodes of these types, one after another, that follow a node; each has one reader."""
        chain = []
        for op_type in op_types:
            (node,) = [reader for reader in self.readers[node.output[0]] if reader.op_type == op_type]
            chain.append(node)
        return chain


def _attributes(node: NodeProto) -> dict[str, object]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def to_float32(model: ModelProto) -> ModelProto:
    """The float32 export: Conv, Gemm, MatMul, LSTM and Gather on dequantised weights."""
    work = Rewriter(model)
    for node in model.graph.node:
        if node.op_type == "ConvInteger":
            _float_convolution(work, node)
        elif node.op_type == "MatMulInteger":
            _float_product(work, node)
        elif node.op_type == "DynamicQuantizeLSTM":
            _float_lstm(work, node)
        elif node.op_type == "DequantizeLinear":
            gather = work.makers[node.input[0]]
            values, scale, zero = work.array(gather.input[0]), work.array(node.input[1]), work.array(node.input[2])
            table = work.store(f"{gather.input[0]}.float", (values.astype(np.float32) - zero) * scale)
            work.replace(node, helper.make_node("Gather", [table, gather.input[1]], node.output))
    return work.finish()


def _float_weight(work: Rewriter, node: NodeProto, weight_scale: str, transpose: bool = False) -> str:
    """ALBERT's layers share their weights, so a weight made once serves every node that reads the same integers."""
    name = f"onnx::{node.input[1]}.float{'.T' * transpose}"
    if name not in work.arrays:
        values, zero = work.array(node.input[1]), work.array(node.input[3])
        weight = (values.astype(np.float32) - zero) * work.array(weight_scale)
        work.store(name, weight.T if transpose else weight)
    return name


def _scale(work: Rewriter, product: NodeProto) -> str:
    factor = next(name for name in product.input if work.makers[name].op_type == "Mul")
    return next(name for name in work.makers[factor].input if name in work.arrays)


def _float_convolution(work: Rewriter, node: NodeProto) -> None:
    has_bias = work.readers[node.output[0]][0].op_type == "Add"
    *rest, product = work.follow(node, ["Add", "Cast", "Mul"] if has_bias else ["Cast", "Mul"])
    weight = _float_weight(work, node, _scale(work, product))
    inputs = [work.makers[node.input[0]].input[0], weight]
    if has_bias:
        reshape = next(work.makers[name] for name in rest[0].input if name != node.output[0])
        bias = reshape.input[0]
        while bias not in work.arrays:
            bias = work.makers[bias].input[0]
        inputs.append(bias)
    work.replace(product, helper.make_node("Conv", inputs, product.output, node.name, **_attributes(node)))


def _float_product(work: Rewriter, node: NodeProto) -> None:
    _, product = work.follow(node, ["Cast", "Mul"])
    x = work.makers[node.input[0]].input[0]
    is_gemm = "Gemm" in node.name
    weight = _float_weight(work, node, _scale(work, product), transpose=is_gemm)
    if not is_gemm:
        work.replace(product, helper.make_node("MatMul", [x, weight], product.output, node.name))
        return
    (add,) = work.follow(product, ["Add"])
    bias = next(name for name in add.input if name != product.output[0])
    work.replace(add, helper.make_node("Gemm", [x, weight, bias], add.output, node.name, transB=1))


def _float_lstm(work: Rewriter, node: NodeProto) -> None:
    inputs = list(node.input[:8])
    for position, scale, zero in ((1, 8, 9), (2, 10, 11)):
        values = work.array(node.input[position]).astype(np.float32) - work.array(node.input[zero]).reshape(-1, 1, 1)
        values = values * work.array(node.input[scale]).reshape(-1, 1, 1)
        inputs[position] = work.store(f"{node.input[position]}.float", values.transpose(0, 2, 1))
    attributes = {key: value for key, value in _attributes(node).items() if key != "input_forget"}
    work.replace(node, helper.make_node("LSTM", inputs, node.output, node.name, **attributes))


def to_float16(model: ModelProto) -> ModelProto:
    """A float16 export by ONNX Runtime's own converter, inputs and outputs included."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=False, disable_shape_infer=True)


def to_qdq(model: ModelProto) -> ModelProto:
    """A QDQ export of a float32 one: int8 weights by channel, int32 biases, and uint8 activations in the vocoder."""
    work = Rewriter(model)
    front: list[NodeProto] = []
    activations: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm") and not (
            node.op_type == "MatMul" and node.input[1] in work.arrays
        ):
            continue
        axis = 1 if node.op_type in ("ConvTranspose", "MatMul") else 0
        node.input[1] = _quantized_weight(work, front, node.input[1], axis)
        if len(node.input) > 2:
            node.input[2] = _quantized_bias(work, front, node.input[2])
        if "/decoder/" in node.name:
            source = node.input[0]
            if source not in activations:
                activations[source] = _quantize_pair(work, source)
            node.input[0] = activations[source][1].output[0]
    for source, pair in activations.items():
        maker = work.makers[source]
        work.replace(maker, *work.replaced.get(id(maker), [maker]), *pair)
    _prepend(work, front)
    return work.finish()


def _quantized_weight(work: Rewriter, front: list[NodeProto], name: str, axis: int) -> str:
    output = f"{name}_DequantizeLinear_Output"
    if f"{name}_quantized" not in work.arrays:
        values = work.array(name)
        others = tuple(i for i in range(values.ndim) if i != axis)
        step = np.maximum(np.abs(values).max(axis=others, keepdims=True) / 127, 1e-12).astype(np.float32)
        inputs = [
            work.store(f"{name}_quantized", np.round(values / step).astype(np.int8)),
            work.store(f"{name}_scale", step.reshape(-1)),
        ]
        front.append(helper.make_node("DequantizeLinear", inputs, [output], axis=axis))
    return output


def _quantized_bias(work: Rewriter, front: list[NodeProto], name: str) -> str:
    output = f"{name}_DequantizeLinear_Output"
    if f"{name}_quantized" not in work.arrays:
        values = work.array(name)
        step = np.full(values.shape, max(float(np.abs(values).max()), 1e-6) / 2**30, np.float32)
        inputs = [
            work.store(f"{name}_quantized", np.round(values / step).astype(np.int32)),
            work.store(f"{name}_quantized_scale", step),
        ]
        front.append(helper.make_node("DequantizeLinear", inputs, [output], axis=0))
    return output


def _quantize_pair(work: Rewriter, name: str) -> list[NodeProto]:
    scale = work.store(f"{name}_act_scale", np.float32(0.05))
    zero = work.store(f"{name}_act_zero_point", np.uint8(128))
    return [
        helper.make_node("QuantizeLinear", [name, scale, zero], [f"{name}_QuantizeLinear_Output"]),
        helper.make_node(
            "DequantizeLinear", [f"{name}_QuantizeLinear_Output", scale, zero], [f"{name}_DequantizeLinear_Output"]
        ),
    ]


def to_weight_norm(model: ModelProto) -> ModelProto:
    """A float32 export whose weight norm was not folded: g · v / ‖v‖, the norm over all axes but the first."""
    work = Rewriter(model)
    rng = np.random.default_rng(7)
    front: list[NodeProto] = []
    axes = work.store("norm_axes", np.array([1, 2], np.int64))
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        name = node.input[1]
        weight = work.array(name)
        g = np.sqrt((weight.astype(np.float64) ** 2).sum(axis=(1, 2), keepdims=True)).astype(np.float32)
        v = weight * rng.uniform(0.5, 2.0, g.shape).astype(np.float32)
        v[g[:, 0, 0] == 0] = 1  # a row of zeros has g = 0 and any direction
        work.store(f"{name}_g", g)
        work.store(f"{name}_v", v)
        front.append(helper.make_node("ReduceL2", [f"{name}_v", axes], [f"{name}_norm"], keepdims=1))
        front.append(helper.make_node("Div", [f"{name}_v", f"{name}_norm"], [f"{name}_unit"]))
        front.append(helper.make_node("Mul", [f"{name}_unit", f"{name}_g"], [f"{name}_folded"]))
        node.input[1] = f"{name}_folded"
    _prepend(work, front)
    return work.finish()


def _prepend(work: Rewriter, nodes: list[NodeProto]) -> None:
    first = work.model.graph.node[0]
    work.replace(first, *nodes, *work.replaced.get(id(first), [first]))


def renamed(model: ModelProto, rename: Callable[[str], str]) -> ModelProto:
    """The same graph with other tensor names, and no node names at all."""
    graph = model.graph
    for node in graph.node:
        node.name = ""
        node.input[:] = [rename(name) if name else "" for name in node.input]
        node.output[:] = [rename(name) if name else "" for name in node.output]
    for tensor in itertools.chain(graph.initializer, graph.input, graph.output):
        tensor.name = rename(tensor.name)
    del graph.value_info[:]
    return model


def with_input_type(model: ModelProto, name: str, elem_type: int, shape: list[int | str]) -> ModelProto:
    """The same graph, one input of another type or rank, turned into the first inside."""
    graph = model.graph
    value = next(value for value in graph.input if value.name == name)
    inner_type = value.type.tensor_type.elem_type
    rank = len(value.type.tensor_type.shape.dim)
    for node in graph.node:
        node.input[:] = [f"{name}_inner" if one == name else one for one in node.input]
    graph.initializer.append(numpy_helper.from_array(np.full(rank, -1 if rank == 1 else 0, np.int64), f"{name}_rank"))
    nodes = [
        helper.make_node("Cast", [name], [f"{name}_cast"], to=inner_type),
        helper.make_node("Reshape", [f"{name}_cast", f"{name}_rank"], [f"{name}_inner"]),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    value.CopyFrom(helper.make_tensor_value_info(name, elem_type, shape))
    return model
