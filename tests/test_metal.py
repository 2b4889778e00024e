# SPDX-License-Identifier: Apache-2.0
"""The Metal kernels, compiled as C++ and run by a strict emulation, beside the scalar kernels of the CPU.

`tests/metal` holds the emulation; a machine with an Apple GPU runs `test_metal_device.py` as well.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from koe import _core
from reference import vectors

ROOT = Path(__file__).resolve().parent.parent
METAL = ROOT / "cpp" / "src" / "metal"
KERNELS = sorted((METAL / "kernels").glob("*.metal"))

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the emulation is made of Linux's fibers")


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    difference = np.asarray(reference, np.complex128) - other
    power = np.sum(np.abs(reference).astype(np.float64) ** 2)
    return float(10 * np.log10(power / max(float(np.sum(np.abs(difference) ** 2)), 1e-300)))


@pytest.fixture(scope="session")
def emulation(pytestconfig: pytest.Config) -> ModuleType:
    """The emulation, built into pytest's cache, where the next run finds it."""
    assert pytestconfig.cache is not None
    build = pytestconfig.cache.mkdir("koe-metal-emulation")
    for command in (
        ["cmake", "-S", ROOT / "tests" / "metal", "-B", build, "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", build],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (path,) = build.glob("koe_metal_emulation*.so")
    spec = importlib.util.spec_from_file_location("koe_metal_emulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def half_layers(emulation: ModuleType, bundle_path: Path) -> Any:
    return emulation.Layers(str(bundle_path), is_half=True)


@pytest.fixture(scope="session")
def float_layers(emulation: ModuleType, bundle_path: Path) -> Any:
    return emulation.Layers(str(bundle_path), is_half=False)


@pytest.fixture(scope="session")
def half_vocoder(emulation: ModuleType, bundle_path: Path) -> Any:
    return emulation.EmulatedVocoder(str(bundle_path))


@pytest.fixture(scope="session")
def float_vocoder(emulation: ModuleType, bundle_path: Path) -> Any:
    return emulation.EmulatedVocoder(str(bundle_path), "float32", noise_seed=7, seed=1)


@pytest.fixture(scope="session")
def cpu(bundle_path: Path) -> _core.Vocoder:
    return _core.Vocoder(_core.Bundle(bundle_path), isa="scalar", precision="float32")


@pytest.fixture(scope="session")
def noisy_cpu(bundle_path: Path) -> _core.Vocoder:
    return _core.Vocoder(_core.Bundle(bundle_path), isa="scalar", precision="float32", noise_seed=7)


# --- the machine -----------------------------------------------------------------------------------------------------

FAULTS = {
    "no barrier": (1, "no barrier between|nobody wrote"),
    "no second barrier": (2, "no barrier between"),
    "a simdgroup's barrier for a threadgroup's": (3, "no barrier between|nobody wrote"),
    "reads before the buffer": (4, "reads byte .* of buffer 1"),
    "reads beyond the buffer": (5, "reads byte 512 of buffer 1, which has 512"),
    "writes beyond the buffer": (6, "writes byte 512 of buffer 2"),
    "beyond threadgroup memory": (7, "writes byte 256 of threadgroup memory"),
    "threadgroup memory that nobody wrote": (8, "nobody wrote"),
    "a barrier that half of the threads skip": (9, "never reach|no barrier between|nobody wrote"),
    "two threads write one place": (10, "another thread"),
    "reads another thread's output": (11, "another thread"),
    "a simdgroup operation of half of the lanes": (12, "same simdgroup operations"),
    "a barrier that orders no memory": (13, "does not order"),
    "a matrix of what was just written": (14, "no barrier between|nobody wrote"),
}


@linux_only
@pytest.mark.parametrize("seed", range(3))
def test_a_right_kernel_runs(emulation: ModuleType, seed: int) -> None:
    x = np.arange(128, dtype=np.float32)
    once = emulation.run_faulty(x, 0, rounds=1, seed=seed)
    np.testing.assert_array_equal(once.reshape(2, 64), x.reshape(2, 64)[:, ::-1])
    np.testing.assert_array_equal(emulation.run_faulty(x, 0, rounds=2, seed=seed), x)


@linux_only
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FAULTS)
def test_the_emulation_finds(emulation: ModuleType, name: str, seed: int) -> None:
    fault, message = FAULTS[name]
    with pytest.raises(emulation.Fault, match=message):
        emulation.run_faulty(np.arange(128, dtype=np.float32), fault, seed=seed)


@linux_only
@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"threads": 1056}, "1056 threads"),
        ({"threads": 0}, "0 threads"),
        ({"threadgroup_bytes": 32784}, "32784 bytes of threadgroup memory"),
        ({"threadgroup_bytes": 264}, "264 bytes of threadgroup memory"),
        ({"extra_buffers": 29}, "32 buffers"),
    ],
)
def test_metals_limits_are_refused(emulation: ModuleType, size: dict[str, int], message: str) -> None:
    with pytest.raises(emulation.Fault, match=message):
        emulation.run_faulty(np.arange(128, dtype=np.float32), 0, **size)


