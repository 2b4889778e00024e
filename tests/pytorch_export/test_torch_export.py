# SPDX-License-Identifier: Apache-2.0
"""Prepare on what PyTorch's own exporter writes, weight norm folded and not.

Needs torch, so it runs by `pytest tests/pytorch_export` only.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_kokoro import STYLE, Kokoro, random_kokoro

from exports import rewrite
from koe import _core
from koe.prepare import prepare
from koe.prepare.graph import Graph
from koe.prepare.weights import WeightFinder

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning", "ignore::DeprecationWarning")

TOKENS = torch.tensor([[0, 50, 83, 156, 54, 57, 35, 16, 65, 87, 123, 54, 46, 0]])


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    return random_kokoro()


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    style = torch.randn(1, 2 * STYLE, generator=torch.Generator().manual_seed(3))
    return TOKENS, style, torch.tensor([1.1])


@pytest.fixture(scope="module", params=["unfolded", "folded"])
def export(
    request: pytest.FixtureRequest,
    kokoro: Kokoro,
    inputs: tuple[torch.Tensor, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of itself and of what it traces
        torch.onnx.export(
            kokoro,
            inputs,
            path,
            dynamo=False,
            opset_version=17,
            do_constant_folding=request.param == "folded",
            input_names=["input_ids", "style", "speed"],
            output_names=["waveform"],
            dynamic_axes={"input_ids": {1: "n"}, "waveform": {1: "t"}},
        )
    return path


def folded(kokoro: Kokoro) -> dict[str, np.ndarray]:
    """The decoder's parameters with g · v / ‖v‖ multiplied out here, in float64."""
    state = {name: value.numpy() for name, value in kokoro.decoder.state_dict().items() if not name.endswith("basis")}
    for name in [name for name in state if name.endswith("weight_v")]:
        v, g = state.pop(name).astype(np.float64), state.pop(f"{name[:-1]}g").astype(np.float64)
        norm = np.sqrt((v**2).sum(axis=(1, 2), keepdims=True))
        state[name.removesuffix("_v")] = g * v / norm
    return state


def test_the_exporter_leaves_weight_norm_in_the_graph(export: Path) -> None:
    names = {tensor.name for tensor in onnx.load(export).graph.initializer}
    assert ("decoder.encode.conv1.weight_v" in names) == ("unfolded" in str(export.parent))


def test_every_weight_is_the_modules(export: Path, kokoro: Kokoro) -> None:
    bundle = _core.Bundle(prepare(export))
    expected = folded(kokoro)
    assert sorted(bundle.tensor_names) == sorted([*expected, "acoustic.onnx"])
    for name, values in expected.items():
        np.testing.assert_allclose(bundle.tensor(name), values, rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_subgraph_gives_the_modules_tensors(export: Path, kokoro: Kokoro, inputs: tuple[torch.Tensor, ...]) -> None:
    bundle = _core.Bundle(prepare(export))
    session = onnxruntime.InferenceSession(bundle.acoustic_model.tobytes(), providers=["CPUExecutionProvider"])
    longer = torch.cat([TOKENS[:, :-1], TOKENS], dim=1)  # not the length it was traced with
    for tokens in (TOKENS, longer):
        feeds = {"tokens": tokens.numpy(), "style": inputs[1].numpy(), "speed": inputs[2].numpy()}
        got = session.run(["asr", "f0", "n", "durations"], feeds)
        with torch.no_grad():
            expected = kokoro.acoustic(tokens, inputs[1], inputs[2])
        for one, other in zip(got, expected, strict=True):
            assert one.shape == tuple(other.shape)
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-4)


def test_the_norms_affine_is_found_without_its_name(export: Path, kokoro: Kokoro) -> None:
    def rename(name: str) -> str:
        return name.replace("norm", "unnamed") if name.endswith((".norm.weight", ".norm.bias")) else name

    weights = dict(WeightFinder(Graph(rewrite.renamed(onnx.load(export), rename))).weights())
    expected = {name: values for name, values in folded(kokoro).items() if ".norm." in name}
    assert len(expected) == 116
    for name, values in expected.items():
        np.testing.assert_array_equal(weights[name].values, values, err_msg=name)
