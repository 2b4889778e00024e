# SPDX-License-Identifier: Apache-2.0
"""The acoustic model through ONNX Runtime's C API, against the Python package of the same release."""

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from koe import _core
from koe.acoustic import OrtAcousticModel

PHONEMES = "həlˈO, ðɪs ɪz ɐ tˈɛst."


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> _core.Bundle:
    return _core.Bundle(bundle_path)


@pytest.fixture(scope="session")
def model(bundle: _core.Bundle, onnxruntime_library: Path) -> _core.AcousticModel:
    return _core.AcousticModel(bundle, 1, onnxruntime_library)


@pytest.fixture(scope="session")
def style(voices: Path) -> np.ndarray:
    return _core.StylePack.open(voices / "af_bella.bin").row(20)


@pytest.fixture(scope="session")
def ids(bundle: _core.Bundle) -> np.ndarray:
    return _core.Tokenizer(bundle.vocabulary).encode(PHONEMES).ids


def test_outputs_equal_those_of_the_python_package(
    bundle: _core.Bundle, model: _core.AcousticModel, style: np.ndarray, ids: np.ndarray
) -> None:
    expected = OrtAcousticModel(bundle, threads=1).run(ids, style, 1.25)
    asr, f0, n, durations = model.run(ids, style, 1.25)
    np.testing.assert_array_equal(durations, expected.durations)
    np.testing.assert_array_equal(asr, expected.asr[0])
    np.testing.assert_array_equal(f0, expected.f0[0])
    np.testing.assert_array_equal(n, expected.n[0])


def test_many_threads_may_run_it_at_once(model: _core.AcousticModel, style: np.ndarray, ids: np.ndarray) -> None:
    lengths = [5, 12, len(ids)] * 2
    alone = {length: model.run(ids[:length], style)[1] for length in set(lengths)}
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda length: model.run(ids[:length], style)[1], lengths))
    for length, f0 in zip(lengths, together, strict=True):
        np.testing.assert_array_equal(f0, alone[length])


@pytest.mark.parametrize(
    ("n_ids", "n_style", "speed", "message"),
    [
        (0, 256, 1.0, "0 tokens"),
        (511, 256, 1.0, "511 tokens"),
        (3, 255, 1.0, "255 values"),
        (3, 256, 0.0, "speed"),
        (3, 256, float("nan"), "speed"),
        (3, 256, float("inf"), "speed"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    model: _core.AcousticModel, n_ids: int, n_style: int, speed: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model.run(np.ones(n_ids, np.int64), np.zeros(n_style, np.float32), speed)


def test_a_damaged_style_is_an_error(model: _core.AcousticModel, ids: np.ndarray) -> None:
    with pytest.raises(_core.Error, match="not finite"):
        model.run(ids, np.full(256, np.nan, np.float32))


def test_an_unknown_token_is_an_error_and_the_model_still_works(
    model: _core.AcousticModel, style: np.ndarray, ids: np.ndarray
) -> None:
    with pytest.raises(_core.Error, match="3 tokens"):
        model.run(np.array([5, 30_000, 7]), style)
    assert model.run(ids, style)[3].shape == (len(ids) + 2,)


def test_a_library_that_is_not_there_is_an_error_that_says_how_to_get_it(bundle: _core.Bundle, tmp_path: Path) -> None:
    with pytest.raises(_core.Error, match=r"no ONNX Runtime.*missing\.so.*KOE_ONNXRUNTIME"):
        _core.AcousticModel(bundle, library=tmp_path / "missing.so")


def test_another_library_is_no_onnx_runtime(bundle: _core.Bundle) -> None:
    with pytest.raises(_core.Error, match="no OrtGetApiBase"):
        _core.AcousticModel(bundle, library=_core.__file__)


@pytest.mark.parametrize("version", ["1.10.0", "0.5.0", ""])
def test_an_old_runtime_is_named_with_what_is_needed(
    bundle: _core.Bundle, tmp_path: Path, compiler: str, version: str
) -> None:
    source = tmp_path / "old.c"
    source.write_text(
        "struct base { void *(*get_api)(unsigned); const char *(*version)(void); };\n"
        f'static const char *version(void) {{ return "{version}"; }}\n'
        "static void *get_api(unsigned n) { (void)n; return 0; }\n"
        "static const struct base b = { get_api, version };\n"
        "const struct base *OrtGetApiBase(void) { return &b; }\n"
    )
    library = tmp_path / "old.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    with pytest.raises(_core.Error, match=rf"ONNX Runtime {version}.*1\.11 or newer"):
        _core.AcousticModel(bundle, library=library)


def test_the_environment_names_the_library(bundle_path: Path, onnxruntime_library: Path) -> None:
    code = "import sys; from koe import _core; _core.AcousticModel(_core.Bundle(sys.argv[1])); print('ran')"
    for library, expected in ((onnxruntime_library, 0), (Path("/missing/ort.so"), 1)):
        done = subprocess.run(
            [sys.executable, "-c", code, bundle_path],
            env={"KOE_ONNXRUNTIME": str(library), "PYTHONPATH": str(Path(_core.__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stderr
        assert str(library) in done.stderr or expected == 0


def test_the_packages_library_is_the_packages_release(onnxruntime_library: Path) -> None:
    # That both run the same release is what the comparison above rests on.
    class Base(ctypes.Structure):
        _fields_ = (("get_api", ctypes.c_void_p), ("version", ctypes.CFUNCTYPE(ctypes.c_char_p)))

    get_api_base = ctypes.CDLL(str(onnxruntime_library)).OrtGetApiBase
    get_api_base.restype = ctypes.POINTER(Base)
    assert get_api_base().contents.version().decode() == onnxruntime.__version__
