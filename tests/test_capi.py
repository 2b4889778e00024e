# SPDX-License-Identifier: Apache-2.0
"""The C API of the installed shared library, called through ctypes as another language would call it."""

import ctypes
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from koe import _core

OK, STOPPED, INVALID_ARGUMENT, INVALID_STRUCT_SIZE, MODEL_NOT_FOUND, INVALID_MODEL = range(6)
VOICE_NOT_FOUND, INVALID_VOICE, RUNTIME_NOT_FOUND, RUNTIME_VERSION, RUNTIME_FAILED = range(6, 11)
G2P_NOT_FOUND, G2P_FAILED = 11, 12
DEVICE_UNAVAILABLE = 16
PHONEMES = "həlˈO wˈɜɹld".encode()


class Options(ctypes.Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("onnxruntime", c_char_p),
        ("espeak", c_char_p),
        ("espeak_data", c_char_p),
        ("voices", c_char_p),
        ("isa", c_char_p),
        ("precision", c_char_p),
        ("threads", c_uint32),
        ("has_noise", c_int32),
        ("noise_seed", c_uint64),
        ("silence_s", c_double),
        ("trim", c_int32),
        ("reserved", c_int32),
        ("device", c_char_p),
    )


class Request(ctypes.Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("text", c_char_p),
        ("phonemes", c_char_p),
        ("voice", c_char_p),
        ("language", c_char_p),
        ("speed", c_double),
    )


class Word(ctypes.Structure):
    _fields_ = (
        ("text", c_char_p),
        ("start_s", c_double),
        ("end_s", c_double),
        ("begin", c_size_t),
        ("end", c_size_t),
        ("begin_byte", c_size_t),
        ("end_byte", c_size_t),
    )


class Speech(ctypes.Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("samples", POINTER(c_float)),
        ("n_samples", c_size_t),
        ("sample_rate_hz", c_uint32),
        ("reserved", c_uint32),
        ("start_s", c_double),
        ("words", POINTER(Word)),
        ("n_words", c_size_t),
        ("dropped", c_char_p),
    )


class Names(ctypes.Structure):
    _fields_ = (("names", POINTER(c_char_p)), ("n_names", c_size_t))


Callback = ctypes.CFUNCTYPE(c_int32, POINTER(Speech), c_void_p)


class Koe:
    """The library, and an engine of it."""

    def __init__(self, prefix: Path, runtime: Path) -> None:
        suffix = "dylib" if sys.platform == "darwin" else "so"
        self.library = ctypes.CDLL(str(prefix / f"lib/libkoe.{suffix}"))
        for name in ("koe_version", "koe_status_text", "koe_last_error"):
            getattr(self.library, name).restype = c_char_p
        self.library.koe_free.argtypes = [c_void_p]
        self.runtime = str(runtime).encode()
        self.engine = c_void_p()

    def options(self, **values: object) -> Options:
        options = Options()
        assert self.library.koe_options_init(byref(options), c_size_t(ctypes.sizeof(options))) == OK
        chosen = {"onnxruntime": self.runtime, "espeak": str(espeakng_loader.get_library_path()).encode(), **values}
        for name, value in chosen.items():
            setattr(options, name, value)
        return options

    def request(self, **values: object) -> Request:
        request = Request()
        assert self.library.koe_request_init(byref(request), c_size_t(ctypes.sizeof(request))) == OK
        for name, value in {"voice": b"bm_george", **values}.items():
            setattr(request, name, value)
        return request

    def open(self, bundle: object, options: Options | None = None) -> tuple[int, c_void_p]:
        engine = c_void_p(1)
        path = str(bundle).encode() if bundle else None
        return self.library.koe_open(path, byref(options or self.options()), byref(engine)), engine

    def speak(self, request: Request, engine: c_void_p | None = None) -> tuple[int, np.ndarray, list[Word]]:
        speech = POINTER(Speech)()
        status = self.library.koe_synthesize(engine or self.engine, byref(request), byref(speech))
        if status != OK:
            assert not speech
            return status, np.zeros(0, np.float32), []
        found = speech.contents
        assert (found.struct_size, found.sample_rate_hz) == (ctypes.sizeof(Speech), 24_000)
        samples = np.ctypeslib.as_array(found.samples, (found.n_samples,)).copy() if found.n_samples else np.zeros(0)
        words = [Word.from_buffer_copy(found.words[i]) for i in range(found.n_words)]
        self.library.koe_free(speech)
        return status, samples, words

    def error(self) -> str:
        return self.library.koe_last_error().decode()