@linux_only
def test_weights_are_rounded_as_numpy_rounds(emulation: ModuleType) -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = np.unique(halves[np.isfinite(halves)])
    between = (finite[1:].astype(np.float64) + finite[:-1]) / 2
    below = np.nextafter(between.astype(np.float32), np.float32(0))
    x = np.concatenate([finite, between, below, [1e-9, 65519, 65520, 1e9]])
    x = np.concatenate([x, -x]).astype(np.float32)
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(emulation.halves(x), expected.view(np.uint16))


# --- kernels ---------------------------------------------------------------------------------------------------------


def _shapes(layers: list[dict[str, Any]]) -> dict[str, int]:
    """One layer of each shape, by a name that says the shape."""
    shapes: dict[str, int] = {}
    for index, layer in enumerate(layers):
        if not layer["phases"]:
            key = "k {taps} d {dilation} step {row_step}, {inputs} to {outputs}, snake {has_snake}".format(**layer)
            shapes.setdefault(key, index)
    return shapes


def _conv_case(emulation: ModuleType, layer: dict[str, Any], n_rows: int, seed: int) -> tuple[np.ndarray, Any]:
    rng = np.random.default_rng(seed)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    # Inputs of the size that the network has: about 1 behind the norm, residuals larger.
    inputs = layer["inputs"]
    affine = np.stack([0.5 + rng.random(inputs), 0.3 * rng.standard_normal(inputs)]).astype(np.float32)
    residual_rows = (n_rows + 1) // 2 if seed % 4 == 0 else n_rows
    task = emulation.Task(
        affine=affine if seed % 2 == 0 else None,
        activation="snake" if layer["has_snake"] else "leaky" if seed % 3 else "none",
        slope=0.1,
        residual=random(residual_rows, layer["outputs"]) * 2 if seed % 3 != 2 else None,
        accumulate=random(n_rows, layer["outputs"]) if seed % 2 else None,
        gain=0.7 if seed % 2 else 1.0,
    )
    in_rows = (n_rows - 1) * layer["row_step"] + (layer["taps"] - 1) * layer["dilation"] + 1 - 2 * layer["padding"]
    return random(max(1, in_rows), layer["inputs"]), task


@linux_only
@pytest.mark.parametrize(("is_half", "least_db"), [(False, 80.0), (True, 55.0)])
def test_convolutions_agree_with_the_scalar_kernels(
    emulation: ModuleType, half_layers: Any, float_layers: Any, is_half: bool, least_db: float
) -> None:
    layers = half_layers if is_half else float_layers
    listed = layers.list()
    shapes = _shapes(listed)
    assert len(shapes) >= 24
    for seed, (name, index) in enumerate(shapes.items()):
        layer = listed[index]
        if is_half and not layer["is_half"]:
            continue
        for n_rows in (13, 75) if layer["inputs"] < 512 else (37,):
            x, task = _conv_case(emulation, layer, n_rows, seed)
            out, partials, block_rows = layers.conv(index, x, n_rows, task)
            expected = layers.scalar_conv(index, x, n_rows, task)
            assert snr_db(expected, out) > least_db, name
            for b, first in enumerate(range(0, n_rows, block_rows)):
                block = out[first : first + block_rows].astype(np.float64)
                np.testing.assert_allclose(partials[2 * b], block.mean(0), atol=1e-5 * np.abs(block).max())
                squares = np.square(block - block.mean(0)).sum(0)
                np.testing.assert_allclose(partials[2 * b + 1], squares, rtol=1e-4, atol=1e-4)


