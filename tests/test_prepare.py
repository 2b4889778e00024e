# SPDX-License-Identifier: Apache-2.0
"""From exports to bundles: the real int8 model, and the others that are made of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from exports import rewrite
from koe import _core
from koe.errors import InvalidModelError, ModelNotFoundError
from koe.prepare import bundle_name, prepare, prepare_cached, source_sha256
from koe.prepare.cut import cut_acoustic_model
from koe.prepare.graph import Graph
from koe.prepare.weights import WeightFinder

OUTPUTS = ["asr", "f0", "n", "durations"]
# The same tensors in the int8 export of kokoro-onnx.
INNER = [f"/encoder/{name}_output_0" for name in ("MatMul_1", "Reshape", "Reshape_1", "Clip")]
SOURCE_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"


@pytest.fixture(scope="module")
def int8(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> _core.Bundle:
    return _core.Bundle(prepare(model_path, tmp_path_factory.mktemp("int8") / "int8.gguf"))


@pytest.fixture(scope="module")
def float32_path(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("float32") / "float32.onnx"
    onnx.save(rewrite.to_float32(onnx.load(model_path)), path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def float32(float32_path: Path) -> _core.Bundle:
    return _core.Bundle(prepare(float32_path))


@pytest.fixture(scope="module")
def inputs(voices: Path) -> dict[str, np.ndarray]:
    tokens = np.random.default_rng(0).integers(43, 69, 40)
    pack = np.fromfile(voices / "af_bella.bin", "<f4").reshape(510, 256)
    return {
        "tokens": np.pad(tokens, 1)[None].astype(np.int64),
        "style": pack[39:40],
        "speed": np.array([1.2], np.float32),
    }


def run(model: bytes, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(names, inputs)


def acoustic(bundle: _core.Bundle, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return run(bundle.acoustic_model.tobytes(), OUTPUTS, inputs)


def parameters(bundle: _core.Bundle) -> list[str]:
    return [name for name in bundle.tensor_names if not name.endswith((".scale", ".zero_point", ".onnx"))]


def relative_error(one: np.ndarray, other: np.ndarray) -> float:
    """Greatest difference over greatest value; NaN compares as too large."""
    error = np.abs(one - other).max() / max(np.abs(other).max(), 1e-9)
    return float(np.nan_to_num(error, nan=np.inf))


# --- the int8 export ---


def test_the_cut_is_at_the_decoders_inputs(model_path: Path) -> None:
    model = onnx.load(model_path)
    graph = Graph(model)
    cut = cut_acoustic_model(graph, WeightFinder(graph))
    sources = {node.output[0]: node.input[0] for node in cut.graph.node if node.output[0].endswith(".float")}
    assert [sources[f"{name}.float"] for name in OUTPUTS] == INNER


def test_the_subgraph_gives_the_whole_graphs_tensors(
    int8: _core.Bundle, model_path: Path, inputs: dict[str, np.ndarray]
) -> None:
    whole = onnx.load(model_path)
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in INNER)
    expected = run(whole.SerializeToString(), INNER, inputs)
    got = acoustic(int8, inputs)
    n_frames = int(got[3].sum())
    assert [one.shape for one in got] == [(1, 512, n_frames), (1, 2 * n_frames), (1, 2 * n_frames), (1, 42)]
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other.reshape(one.shape))


def test_the_subgraph_holds_nothing_of_the_vocoder(int8: _core.Bundle) -> None:
    model = ModelProto.FromString(int8.acoustic_model.tobytes())
    onnx.checker.check_model(model)
    assert int8.acoustic_model.size < 30e6
    # A zero point of a decoder layer may serve an acoustic one too: exports share equal constants.
    names = [tensor.name for tensor in model.graph.initializer if not tensor.name.endswith("zero_point")]
    assert not [name for name in names if re.search(r"decoder\..*\.(weight|bias|alpha)", name)]
    assert [value.name for value in model.graph.input] == ["tokens", "style", "speed"]
    assert [value.name for value in model.graph.output] == OUTPUTS


def test_nothing_is_left_to_optimise_at_the_start(int8: _core.Bundle, tmp_path: Path) -> None:
    model = ModelProto.FromString(int8.acoustic_model.tobytes())
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "again.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    again = onnx.load(tmp_path / "again.onnx")
    assert sorted(node.op_type for node in again.graph.node) == sorted(node.op_type for node in model.graph.node)


def test_an_older_onnx_runtime_needs_only_the_operator_sets_in_use(int8: _core.Bundle) -> None:
    model = ModelProto.FromString(int8.acoustic_model.tobytes())
    assert {one.domain for one in model.opset_import} == {node.domain for node in model.graph.node}


def test_the_metadata_says_what_the_model_is(int8: _core.Bundle) -> None:
    metadata = {key: value for key, value in int8.metadata.items() if not key.startswith("koe.vocabulary")}
    assert metadata == {
        "general.architecture": "kokoro",
        "general.name": "Kokoro-82M v1.0",
        "general.alignment": 64,
        "koe.format": 1,
        "koe.model_version": "1.0",
        "koe.source_sha256": SOURCE_SHA256,
        "koe.source_precision": "int8",
        "koe.phoneme_rules": "1.0",
        "koe.style_row": "phonemes_minus_one",
        "koe.graph_optimization": "extended",
    }
    assert len(int8.vocabulary) == 114
    assert {c: int8.vocabulary[c] for c in ";a ˈᵻA"} == {";": 1, "a": 43, " ": 16, "ˈ": 156, "ᵻ": 177, "A": 24}


def test_every_parameter_of_the_decoder_is_there(int8: _core.Bundle) -> None:
    # The counts are those of PyTorch's Decoder after remove_weight_norm: 421 tensors, 53 288 600 numbers.
    names = parameters(int8)
    assert len(names) == 421
    assert sum(int8.raw_tensor(name).size for name in names) == 53_288_600
    shapes = {
        "F0_conv.weight": (1, 1, 3),
        "asr_res.0.weight": (64, 512, 1),
        "encode.conv1x1.weight": (1024, 514, 1),
        "decode.0.norm1.fc.weight": (2180, 128),
        "decode.3.pool.weight": (1090, 1, 3),
        "decode.3.conv1.weight": (512, 1090, 3),
        "generator.m_source.l_linear.weight": (1, 9),
        "generator.noise_convs.0.weight": (256, 22, 12),
        "generator.ups.0.weight": (512, 256, 20),
        "generator.resblocks.4.convs1.0.weight": (128, 128, 7),
        "generator.resblocks.4.alpha1.0": (1, 128, 1),
        "generator.noise_res.1.adain2.2.fc.bias": (256,),
        "generator.conv_post.weight": (22, 128, 7),
    }
    assert {name: int8.tensor(name).shape for name in shapes} == shapes


def test_integers_are_the_exports_own(int8: _core.Bundle, model_path: Path) -> None:
    arrays = {tensor.name: tensor for tensor in onnx.load(model_path).graph.initializer}

    def array(name: str) -> np.ndarray:
        return numpy_helper.to_array(arrays[name])

    convolution = "/decoder/decoder/generator/resblocks.4/Mul_2_output_0"
    name = "generator.resblocks.4.convs1.0.weight"
    np.testing.assert_array_equal(int8.raw_tensor(name).astype(int) + 128, array(f"{convolution}_quantized"))
    np.testing.assert_array_equal(int8.raw_tensor(f"{name}.scale"), array(f"{convolution}_scale").reshape(1))

    linear = "decoder.decoder.decode.3.norm1.fc.weight"
    np.testing.assert_array_equal(int8.raw_tensor("decode.3.norm1.fc.weight"), array(f"{linear}_quantized").T)
    np.testing.assert_array_equal(int8.raw_tensor("decode.3.norm1.fc.weight.scale"), array(f"{linear}_scale"))


# --- the other exports ---


def test_float32_has_the_dequantised_weights(float32: _core.Bundle, int8: _core.Bundle) -> None:
    assert float32.metadata["koe.source_precision"] == "float32"
    assert parameters(float32) == parameters(int8)
    for name in parameters(float32):
        assert float32.raw_tensor(name).dtype == np.float32
        np.testing.assert_array_equal(float32.tensor(name), int8.tensor(name), err_msg=name)


@pytest.mark.parametrize(
    ("change", "precision", "tolerance", "acoustic_tolerance"),
    [
        pytest.param(rewrite.to_float16, "float16", 2**-11, 2e-2, id="float16"),
        pytest.param(rewrite.to_qdq, "int8", 0.5 / 127 * 1.01, None, id="QDQ"),
    ],
)
def test_other_exports_have_the_same_weights_within_rounding(
    *,
    float32: _core.Bundle,
    float32_path: Path,
    inputs: dict[str, np.ndarray],
    tmp_path: Path,
    change: Callable[[ModelProto], ModelProto],
    precision: str,
    tolerance: float,
    acoustic_tolerance: float | None,
) -> None:
    source = tmp_path / "changed.onnx"
    onnx.save(change(onnx.load(float32_path)), source)
    bundle = _core.Bundle(prepare(source))
    source.unlink()
    assert bundle.metadata["koe.source_precision"] == precision
    assert parameters(bundle) == parameters(float32)
    for name in parameters(bundle):
        assert relative_error(bundle.tensor(name), float32.tensor(name)) <= tolerance, name

    got, expected = acoustic(bundle, inputs), acoustic(float32, inputs)
    assert np.abs(got[3] - expected[3]).max() <= 1
    if acoustic_tolerance is not None:
        for one, other in zip(got, expected, strict=True):
            assert one.dtype == np.float32
            assert np.linalg.norm(one - other) / np.linalg.norm(other) <= acoustic_tolerance


def test_weight_norm_is_multiplied_out(
    float32: _core.Bundle, float32_path: Path, inputs: dict[str, np.ndarray]
) -> None:
    graph = Graph(rewrite.to_weight_norm(onnx.load(float32_path)))
    finder = WeightFinder(graph)
    weights = dict(finder.weights())
    assert list(weights) == parameters(float32)
    for name, constant in weights.items():
        assert relative_error(constant.dequantized(), float32.tensor(name)) <= 1e-6, name
    cut = cut_acoustic_model(graph, finder).SerializeToString()
    for one, other in zip(run(cut, OUTPUTS, inputs), acoustic(float32, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_qdq_keeps_integers_where_their_scale_follows_the_first_axis(
    float32_path: Path, float32: _core.Bundle, tmp_path: Path
) -> None:
    model = rewrite.to_qdq(onnx.load(float32_path))
    finder = WeightFinder(Graph(model))
    weights = dict(finder.weights())
    convolution = weights["generator.resblocks.4.convs1.0.weight"]
    assert convolution.values.dtype == np.int8
    assert convolution.scale is not None
    assert convolution.scale.shape == (128,)
    assert convolution.axis == 0
    assert weights["generator.ups.0.weight"].axis == 1
    assert finder.activation("asr_res.0") == INNER[0]
    assert weights["encode.conv1.bias"].values.dtype == np.float32


def test_weights_beside_the_model_are_found(model_path: Path, int8: _core.Bundle, tmp_path: Path) -> None:
    source = tmp_path / "external.onnx"
    onnx.save(onnx.load(model_path), source, save_as_external_data=True, location="external.bin")
    before = source_sha256(source)
    bundle = _core.Bundle(prepare(source))
    assert bundle.tensor("encode.conv1.weight").tobytes() == int8.tensor("encode.conv1.weight").tobytes()

    data = tmp_path / "external.bin"
    with data.open("r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    assert source_sha256(source) != before
    data.unlink()
    with pytest.raises(InvalidModelError, match=r"external\.bin|weight files"):
        prepare(source)


def test_node_names_do_not_matter(model_path: Path, int8: _core.Bundle, inputs: dict[str, np.ndarray]) -> None:
    """Another prefix, other input names, speed as a double scalar, and every other name gone."""
    names: dict[str, str] = {"tokens": "input_ids", "style": "style", "speed": "speed", "audio": "waveform"}
    parameter = re.compile(r"decoder\.decoder\.(.*(?:\.bias|\.alpha[12]\.\d))")

    def rename(name: str) -> str:
        if match := parameter.fullmatch(name):
            return f"kmodel.decoder.{match[1]}"
        return names.setdefault(name, "speed_" if name == "durations" else f"t{len(names)}")

    model = rewrite.with_input_type(onnx.load(model_path), "speed", TensorProto.DOUBLE, [])
    graph = Graph(rewrite.renamed(model, rename))
    finder = WeightFinder(graph)
    assert finder.prefix == "kmodel.decoder."
    weights = dict(finder.weights())
    assert list(weights) == parameters(int8)
    for name, constant in weights.items():
        np.testing.assert_array_equal(constant.dequantized(), int8.tensor(name), err_msg=name)
    cut = cut_acoustic_model(graph, finder).SerializeToString()
    for one, other in zip(run(cut, OUTPUTS, inputs), acoustic(int8, inputs), strict=True):
        np.testing.assert_array_equal(one, other)


def test_snakes_are_found_without_their_names(model_path: Path, int8: _core.Bundle) -> None:
    def rename(name: str) -> str:
        return name.replace("alpha", "unnamed") if "resblocks.4." in name else name

    finder = WeightFinder(Graph(rewrite.renamed(onnx.load(model_path), rename)))
    weights = dict(finder.weights())
    name = "generator.resblocks.4.alpha2.1"
    np.testing.assert_array_equal(weights[name].values, int8.tensor(name))


def test_inner_tensors_with_the_outputs_names_step_aside(
    model_path: Path, int8: _core.Bundle, inputs: dict[str, np.ndarray]
) -> None:
    swapped = dict(zip(INNER, ["n", "durations", "asr", "f0"], strict=True))
    graph = Graph(rewrite.renamed(onnx.load(model_path), lambda name: swapped.get(name, name)))
    cut = cut_acoustic_model(graph, WeightFinder(graph)).SerializeToString()
    for one, other in zip(run(cut, OUTPUTS, inputs), acoustic(int8, inputs), strict=True):
        np.testing.assert_array_equal(one, other)


# --- versions, voices, progress ---


def test_version_0_19_by_file_name(model_path: Path, tmp_path: Path) -> None:
    source = tmp_path / "kokoro-v0_19.onnx"
    source.symlink_to(model_path)
    reports: list[tuple[str, float]] = []
    style = np.ones((3, 256), np.float32)
    path = prepare(source, progress=lambda what, share: reports.append((what, share)), voices={"af_x": style})
    bundle = _core.Bundle(path)
    assert path == tmp_path / "kokoro-v0_19.gguf"
    assert bundle.metadata["general.name"] == "Kokoro-82M v0.19"
    assert bundle.metadata["koe.model_version"] == "0.19"
    assert bundle.metadata["koe.phoneme_rules"] == "0.19"
    assert bundle.metadata["koe.style_row"] == "tokens"
    assert len(bundle.vocabulary) == 176
    assert {c: bundle.vocabulary[c] for c in ";Aa'"} == {";": 1, "A": 17, "a": 43, "'": 176}
    np.testing.assert_array_equal(bundle.raw_tensor("voice.af_x"), style)

    shares = [share for _, share in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(("stated", "asked", "version"), [("v0.19", None, "0.19"), ("0.19", "1.0", "1.0")])
def test_version_by_metadata_and_by_argument(
    model_path: Path, tmp_path: Path, stated: str, asked: str | None, version: str
) -> None:
    source = tmp_path / "model.onnx"
    onnx.save(_with_metadata(onnx.load(model_path), stated), source)
    assert _core.Bundle(prepare(source, model_version=asked)).metadata["koe.model_version"] == version


def test_a_version_in_the_metadata_that_koe_does_not_know(model_path: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    onnx.save(_with_metadata(onnx.load(model_path), "3.0"), source)
    with pytest.raises(InvalidModelError, match=r"says Kokoro '3\.0'; koe knows 1\.0, 0\.19"):
        prepare(source)


def _with_metadata(model: ModelProto, version: str) -> ModelProto:
    helper.set_model_props(model, {"koe.model_version": version})
    return model


def test_an_unknown_version_is_the_callers_mistake(model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'2\.0' is unknown; koe knows 1\.0, 0\.19"):
        prepare(model_path, tmp_path / "x.gguf", model_version="2.0")
    assert list(tmp_path.iterdir()) == []


# --- the cache ---


def test_the_cache_makes_a_bundle_once_and_again_when_it_is_damaged(model_path: Path, tmp_path: Path) -> None:
    path = prepare_cached(model_path, tmp_path / "cache")
    assert path == tmp_path / "cache" / bundle_name(SOURCE_SHA256)
    made = path.stat().st_mtime_ns
    assert prepare_cached(model_path, tmp_path / "cache", sha256=SOURCE_SHA256) == path
    assert path.stat().st_mtime_ns == made

    with path.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"damage")
    assert prepare_cached(model_path, tmp_path / "cache", sha256=SOURCE_SHA256) == path
    assert _core.Bundle(path).metadata["koe.source_sha256"] == SOURCE_SHA256
    assert list(path.parent.glob("*.gguf")) == [path]
    assert all(file.suffix in (".gguf", ".source") for file in path.parent.iterdir())


def test_two_processes_may_fill_the_cache_at_once(model_path: Path, tmp_path: Path) -> None:
    code = "import sys; from koe.prepare import prepare_cached; print(prepare_cached(sys.argv[1], sys.argv[2]))"
    command = [sys.executable, "-c", code, str(model_path), str(tmp_path)]
    environment = _child_environment()
    children = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {child.communicate(timeout=120)[0].strip() for child in children}
    assert [child.returncode for child in children] == [0, 0]
    assert [str(one) for one in tmp_path.glob("*.gguf")] == list(paths)
    assert _core.Bundle(paths.pop()).tensor_names


def _child_environment() -> dict[str, str]:
    import koe

    return {**os.environ, "PYTHONPATH": str(Path(koe.__file__).parents[1])}


# --- what goes wrong ---


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size to run into")
def test_a_full_disk_leaves_the_old_bundle_and_nothing_else(model_path: Path, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from koe.prepare import prepare\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))\n"
        "try: prepare(sys.argv[1], sys.argv[2])\n"
        "except OSError: sys.exit(7)\n"
    )
    target = tmp_path / "model.gguf"
    target.write_bytes(b"old")
    command = [sys.executable, "-c", code, str(model_path), str(target)]
    assert subprocess.run(command, env=_child_environment(), timeout=120, check=False).returncode == 7
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("model.gguf", b"old")]


def test_what_a_killed_process_left_is_swept(model_path: Path, tmp_path: Path) -> None:
    name = bundle_name(SOURCE_SHA256)
    stale, fresh = tmp_path / f".{name}.0123456789abcdef.partial", tmp_path / f".{name}.fedcba9876543210.partial"
    stale.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(stale, (1e9, 1e9))
    prepare_cached(model_path, tmp_path, sha256=SOURCE_SHA256)
    assert {one.name for one in tmp_path.iterdir()} == {name, fresh.name}


def test_the_output_may_not_be_the_model_or_in_no_folder(model_path: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.gguf"
    source.symlink_to(model_path)
    with pytest.raises(ValueError, match="name another output"):
        prepare(source)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        prepare(model_path, tmp_path / "none" / "model.gguf")
    assert [one.name for one in tmp_path.iterdir()] == ["model.gguf"]


def test_a_missing_model_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"none\.onnx"):
        prepare(tmp_path / "none.onnx")
    with pytest.raises(InvalidModelError, match="can't be read"):
        prepare(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no graph"),
        (b"<!doctype html><html>moved</html>", "not an ONNX model"),
        (b"GGUF\x03\0\0\0" + bytes(64), "GGUF"),
        (bytes(range(256)) * 20, "not an ONNX model"),
    ],
)
def test_other_files_are_no_models(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=message) as caught:
        prepare(path)
    assert str(path) in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9999])
def test_a_model_cut_short_says_so(model_path: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "model.onnx"
    data = model_path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidModelError, match="cut short"):
        prepare(path)


def test_another_network_is_not_kokoro(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])), path)
    with pytest.raises(InvalidModelError, match=r"not a Kokoro model: looked for .*generator\.conv_post\.bias"):
        prepare(path)


def _tensor(model: ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == f"decoder.decoder.{name}")


def _lose(model: ModelProto, name: str) -> None:
    tensor = _tensor(model, name)
    rewrite.renamed(model, lambda one: "lost" if one == tensor.name else one)


def _reshape(model: ModelProto, name: str, shape: tuple[int, ...]) -> None:
    tensor = _tensor(model, name)
    tensor.CopyFrom(numpy_helper.from_array(np.zeros(shape, np.float32), tensor.name))


def _poison(model: ModelProto, name: str) -> None:
    tensor = _tensor(model, name)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[3] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _shorten(model: ModelProto, name: str) -> None:
    tensor = _tensor(model, name)
    tensor.raw_data = tensor.raw_data[:-4]


def _without_round(model: ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Round":
            node.op_type = "Identity"


def _without_speed(model: ModelProto) -> None:
    (speed,) = [value for value in model.graph.input if value.name == "speed"]
    model.graph.input.remove(speed)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "speed"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: _lose(m, "decode.1.conv2.bias"), r"no parameter decoder\.decoder\.decode\.1\.conv2\.bias"),
        (lambda m: _reshape(m, "decode.1.conv2.bias", (7,)), r"decode\.1\.conv2\.bias has shape \[7\].*\[1024\]"),
        (
            lambda m: _reshape(m, "generator.resblocks.2.alpha1.0", (1, 4, 1)),
            r"resblocks\.2\.alpha1\.0 has shape \[4\].*\[256\]",
        ),
        (lambda m: _poison(m, "generator.resblocks.4.convs1.0.bias"), r"convs1\.0\.bias holds NaN"),
        (lambda m: _shorten(m, "generator.noise_convs.0.bias"), r"noise_convs\.0\.bias' can't be read"),
        (_without_round, "looked for durations as Round, then Clip or Max"),
        (_without_speed, "speed not found"),
    ],
)
def test_what_is_missing_is_said(
    model_path: Path, tmp_path: Path, damage: Callable[[ModelProto], None], message: str
) -> None:
    model = onnx.load(model_path)
    damage(model)
    path = tmp_path / "damaged.onnx"
    onnx.save(model, path)
    with pytest.raises(InvalidModelError, match=message) as caught:
        prepare(path)
    assert str(path) in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["damaged.onnx"]
