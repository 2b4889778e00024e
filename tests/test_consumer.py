# SPDX-License-Identifier: Apache-2.0
"""The installed C++ package, used as an app would: built against, run on the real bundle, held to Python."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import koe
from conftest import quietly
from koe import _core

TEXT = "Hello, Dr. Smith! In 1984 — of the “new” world."
PHONEMES = "həlˈO"
HERE = Path(__file__).parent
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="session")
def programs(installed_koe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs of tests/consumer and examples."""
    build = tmp_path_factory.mktemp("consumer")
    for source in (HERE / "consumer", HERE.parent / "examples"):
        quietly("cmake", "-S", source, "-B", build / source.name, "-GNinja", f"-DCMAKE_PREFIX_PATH={installed_koe}")
        quietly("cmake", "--build", build / source.name)
    return build


@pytest.fixture(scope="session")
def run(programs: Path, embedded: dict[str, str]) -> Run:
    def run(
        name: str, *arguments: str | Path, status: int = 0, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        (program,) = programs.glob(f"*/{name}")
        options = {"env": embedded, **options}
        done = subprocess.run([program, *arguments], capture_output=True, check=False, **options)  # type: ignore[call-overload]
        assert done.returncode == status, done.stderr.decode()
        return done

    return run


@pytest.fixture(scope="session")
def expected(model_path: Path) -> dict[tuple[str, float], koe.AudioData]:
    """What Python says, by voice and speed."""
    with koe.KokoroTTS() as tts:
        wanted = (("af", 1.0), ("bm_george", 1.25))
        return {(voice, speed): tts.generate_speech(TEXT, voice=voice, speed=speed) for voice, speed in wanted}


@pytest.mark.parametrize("program", ["speak_cpp", "speak_c", "speak_static"])
@pytest.mark.parametrize(("voice", "speed"), [("af", 1.0), ("bm_george", 1.25)])
def test_samples_and_words_equal_those_of_python(
    run: Run,
    bundle_with_voices: Path,
    expected: dict[tuple[str, float], koe.AudioData],
    program: str,
    voice: str,
    speed: float,
) -> None:
    audio = expected[voice, speed]
    done = run(program, bundle_with_voices, voice, str(speed), TEXT)
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.float32), audio.samples)
    words = [line.split("\t") for line in done.stderr.decode().splitlines()]
    assert [(text, float(start), float(end), int(begin), int(stop)) for start, end, begin, stop, text in words] == [
        (w.text, pytest.approx(w.start), pytest.approx(w.end), w.char_start, w.char_end) for w in audio.words
    ]


def test_a_callback_that_throws_gives_a_status_and_the_engine_still_works(run: Run, bundle_with_voices: Path) -> None:
    done = run("throwing_callback", bundle_with_voices, PHONEMES)
    assert done.stdout.decode().splitlines() == ["13 the callback threw: of its own", "0 1"]


def test_an_apps_own_acoustic_model_and_g2p_take_the_place_of_the_libraries(run: Run, bundle_with_voices: Path) -> None:
    done = run("own_parts", bundle_with_voices, env={"KOE_ONNXRUNTIME": "/missing", "KOE_ESPEAK": "/missing"})
    # Three letters and two pads of four frames of 600 samples.
    assert done.stdout.decode().splitlines() == [
        "12000 1 hum 0.100 0.400",
        "1 only American English",
        "of the app's own",
    ]


def test_the_libraries_are_found_by_their_usual_names(
    run: Run, bundle_with_voices: Path, tmp_path: Path, embedded: dict[str, str]
) -> None:
    import espeakng_loader

    extension = "dylib" if sys.platform == "darwin" else "so.1"
    (tmp_path / f"libonnxruntime.{extension}").symlink_to(embedded["KOE_ONNXRUNTIME"])
    (tmp_path / f"libespeak-ng.{extension}").symlink_to(embedded["KOE_ESPEAK"])
    search = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    # A library found by its name tells nothing of where its data are.
    environment = {search: str(tmp_path), "KOE_ESPEAK_DATA": str(espeakng_loader.get_data_path())}
    done = run("speak_c", bundle_with_voices, "bm_george", "4", "Hi", env=environment)
    assert len(done.stdout) > 10_000


def test_a_runtime_that_is_part_of_the_program_is_used(
    run: Run, bundle_with_voices: Path, embedded: dict[str, str]
) -> None:
    preload = "DYLD_INSERT_LIBRARIES" if sys.platform == "darwin" else "LD_PRELOAD"
    environment = {preload: embedded["KOE_ONNXRUNTIME"], "KOE_ESPEAK": embedded["KOE_ESPEAK"]}
    done = run("speak_c", bundle_with_voices, "bm_george", "4", "Hi", env=environment)
    assert len(done.stdout) > 10_000


def test_koe_say_writes_a_wav_file_and_streams_raw_samples(
    run: Run, bundle_with_voices: Path, tmp_path: Path, expected: dict[tuple[str, float], koe.AudioData]
) -> None:
    arguments = ("-m", bundle_with_voices, "-v", "bm_george", "-s", "1.25")
    run("koe-say", *arguments, "-o", tmp_path / "said.wav", TEXT)
    samples, rate = soundfile.read(tmp_path / "said.wav", dtype="int16")
    assert rate == 24_000
    raw = np.frombuffer(run("koe-say", *arguments, "--raw", input=TEXT.encode()).stdout, "<i2")
    np.testing.assert_array_equal(raw, samples)
    np.testing.assert_allclose(raw / 32767, expected["bm_george", 1.25].samples, atol=0.6 / 32767)


