# SPDX-License-Identifier: Apache-2.0
"""The stored reference vectors of the vocoder, rebuilt as arrays.

`make_reference.py` tells where they come from. Each case is an utterance: the inputs of the vocoder and the
reference's audio. The cases in `STAGED_CASES` also have every stage's output for an input that is stored in full:

| stage | its input | its stored output |
| --- | --- | --- |
| decode | asr, f0, n, style | `x`, all |
| source | f0 | `signal` and `har`, all |
| generator level 0 | `level0_in` (x rounded to float16), `har`, style | channels `level0_channels`, all frames |
| generator level 1 | `level1_in` (rounded to float16), `har`, style | channels `level1_channels`, all frames |
| spectrum | `spectrum_in` (481 frames, rounded to float16) | `spectrum`, all |
| istft | `istft_in` (rounded to float16) | `samples`, all |

The reference ran on the rounded inputs, so the rounding costs space and no accuracy. Audio is int16 with one scale
for each 600 samples, which leaves more than 80 dB. The longest case keeps half a second of the source's signal, up to
the last voiced sample, where an error of the phase would have piled up.

One rule is added to PyTorch's source: in a frame of equal samples (unvoiced without noise, or the held phase at
either end) bin 1 is real and the bins above it hold exactly nothing, with phase 0. PyTorch's FFT leaves some 1e-9
there, and the angle of that is the rounding's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
SAMPLES_PER_FRAME = 600

STAGED_CASES = ("word_af_bella", "word_bm_george")
WHOLE_CASES = ("sentence_am_adam", "sentence_bf_emma", "sentence_bm_george", "sentence_af_nicole", "chunk_af_heart")
CASES = STAGED_CASES + WHOLE_CASES


@dataclass(frozen=True)
class Stages:
    """Inputs and outputs stage by stage; shapes in the module's table."""

    x: np.ndarray
    signal: np.ndarray
    har: np.ndarray
    level0_in: np.ndarray
    level0_channels: np.ndarray
    level0: np.ndarray
    level1_in: np.ndarray
    level1_channels: np.ndarray
    level1: np.ndarray
    spectrum_in: np.ndarray
    spectrum: np.ndarray
    istft_in: np.ndarray
    samples: np.ndarray


@dataclass(frozen=True)
class Case:
    """One utterance.

    `ids` [L + 2] with both pads, `style_row` [256], `asr` [512, T], `f0` and `n` [2T], `style` [128], `durations`
    [L + 2] frames, `audio` [600·T]; `signal_window` is the source's signal from sample
    `signal_start` on, in the longest case only.
    """

    name: str
    voice: str
    speed: float
    ids: np.ndarray
    style_row: np.ndarray
    durations: np.ndarray
    asr: np.ndarray
    f0: np.ndarray
    n: np.ndarray
    audio: np.ndarray
    signal_start: int = 0
    signal_window: np.ndarray | None = None
    stages: Stages | None = field(default=None, repr=False)

    @property
    def style(self) -> np.ndarray:
        return self.style_row[:128]


def pack_audio(audio: np.ndarray) -> dict[str, np.ndarray]:
    """int16 mantissas and one float32 scale for each frame."""
    frames = audio.reshape(-1, SAMPLES_PER_FRAME).astype(np.float64)
    scale = np.maximum(np.abs(frames).max(axis=1), 1e-20).astype(np.float32) / np.float32(32767)
    return {"audio": np.rint(frames / scale[:, None]).clip(-32767, 32767).astype(np.int16), "audio_scale": scale}


def unpack_audio(mantissas: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Float32 samples."""
    return (mantissas * scale[:, None].astype(np.float64)).astype(np.float32).reshape(-1)


def load(name: str, folder: Path = FOLDER) -> Case:
    """The case `name` of `CASES`."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
        data: dict[str, Any] = {key: stored[key] for key in stored.files}
    durations = data["durations"].astype(np.int64)
    stages = None
    if "x" in data:
        names = Stages.__dataclass_fields__
        halves = {k: data[k].astype(np.float32) for k in ("level1_in", "spectrum_in", "istft_in")}
        halves["level0_in"] = data["x"].astype(np.float16).astype(np.float32)
        stages = Stages(**{k: halves[k] if k in halves else data[k] for k in names})
    return Case(
        name=name,
        voice=str(data["voice"]),
        speed=float(data["speed"]),
        ids=data["ids"].astype(np.int64),
        style_row=data["style_row"],
        durations=durations,
        asr=np.repeat(data["columns"].astype(np.float32), durations, axis=1),
        f0=data["f0"],
        n=data["n"],
        audio=unpack_audio(data["audio"], data["audio_scale"]),
        signal_start=int(data.get("signal_start", 0)),
        signal_window=data.get("signal_window"),
        stages=stages,
    )