@linux_only
@pytest.mark.parametrize("n_rows", [1, 7, 41])
@pytest.mark.parametrize("is_padded", [False, True])
def test_transposed_convolutions_agree_with_their_definition(
    float_layers: Any, bundle_path: Path, is_padded: bool, n_rows: int
) -> None:
    level = int(is_padded)
    name = f"generator.ups.{level}"
    (index,) = (i for i, layer in enumerate(float_layers.list()) if layer["name"] == name)
    bundle = _core.Bundle(bundle_path)
    weight = bundle.tensor(f"{name}.weight").astype(np.float64)
    bias = bundle.tensor(f"{name}.bias")
    inputs, outputs, taps = weight.shape
    stride = taps // 2
    rng = np.random.default_rng(n_rows)
    x = rng.standard_normal((n_rows, inputs)).astype(np.float32)
    total = rng.standard_normal((n_rows * stride + level, outputs)).astype(np.float32)

    full = np.zeros(((n_rows - 1) * stride + taps, outputs))
    active = np.where(x > 0, x, np.float32(0.1) * x).astype(np.float64)
    for row in range(n_rows):
        full[row * stride : row * stride + taps] += np.einsum("i,iok->ko", active[row], weight)
    up = full[stride // 2 : stride // 2 + n_rows * stride] + bias
    if is_padded:
        up = np.concatenate([up[1:2], up])
    assert snr_db(up + total, float_layers.up(index, x, 0.1, total, is_padded)) > 100


@linux_only
@pytest.mark.parametrize("n_rows", [1, 63, 64, 65, 700])
def test_norms_are_exact_far_from_zero(float_layers: Any, bundle_path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    x = rng.standard_normal((n_rows, 1092)).astype(np.float32)
    x += rng.uniform(-30, 30, 1092).astype(np.float32)
    style = rng.standard_normal(128).astype(np.float32) * 0.2
    scale, shift = float_layers.norm(x, style)

    bundle, name = _core.Bundle(bundle_path), "decode.1.norm1"
    h = bundle.tensor(f"{name}.fc.weight").astype(np.float64) @ style + bundle.tensor(f"{name}.fc.bias")
    rows = x[:, :1090].astype(np.float64)
    gamma, beta = 1 + h[:1090], h[1090:]
    expected_scale = gamma * bundle.tensor(f"{name}.norm.weight") / np.sqrt(rows.var(0) + 1e-5)
    expected = (rows - rows.mean(0)) * expected_scale + (gamma * bundle.tensor(f"{name}.norm.bias") + beta)
    np.testing.assert_allclose(scale, expected_scale, rtol=1e-4)
    np.testing.assert_allclose(rows * scale + shift, expected, atol=1e-3 if n_rows > 1 else 2e-2)
    if n_rows > 1:
        # The scalar kernels' Σx² − (Σx)²/n in float32 is the less exact here.
        np.testing.assert_allclose(scale, float_layers.scalar_norm(x, style)[0], rtol=2e-3)


# --- stages ----------------------------------------------------------------------------------------------------------


def _cut(name: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    case = vectors.load(name)
    halves = slice(2 * first, 2 * last)
    return np.ascontiguousarray(case.asr[:, first:last]), case.f0[halves], case.n[halves], case.style


@linux_only
def test_the_source_agrees_where_phases_are_large(float_vocoder: Any, noisy_cpu: _core.Vocoder) -> None:
    f0 = np.tile(vectors.load("sentence_bf_emma").f0, 12)
    assert len(f0) == 2568  # 32 seconds, up to two million radians
    expected = noisy_cpu.source(f0)
    signal = float_vocoder.source(f0)
    assert snr_db(expected, signal) > 100
    np.testing.assert_allclose(signal, expected, atol=1e-6)


@linux_only
def test_noise_is_the_same_in_silence(float_vocoder: Any, noisy_cpu: _core.Vocoder) -> None:
    f0 = np.zeros(10, np.float32)
    expected = noisy_cpu.source(f0)
    assert np.std(expected) > 1e-3
    assert snr_db(expected, float_vocoder.source(f0)) > 90


@linux_only
@pytest.mark.parametrize("name", vectors.STAGED_CASES)
def test_the_sources_spectrum_agrees(half_vocoder: Any, cpu: _core.Vocoder, name: str) -> None:
    stages = vectors.load(name).stages
    assert stages is not None
    expected = cpu.source_spectrum(stages.signal)
    har = half_vocoder.source_spectrum(stages.signal)
    assert snr_db(expected[:11], har[:11]) > 110
    # Phases as points on the circle, weighted by their magnitude: that of an empty bin is anyone's.
    assert snr_db(expected[:11] * np.exp(1j * expected[11:]), har[:11] * np.exp(1j * har[11:])) > 100
    away = np.abs(np.angle(np.exp(1j * (expected[11:] - har[11:]))))
    assert np.mean(away > 0.01) < 1e-3


@linux_only
def test_the_decoder_agrees(half_vocoder: Any, float_vocoder: Any, cpu: _core.Vocoder) -> None:
    arguments = _cut("word_bm_george", 2, 19)
    expected = cpu.decode(*arguments)
    assert snr_db(expected, float_vocoder.decode(*arguments)) > 100
    assert snr_db(expected, half_vocoder.decode(*arguments)) > 55


@linux_only
@pytest.mark.parametrize(("level", "n_frames"), [(0, 9), (1, 31)])
def test_the_generators_levels_agree(half_vocoder: Any, cpu: _core.Vocoder, level: int, n_frames: int) -> None:
    case = vectors.load("word_bm_george")
    assert case.stages is not None
    x = (case.stages.level0_in, case.stages.level1_in)[level][:, 20 : 20 + n_frames]
    har = case.stages.har[:, 1200 : 1200 + n_frames * (60, 6)[level] + 1]
    expected = cpu.generator_level(level, x, har, case.style)
    assert snr_db(expected, half_vocoder.generator_level(level, x, har, case.style)) > 50


@linux_only
def test_the_spectrum_and_its_inverse_agree(half_vocoder: Any, cpu: _core.Vocoder) -> None:
    stages = vectors.load("word_af_bella").stages
    assert stages is not None
    assert snr_db(cpu.spectrum(stages.spectrum_in), half_vocoder.spectrum(stages.spectrum_in)) > 100
    for n_rows in (2, 3, 64, 66, stages.istft_in.shape[1]):
        x = np.ascontiguousarray(stages.istft_in[:, :n_rows])
        assert snr_db(cpu.istft(x), half_vocoder.istft(x)) > 100


@linux_only
@pytest.mark.parametrize(("name", "first", "last"), [("word_bm_george", 8, 16), ("sentence_bf_emma", 40, 49)])
def test_the_whole_vocoder_agrees(half_vocoder: Any, cpu: _core.Vocoder, name: str, first: int, last: int) -> None:
    arguments = _cut(name, first, last)
    expected = cpu.synthesize(*arguments)
    assert np.abs(expected).max() > 0.05
    samples = half_vocoder.synthesize(*arguments)
    assert samples.shape == expected.shape
    assert snr_db(expected, samples) > 40


@linux_only
def test_one_frame_is_enough(half_vocoder: Any, cpu: _core.Vocoder) -> None:
    arguments = _cut("word_bm_george", 12, 13)
    expected = cpu.synthesize(*arguments)
    assert snr_db(expected, half_vocoder.synthesize(*arguments)) > 30


@linux_only
def test_the_order_of_threads_does_not_matter(emulation: ModuleType, bundle_path: Path, half_vocoder: Any) -> None:
    arguments = _cut("word_bm_george", 12, 15)
    other = emulation.EmulatedVocoder(str(bundle_path), seed=99)
    np.testing.assert_array_equal(half_vocoder.synthesize(*arguments), other.synthesize(*arguments))


# --- the text of the kernels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.name)
def test_kernels_number_their_buffers_in_order(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    kernels = re.findall(r"\nkernel void (\w+)\(([^{]*)\{", text)
    assert kernels
    for _, parameters in kernels:
        indices = [int(i) for i in re.findall(r"\[\[buffer\((\d+)\)\]\]", parameters)]
        assert indices == list(range(len(indices)))
        assert parameters.rstrip().endswith("KOE_POSITIONS)")


def test_embedded_sources_hold_each_header_once(tmp_path: Path) -> None:
    output = tmp_path / "sources.inc"
    command = [
        "cmake",
        f"-DSOURCES={';'.join(map(str, KERNELS))}",
        f"-DINCLUDE={METAL}",
        f"-DOUTPUT={output}",
        "-P",
        str(METAL / "embed.cmake"),
    ]
    subprocess.run(command, check=True)
    text = output.read_text(encoding="utf-8")
    assert text.startswith('R"koe_metal(\n')
    assert text.endswith(')koe_metal"\n')
    assert text.count("struct ConvArguments {") == text.count("struct Moments {") == 1
    for path in KERNELS:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#include")]
        assert "\n".join(lines[-5:]) in text
    # Metal's compiler finds no files of ours: what is left to include stands where it does not look.
    assert set(re.findall(r'#include "([^"]+)"', text)) == {"opencl.hpp", "emulation.hpp"}


CLANG = shutil.which("clang")
needs_clang = pytest.mark.skipif(
    CLANG is None and os.environ.get("KOE_TEST_CLANG") != "1", reason="clang is not installed"
)


def _clang(path: Path) -> subprocess.CompletedProcess[str]:
    """Checks a kernel as C++ for OpenCL, where a pointer without an address space is private."""
    absent = ("generic_address_space", "pipes", "device_enqueue")
    command = [
        *("clang", "-x", "clcpp", "-cl-std=clc++2021", "-fsyntax-only", "-Wall", "-Werror", "-Wno-unknown-attributes"),
        *("-Xclang", "-cl-ext=" + ",".join(f"-__opencl_c_{name}" for name in absent)),
        *("-Xclang", "-finclude-default-header"),
        *("-I", str(METAL), "-I", str(ROOT / "tests" / "metal"), str(path)),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_clang
@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.name)
def test_address_spaces_are_right(path: Path) -> None:
    done = _clang(path)
    assert done.returncode == 0, done.stderr


@needs_clang
@pytest.mark.parametrize(
    "statement",
    [
        "threadgroup_ptr<const float> p = x;",
        "device_ptr<const float> p = shared;",
        "const float* p = x;",
        "x[0] = 1.0f;",
    ],
)
def test_wrong_address_spaces_are_found(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "wrong.metal"
    kernel = "kernel void wrong(device_ptr<const float> x [[buffer(0)]], threadgroup_ptr<float> shared, KOE_POSITIONS)"
    path.write_text(f'#include "compat.hpp"\n{kernel} {{ shared[0] = x[0]; }}\n')
    assert _clang(path).returncode == 0
    path.write_text(f'#include "compat.hpp"\n{kernel} {{ {statement} }}\n')
    assert "error: " in _clang(path).stderr


# --- a machine without Metal -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "darwin", reason="needs a machine without Metal")
def test_metal_is_refused_where_there_is_none(bundle_path: Path) -> None:
    name, reason = _core.metal_device()
    assert name is None
    assert "Apple" in reason
    with pytest.raises(_core.Error, match="Apple"):
        _core.Vocoder(_core.Bundle(bundle_path), device="metal")


def test_devices_have_names(cpu: _core.Vocoder, bundle_path: Path) -> None:
    assert cpu.device == "cpu"
    with pytest.raises(ValueError, match="'cuda' is neither cpu nor metal"):
        _core.Vocoder(_core.Bundle(bundle_path), device="cuda")
    with pytest.raises(_core.Error, match="float16"):
        _core.Vocoder(_core.Bundle(bundle_path), precision="float16")