def test_koe_say_speaks_phonemes_without_espeak(run: Run, bundle_with_voices: Path, embedded: dict[str, str]) -> None:
    environment = {**embedded, "KOE_ESPEAK": "/missing/espeak.so"}
    say = ("koe-say", "-m", bundle_with_voices, "-v", "bm_george", "--raw")
    assert len(run(*say, "-p", PHONEMES, env=environment).stdout) > 10_000
    done = run(*say, "Hello", env=environment, status=1)
    assert re.search(r"no espeak-ng.*install espeak-ng", done.stderr.decode())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["-v", "bm_goerge"], 1, "did you mean bm_george"),
        (["-s", "9"], 1, "from 0.25 to 4"),
        (["-m", "/missing.gguf"], 1, "there is no such file"),
        (["--louder"], 2, "unknown option --louder"),
        (["-s"], 2, "-s needs a value"),
    ],
)
def test_koe_say_tells_what_is_wrong(
    run: Run, bundle_with_voices: Path, arguments: list[str], status: int, message: str
) -> None:
    done = run("koe-say", "-m", bundle_with_voices, "-p", PHONEMES, *arguments, status=status)
    assert message in done.stderr.decode()


def test_the_c_example_streams_and_stops_after_the_seconds_asked_for(run: Run, bundle_with_voices: Path) -> None:
    text = b" ".join(b"This is sentence number %d of a long speech." % n for n in range(20))
    done = run("koe-stream", bundle_with_voices, "bm_george", "0.5", input=text)
    samples = np.frombuffer(done.stdout, np.float32)
    assert 12_000 < len(samples) < 24_000 * 30
    assert b"sentence" in done.stderr
    assert b"19" not in done.stderr


def test_nothing_leaks(
    installed_koe: Path, compiler: str, tmp_path: Path, bundle_with_voices: Path, embedded: dict[str, str]
) -> None:
    # bench/leaks.sh makes 200 rounds; a leak would show in one.
    program, library = tmp_path / "leaks", installed_koe / "lib"
    flags = ("-fsanitize=leak", f"-I{installed_koe}/include", f"-L{library}", "-lkoe", f"-Wl,-rpath,{library}")
    quietly(compiler, HERE / "consumer/leaks.c", "-o", program, *flags)
    done = subprocess.run(
        [program, bundle_with_voices, PHONEMES, "2"], env=embedded, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_pkg_config_is_enough_for_a_c_compiler(
    installed_koe: Path, compiler: str, tmp_path: Path, bundle_with_voices: Path, embedded: dict[str, str]
) -> None:
    pc = (installed_koe / "lib/pkgconfig/koe.pc").read_text()
    variables = dict(re.findall(r"^(\w+)=(.*)$", pc, re.M))
    fields = dict(re.findall(r"^([\w.]+): (.*)$", pc, re.M))

    def expand(value: str) -> list[str]:
        while (new := re.sub(r"\$\{(\w+)\}", lambda m: variables[m[1]], value)) != value:
            value = new
        return value.split()

    assert fields["Version"] == _core.__version__
    program = tmp_path / "speak"
    variables["prefix"] = str(installed_koe)
    quietly(compiler, *expand(fields["Cflags"]), HERE / "consumer/speak.c", "-o", program, *expand(fields["Libs"]))
    environment = {**embedded, "LD_LIBRARY_PATH": str(installed_koe / "lib")}
    command = [program, bundle_with_voices, "bm_george", "4", "Hi"]
    assert len(subprocess.run(command, env=environment, capture_output=True, check=True).stdout) > 10_000


def test_the_headers_stand_by_themselves(installed_koe: Path, compiler: str, tmp_path: Path) -> None:
    include = installed_koe / "include"
    strict = ("-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{include}")
    (tmp_path / "all.cpp").write_text("".join(f"#include <koe/{p.name}>\n" for p in include.glob("koe/*.hpp")))
    (tmp_path / "c.c").write_text("#include <koe.h>\n")
    quietly(compiler, "-xc++", "-std=c++20", *strict, tmp_path / "all.cpp")
    quietly(compiler, "-std=c99", *strict, tmp_path / "c.c")
    quietly(compiler, "-xc++", "-std=c++11", *strict, tmp_path / "c.c")


def test_koe_as_a_subdirectory_leaves_the_project_alone(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(app LANGUAGES CXX)\n"
        f'add_subdirectory("{HERE.parent}" koe)\n'
        "add_library(uses INTERFACE)\ntarget_link_libraries(uses INTERFACE koe::koe)\n"
        "if(CMAKE_BUILD_TYPE OR CMAKE_CXX_FLAGS OR NOT TARGET koe::koe)\n"
        '  message(FATAL_ERROR "side effects")\nendif()\n'
    )
    quietly("cmake", "-S", tmp_path, "-B", tmp_path / "build", "-GNinja")
    installed = (tmp_path / "build/koe/cmake_install.cmake").read_text()
    assert "file(INSTALL" not in installed
