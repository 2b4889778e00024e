# SPDX-License-Identifier: Apache-2.0
"""The real model and the real voices, fetched once for the whole run.

Everything that a test run stores goes into one cache folder: `KOE_CACHE` where it is set, so that runs can
share one, or else a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import koe
from koe import assets
from koe.prepare import prepare_cached


@pytest.fixture(scope="session", autouse=True)
def koe_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of this run, for child processes as well."""
    with pytest.MonkeyPatch.context() as patch:
        if "KOE_CACHE" not in os.environ:
            patch.setenv("KOE_CACHE", str(tmp_path_factory.mktemp("koe-cache")))
        yield assets.cache_root()


@pytest.fixture(scope="session")
def model_path(koe_cache: Path) -> Path:
    """The int8 ONNX export of Kokoro-82M v1.0."""
    return assets.model_path()


@pytest.fixture(scope="session")
def bundle_path(model_path: Path) -> Path:
    """The bundle made from that model."""
    return prepare_cached(model_path, assets.bundle_cache_dir())


@pytest.fixture(scope="session")
def voices(koe_cache: Path) -> Path:
    """A folder that holds all 54 voices as `<name>.bin`."""
    return assets.fetch("all", model=False)[0].parent


@pytest.fixture(scope="session")
def tts(koe_cache: Path) -> Iterator[koe.KokoroTTS]:
    """An engine with the default settings, its model prepared."""
    with koe.KokoroTTS() as engine:
        engine.initialize()
        yield engine


@pytest.fixture(scope="session")
def onnxruntime_library() -> Path:
    """ONNX Runtime's shared library, inside the Python package."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    (library,) = (p for p in folder.glob("*onnxruntime.*") if p.suffix not in (".py", ".pyi"))
    return library


@pytest.fixture(scope="session")
def compiler() -> str:
    """A C compiler, which is there wherever koe was built from source."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def bundle_with_voices(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that holds the default voice and one from Britain: all that an app ships."""
    from koe.cli.files import prepare_model

    bundle = tmp_path_factory.mktemp("bundle") / "kokoro.gguf"
    prepare_model(model_path, bundle, None, "af, bm_george")
    return bundle


@pytest.fixture(scope="session")
def installed_koe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """koe built from source as a C++ library, shared and static, and installed: the prefix.

    `KOE_TEST_BUILD` keeps the build for the next run.
    """
    kept = os.environ.get("KOE_TEST_BUILD")
    build = Path(kept) if kept else tmp_path_factory.mktemp("koe-build")
    prefix = tmp_path_factory.mktemp("koe-prefix")
    source = Path(__file__).parent.parent
    options = (
        "-DKOE_SHARED=ON",
        "-DKOE_STATIC=ON",
        "-DCMAKE_BUILD_TYPE=Release",
        "-GNinja",
        "-DCMAKE_INSTALL_LIBDIR=lib",
    )
    quietly("cmake", "-S", source, "-B", build, *options)
    quietly("cmake", "--build", build)
    for component in ("koe_runtime", "koe_development"):
        quietly("cmake", "--install", build, "--prefix", prefix, "--component", component)
    return prefix


def quietly(*command: str | Path) -> None:
    """Runs a command; its output is shown only if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def embedded(onnxruntime_library: Path) -> dict[str, str]:
    """The environment in which C++ programs find ONNX Runtime and espeak-ng."""
    import espeakng_loader

    return {
        **os.environ,
        "KOE_ONNXRUNTIME": str(onnxruntime_library),
        "KOE_ESPEAK": str(espeakng_loader.get_library_path()),
    }