@pytest.fixture(scope="session")
def lib(installed_koe: Path, onnxruntime_library: Path, bundle_with_voices: Path) -> Koe:
    loaded = Koe(installed_koe, onnxruntime_library)
    status, loaded.engine = loaded.open(bundle_with_voices)
    assert status == OK, loaded.error()
    return loaded


def test_sizes_of_structures_are_frozen() -> None:
    # A change here is a change of the ABI: fields may only be added at the end, with the old size still known.
    assert [ctypes.sizeof(kind) for kind in (Options, Request, Word, Speech)] == [96, 48, 56, 64]


def test_the_version_is_the_librarys(lib: Koe) -> None:
    assert lib.library.koe_version().decode() == _core.__version__


def test_every_status_has_a_text(lib: Koe) -> None:
    texts = [lib.library.koe_status_text(status) for status in range(16)]
    assert len(set(texts)) == 16
    assert lib.library.koe_status_text(99) == b"unknown status"


def test_pieces_put_together_are_the_whole(lib: Koe) -> None:
    text = b"One sentence here. " * 22
    status, whole, words = lib.speak(lib.request(text=text, speed=4.0))
    assert status == OK
    pieces: list[np.ndarray] = []
    starts: list[float] = []

    @Callback
    def take(piece: object, user_data: int) -> int:
        assert user_data == 1234
        found = piece.contents  # type: ignore[attr-defined]
        starts.extend(found.start_s + found.words[i].start_s for i in range(found.n_words))
        pieces.append(np.ctypeslib.as_array(found.samples, (found.n_samples,)).copy())
        return 1

    assert lib.library.koe_stream(lib.engine, byref(lib.request(text=text, speed=4.0)), take, c_void_p(1234)) == OK
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(words) == 66
    np.testing.assert_allclose(starts, [word.start_s for word in words])


def test_a_callback_that_says_stop_stops_and_the_engine_goes_on(lib: Koe) -> None:
    calls = []
    stop = Callback(lambda piece, user_data: calls.append(1) or 0)
    request = lib.request(text=b"One sentence here. " * 22, speed=4.0)
    assert lib.library.koe_stream(lib.engine, byref(request), stop, None) == STOPPED
    assert calls == [1]
    assert lib.speak(lib.request(phonemes=PHONEMES))[0] == OK


def test_words_of_text_and_phonemes_are_placed_in_what_was_given(lib: Koe) -> None:
    text = "“Ça va,” né?".encode()
    words = lib.speak(lib.request(text=text))[2]
    assert [word.text.decode() for word in words] == ["Ça", "va", "né"]
    assert [text[word.begin_byte : word.end_byte] for word in words] == [word.text for word in words]
    assert [text.decode()[word.begin : word.end].encode() for word in words] == [word.text for word in words]
    words = lib.speak(lib.request(phonemes="(həlˈO) — wˈɜɹld!".encode()))[2]
    assert [word.text.decode() for word in words] == ["həlˈO", "wˈɜɹld"]
    assert 0 <= words[0].start_s < words[0].end_s <= words[1].start_s < words[1].end_s


def test_the_same_from_many_threads(lib: Koe) -> None:
    texts = [b"one", b"two words", b"three words here"] * 2
    alone = {text: lib.speak(lib.request(text=text))[1] for text in set(texts)}
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda text: lib.speak(lib.request(text=text))[1], texts))
    for text, samples in zip(texts, together, strict=True):
        np.testing.assert_array_equal(samples, alone[text])


