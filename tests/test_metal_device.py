# SPDX-License-Identifier: Apache-2.0
"""The Metal vocoder on a real Apple GPU. With `KOE_TEST_METAL=1` a machine without one fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import koe
from koe import _core
from reference import vectors

NAME, REASON = _core.metal_device()

pytestmark = pytest.mark.skipif(
    NAME is None and os.environ.get("KOE_TEST_METAL") != "1",
    reason=f"no Apple GPU: {REASON}" if sys.platform == "darwin" else "not an Apple system",
)


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    difference = reference.astype(np.float64) - other
    return float(10 * np.log10(np.sum(reference.astype(np.float64) ** 2) / max(np.sum(difference**2), 1e-300)))


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> _core.Bundle:
    return _core.Bundle(bundle_path)


@pytest.fixture(scope="module")
def metal(bundle: _core.Bundle) -> _core.Vocoder:
    return _core.Vocoder(bundle, device="metal")


@pytest.fixture(scope="module")
def cpu(bundle: _core.Bundle) -> _core.Vocoder:
    return _core.Vocoder(bundle, precision="float32")


def test_there_is_a_gpu(metal: _core.Vocoder) -> None:
    assert NAME
    assert metal.device == NAME
    assert metal.isa == "metal"
    assert metal.precision == "float16"


@pytest.mark.parametrize("name", vectors.CASES)
def test_audio_agrees_with_the_cpus(metal: _core.Vocoder, cpu: _core.Vocoder, name: str) -> None:
    case = vectors.load(name)
    expected = cpu.synthesize(case.asr, case.f0, case.n, case.style)
    assert snr_db(expected, metal.synthesize(case.asr, case.f0, case.n, case.style)) > 30


@pytest.mark.parametrize("name", vectors.STAGED_CASES)
def test_stages_agree_with_the_reference(metal: _core.Vocoder, name: str) -> None:
    case = vectors.load(name)
    stages = case.stages
    assert stages is not None
    assert snr_db(stages.x, metal.decode(case.asr, case.f0, case.n, case.style)) > 50
    assert snr_db(stages.signal, metal.source(case.f0)) > 80
    assert snr_db(stages.har[:11], metal.source_spectrum(stages.signal)[:11]) > 80
    for level, (x, expected, channels) in enumerate(
        [
            (stages.level0_in, stages.level0, stages.level0_channels),
            (stages.level1_in, stages.level1, stages.level1_channels),
        ]
    ):
        assert snr_db(expected, metal.generator_level(level, x, stages.har, case.style)[channels]) > 45
    assert snr_db(stages.spectrum, metal.spectrum(stages.spectrum_in)) > 80
    assert snr_db(stages.samples, metal.istft(stages.istft_in)) > 80


def test_float32_is_closer(bundle: _core.Bundle, cpu: _core.Vocoder) -> None:
    case = vectors.load("word_bm_george")
    expected = cpu.synthesize(case.asr, case.f0, case.n, case.style)
    exact = _core.Vocoder(bundle, device="metal", precision="float32")
    assert exact.precision == "float32"
    assert snr_db(expected, exact.synthesize(case.asr, case.f0, case.n, case.style)) > 50


def test_the_same_input_gives_the_same_samples(metal: _core.Vocoder) -> None:
    long, short = vectors.load("sentence_am_adam"), vectors.load("word_af_bella")
    first = metal.synthesize(short.asr, short.f0, short.n, short.style)
    # Buffers that a longer chunk has grown and filled must not show.
    metal.synthesize(long.asr, long.f0, long.n, long.style)
    np.testing.assert_array_equal(metal.synthesize(short.asr, short.f0, short.n, short.style), first)


def test_the_engine_speaks_on_the_gpu(bundle_path: Path, voices: Path) -> None:
    config = koe.Config(model_path=bundle_path, voicepack_path=voices, use_metal_acceleration=True)
    with koe.KokoroTTS(config) as tts:
        audio = tts.generate_speech("Hello.")
        assert tts.vocoder.device == NAME
    assert np.sqrt(np.mean(audio.samples**2)) > 0.01


def test_other_precisions_are_refused(bundle: _core.Bundle) -> None:
    with pytest.raises(_core.DeviceError, match="int8"):
        _core.Vocoder(bundle, device="metal", precision="int8")
