# SPDX-License-Identifier: Apache-2.0
"""`koe speak -`, as a process that is fed while it speaks."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

import koe

LIMIT_S = 60
# A shell that starts its tests in the background has them ignore Ctrl-C; a terminal does not.
HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [sys.executable, "-c", f"{HEARS_CTRL_C}; from koe.cli import main; main()", "speak"]


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=LIMIT_S)


def test_samples_come_before_the_text_is_complete(tts: koe.KokoroTTS) -> None:
    with running("-", "-o", "-", "--pcm", "--speed", "4") as process:
        process.stdin.write("The *first* clause is long enough, and naïv".encode() + "é".encode()[:1])
        process.stdin.flush()
        first = process.stdout.read(1)
        assert len(first) == 1
        output, errors = process.communicate("é".encode()[1:] + b" it ends.", timeout=LIMIT_S)
        assert (process.returncode, errors) == (0, b"")
    samples = np.frombuffer(first + output, "<i2") / 32767
    expected = [*tts.stream(["The *first* clause is long enough, and naïvé it ends."], speed=4.0)]
    assert samples == pytest.approx(np.concatenate([piece.samples for piece in expected]), abs=1e-4)


def test_a_program_may_end_while_a_stream_is_at_work(tts: koe.KokoroTTS) -> None:
    code = (
        "import koe\n"
        "tts = koe.KokoroTTS()\n"
        "stream = tts.stream('This goes on and on, and on it goes. ' * 50)\n"
        "print(next(stream).words[0].text, flush=True)\n"
        "speaker = tts.speaker(lambda audio: None)\n"
        "speaker('This goes on and on, and on it goes. ' * 50)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"This"], b"")


def test_wav_on_standard_output(tts: koe.KokoroTTS) -> None:
    with running("Hello there.", "-o", "-", "--speed", "4") as process:
        output, errors = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, errors) == (0, b"")
    samples, rate = soundfile.read(io.BytesIO(output), dtype="float32")
    assert rate == 24_000
    assert len(samples) > 3000


def test_ctrl_c_stops_at_once_and_leaves_a_whole_file(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    target = tmp_path / "x.wav"
    with running("-", "-o", str(target), "--speed", "4") as process:
        process.stdin.write(b"The first clause is long enough, and it goes on. " * 200)
        process.stdin.flush()
        for _ in range(LIMIT_S * 20):
            if target.exists() and target.stat().st_size > 44:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
        assert b"Traceback" not in process.stderr.read()
    assert soundfile.info(target).frames > 3000


def test_standard_input_into_a_file(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    target = tmp_path / "x.ogg"
    with running("-", "-o", str(target), "--speed", "4") as process:
        output, errors = process.communicate("\ufeffHello **there**.".encode(), timeout=LIMIT_S)
        assert (process.returncode, errors) == (0, b"")
    assert output.decode().startswith(f"{target}: 0.")
    assert soundfile.info(target).frames > 3000


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--play", "-o", "x.wav"], b"either --play or --output"),
        (["--pcm"], b"--pcm goes with -o -"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], part: bytes) -> None:
    with running("Hello", *arguments) as process:
        _, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 2
        assert part in errors


def test_an_error_leaves_an_older_file_alone(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    target = tmp_path / "x.wav"
    target.write_bytes(b"old")
    with running("-", "-o", str(target), "--voice", "af_nobody") as process:
        _, errors = process.communicate(b"Hello.", timeout=LIMIT_S)
        assert process.returncode == 1
        assert errors.startswith(b"koe: ")
    assert target.read_bytes() == b"old"
