# SPDX-License-Identifier: Apache-2.0
"""Cuts the acoustic model out of an export: everything up to the inputs of Kokoro's `Decoder`."""

from __future__ import annotations

from collections import deque

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from koe.errors import InvalidModelError
from koe.prepare.graph import Graph, subgraph_reads
from koe.prepare.weights import WeightFinder

_NAMES = {
    "tokens": ("tokens", "input_ids", "tokens_ids"),
    "style": ("style", "ref_s", "voice"),
    "speed": ("speed",),
}


def cut_acoustic_model(graph: Graph, finder: WeightFinder) -> ModelProto:
    """The sub-graph tokens, style, speed → asr, f0, n, durations.

    Inputs: tokens int64 [1, L], style float32 [1, 256], speed float32 [1]. Outputs, all float32: asr [1, 512, T],
    f0 and n [1, 2T], durations [1, L].

    Raises:
        InvalidModelError: says which input or cut point was looked for and not found.
    """
    inputs = _inputs(graph)
    cuts = {
        "asr": finder.activation("asr_res.0"),
        "f0": _curve(graph, finder, "F0_conv"),
        "n": _curve(graph, finder, "N_conv"),
        "durations": _durations(graph, inputs["speed"].name),
    }
    nodes, names = _ancestors(graph, list(cuts.values()))
    for role, value in inputs.items():
        if value.name not in names:
            raise InvalidModelError(
                f"not a Kokoro model: asr, F0, N and durations do not depend on {role} ({value.name!r})"
            )
    taken = {name for name in names if name not in (value.name for value in inputs.values())}
    return _assemble(graph, inputs, cuts, nodes, taken)


def _inputs(graph: Graph) -> dict[str, ValueInfoProto]:
    """The export's inputs by role: by name, else by type and rank."""
    found: dict[str, ValueInfoProto] = {}
    by_name = {value.name.lower(): value for value in graph.inputs}
    for role, names in _NAMES.items():
        for name in names:
            if name in by_name:
                found.setdefault(role, by_name[name])
    for value in graph.inputs:
        if any(value is one for one in found.values()):
            continue
        tensor = value.type.tensor_type
        rank = len(tensor.shape.dim)
        if tensor.elem_type in (TensorProto.INT64, TensorProto.INT32) and rank == 2:
            found.setdefault("tokens", value)
        elif rank == 2:
            found.setdefault("style", value)
        else:
            found.setdefault("speed", value)
    missing = [role for role in _NAMES if role not in found]
    if missing:
        raise InvalidModelError(
            f"not a Kokoro model: looked for inputs tokens, style and speed; {', '.join(missing)} not found among "
            f"{[value.name for value in graph.inputs]}"
        )
    return found


def _curve(graph: Graph, finder: WeightFinder, layer: str) -> str:
    """F0 or N as [1, 2T]: the convolution sees it with a channel axis put in."""
    name = finder.activation(layer)
    producer = graph.producers.get(name)
    return producer.input[0] if producer is not None and producer.op_type == "Unsqueeze" else name


def _durations(graph: Graph, speed: str) -> str:
    """Frames a token: what follows from speed, rounded, then held at 1 or more."""
    rounded = _next(graph, speed, {"Round"})
    clipped = None if rounded is None else _next(graph, rounded.output[0], {"Clip", "Max"})
    if clipped is None:
        raise InvalidModelError(
            "not a Kokoro model: looked for durations as Round, then Clip or Max, after the input speed"
        )
    return str(clipped.output[0])


def _next(graph: Graph, name: str, op_types: set[str]) -> NodeProto | None:
    queue = deque([name])
    seen = {name}
    while queue:
        for node in graph.consumers[queue.popleft()]:
            if node.op_type in op_types:
                return node
            fresh = [output for output in node.output if output not in seen]
            seen.update(fresh)
            queue.extend(fresh)
    return None


def _ancestors(graph: Graph, outputs: list[str]) -> tuple[list[NodeProto], set[str]]:
    """The nodes that lead to some tensors, in the graph's order, and every tensor name they touch."""
    wanted = set(outputs)
    nodes = []
    for node in reversed(graph.model.graph.node):
        if any(name in wanted for name in node.output):
            nodes.append(node)
            wanted.update(name for name in node.input if name)
            wanted.update(subgraph_reads(node))
    nodes.reverse()
    return nodes, wanted | {name for node in nodes for name in node.output if name}


