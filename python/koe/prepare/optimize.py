# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's optimisation of a graph, done once instead of at every start."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime

from koe.acoustic import ort_failures
from koe.errors import InvalidModelError
from koe.prepare.graph import operator_domains

LEVEL = "extended"
"""ONNX Runtime's name for what holds on every processor: folded constants and fusions, but no processor's layouts."""


def optimized(graph: bytes) -> bytes:
    """A serialised model, optimised up to `LEVEL`; gives the same tensors, to be loaded without further optimisation.

    Raises:
        InvalidModelError: ONNX Runtime refuses the model.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except ort_failures() as error:
            raise InvalidModelError(f"ONNX Runtime refuses the acoustic model: {error}") from error
        model = onnx.load(path)
    # It is stamped with every operator set of this ONNX Runtime, and an older one would refuse those that it lacks.
    used = operator_domains(model.graph.node)
    kept = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    serialized: bytes = model.SerializeToString()
    return serialized
