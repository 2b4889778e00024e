# SPDX-License-Identifier: Apache-2.0
"""The command `koe`, as a process: output, errors, exit status."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

import koe


def run(*arguments: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from koe.cli import main; main()", *arguments],
        input=input,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "NO_COLOR": "1", **environment},
        check=False,
    )


def assert_fails(done: subprocess.CompletedProcess[str], *parts: str, status: int = 1) -> None:
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("speak", "voices", "phonemize", "prepare", "fetch", "info", "bench"):
        assert command in done.stdout


def test_version() -> None:
    assert run("--version").stdout == f"koe {koe.__version__}\n"


def test_speak_writes_a_file(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    target = tmp_path / "hello.wav"
    done = run("speak", "Hello there.", "-o", str(target), "--voice", "bella", "--threads", "1", "--speed", "1.2")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(target) in done.stdout
    samples, rate = soundfile.read(target, dtype="float32")
    expected = tts.generate_speech("Hello there.", koe.Voice.BELLA, speed=1.2).samples
    assert rate == 24_000
    assert samples == pytest.approx(expected, abs=1 / 32768)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_long_text_draws_a_bar_on_a_terminal_only(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    import pty

    command = [sys.executable, "-c", "from koe.cli import main; main()", "speak", "Hello" + " " * 400]
    ours, theirs = pty.openpty()
    with subprocess.Popen([*command, "-o", str(tmp_path / "a.wav")], stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        # Linux reports the end of a terminal as an error, other systems as an empty read.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"Speaking" in shown
    plain = subprocess.run([*command, "-o", str(tmp_path / "b.wav")], capture_output=True, text=True, check=True)
    assert "Speaking" not in plain.stdout + plain.stderr


@pytest.mark.parametrize("way", ["argument", "file", "standard input"])
def test_text_comes_from_an_argument_a_file_or_standard_input(tts: koe.KokoroTTS, tmp_path: Path, way: str) -> None:
    (tmp_path / "text.txt").write_text("\ufeffÄh, yes.", encoding="utf-8")
    source = {"argument": ["Äh, yes."], "file": ["--file", str(tmp_path / "text.txt")], "standard input": ["-"]}[way]
    done = run("phonemize", *source, input="Äh, yes.")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == tts.phonemize("Äh, yes.").phonemes


def test_speaking_nothing_says_so_and_writes_an_empty_file(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    target = tmp_path / "nothing.wav"
    done = run("speak", "...", "-o", str(target))
    assert done.returncode == 0
    assert "nothing to speak" in done.stderr
    assert soundfile.info(target).frames == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["speak"],
        ["speak", "text", "--file", "x.txt"],
        ["speak", "text", "--speed", "fast"],
        ["nonsense"],
        ["prepare"],
        ["bench", "--runs", "0"],
    ],
)
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    assert_fails(run(*arguments), "Usage", status=2)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--speed", "0"], ["koe: speed = 0.0", "0.25 to 4"]),
        (["--speed", "nan"], ["speed = nan"]),
        (["--voice", "af_bela"], ["af_bela", "af_bella"]),
        (["--language", "klingon"], ["klingon", "en-us"]),
        (["--language", "ja"], ["ja"]),
        (["--precision", "double"], ["double", "float32"]),
        (["--isa", "mmx"], ["mmx", "scalar"]),
        *([] if sys.platform == "darwin" else [(["--device", "metal"], ["Metal needs an Apple GPU"])]),
        (["-o", "out.xyz"], ["out.xyz", "wav, flac"]),
        (["--model", "no-such-model.onnx"], ["no-such-model.onnx"]),
        (["--voices", "no-such-folder"], ["no-such-folder"]),
    ],
)
def test_an_error_is_one_clear_line(tts: koe.KokoroTTS, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    target = tmp_path / "out.wav"
    done = run("speak", "Hello", "-o", str(target), *arguments)
    assert_fails(done, "koe: ", *parts)
    assert len(done.stderr.strip().splitlines()) == 1
    assert not target.exists()


def test_a_missing_text_file_is_named(tmp_path: Path) -> None:
    assert_fails(run("speak", "--file", str(tmp_path / "gone.txt")), "gone.txt")


def test_debug_shows_the_place() -> None:
    done = run("speak", "Hello", "--speed", "0", KOE_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_voices_are_listed_one_a_line(tts: koe.KokoroTTS) -> None:
    assert run("voices").stdout.split() == tts.voices()


def test_phonemize_shows_words() -> None:
    done = run("phonemize", "of the cat", "--words", "--language", "en-gb")
    assert done.stdout.splitlines() == ["of\tɒv", "the\tðə", "cat\tkˈat"]


def test_phonemize_knows_the_older_rules() -> None:
    assert run("phonemize", "time", "--rules", "0.19").stdout.strip() == "tˈaɪm"
    assert_fails(run("phonemize", "time", "--rules", "3"), "'3'")


def test_prepare_writes_a_bundle_that_speaks(tts: koe.KokoroTTS, model_path: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "own.gguf"
    done = run("prepare", str(model_path), "-o", str(bundle))
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(bundle), "")
    assert bundle.read_bytes() == tts.bundle.path.read_bytes()


def test_prepare_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    assert_fails(run("prepare", str(tmp_path / "bad.onnx")), "bad.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.onnx"]
    assert_fails(run("prepare", str(tmp_path / "gone.onnx")), "gone.onnx")


def test_fetch_prints_where_things_are(tts: koe.KokoroTTS) -> None:
    done = run("fetch", "--voices", "af_bella,george")
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in paths[-2:]] == ["af_bella.bin", "bm_george.bin"]
    assert tts.bundle.path in paths
    assert all(path.is_file() for path in paths)


def test_fetch_refuses_an_unknown_voice() -> None:
    assert_fails(run("fetch", "--voices", "af_nobody", "--no-model"), "af_nobody")


def test_info_tells_versions_kernels_and_files(tts: koe.KokoroTTS) -> None:
    facts = json.loads(run("info", "--json").stdout)
    assert facts["versions"]["koe"] == koe.__version__
    assert "scalar" in facts["machine"]["kernel tables"]
    assert facts["machine"]["in use"] in facts["machine"]["kernel tables"]
    assert Path(facts["model"]["file"]).is_file()
    text = run("info").stdout
    assert "kernel tables" in text
    assert "in use" in text


def test_bench_measures_every_stage(tts: koe.KokoroTTS) -> None:
    done = run("bench", "Good morning.", "--json", "--runs", "1")
    result = json.loads(done.stdout)
    assert result["audio_s"] > 0.5
    assert result["times_real_time"] == pytest.approx(result["audio_s"] / result["wall_s"])
    assert 0 < result["first_audio_s"] <= result["wall_s"]
    assert result["peak_memory_bytes"] > 50e6
    assert set(result["stages"]) == {"g2p", "acoustic_model", "vocoder", "stitching"}
    assert sum(stage["share"] for stage in result["stages"].values()) == pytest.approx(1)
    assert all(stage["seconds"] > 0 for stage in result["stages"].values())
