# SPDX-License-Identifier: Apache-2.0
"""The sha256 of a user's model is kept, and forgotten as soon as the model may be another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from koe.prepare import open_cached, prepare_cached, stamps

LONG_AGO_NS = 10**18


def write(path: Path, content: bytes, time_ns: int = LONG_AGO_NS) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(time_ns, time_ns))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A model and its weights in a file beside it, stamped in the same folder."""
    files = [write(tmp_path / name, b"12345") for name in ("model.onnx", "weights.bin")]
    stamps.remember(files[0], tmp_path, stamps.identities(files), "abc")
    return files


def test_an_unchanged_model_is_known(files: list[Path]) -> None:
    assert stamps.recall(files[0], files[0].parent) == "abc"


def test_another_model_is_not(files: list[Path]) -> None:
    assert stamps.recall(files[1], files[0].parent) is None


@pytest.mark.parametrize("changed", [0, 1])
def test_a_change_of_any_file_is_seen(files: list[Path], changed: int) -> None:
    file, folder = files[changed], files[0].parent
    write(file, b"12345", LONG_AGO_NS + 1)
    assert stamps.recall(files[0], folder) is None
    write(file, b"123456")
    assert stamps.recall(files[0], folder) is None
    write(file.with_suffix(".new"), b"12345").replace(file)
    assert stamps.recall(files[0], folder) is None
    file.unlink()
    assert stamps.recall(files[0], folder) is None


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"sha256": 1, "files": 2}', b'{"sha256": "a", "files": {}}']
)
def test_a_damaged_stamp_tells_nothing(files: list[Path], content: bytes) -> None:
    (stamp,) = files[0].parent.glob(".*.source")
    stamp.write_bytes(content)
    assert stamps.recall(files[0], files[0].parent) is None


def test_a_file_that_may_still_change_unseen_gets_no_stamp(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"12345")
    stamps.remember(model, tmp_path, stamps.identities([model]), "abc")
    assert list(tmp_path.iterdir()) == [model]


def test_a_folder_that_cannot_be_written_goes_without(files: list[Path]) -> None:
    stamps.remember(files[0], files[0].parent / "missing", stamps.identities(files), "abc")
    assert not (files[0].parent / "missing").exists()


def test_the_real_model_is_read_once(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, cache = tmp_path / "model.onnx", tmp_path / "cache"
    source.symlink_to(write(tmp_path / "real.onnx", model_path.read_bytes()))
    path = prepare_cached(source, cache)
    monkeypatch.setattr("koe.prepare.source_sha256", lambda *_, **__: pytest.fail("the model was read again"))
    assert open_cached(source, cache).path == path
    path.unlink()
    assert prepare_cached(source, cache) == path
