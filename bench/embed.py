# SPDX-License-Identifier: Apache-2.0
"""The C API beside the Python package: time to open, to the first samples, and for a paragraph.

    python bench/embed.py PREFIX BUNDLE

PREFIX is where a shared koe is installed; BUNDLE holds the voice af_bella. The best of so many runs counts.
"""

import ctypes
import os
import sys
import time
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_void_p
from pathlib import Path

import espeakng_loader
import onnxruntime

import koe

RUNS = 5
SENTENCE = "Hello there."
PARAGRAPH = (
    "The library opens at nine. Everyone who wants to read may come, and those who don't may come as well; "
    "nobody is turned away at the door. In the afternoon there is tea."
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


class Piece(ctypes.Structure):
    _fields_ = (("struct_size", c_size_t), ("samples", POINTER(c_float)), ("n_samples", c_size_t))


def measure_c(prefix: str, bundle: str) -> dict[str, float]:
    """Seconds of one process's life with the C API."""
    library = ctypes.CDLL(f"{prefix}/lib/libkoe.so")
    library.koe_last_error.restype = c_char_p
    library.koe_free.argtypes = [c_void_p]
    first: list[float] = []

    @ctypes.CFUNCTYPE(c_int32, POINTER(Piece), c_void_p)
    def take(piece: object, _: object) -> int:
        if piece.contents.n_samples and not first:  # type: ignore[attr-defined]
            first.append(time.perf_counter())
        return 1

    def speak(text: str) -> float:
        request = Request()
        library.koe_request_init(byref(request), c_size_t(ctypes.sizeof(request)))
        request.text, request.voice = text.encode(), b"af_bella"
        first.clear()
        start = time.perf_counter()
        status = library.koe_stream(engine, byref(request), take, None)
        assert status == 0, library.koe_last_error()
        return start

    engine = c_void_p()
    start = time.perf_counter()
    assert library.koe_open(bundle.encode(), None, byref(engine)) == 0, library.koe_last_error()
    opened = time.perf_counter()
    speak(SENTENCE)
    found = {"open": opened - start, "first samples after open": first[0] - opened}
    speak(PARAGRAPH)
    start = speak(PARAGRAPH)
    found["paragraph"] = time.perf_counter() - start
    library.koe_free(engine)
    return found


def measure_python(bundle: str) -> dict[str, float]:
    """The same with the Python package."""
    start = time.perf_counter()
    tts = koe.KokoroTTS(koe.Config(model_path=bundle, phoneme_cache_size=0))
    tts.initialize()
    opened = time.perf_counter()
    tts.generate_speech(SENTENCE, voice="af_bella")
    found = {"open": opened - start, "first samples after open": time.perf_counter() - opened}
    tts.generate_speech(PARAGRAPH, voice="af_bella")
    start = time.perf_counter()
    tts.generate_speech(PARAGRAPH, voice="af_bella")
    found["paragraph"] = time.perf_counter() - start
    tts.close()
    return found


def main() -> None:
    prefix, bundle = sys.argv[1:3]
    (runtime,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*")
    os.environ.setdefault("KOE_ONNXRUNTIME", str(runtime))
    os.environ.setdefault("KOE_ESPEAK", str(espeakng_loader.get_library_path()))
    best: dict[str, dict[str, float]] = {}
    for _ in range(RUNS):
        for name, found in (("C API", measure_c(prefix, bundle)), ("Python", measure_python(bundle))):
            before = best.setdefault(name, found)
            best[name] = {what: min(before[what], seconds) for what, seconds in found.items()}
    print(f"{'milliseconds, best of ' + str(RUNS):28}" + "".join(f"{name:>10}" for name in best))
    for what in best["Python"]:
        print(f"{what:28}" + "".join(f"{1000 * found[what]:10.0f}" for found in best.values()))


main()