def _assemble(
    graph: Graph,
    inputs: dict[str, ValueInfoProto],
    cuts: dict[str, str],
    nodes: list[NodeProto],
    taken: set[str],
) -> ModelProto:
    interface = ("tokens", "style", "speed", *cuts)
    # Tensors inside that happen to have a name of the new interface, and the old inputs, step aside.
    renamed = {name: f"{name}.inner" for name in interface if name in taken}
    renamed |= {value.name: f"{value.name}.inner" for value in inputs.values()}
    body = [_renamed(node, renamed) for node in nodes]

    constants: list[TensorProto] = []
    before = _adapters(inputs, renamed, constants)
    after = []
    row_shape = numpy_helper.from_array(np.array([1, -1], np.int64), "koe.row_shape")
    constants.append(row_shape)
    for output, source in cuts.items():
        name = renamed.get(source, source)
        after.append(helper.make_node("Cast", [name], [f"{output}.float"], to=TensorProto.FLOAT))
        if output == "asr":
            after.append(helper.make_node("Identity", ["asr.float"], ["asr"]))
        else:
            after.append(helper.make_node("Reshape", [f"{output}.float", row_shape.name], [output]))

    read = {name for node in body for name in [*node.input, *subgraph_reads(node)]}
    read |= {renamed.get(name, name) for name in cuts.values()}
    for tensor in graph.initializers.values():
        name = renamed.get(tensor.name, tensor.name)
        if name in read:
            copy = TensorProto()
            copy.CopyFrom(tensor)
            copy.name = name
            constants.append(copy)

    float32 = TensorProto.FLOAT
    acoustic = helper.make_graph(
        [*before, *body, *after],
        "kokoro-acoustic",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n_tokens"]),
            helper.make_tensor_value_info("style", float32, [1, _style_size(inputs["style"])]),
            helper.make_tensor_value_info("speed", float32, [1]),
        ],
        [
            helper.make_tensor_value_info("asr", float32, [1, None, "n_frames"]),
            *(helper.make_tensor_value_info(name, float32, [1, "n_half_frames"]) for name in ("f0", "n")),
            helper.make_tensor_value_info("durations", float32, [1, "n_tokens"]),
        ],
        initializer=constants,
    )
    source = graph.model
    domains = {node.domain or "" for node in acoustic.node}
    model = helper.make_model(acoustic, producer_name="koe")
    model.ir_version = source.ir_version
    del model.opset_import[:]
    model.opset_import.extend(
        one for one in source.opset_import if one.domain in domains or one.domain in ("", "ai.onnx")
    )
    return model


def _adapters(
    inputs: dict[str, ValueInfoProto], renamed: dict[str, str], constants: list[TensorProto]
) -> list[NodeProto]:
    """From koe's inputs to the export's own types and ranks."""
    nodes = []
    for role, value in inputs.items():
        tensor = value.type.tensor_type
        inner = renamed[value.name]
        if role == "speed" and len(tensor.shape.dim) == 0 and tensor.HasField("shape"):
            constants.append(numpy_helper.from_array(np.zeros(0, np.int64), "koe.scalar_shape"))
            nodes.append(helper.make_node("Reshape", [role, "koe.scalar_shape"], ["speed.scalar"]))
            nodes.append(helper.make_node("Cast", ["speed.scalar"], [inner], to=tensor.elem_type))
        else:
            nodes.append(helper.make_node("Cast", [role], [inner], to=tensor.elem_type))
    return nodes


def _style_size(value: ValueInfoProto) -> int:
    dims = value.type.tensor_type.shape.dim
    return int(dims[-1].dim_value) if dims and dims[-1].dim_value else 256


def _renamed(node: NodeProto, renamed: dict[str, str]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    _rename_in_place(copy, renamed)
    return copy


def _rename_in_place(node: NodeProto, renamed: dict[str, str]) -> None:
    node.input[:] = [renamed.get(name, name) for name in node.input]
    node.output[:] = [renamed.get(name, name) for name in node.output]
    for one in node.attribute:
        for body in [*([one.g] if one.HasField("g") else []), *one.graphs]:
            for inner in body.node:
                _rename_in_place(inner, renamed)
            for output in body.output:
                output.name = renamed.get(output.name, output.name)
