# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/core.md, run on the real model."""

import doctest
from pathlib import Path

import espeakng_loader
import pytest


def test_the_examples_of_the_cores_documentation_hold(
    bundle_path: Path, voices: Path, onnxruntime_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "bundle_path": bundle_path,
        "voices": voices,
        "onnxruntime_library": onnxruntime_library,
        "espeak_library": espeakng_loader.get_library_path(),
    }
    page = Path(__file__).parent.parent / "docs" / "core.md"
    result = doctest.testfile(str(page), module_relative=False, globs=names, encoding="utf-8")
    assert result.attempted > 25
    assert result.failed == 0, capsys.readouterr().out