def test_nothing_to_say_gives_no_samples_and_what_was_dropped(lib: Koe) -> None:
    for request in (lib.request(text=b""), lib.request(text=b" ...!? "), lib.request(phonemes=b"")):
        status, samples, words = lib.speak(request)
        assert (status, len(samples), words) == (OK, 0, [])
    speech = POINTER(Speech)()
    request = lib.request(text="你好 \xff".encode())
    assert lib.library.koe_synthesize(lib.engine, byref(request), byref(speech)) == OK
    assert speech.contents.dropped.decode().startswith("你好")
    lib.library.koe_free(speech)


def test_bytes_that_are_no_utf8_do_no_harm(lib: Koe) -> None:
    status, samples, words = lib.speak(lib.request(text=b"one \xff\xc3 two"))
    assert status == OK
    assert len(samples) > 0
    assert [(word.text, word.begin_byte, word.end_byte) for word in words] == [(b"one", 0, 3), (b"two", 7, 10)]


def test_voices_are_those_of_the_bundle(lib: Koe) -> None:
    names = POINTER(Names)()
    assert lib.library.koe_voices(lib.engine, byref(names)) == OK
    found = [names.contents.names[i].decode() for i in range(names.contents.n_names)]
    assert found == ["af_bella", "af_sarah", "bm_george"]
    lib.library.koe_free(names)


def test_phonemes_of_a_text(lib: Koe) -> None:
    out = c_char_p()
    assert lib.library.koe_phonemize(lib.engine, b"the sea", None, byref(out)) == OK
    assert out.value is not None
    assert out.value.decode() == "ðə sˈi"
    lib.library.koe_free(out)


@pytest.mark.parametrize(
    ("values", "status", "message"),
    [
        ({}, INVALID_ARGUMENT, "exactly one of text and phonemes"),
        ({"text": b"a", "phonemes": b"a"}, INVALID_ARGUMENT, "exactly one of text and phonemes"),
        ({"phonemes": PHONEMES, "speed": 0.0}, INVALID_ARGUMENT, "speed = 0"),
        ({"phonemes": PHONEMES, "speed": float("nan")}, INVALID_ARGUMENT, "0.25 to 4"),
        ({"phonemes": PHONEMES, "voice": b"bm_goerge"}, VOICE_NOT_FOUND, "did you mean bm_george"),
        ({"phonemes": PHONEMES, "voice": b"af_bella:x"}, INVALID_ARGUMENT, "character 10"),
        ({"phonemes": PHONEMES, "voice": b""}, INVALID_ARGUMENT, ""),
        ({"phonemes": PHONEMES, "voice": b"../secret"}, INVALID_ARGUMENT, ""),
        ({"text": b"hello", "language": b"klingon"}, G2P_FAILED, "klingon"),
        ({"text": b"hello", "language": b"ja"}, G2P_FAILED, "ja"),
        ({"phonemes": PHONEMES, "struct_size": 0}, INVALID_STRUCT_SIZE, "koe_request_init"),
        ({"phonemes": PHONEMES, "struct_size": 47}, INVALID_STRUCT_SIZE, "47"),
        ({"phonemes": PHONEMES, "struct_size": 2**40}, INVALID_STRUCT_SIZE, "koe_request_init"),
    ],
)
def test_a_wrong_request_has_its_status_and_the_engine_goes_on(
    lib: Koe, values: dict[str, object], status: int, message: str
) -> None:
    assert lib.speak(lib.request(**values))[0] == status
    assert message in lib.error()
    assert len(lib.speak(lib.request(phonemes=PHONEMES))[1]) > 0


def test_a_newer_callers_structure_is_taken_where_its_new_fields_are_unset(lib: Koe) -> None:
    class Newer(ctypes.Structure):
        _fields_ = (*Request._fields_, ("mood", c_int32), ("more", c_int32))

    request = Newer()
    assert lib.library.koe_request_init(byref(request), c_size_t(ctypes.sizeof(request))) == OK
    request.phonemes, request.voice = PHONEMES, b"bm_george"
    assert lib.speak(request)[0] == OK
    request.mood = 1
    assert lib.speak(request)[0] == INVALID_STRUCT_SIZE
    assert lib.library.koe_version().decode() in lib.error()


