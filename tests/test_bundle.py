# SPDX-License-Identifier: Apache-2.0
"""The bundle reader: what it gives, and that no damage gets past it."""

from __future__ import annotations

import gc
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from koe import _core
from koe.errors import InvalidModelError, ModelNotFoundError
from koe.prepare.bundle import open_bundle, write_bundle
from koe.prepare.graph import Constant
from koe.prepare.vocabulary import ModelVersion

TRAILER = 16
VERSION = ModelVersion("1.0", {"a": 43, "ˈ": 156, "ꭧ": 23, "𝄞": 7}, "phonemes_minus_one", "1.0")


def weights() -> dict[str, Constant]:
    rng = np.random.default_rng(3)
    integers = rng.integers(-128, 128, (4, 3, 5)).astype(np.int8)
    per_row = np.array([0.5, 0.25, 2.0, 0.125], np.float32)
    return {
        "plain": Constant(rng.standard_normal((2, 3, 4)).astype(np.float32)),
        "signed": Constant(integers, np.array([0.01], np.float32), np.array([7], np.int8)),
        "rows": Constant(integers, per_row, np.array([1, -2, 3, 0], np.int8)),
        "unsigned": Constant(integers.view(np.uint8), np.array([0.5], np.float32), np.array([200], np.uint8)),
        "symmetric": Constant(integers, per_row, None),
        "columns": Constant(integers, np.array([1, 2, 4], np.float32), None, axis=1),
    }


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    write_bundle(
        path,
        acoustic_model=b"\x08\x09graph",
        weights=weights().items(),
        version=VERSION,
        source_sha256="ab" * 32,
        source_precision="int8",
        voices={"af_test": np.arange(512, dtype=np.float32).reshape(2, 256)},
    )
    return path


def sealed(body: bytes) -> bytes:
    """A body with the trailer that belongs to it."""
    return body + b"koe-xxh\0" + struct.pack("<Q", xxhash.xxh64(body).intdigest())


def write_gguf(path: Path, fill: Callable[[gguf.GGUFWriter], object], architecture: str = "kokoro") -> Path:
    """A sealed GGUF file with other contents than koe writes."""
    writer = gguf.GGUFWriter(path, architecture)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path.write_bytes(sealed(path.read_bytes()))
    return path


@given(data=st.binary(max_size=200), seed=st.integers(0, 2**64 - 1))
def test_checksum_is_xxh64(data: bytes, seed: int) -> None:
    assert _core.xxh64(data, seed) == xxhash.xxh64(data, seed=seed).intdigest()


def test_checksum_takes_any_contiguous_buffer() -> None:
    array = np.arange(1000, dtype=np.float32).reshape(10, 100)
    assert _core.xxh64(array) == xxhash.xxh64(array.tobytes()).intdigest()
    assert _core.xxh64(memoryview(bytearray(b"koe"))) == xxhash.xxh64(b"koe").intdigest()
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        _core.xxh64(array[:, ::2])


def test_metadata_and_vocabulary_arrive_as_written(bundle_path: Path) -> None:
    bundle = _core.Bundle(bundle_path)
    metadata = bundle.metadata
    assert bundle.path == bundle_path
    assert metadata["general.architecture"] == "kokoro"
    assert metadata["general.name"] == "Kokoro-82M v1.0"
    assert metadata["koe.format"] == 1
    assert metadata["koe.model_version"] == "1.0"
    assert metadata["koe.source_sha256"] == "ab" * 32
    assert metadata["koe.source_precision"] == "int8"
    assert metadata["koe.style_row"] == "phonemes_minus_one"
    assert bundle.vocabulary == VERSION.vocabulary


@pytest.mark.parametrize("name", weights())
def test_tensors_come_back_dequantised(bundle_path: Path, name: str) -> None:
    source = weights()[name]
    tensor = _core.Bundle(bundle_path).tensor(name)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, source.dequantized())


def test_integers_are_stored_as_they_are(bundle_path: Path) -> None:
    bundle = _core.Bundle(bundle_path)
    raw = bundle.raw_tensor("unsigned")
    assert raw.dtype == np.int8
    np.testing.assert_array_equal(raw.astype(int) + 128, weights()["unsigned"].values)
    np.testing.assert_array_equal(bundle.raw_tensor("unsigned.zero_point"), [72])
    np.testing.assert_array_equal(bundle.raw_tensor("unsigned.scale"), np.float32([0.5]))
    assert "symmetric.zero_point" not in bundle.tensor_names


