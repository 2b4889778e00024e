# SPDX-License-Identifier: Apache-2.0
"""The engines that `bench_peers` compares, one shape for all: load, then text to pieces of samples.

Each gets the same model file, the same style pack and the same text, and as many threads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

SAMPLE_RATE_HZ = 24_000
REFERENCE = Path(__file__).parents[1] / "tests" / "reference"


@dataclass(frozen=True)
class Setting:
    """What all engines share.

    Attributes:
        model: the ONNX export.
        voices: a .npz with the voice, [510, 1, 256].
        voice: its name.
        threads: of each engine.
        kokoro: where the PyTorch package lies, as `make_reference.py --kokoro` takes it; None for the installed one.
    """

    model: Path
    voices: Path
    voice: str
    threads: int
    kokoro: Path | None


class Peer(Protocol):
    """An engine."""

    def load(self, setting: Setting) -> None:
        """Makes it ready to speak; imports count."""
        ...

    def speak(self, text: str) -> Iterator[np.ndarray]:
        """The samples of a text, piece by piece, as the engine streams them."""
        ...


class Koe:
    """koe with one kernel table and precision; empty for its own choice."""

    def __init__(self, isa: str = "", precision: str = "auto") -> None:
        self._isa, self._precision = isa, precision

    def load(self, setting: Setting) -> None:
        from koe import Config, KokoroTTS

        self._voice = setting.voice
        self._tts = KokoroTTS(
            Config(
                voicepack_path=setting.voices,
                threads=setting.threads,
                isa=self._isa,
                precision=self._precision,
                phoneme_cache_size=0,
            )
        )
        self._tts.initialize()

    def speak(self, text: str) -> Iterator[np.ndarray]:
        for piece in self._tts.chunks(text, self._voice):
            yield piece.samples


class KokoroOnnx:
    """The package kokoro-onnx on ONNX Runtime, with its own G2P."""

    def load(self, setting: Setting) -> None:
        import onnxruntime
        from kokoro_onnx import Kokoro

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        session = onnxruntime.InferenceSession(str(setting.model), options, providers=["CPUExecutionProvider"])
        self._voice = setting.voice
        self._kokoro = Kokoro.from_session(session, str(setting.voices))

    def speak(self, text: str) -> Iterator[np.ndarray]:
        import asyncio

        stream = self._kokoro.create_stream(text, self._voice)
        loop = asyncio.new_event_loop()
        try:
            while True:
                try:
                    samples, _ = loop.run_until_complete(anext(stream))
                except StopAsyncIteration:
                    return
                yield np.asarray(samples)
        finally:
            loop.close()


class PyTorchDecoder:
    """The decoder of the package kokoro in PyTorch, behind koe's G2P, chunks and acoustic model."""

    def load(self, setting: Setting) -> None:
        import torch

        torch.set_num_threads(setting.threads)
        sys.path.insert(0, str(REFERENCE))
        from contextlib import ExitStack

        import make_reference
        import onnx

        from koe import _core
        from koe.acoustic import OrtAcousticModel
        from koe.g2p import EspeakG2P
        from koe.model import open_model
        from koe.synthesis import Planner
        from koe.voice import Language

        with ExitStack() as stack:
            istftnet = make_reference.load_istftnet(make_reference.find_kokoro(setting.kokoro, stack))
        weights = make_reference.decoder_weights(onnx.load(setting.model).graph)
        self._decoder: Any = make_reference.build_decoder(istftnet, weights, torch.float32, settle_empty_bins=False)
        bundle = open_model(setting.model, show_progress=False)
        self._row_rule = str(bundle.metadata["koe.style_row"])
        self._tokenizer = _core.Tokenizer(bundle.vocabulary)
        self._planner = Planner(EspeakG2P(str(bundle.metadata["koe.phoneme_rules"]), 0), self._tokenizer)
        self._acoustic_model = OrtAcousticModel(bundle, setting.threads)
        self._language = Language.of_voice(setting.voice)
        self._pack = _core.StylePack.open(setting.voices, setting.voice)

    def speak(self, text: str) -> Iterator[np.ndarray]:
        import torch

        from koe import _core
        from koe.synthesis import StageClock

        for chunk in self._planner.chunks(text, self._language, StageClock()):
            encoding = self._tokenizer.encode(chunk.phonemes)
            row = _core.style_row(len(chunk.phonemes), len(encoding), self._row_rule, self._pack.n_rows)
            style = self._pack.row(row)
            frames = self._acoustic_model.run(encoding.ids, style, 1.0)
            inputs = [frames.asr, frames.f0, frames.n, style[None, :128]]
            with torch.inference_mode():
                audio = self._decoder(*(torch.from_numpy(np.ascontiguousarray(array)) for array in inputs))
            yield audio.reshape(-1).numpy()


def peer(name: str) -> Peer:
    """The engine of a name: "kokoro-onnx", "pytorch", "koe", or "koe:<isa>:<precision>"."""
    if name == "kokoro-onnx":
        return KokoroOnnx()
    if name == "pytorch":
        return PyTorchDecoder()
    kind, _, choice = name.partition(":")
    if kind != "koe":
        raise ValueError(f"no engine is named {name!r}")
    isa, _, precision = choice.partition(":")
    return Koe(isa, precision or "auto")


def choices() -> list[str]:
    """koe's own choice, each precision of the best kernels, the other tables' own choices, and the peers."""
    from koe import _core

    *others, best = _core.available_isas()
    names = ["koe", *(f"koe:{best}:{precision}" for precision in ("bfloat16", "int8", "float32"))]
    names += [f"koe:{isa}" for isa in reversed(others) if isa != "scalar"]
    return [*names, "kokoro-onnx", "pytorch"]