def test_an_older_callers_options_are_taken(lib: Koe, bundle_with_voices: Path) -> None:
    class Older(ctypes.Structure):
        _fields_ = Options._fields_[:-1]

    class Placed(ctypes.Structure):
        _fields_ = (("options", Older), ("behind", c_size_t))

    assert ctypes.sizeof(Older) == 88
    placed = Placed(behind=1)
    older = placed.options
    assert lib.library.koe_options_init(byref(older), c_size_t(88)) == OK
    assert (older.struct_size, older.silence_s, placed.behind) == (88, 0.4, 1)
    older.onnxruntime = lib.runtime
    status, engine = lib.open(bundle_with_voices, older)
    assert (status, lib.speak(lib.request(phonemes=PHONEMES), engine)[0]) == (OK, OK)
    lib.library.koe_free(engine)


def test_null_pointers_are_refused(lib: Koe) -> None:
    library, request, out = lib.library, byref(lib.request(phonemes=PHONEMES)), c_void_p()
    never = Callback(lambda piece, user_data: 1)
    assert [
        library.koe_open(None, None, byref(out)),
        library.koe_open(b"x", None, None),
        library.koe_synthesize(None, request, byref(out)),
        library.koe_synthesize(lib.engine, None, byref(out)),
        library.koe_synthesize(lib.engine, request, None),
        library.koe_stream(lib.engine, request, None, None),
        library.koe_stream(None, request, never, None),
        library.koe_stream(lib.engine, None, never, None),
        library.koe_phonemize(lib.engine, None, None, byref(out)),
        library.koe_phonemize(lib.engine, b"a", None, None),
        library.koe_voices(lib.engine, None),
        library.koe_voices(None, byref(out)),
        library.koe_options_init(None, c_size_t(88)),
        library.koe_request_init(None, c_size_t(48)),
    ] == [INVALID_ARGUMENT] * 14
    assert "NULL" in lib.error()
    assert library.koe_options_init(byref(Options()), c_size_t(8)) == INVALID_STRUCT_SIZE
    library.koe_free(None)


@pytest.mark.parametrize(
    ("values", "status", "message"),
    [
        ({"threads": 5000}, INVALID_ARGUMENT, "1024"),
        ({"isa": b"neon9"}, INVALID_ARGUMENT, "no kernels 'neon9'"),
        ({"precision": b"int3"}, INVALID_ARGUMENT, "int3"),
        ({"device": b"cuda"}, INVALID_ARGUMENT, "neither cpu nor metal"),
        ({"silence_s": -1.0}, INVALID_ARGUMENT, "silence_s"),
        ({"voices": b"/missing/voices"}, VOICE_NOT_FOUND, "/missing/voices"),
        ({"onnxruntime": b"/missing/ort.so"}, RUNTIME_NOT_FOUND, "KOE_ONNXRUNTIME"),
        ({"onnxruntime": _core.__file__.encode()}, RUNTIME_VERSION, "not ONNX Runtime"),
        ({"struct_size": 3}, INVALID_STRUCT_SIZE, "koe_options_init"),
        *([({"device": b"metal"}, DEVICE_UNAVAILABLE, "Apple")] if sys.platform != "darwin" else []),
    ],
)
def test_wrong_options_have_their_status(
    lib: Koe, bundle_with_voices: Path, values: dict[str, object], status: int, message: str
) -> None:
    found, engine = lib.open(bundle_with_voices, lib.options(**values))
    assert (found, engine.value) == (status, None)
    assert message in lib.error()


