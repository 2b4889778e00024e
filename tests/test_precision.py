# SPDX-License-Identifier: Apache-2.0
"""What the lower precisions keep of float32, on a few utterances; `quality/gate.py` asks the same of many."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import koe
from koe import _core
from koe.errors import InvalidRequestError
from quality.distance import Distance, distance
from reference import vectors

UTTERANCES = ("sentence_am_adam", "sentence_bf_emma", "sentence_af_nicole")
# Signal-to-noise ratio at least, log-spectral distance at most, in dB.
BOUNDS = {"bfloat16": (40.0, 0.2), "int8": (24.0, 0.8)}
LOUDNESS_DB = 0.1
FASTEST = {
    "scalar": "float32",
    "avx2": "float32",
    "avxvnni": "int8",
    "avx512": "float32",
    "avx512vnni": "int8",
    "avx512bf16": "int8",
    "amx": "bfloat16",
    "neon": "float32",
    "neondot": "int8",
    "neonbf16": "bfloat16",
}

Open = Callable[..., _core.Vocoder]


@pytest.fixture(scope="module")
def open_vocoder(bundle_path: Path) -> Open:
    bundle = _core.Bundle(bundle_path)

    @lru_cache
    def open_vocoder(precision: str, threads: int = 2, isa: str = "") -> _core.Vocoder:
        return _core.Vocoder(bundle, threads=threads, isa=isa, precision=precision, noise_seed=0)

    return open_vocoder


def has_precision(open_vocoder: Open, precision: str, isa: str = "") -> bool:
    try:
        open_vocoder(precision, isa=isa)
    except _core.Error:
        return False
    return True


def speak(vocoder: _core.Vocoder, name: str) -> np.ndarray:
    case = vectors.load(name)
    return vocoder.synthesize(case.asr, case.f0, case.n, case.style)


@pytest.fixture(scope="module")
def float32_audio(open_vocoder: Open) -> Callable[[str], np.ndarray]:
    return lru_cache(lambda name: speak(open_vocoder("float32"), name))


@pytest.fixture(params=BOUNDS)
def precision(request: pytest.FixtureRequest, open_vocoder: Open) -> str:
    """Each that this machine's best kernels have; scalar has them all, but is too slow to speak sentences."""
    name: str = request.param
    if not has_precision(open_vocoder, name):
        pytest.skip(f"no kernels for {name} here")
    return name


@pytest.mark.parametrize("name", UTTERANCES)
def test_speech_stays_close_to_float32(
    open_vocoder: Open, float32_audio: Callable[[str], np.ndarray], precision: str, name: str
) -> None:
    measured = distance(float32_audio(name), speak(open_vocoder(precision), name))
    snr_db, log_spectral_db = BOUNDS[precision]
    assert measured.snr_db >= snr_db
    assert measured.log_spectral_db <= log_spectral_db
    assert abs(measured.loudness_db) <= LOUDNESS_DB
    assert measured.peak < 1


@pytest.mark.parametrize("name", ["float32", *BOUNDS])
def test_any_number_of_threads_gives_the_same_samples(open_vocoder: Open, name: str) -> None:
    if not has_precision(open_vocoder, name):
        pytest.skip(f"no kernels for {name} here")
    one, two, five = (speak(open_vocoder(name, threads), "word_af_bella") for threads in (1, 2, 5))
    assert np.array_equal(one, two)
    assert np.array_equal(one, five)


def test_a_lower_precision_is_another_computation(
    open_vocoder: Open, float32_audio: Callable[[str], np.ndarray], precision: str
) -> None:
    assert distance(float32_audio(UTTERANCES[0]), speak(open_vocoder(precision), UTTERANCES[0])).snr_db < 80


@pytest.mark.parametrize("isa", _core.available_isas())
def test_auto_takes_what_the_table_calls_its_fastest(open_vocoder: Open, isa: str) -> None:
    chosen = open_vocoder("auto", isa=isa).precision
    assert chosen == FASTEST[isa]
    assert open_vocoder(chosen, isa=isa).isa == isa


def test_an_unknown_precision_is_the_callers_mistake(bundle_path: Path) -> None:
    with pytest.raises(ValueError, match="'float8' is none of auto, float32, float16, bfloat16, int8"):
        _core.Vocoder(_core.Bundle(bundle_path), precision="float8")
    with pytest.raises(InvalidRequestError, match="precision = 'float8'"):
        koe.Config(precision="float8")


LACKING = [
    (isa, precision)
    for isa, missing in {
        **dict.fromkeys(FASTEST, ("float16",)),
        **dict.fromkeys(("avx512", "neon"), ("float16", "bfloat16", "int8")),
        **dict.fromkeys(("avx512vnni", "neondot"), ("float16", "bfloat16")),
    }.items()
    for precision in missing
    if isa in _core.available_isas()
]


@pytest.mark.parametrize(("isa", "precision"), LACKING)
def test_a_precision_that_the_forced_isa_lacks_is_refused(bundle_path: Path, isa: str, precision: str) -> None:
    message = f"'{isa}' have no {precision} product; take precision auto or float32"
    with pytest.raises(_core.Error, match=message):
        _core.Vocoder(_core.Bundle(bundle_path), isa=isa, precision=precision)
    with (
        koe.KokoroTTS(koe.Config(isa=isa, precision=precision)) as tts,
        pytest.raises(InvalidRequestError, match=message),
    ):
        tts.initialize()


def test_distance_measures_what_it_says() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(scale=0.1, size=24_000).astype(np.float32)
    assert distance(reference, reference) == Distance(
        np.inf,
        0.0,
        0.0,
        pytest.approx(float(np.abs(reference).max())),  # type: ignore[arg-type]
    )
    louder = distance(reference, reference * np.float32(2))
    assert louder.loudness_db == pytest.approx(6.02, abs=0.01)
    # The floor takes a little of it.
    assert louder.log_spectral_db == pytest.approx(6.02, abs=0.05)
    assert louder.snr_db == pytest.approx(0, abs=0.01)
    noise = rng.normal(scale=0.001, size=24_000).astype(np.float32)
    assert distance(reference, reference + noise).snr_db == pytest.approx(40, abs=0.2)
    with pytest.raises(ValueError, match="no two recordings"):
        distance(reference, reference[1:])
