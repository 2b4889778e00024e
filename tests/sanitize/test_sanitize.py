# SPDX-License-Identifier: Apache-2.0
"""The vocoder under ThreadSanitizer, AddressSanitizer and UndefinedBehaviorSanitizer; the kernels under the latter two.

The vocoder gets three frames of an utterance, two blocks of rows in the generator, so that its three threads share
work. The deviation of two frames would make 35 dB of what rounding there is.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from koe import _core
from reference import vectors

ROOT = Path(__file__).parent.parent.parent
ISAS = _core.available_isas()
FASTER = [(ISAS[min(1, len(ISAS) - 1)], "float32"), (ISAS[-1], "auto")]
RUNS = {"thread": FASTER, "address,undefined": [("scalar", "float32"), *FASTER]}
FIRST_FRAME, FRAMES = 14, 3
# Other compiler flags may round elsewhere. Float32 is held to 40 dB, and int8, which may be the fastest, to 24 dB of
# that: two such results may be twice as far apart.
LARGEST_ERROR = {"float32": 0.01, "auto": 2 * 10 ** (-24 / 20)}


def run(*command: str | Path) -> None:
    done = subprocess.run(
        list(map(str, command)), check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-20_000:]


def build(sanitizers: str, target: str) -> Path:
    folder = ROOT / "build" / "sanitize" / sanitizers.partition(",")[0]
    run("cmake", "-S", ROOT / "tests" / "sanitize", "-B", folder, "-G", "Ninja", f"-DKOE_SANITIZE={sanitizers}")
    run("cmake", "--build", folder, "--parallel", "2", "--target", target)
    return folder / target


@pytest.mark.parametrize(("sanitizers", "runs"), RUNS.items())
def test_vocoder_is_clean(sanitizers: str, runs: list[tuple[str, str]], bundle_path: Path, tmp_path: Path) -> None:
    program = build(sanitizers, "run_vocoder")
    case = vectors.load("word_af_bella")
    halves = slice(2 * FIRST_FRAME, 2 * (FIRST_FRAME + FRAMES))
    asr, f0, n = case.asr[:, FIRST_FRAME : FIRST_FRAME + FRAMES], case.f0[halves], case.n[halves]
    np.concatenate([asr.ravel(), f0, n, case.style]).astype(np.float32).tofile(tmp_path / "inputs")

    run(program, bundle_path, tmp_path / "inputs", tmp_path / "samples", *(word for pair in runs for word in pair))

    outputs = np.fromfile(tmp_path / "samples", np.float32).reshape(len(runs), 600 * FRAMES)
    bundle = _core.Bundle(bundle_path)
    for (isa, precision), samples in zip(runs, outputs, strict=True):
        vocoder = _core.Vocoder(bundle, isa=isa, precision=precision, noise_seed=1)
        wanted = vocoder.synthesize(np.ascontiguousarray(asr), f0, n, case.style)
        assert np.linalg.norm(samples - wanted) <= LARGEST_ERROR[precision] * np.linalg.norm(wanted), (isa, precision)


def test_kernels_are_clean() -> None:
    run(build("address,undefined", "kernel_tests"), "--products", "1000000")