def test_a_scale_along_another_axis_is_multiplied_out(bundle_path: Path) -> None:
    bundle = _core.Bundle(bundle_path)
    assert bundle.raw_tensor("columns").dtype == np.float32
    assert "columns.scale" not in bundle.tensor_names


def test_voices_are_tensors(bundle_path: Path) -> None:
    style = _core.Bundle(bundle_path).raw_tensor("voice.af_test")
    np.testing.assert_array_equal(style, np.arange(512, dtype=np.float32).reshape(2, 256))


def test_views_are_read_only_aligned_and_outlive_the_bundle(bundle_path: Path) -> None:
    bundle = _core.Bundle(bundle_path)
    model, raw = bundle.acoustic_model, bundle.raw_tensor("plain")
    del bundle
    gc.collect()
    assert bytes(model) == b"\x08\x09graph"
    np.testing.assert_array_equal(raw, weights()["plain"].values)
    assert not model.flags.writeable
    assert not raw.flags.writeable
    assert raw.ctypes.data % 64 == 0


def test_views_stay_valid_when_their_pages_are_released(bundle_path: Path) -> None:
    bundle = _core.Bundle(bundle_path)
    raw = bundle.raw_tensor("plain")
    bundle.release_pages()
    np.testing.assert_array_equal(raw, weights()["plain"].values)
    np.testing.assert_array_equal(bundle.tensor("plain"), weights()["plain"].values)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_released_pages_are_not_resident(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    write_bundle(
        path,
        acoustic_model=bytes(32 << 20),
        weights=[],
        version=VERSION,
        source_sha256="ab" * 32,
        source_precision="float32",
    )
    code = """
import sys
from koe import _core

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

bundle = _core.Bundle(sys.argv[1])
before = resident()
bundle.release_pages()
print(before - resident())
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 24 << 20


def test_half_precision_is_read_exactly(tmp_path: Path) -> None:
    every_half = np.arange(65536, dtype=np.uint16).view(np.float16)

    def fill(writer: gguf.GGUFWriter) -> None:
        required(writer)
        writer.add_tensor("halves", every_half)

    bundle = _core.Bundle(write_gguf(tmp_path / "half.gguf", fill))
    np.testing.assert_array_equal(bundle.tensor("halves"), every_half.astype(np.float32))
    assert bundle.raw_tensor("halves").dtype == np.float16


def required(writer: gguf.GGUFWriter, form: int = 1) -> None:
    writer.add_uint32("koe.format", form)
    writer.add_array("koe.vocabulary.characters", ["a", "b"])
    writer.add_array("koe.vocabulary.ids", [1, 2])
    writer.add_tensor("x", np.zeros(3, np.float32))


def test_every_metadata_type_is_read(tmp_path: Path) -> None:
    def fill(writer: gguf.GGUFWriter) -> None:
        required(writer)
        writer.add_uint8("t.u8", 255)
        writer.add_int8("t.i8", -1)
        writer.add_uint16("t.u16", 65535)
        writer.add_int16("t.i16", -2)
        writer.add_int32("t.i32", -3)
        writer.add_uint64("t.u64", 2**63 - 1)
        writer.add_int64("t.i64", -(2**63))
        writer.add_float32("t.f32", 0.5)
        writer.add_float64("t.f64", 0.1)
        writer.add_bool("t.bool", True)
        writer.add_array("t.floats", [0.5, -2.0])
        writer.add_array("t.flags", [True, False])

    metadata = _core.Bundle(write_gguf(tmp_path / "types.gguf", fill)).metadata
    assert {key[2:]: value for key, value in metadata.items() if key.startswith("t.")} == {
        "u8": 255,
        "i8": -1,
        "u16": 65535,
        "i16": -2,
        "i32": -3,
        "u64": 2**63 - 1,
        "i64": -(2**63),
        "f32": 0.5,
        "f64": 0.1,
        "bool": True,
        "floats": [0.5, -2.0],
        "flags": [1, 0],
    }
    assert metadata["t.bool"] is True


def test_a_missing_tensor_is_named(bundle_path: Path) -> None:
    with pytest.raises(_core.Error, match=r"small\.gguf.*no tensor 'nothing'"):
        _core.Bundle(bundle_path).tensor("nothing")


def test_bytes_without_a_scale_are_not_weights(bundle_path: Path) -> None:
    with pytest.raises(_core.Error, match=r"no tensor 'acoustic\.onnx\.scale'"):
        _core.Bundle(bundle_path).tensor("acoustic.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"ONNX" + data[4:], "not a koe bundle"),
        (lambda data: b"", "not a koe bundle"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: data[:6], "cut short"),
        (lambda data: data + b"\0", "cut short"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "checksum"),
        (lambda data: sealed(data[:4] + struct.pack("<I", 4) + data[8:-TRAILER]), "GGUF version 4"),
    ],
)
def test_damage_is_told_apart(bundle_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    bundle_path.write_bytes(change(bundle_path.read_bytes()))
    with pytest.raises(InvalidModelError, match=message) as caught:
        open_bundle(bundle_path)
    assert str(bundle_path) in str(caught.value)


@pytest.mark.parametrize(
    ("fill", "architecture", "message"),
    [
        (required, "llama", "architecture is not 'kokoro'"),
        (lambda writer: required(writer, 2), "kokoro", "format 2, and this koe reads up to 1; update koe"),
        (lambda writer: required(writer, 0), "kokoro", "impossible format 0"),
        (lambda writer: writer.add_tensor("x", np.zeros(3, np.float32)), "kokoro", "no metadata 'koe.format'"),
        (lambda writer: _vocabulary(writer, ["a", "bc"], [1, 2]), "kokoro", "not one character"),
        (lambda writer: _vocabulary(writer, ["a", "a"], [1, 2]), "kokoro", "a character twice"),
        (lambda writer: _vocabulary(writer, ["a"], [1, 2]), "kokoro", "unequal"),
        (lambda writer: _vocabulary(writer, ["a"], [-1]), "kokoro", "impossible id"),
    ],
)
def test_whole_files_with_the_wrong_content_are_refused(
    tmp_path: Path, fill: Callable[[gguf.GGUFWriter], object], architecture: str, message: str
) -> None:
    path = write_gguf(tmp_path / "other.gguf", fill, architecture)
    with pytest.raises(_core.Error, match=message):
        _core.Bundle(path)


def _vocabulary(writer: gguf.GGUFWriter, characters: list[str], ids: list[int]) -> None:
    writer.add_uint32("koe.format", 1)
    writer.add_array("koe.vocabulary.characters", characters)
    writer.add_array("koe.vocabulary.ids", ids)
    writer.add_tensor("x", np.zeros(3, np.float32))


@pytest.mark.parametrize("suffix", ["scale", "zero_point"])
def test_quantisation_that_does_not_fit_is_refused(tmp_path: Path, suffix: str) -> None:
    def fill(writer: gguf.GGUFWriter) -> None:
        required(writer)
        writer.add_tensor("w", np.ones((4, 2), np.int8))
        sizes = {"scale": 4, "zero_point": 4, suffix: 3}
        writer.add_tensor("w.scale", np.ones(sizes["scale"], np.float32))
        writer.add_tensor("w.zero_point", np.ones(sizes["zero_point"], np.int8))

    bundle = _core.Bundle(write_gguf(tmp_path / "fit.gguf", fill))
    with pytest.raises(_core.Error, match=rf"'w\.{suffix}' does not fit 'w'"):
        bundle.tensor("w")


def test_missing_files_and_folders_have_their_own_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"none\.gguf"):
        open_bundle(tmp_path / "none.gguf")
    with pytest.raises(InvalidModelError):
        open_bundle(tmp_path)


def test_any_flipped_byte_is_found(bundle_path: Path) -> None:
    data = bundle_path.read_bytes()
    rng = np.random.default_rng(11)
    header = range(0, 1500, 7)
    for position in [*header, *rng.integers(0, len(data), 300), *range(len(data) - TRAILER, len(data))]:
        damaged = bytearray(data)
        damaged[position] ^= int(rng.integers(1, 256))
        bundle_path.write_bytes(damaged)
        with pytest.raises(_core.Error):
            _core.Bundle(bundle_path)


def test_any_missing_end_is_found(bundle_path: Path) -> None:
    data = bundle_path.read_bytes()
    for length in [*range(0, len(data), 37), *range(len(data) - 40, len(data))]:
        bundle_path.write_bytes(data[:length])
        with pytest.raises(_core.Error):
            _core.Bundle(bundle_path)


def read_everything(path: Path) -> None:
    """Opens a bundle and touches all of it: an error is fine, anything else than one is not."""
    try:
        bundle = _core.Bundle(path)
    except _core.Error:
        return
    assert isinstance(bundle.metadata, dict)
    assert isinstance(bundle.vocabulary, dict)
    for name in bundle.tensor_names:
        assert bundle.raw_tensor(name).tobytes() is not None
        try:
            assert bundle.tensor(name).size > 0
        except _core.Error:
            continue


def test_a_header_with_a_true_checksum_and_false_content_never_crashes(bundle_path: Path) -> None:
    body = bundle_path.read_bytes()[:-TRAILER]
    end = body.index(b"voice.af_test") + 64
    rng = np.random.default_rng(5)
    extremes = [0, 1, 0x7F, 0x80, 0xFF]
    for position in range(4, end, 3):
        damaged = bytearray(body)
        damaged[position] = extremes[position % len(extremes)]
        bundle_path.write_bytes(sealed(bytes(damaged)))
        read_everything(bundle_path)
    for _ in range(500):
        damaged = bytearray(body)
        start = int(rng.integers(4, end - 8))
        damaged[start : start + 8] = struct.pack("<Q", int(rng.choice(_WIDE)))
        bundle_path.write_bytes(sealed(bytes(damaged)))
        read_everything(bundle_path)


_WIDE = np.array([0, 1, 4, 24, 63, 2**31, 2**32 - 1, 2**61, 2**62 + 1, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)


def test_a_sealed_file_cut_anywhere_in_its_header_never_crashes(bundle_path: Path) -> None:
    body = bundle_path.read_bytes()[:-TRAILER]
    end = body.index(b"voice.af_test") + 64
    for length in range(4, end, 5):
        bundle_path.write_bytes(sealed(body[:length]))
        with pytest.raises(_core.Error):
            _core.Bundle(bundle_path)


def _patched(body: bytes, anchor: bytes, offset: int, value: bytes) -> bytes:
    start = body.rindex(anchor) + len(anchor) + offset
    return sealed(body[:start] + value + body[start + len(value) :])


# After a tensor's name: u32 number of dimensions, u64 each of them, u32 type, u64 offset.
@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, struct.pack("<I", 5), "5 dimensions"),
        (0, struct.pack("<I", 0), "0 dimensions"),
        (4, struct.pack("<Q", 0), "impossible dimension"),
        (4, struct.pack("<QQ", 2**33, 2**33), "impossible dimension"),
        (4, struct.pack("<Q", 2**40), "past the end"),
        (20, struct.pack("<I", 2), "ggml type 2"),
        (24, struct.pack("<Q", 63), "not aligned"),
        (24, struct.pack("<Q", 2**63), "past the end"),
        (24, struct.pack("<Q", 0), "overlap"),
    ],
)
def test_false_tensor_headers_are_named(bundle_path: Path, offset: int, value: bytes, message: str) -> None:
    body = bundle_path.read_bytes()[:-TRAILER]
    bundle_path.write_bytes(_patched(body, b"voice.af_test", offset, value))
    with pytest.raises(_core.Error, match=message):
        _core.Bundle(bundle_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"koe.phoneme_rules", b"koe.model_version", "key 'koe.model_version' comes twice"),
        (b"koe.style_row", b"koe.\xff\xfeyle_row", "not UTF-8"),
        (b"koe.style_row", b"koe.\xed\xa0\x80le_row", "not UTF-8"),
    ],
)
def test_false_names_are_refused(bundle_path: Path, old: bytes, new: bytes, message: str) -> None:
    body = bundle_path.read_bytes()[:-TRAILER]
    assert len(old) == len(new)
    assert old in body
    bundle_path.write_bytes(sealed(body.replace(old, new)))
    with pytest.raises(_core.Error, match=message):
        _core.Bundle(bundle_path)


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    def fill(writer: gguf.GGUFWriter) -> None:
        required(writer)
        writer.add_tensor("first", np.zeros(2, np.float32))
        writer.add_tensor("other", np.zeros(2, np.float32))

    path = write_gguf(tmp_path / "twice.gguf", fill)
    path.write_bytes(sealed(path.read_bytes()[:-TRAILER].replace(b"other", b"first")))
    with pytest.raises(_core.Error, match="tensor 'first' comes twice"):
        _core.Bundle(path)