def test_damaged_bundles_are_told_from_missing_ones(lib: Koe, bundle_with_voices: Path, tmp_path: Path) -> None:
    assert lib.open(tmp_path / "gone.gguf")[0] == MODEL_NOT_FOUND
    content = bytearray(bundle_with_voices.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged é.gguf"
    damaged.write_bytes(content)
    assert lib.open(damaged)[0] == INVALID_MODEL
    assert "damaged é.gguf" in lib.error()
    damaged.write_bytes(b"GGUF")
    assert lib.open(damaged)[0] == INVALID_MODEL


def test_text_without_espeak_has_its_status_and_phonemes_still_work(lib: Koe, bundle_with_voices: Path) -> None:
    status, engine = lib.open(bundle_with_voices, lib.options(espeak=b"/missing/espeak.so"))
    assert status == OK
    assert lib.speak(lib.request(text=b"hello"), engine)[0] == G2P_NOT_FOUND
    assert "KOE_ESPEAK" in lib.error()
    assert lib.speak(lib.request(phonemes=PHONEMES), engine)[0] == OK
    lib.library.koe_free(engine)


def test_voices_beside_the_bundle(lib: Koe, bundle_path: Path, voices: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.npy").touch()
    np.save(tmp_path / "mine.npy", np.fromfile(voices / "bm_george.bin", np.float32).reshape(510, 256))
    (tmp_path / "broken.bin").write_bytes(b"x" * 100)
    status, engine = lib.open(bundle_path, lib.options(voices=str(tmp_path).encode()))
    assert status == OK
    request = lib.request(phonemes=PHONEMES, voice=b"mine")
    np.testing.assert_array_equal(lib.speak(request, engine)[1], lib.speak(lib.request(phonemes=PHONEMES))[1])
    assert lib.speak(lib.request(phonemes=PHONEMES, voice=b"broken"), engine)[0] == INVALID_VOICE
    assert lib.speak(lib.request(phonemes=PHONEMES, voice=b"af_bella"), engine)[0] == VOICE_NOT_FOUND
    lib.library.koe_free(engine)


def test_the_last_error_is_the_threads_own(lib: Koe) -> None:
    lib.speak(lib.request())
    assert lib.error() != ""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lib.error).result() == ""


elf_only = pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files with binutils")


def exported(library: Path) -> list[str]:
    lines = subprocess.run(["nm", "-D", "-C", "--defined-only", library], capture_output=True, text=True, check=True)
    return [line.split(maxsplit=2)[2].split("@")[0] for line in lines.stdout.splitlines()]


@elf_only
def test_what_is_exported_is_the_c_api_and_koes_namespace(installed_koe: Path) -> None:
    names = exported(installed_koe / "lib/libkoe.so")
    declared = set(re.findall(r"\b(koe_\w+)\(", (installed_koe / "include/koe.h").read_text())) - {"koe_piece_callback"}
    declared = {name for name in declared if not name.endswith("_init") or name in names}
    assert {name for name in names if name.startswith("koe_")} == declared
    assert "koe_options_init" in declared
    prefixes = ("koe_", "koe::", "typeinfo for koe::", "typeinfo name for koe::", "vtable for koe::")
    assert [name for name in names if not name.startswith(prefixes)] == []
    # The inside: kernels, parsers, anonymous namespaces.
    assert not [name for name in names if re.search(r"kernels::|text::|ort::|\(anonymous", name)]


@elf_only
def test_nothing_but_the_cxx_runtime_is_needed(installed_koe: Path) -> None:
    output = subprocess.run(["ldd", installed_koe / "lib/libkoe.so"], capture_output=True, text=True, check=True).stdout
    needed = {re.split(r"[.-]", Path(line.split()[0]).name)[0] for line in output.splitlines()}
    assert needed <= {"linux", "libstdc++", "libm", "libgcc_s", "libc", "ld", "libpthread", "libdl"}


@elf_only
def test_the_stripped_library_is_small(installed_koe: Path, tmp_path: Path) -> None:
    subprocess.run(["strip", "-o", tmp_path / "libkoe.so", installed_koe / "lib/libkoe.so"], check=True)
    assert (tmp_path / "libkoe.so").stat().st_size <= 3_000_000
