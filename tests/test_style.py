# SPDX-License-Identifier: Apache-2.0
"""Style packs: files, validation, rows, mixing and interpolation."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from koe import _core

Pack = NDArray[np.float32]


def a_pack(n_rows: int = 510, seed: int = 0) -> Pack:
    return np.random.default_rng(seed).normal(0, 0.3, (n_rows, 256)).astype(np.float32)


def npy(array: NDArray[np.generic], version: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), version=version)
    return buffer.getvalue()


def npy_with_header(header: str, data: bytes) -> bytes:
    raw = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


# --- files that are read ---


@pytest.mark.parametrize("shape", [(510, 256), (511, 1, 256)])
def test_a_raw_file_holds_the_values_as_they_are(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pack = a_pack(shape[0])
    path = tmp_path / "voice.bin"
    pack.reshape(shape).tofile(path)
    opened = _core.StylePack.open(path)
    assert opened.n_rows == shape[0]
    np.testing.assert_array_equal(opened.array, pack)
    assert _core.StylePack.names(path) == []


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", [(510, 256), (511, 1, 256), (1, 256)])
@pytest.mark.filterwarnings("ignore:Stored array in format")
def test_every_npy_version_is_read(tmp_path: Path, version: tuple[int, int], shape: tuple[int, ...]) -> None:
    pack = a_pack(shape[0])
    path = tmp_path / "voice"  # no extension: the content tells
    path.write_bytes(npy(pack.reshape(shape), version))
    np.testing.assert_array_equal(_core.StylePack.open(path).array, pack)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_gives_each_of_its_packs_by_name(tmp_path: Path, save: type[np.savez]) -> None:
    packs = {"af_one": a_pack(seed=1), "bm_two": a_pack(511, seed=2)}
    path = tmp_path / "voices-v1.0.bin"
    with path.open("wb") as file:
        save(file, **packs)
    assert _core.StylePack.names(path) == list(packs)
    for name, pack in packs.items():
        np.testing.assert_array_equal(_core.StylePack.open(path, name).array, pack)
        np.testing.assert_array_equal(_core.StylePack.open(path, f"{name}.npy").array, pack)


def test_an_npz_with_a_comment_and_folders_is_read(tmp_path: Path) -> None:
    path = tmp_path / "voices.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"PK\x05\x06" + b"x" * 60_000
        archive.writestr("folder/", "")
        archive.writestr("README.txt", "not a voice")
        archive.writestr("only.npy", npy(a_pack()))
    np.testing.assert_array_equal(_core.StylePack.open(path).array, a_pack())


def test_a_zip64_member_is_read(tmp_path: Path) -> None:
    path = tmp_path / "voices.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("v.npy", "w", force_zip64=True) as member:
        member.write(npy(a_pack()))
    np.testing.assert_array_equal(_core.StylePack.open(path, "v").array, a_pack())


@pytest.mark.parametrize("name_length", range(1, 9))
def test_a_stored_member_is_read_at_any_alignment(tmp_path: Path, name_length: int) -> None:
    path = tmp_path / "voices.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v" * name_length + ".npy", npy(a_pack()))
    np.testing.assert_array_equal(_core.StylePack.open(path).array, a_pack())


def test_a_path_outside_ascii_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "声 é.bin"
    a_pack().tofile(path)
    assert _core.StylePack.open(str(path)).n_rows == 510


def test_views_are_read_only_and_outlive_the_pack(tmp_path: Path) -> None:
    path = tmp_path / "voice.bin"
    a_pack().tofile(path)
    opened = _core.StylePack.open(path)
    whole, row = opened.array, opened.row(7)
    assert np.shares_memory(whole, row)
    assert np.shares_memory(whole, opened.array)
    del opened
    np.testing.assert_array_equal(whole, a_pack())
    np.testing.assert_array_equal(row, a_pack()[7])
    with pytest.raises(ValueError, match="read-only"):
        row[0] = 1.0


def test_a_mapped_file_may_be_replaced_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "voice.bin"
    a_pack(seed=1).tofile(path)
    opened = _core.StylePack.open(path)
    other = tmp_path / "other.bin"
    a_pack(seed=2).tofile(other)
    other.replace(path)
    np.testing.assert_array_equal(opened.array, a_pack(seed=1))
    np.testing.assert_array_equal(_core.StylePack.open(path).array, a_pack(seed=2))


def test_from_array_copies() -> None:
    source = a_pack(3)
    pack = _core.StylePack.from_array(source)
    source[:] = 0
    np.testing.assert_array_equal(pack.array, a_pack(3))
    np.testing.assert_array_equal(_core.StylePack.from_array(a_pack(4).reshape(4, 1, 256)).array, a_pack(4))
    np.testing.assert_array_equal(_core.StylePack.from_array(a_pack(6)[::2]).array, a_pack(6)[::2])


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists a process's mappings")
@pytest.mark.parametrize("kind", ["bin", "npy", "npz"])
def test_values_are_read_in_place_where_they_lie_aligned(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"voice.{kind}"
    if kind == "bin":
        a_pack().tofile(path)
    elif kind == "npy":
        np.save(path, a_pack())
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ab.npy", npy(a_pack()))  # 30 bytes of header and 6 of name: a multiple of 4
    opened = _core.StylePack.open(path)
    address = opened.array.__array_interface__["data"][0]
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(path.name)]
    ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in mapped]
    assert any(begin <= address < end for begin, end in ranges)


def test_the_real_voices_are_read_one_by_one_and_from_one_archive(voices: Path, tmp_path: Path) -> None:
    files = {path.stem: np.fromfile(path, "<f4").reshape(510, 256) for path in sorted(voices.glob("*.bin"))}
    assert len(files) == 54
    archive = tmp_path / "voices-v1.0.bin"
    with archive.open("wb") as file:
        np.savez(file, **files)
    assert _core.StylePack.names(archive) == list(files)
    for name, values in files.items():
        np.testing.assert_array_equal(_core.StylePack.open(voices / f"{name}.bin").array, values)
        np.testing.assert_array_equal(_core.StylePack.open(archive, name).array, values)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists a process's mappings")
def test_a_dropped_pack_lets_go_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "let-go.bin"
    a_pack().tofile(path)

    def held() -> tuple[bool, bool]:
        mapped = path.name in Path("/proc/self/maps").read_text()
        return mapped, any(os.path.realpath(fd) == str(path) for fd in Path("/proc/self/fd").iterdir())

    opened = _core.StylePack.open(path)
    row = opened.row(0)
    del opened
    assert held() == (True, False)
    del row
    assert held() == (False, False)


# --- files that are refused ---


def refused(path: Path, match: str, member: str = "") -> None:
    with pytest.raises(_core.Error, match=match) as error:
        _core.StylePack.open(path, member)
    assert path.name in str(error.value)


@pytest.mark.parametrize("n_bytes", [0, 1, 510 * 1024 - 1, 510 * 1024 + 4, 509 * 1024, 512 * 1024])
def test_a_raw_file_of_another_size_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "voice.bin"
    path.write_bytes(bytes(n_bytes))
    refused(path, f"{n_bytes} bytes; a raw voice has 522240")
    with pytest.raises(_core.Error, match="bytes"):
        _core.StylePack.names(path)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, r"\+infinity"), (-np.inf, "-infinity")])
@pytest.mark.parametrize("kind", ["bin", "npy", "npz"])
def test_a_value_that_is_not_finite_is_refused_with_its_place(
    tmp_path: Path, value: float, name: str, kind: str
) -> None:
    pack = a_pack()
    pack[317, 42] = value
    path = tmp_path / f"voice.{kind}"
    if kind == "bin":
        pack.tofile(path)
    elif kind == "npy":
        np.save(path, pack)
    else:
        np.savez(path, af_x=pack)
    refused(path, f"{name} in row 317, column 42")
    with pytest.raises(_core.Error, match="row 317, column 42"):
        _core.StylePack.from_array(pack)


class Bomb:
    """Unpickling it leaves a trace."""

    trace: Path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("kind", ["pickle", "npy", "npz", "pt"])
def test_a_pickle_is_refused_and_not_evaluated(tmp_path: Path, kind: str) -> None:
    Bomb.trace = tmp_path / "evaluated"
    array = np.array([Bomb()], dtype=object)
    path = tmp_path / f"voice.{kind}"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "npy":
        np.save(path, array, allow_pickle=True)
    elif kind == "npz":
        np.savez(path, voice=array)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    refused(path, "pickle")
    assert not Bomb.trace.exists()


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (a_pack().astype(np.float64), "values of type '<f8'"),
        (a_pack().astype(np.float16), "values of type '<f2'"),
        (a_pack().astype(">f4"), "values of type '>f4'"),
        (np.asfortranarray(a_pack()), "Fortran"),
        (a_pack()[:, :255], r"shape \[510, 255\]"),
        (a_pack().ravel(), r"shape \[130560\]"),
        (a_pack().reshape(255, 2, 256), r"shape \[255, 2, 256\]"),
        (np.zeros((0, 256), np.float32), r"shape \[0, 256\]"),
        (np.float32(1), r"shape \[\]"),
        (np.zeros(2, [("a", "<f4"), ("b", "<f4")]), "structured"),
    ],
)
def test_an_npy_of_another_type_or_shape_is_refused(tmp_path: Path, array: NDArray[np.generic], match: str) -> None:
    path = tmp_path / "voice.npy"
    np.save(path, array)
    refused(path, match)


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 256), }"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (npy_with_header(GOOD, bytes(1020)), "1020 bytes of values where .* needs 1024"),
        (npy_with_header(GOOD, bytes(1028)), "1028 bytes of values where .* needs 1024"),
        (npy_with_header(GOOD[:-1], bytes(1024)), "damaged .npy header"),
        (npy_with_header(GOOD + "x", bytes(1024)), "damaged .npy header"),
        (npy_with_header("{'descr': '<f4', 'shape': (1, 256)}", bytes(1024)), "lacks"),
        (npy_with_header(GOOD.replace("(1, 256)", "(-1, 256)"), bytes(1024)), "damaged .npy header"),
        (npy_with_header(GOOD.replace("(1, 256)", "(9223372036854775808, 256)"), b""), "too large"),
        (npy_with_header(GOOD.replace("(1, 256)", "(99999999999999999999, 256)"), b""), "too large"),
        (npy_with_header(GOOD.replace("False", "print()"), bytes(1024)), "damaged .npy header"),
        (npy_with_header("", b""), "damaged .npy header"),
        (b"\x93NUMPY\x01\x00\xff\xff", "10000"),
        (b"\x93NUMPY\x01\x00\xff\x00", "cut short"),
        (b"\x93NUMPY\x02\x00\xff", "cut short"),
        (b"\x93NUMPY\x04\x00\xff\xff", "version 4"),
        (b"\x93NUMPY", "cut short"),
    ],
)
def test_a_damaged_npy_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "voice.npy"
    path.write_bytes(content)
    refused(path, match)


def test_a_zip_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "voices.npz"
    np.savez(whole, a=a_pack(2), b=a_pack(3))
    content = whole.read_bytes()
    path = tmp_path / "cut.npz"
    for size in [*range(4, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(_core.Error):
            _core.StylePack.open(path, "a")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_byte_in_an_npz_never_gives_other_values(tmp_path: Path, save: type[np.savez]) -> None:
    whole = tmp_path / "voices.npz"
    save(whole, a=a_pack(1))
    content = bytearray(whole.read_bytes())
    path = tmp_path / "flipped.npz"
    n_refused = 0
    # Every byte of the headers and of the directory, and some of the values between.
    end_of_values = len(content) - 200
    positions = [*range(250), *range(250, end_of_values, 29), *range(end_of_values, len(content))]
    for position in positions:
        content[position] ^= 0x10
        path.write_bytes(content)
        content[position] ^= 0x10
        try:
            opened = _core.StylePack.open(path, "a")
        except _core.Error:
            n_refused += 1
            continue
        np.testing.assert_array_equal(opened.array, a_pack(1))
    assert n_refused > len(positions) / 2


def test_a_deflated_member_that_claims_too_little_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "voices.npz"
    np.savez_compressed(path, a=a_pack(4))
    content = bytearray(path.read_bytes())
    size = struct.pack("<I", len(npy(a_pack(4))))
    at = content.rindex(size)
    content[at : at + 4] = struct.pack("<I", len(npy(a_pack(4))) - 1024)
    path.write_bytes(content)
    refused(path, "size that its directory names")


@pytest.mark.parametrize("member", ["af_bela", "../af_bella", "声"])
def test_an_unknown_member_is_refused_with_the_nearest_names(tmp_path: Path, member: str) -> None:
    path = tmp_path / "voices.npz"
    np.savez(path, af_bella=a_pack(1), bm_lewis=a_pack(1))
    refused(path, f"no voice '{member}' among its 2", member)
    if member == "af_bela":
        refused(path, "the nearest: af_bella", member)


def test_a_member_must_be_named_just_where_there_are_several(tmp_path: Path) -> None:
    several, single = tmp_path / "voices.npz", tmp_path / "voice.npy"
    np.savez(several, af_bella=a_pack(1), bm_lewis=a_pack(1))
    np.save(single, a_pack(1))
    with pytest.raises(ValueError, match="holds 2 voices, such as 'af_bella'"):
        _core.StylePack.open(several)
    with pytest.raises(ValueError, match="without a name"):
        _core.StylePack.open(single, "af_bella")


def test_a_zip_without_arrays_or_with_doubles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "voices.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    refused(path, "without a .npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy(a_pack(1)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy(a_pack(2)))
    refused(path, "two members")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy(a_pack(1)))
    refused(path, "method 14")


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "missing.bin", "cannot read .*No such file")
    refused(tmp_path, "directory")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        refused(tmp_path / "fifo", "not a regular file")


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=300),
    prefix=st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"PK\x05\x06"]),
)
def test_no_content_crashes(tmp_path_factory: pytest.TempPathFactory, data: bytes, prefix: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "voice"
    path.write_bytes(prefix + data)
    with pytest.raises(_core.Error):
        _core.StylePack.open(path)


# --- rows ---


@pytest.mark.parametrize(
    ("n_phonemes", "n_tokens", "rule", "n_rows", "row"),
    [
        (1, 1, "phonemes_minus_one", 510, 0),
        (42, 40, "phonemes_minus_one", 510, 41),
        (510, 510, "phonemes_minus_one", 510, 509),
        (600, 510, "phonemes_minus_one", 510, 509),
        (0, 0, "phonemes_minus_one", 510, 0),
        (42, 40, "tokens", 511, 40),
        (0, 0, "tokens", 511, 0),
        (510, 510, "tokens", 511, 510),
        (510, 510, "tokens", 510, 509),
    ],
)
def test_the_row_follows_the_models_rule(n_phonemes: int, n_tokens: int, rule: str, n_rows: int, row: int) -> None:
    assert _core.style_row(n_phonemes, n_tokens, rule, n_rows) == row


def test_a_row_outside_or_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="no row 3 among 3"):
        _core.StylePack.from_array(a_pack(3)).row(3)
    with pytest.raises(ValueError, match="'token' is neither"):
        _core.style_row(1, 1, "token", 510)
    with pytest.raises(ValueError, match="no rows"):
        _core.style_row(1, 1, "tokens", 0)


@pytest.mark.parametrize("shape", [(256,), (0, 256), (3, 255), (3, 2, 256)])
def test_from_array_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="256"):
        _core.StylePack.from_array(np.zeros(shape, np.float32))


# --- mixing and interpolation ---

PACKS = [_core.StylePack.from_array(a_pack(5, seed)) for seed in range(3)]


def test_a_mix_is_the_weighted_mean() -> None:
    mixed = _core.mix_styles(PACKS, [3, 1, 4]).array
    expected = np.average([pack.array.astype(np.float64) for pack in PACKS], axis=0, weights=[3, 1, 4])
    np.testing.assert_allclose(mixed, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weights", [[1], [0.3], [1e-300]])
def test_a_mix_of_one_voice_is_that_voice(weights: list[float]) -> None:
    np.testing.assert_array_equal(_core.mix_styles(PACKS[:1], weights).array, PACKS[0].array)


@pytest.mark.parametrize(
    ("n", "weights", "match"),
    [
        (0, [], "no voices"),
        (2, [1], "2 voices with 1 weights"),
        (2, [1, -0.5], "not negative"),
        (2, [1, float("nan")], "finite"),
        (2, [1, float("inf")], "finite"),
        (2, [0, 0], "sum to 0"),
        (2, [1.7e308, 1.7e308], "sum to inf"),
    ],
)
def test_a_mix_that_makes_no_sense_is_refused(n: int, weights: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        _core.mix_styles(PACKS[:n], weights)


@pytest.mark.parametrize("join", [_core.lerp_styles, _core.slerp_styles])
def test_packs_of_different_models_are_not_joined(join: type[_core.lerp_styles]) -> None:
    other = _core.StylePack.from_array(a_pack(6))
    with pytest.raises(ValueError, match="5 and 6 rows"):
        _core.mix_styles([PACKS[0], other], [1, 1])
    with pytest.raises(ValueError, match="1280 and 1536"):
        join(PACKS[0], other, 0.5)
    for t in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match="0 ≤ t ≤ 1"):
            join(PACKS[0], PACKS[1], t)


@pytest.mark.parametrize("join", [_core.lerp_styles, _core.slerp_styles])
def test_the_ends_of_an_interpolation_are_exact(join: type[_core.lerp_styles]) -> None:
    np.testing.assert_array_equal(join(PACKS[0], PACKS[1], 0).array, PACKS[0].array)
    np.testing.assert_array_equal(join(PACKS[0], PACKS[1], 1).array, PACKS[1].array)


def slerp_reference(a: NDArray[np.float64], b: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    """Rotation in the plane of a and b, by Gram-Schmidt: another road than Shoemake's formula."""
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    u = a / length_a
    w = b / length_b
    v = w - (u @ w) * u
    angle = np.arctan2(np.linalg.norm(v), u @ w)
    v /= np.linalg.norm(v)
    return ((1 - t) * length_a + t * length_b) * (np.cos(t * angle) * u + np.sin(t * angle) * v)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_slerp_turns_each_row_in_its_own_plane(t: float) -> None:
    a, b = PACKS[0].array.astype(np.float64), 2.5 * PACKS[1].array.astype(np.float64)
    turned = _core.slerp_styles(PACKS[0], _core.StylePack.from_array(b), t).array
    expected = np.stack([slerp_reference(x, y, t) for x, y in zip(a, b, strict=True)])
    np.testing.assert_allclose(turned, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(_core.slerp_styles(PACKS[0].row(2), b[2], t), turned[2])


def test_lerp_of_rows_is_the_straight_line() -> None:
    a, b = PACKS[0].row(0), PACKS[1].row(0)
    np.testing.assert_allclose(_core.lerp_styles(a, b, 0.25), 0.75 * a + 0.25 * b, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(_core.lerp_styles(PACKS[0], PACKS[1], 0.25).row(0), _core.lerp_styles(a, b, 0.25))


@pytest.mark.parametrize("scale", [1.0, 3.0, -1.0, 0.0, 1 + 1e-7])
def test_slerp_is_lerp_where_the_plane_is_undefined(scale: float) -> None:
    a = PACKS[0].row(0)
    b = (a * np.float32(scale)).astype(np.float32)
    np.testing.assert_array_equal(_core.slerp_styles(a, b, 0.3), _core.lerp_styles(a, b, 0.3))


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0.01, 100))
def test_slerps_length_goes_linearly(seed: int, t: float, scale: float) -> None:
    a, b = a_pack(2, seed)
    b = (b * np.float32(scale)).astype(np.float32)
    length = np.linalg.norm(_core.slerp_styles(a, b, t).astype(np.float64))
    wanted = (1 - t) * np.linalg.norm(a.astype(np.float64)) + t * np.linalg.norm(b.astype(np.float64))
    assert length == pytest.approx(wanted, rel=1e-5)
