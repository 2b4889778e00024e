# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about an engine."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from koe.errors import InvalidRequestError

if TYPE_CHECKING:
    from koe.g2p import G2P

PRECISIONS = ("auto", "float32", "float16", "bfloat16", "int8")
METAL_PRECISIONS = ("auto", "float32", "float16")
_MAX_SILENCE_S = 60.0
_MAX_THREADS = 1024


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a `KokoroTTS`; checked when it is made.

    Attributes:
        model_path: an ONNX export of Kokoro-82M or a prepared bundle; None takes `KOE_MODEL`, then koe's own model.
        voicepack_path: a folder, an archive or one file of voices; None takes `KOE_VOICES`, then koe's own voices.
        use_metal_acceleration: run the vocoder on the Apple GPU.
        threads: threads of the vocoder and the acoustic model; 0 for as many as the process may use.
        isa: the kernel table, such as "avx2"; empty for the best of this processor, or what `KOE_ISA` says.
        precision: "auto", "float32", "float16" (on Metal), "bfloat16" or "int8", of the vocoder's products.
        noise_seed: seed of the harmonic source's noise, 0 to 2⁶⁴ - 1; None for no noise.
        silence_s: seconds of silence between chunks, 0 to 60.
        trim: whether silence and noise at the edges of each chunk are cut off.
        providers: ONNX Runtime's execution providers for the acoustic model, the first that works first.
        g2p: phonemes from elsewhere than espeak-ng.
        phoneme_cache_size: how many texts' phonemes are kept; 0 for none.
        voice_cache_size: how many voices and mixes stay open; at least 1.
        show_progress: draw bars while files are fetched and the model is prepared; None for on a terminal.

    Raises:
        InvalidRequestError: a value is out of its range.
    """

    model_path: str | os.PathLike[str] | None = None
    voicepack_path: str | os.PathLike[str] | None = None
    use_metal_acceleration: bool = False
    threads: int = 0
    isa: str = ""
    precision: str = "auto"
    noise_seed: int | None = 0
    silence_s: float = 0.4
    trim: bool = True
    providers: Sequence[str] = ("CPUExecutionProvider",)
    g2p: "G2P | None" = None
    phoneme_cache_size: int = 1024
    voice_cache_size: int = 16
    show_progress: bool | None = None

    def __post_init__(self) -> None:
        _check(
            _is_count(self.threads, _MAX_THREADS),
            "threads",
            self.threads,
            f"is a whole number from 0 to {_MAX_THREADS}",
        )
        _check(self.precision in PRECISIONS, "precision", self.precision, f"is one of {', '.join(PRECISIONS)}")
        _check(
            self.noise_seed is None or _is_count(self.noise_seed, 2**64 - 1),
            "noise_seed",
            self.noise_seed,
            "is a whole number from 0 to 2⁶⁴ - 1, or None for no noise",
        )
        _check(
            _is_number(self.silence_s) and 0 <= self.silence_s <= _MAX_SILENCE_S,
            "silence_s",
            self.silence_s,
            f"is from 0 to {_MAX_SILENCE_S:g} seconds",
        )
        is_list = not isinstance(self.providers, str) and len(self.providers) > 0
        _check(is_list, "providers", self.providers, "is a list of names of ONNX Runtime's execution providers")
        _check(_is_count(self.phoneme_cache_size), "phoneme_cache_size", self.phoneme_cache_size, "is 0 or more")
        _check(
            _is_count(self.voice_cache_size) and self.voice_cache_size > 0,
            "voice_cache_size",
            self.voice_cache_size,
            "is 1 or more",
        )


def _is_count(value: object, limit: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise InvalidRequestError(f"Config.{name} = {value!r}: it {rule}")
