# SPDX-License-Identifier: Apache-2.0
"""Sinks of a speaker: queues, files, pipes, functions. No wait is without a limit."""

import asyncio
import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

import koe
from koe.live import CallableSink, PcmSink, QueueSink, SoundFileSink, WavFileSink
from koe.live.sinks import BLOCK_SAMPLES

LIMIT_S = 30
TEXT = "The *first* clause of it all is here, and then a second one. It ends **now**."
SPOKEN = [word.strip(",.*") for word in TEXT.split(" ")]
FAST = {"speed": 4.0}


def words(pieces: list[koe.AudioData]) -> list[str]:
    return [word.text for piece in pieces for word in piece.words]


async def test_an_asyncio_queue_gets_pieces_and_none(tts: koe.KokoroTTS) -> None:
    queue: asyncio.Queue[koe.AudioData | None] = asyncio.Queue(1)
    async with asyncio.timeout(LIMIT_S):
        speaker = tts.speaker(queue, **FAST)
        speaker(TEXT, 0.0)
        speaker.flush(0)
        got = []
        while (piece := await queue.get()) is not None:
            got.append(piece)
        assert words(got) == SPOKEN
        # A full queue holds the speaker back; a cancel empties it and marks the end.
        speaker(TEXT, 0.0)
        while not queue.full():
            await asyncio.sleep(0.01)
        speaker.cancel()
        assert await queue.get() is None
        await asyncio.to_thread(speaker.close)
    assert queue.empty()


async def test_closing_leaves_the_queue_to_its_consumer(tts: koe.KokoroTTS) -> None:
    queue: asyncio.Queue[koe.AudioData | None] = asyncio.Queue()
    speaker = tts.speaker(queue, **FAST)
    speaker("Hello there.", 0.0)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.to_thread(speaker.close)
        await asyncio.sleep(0)
    piece = queue.get_nowait()
    assert piece is not None
    assert words([piece]) == ["Hello", "there"]
    assert queue.get_nowait() is None


def test_a_queue_whose_loop_is_gone_is_an_error(tts: koe.KokoroTTS) -> None:
    loop = asyncio.new_event_loop()
    sink = QueueSink(asyncio.Queue(), loop)
    loop.close()
    speaker = tts.speaker(sink, **FAST)
    speaker("Hello.", 0.0)
    with pytest.raises(RuntimeError, match="closed"):
        speaker.flush(LIMIT_S)
    speaker.close()


def test_a_wav_file_is_whole_whenever_it_is_looked_at(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    sink = WavFileSink(path)
    assert soundfile.info(path).frames == 0
    speaker = tts.speaker(sink, **FAST)
    speaker("Hello there.", 0.0)
    assert speaker.flush(LIMIT_S)
    before = soundfile.info(path).frames
    assert before > 3000
    speaker("And more of it", 0.0)
    speaker.close()
    assert soundfile.info(path).frames == sink.n_samples > before
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)


def test_a_wav_file_after_a_cancel_holds_what_was_spoken(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    with tts.speaker(WavFileSink(tmp_path / "x.wav"), **FAST) as speaker:
        speaker("Hello there.", 0.0)
        assert speaker.flush(LIMIT_S)
        speaker("Not this. " * 50, 0.0)
        speaker.cancel()
    assert soundfile.info(tmp_path / "x.wav").frames > 3000


@pytest.mark.parametrize("name", ["x.flac", "x.ogg", "x.mp3"])
def test_other_files_are_whole_when_closed_after_a_cancel(tmp_path: Path, name: str) -> None:
    audio = koe.AudioData(np.zeros(50_000, np.float32))
    sink = SoundFileSink(tmp_path / name)
    sink.write(audio, lambda: False)
    sink.write(audio, lambda: True)
    sink.close()
    assert soundfile.info(tmp_path / name).frames == pytest.approx(50_000, abs=3000)
    SoundFileSink(tmp_path / name).close()
    assert soundfile.info(tmp_path / name).frames < 3000


@pytest.mark.parametrize(("format", "kind", "scale"), [("s16le", "<i2", 32767), ("f32le", "<f4", 1)])
def test_raw_samples_go_to_a_pipe(tts: koe.KokoroTTS, format: str, kind: str, scale: float) -> None:
    file = io.BytesIO()
    with tts.speaker(PcmSink(file, format), **FAST) as speaker:
        speaker("Hello there.", 0.0)
    (piece,) = tts.stream("Hello there.", **FAST)
    samples = np.frombuffer(file.getvalue(), kind) / scale
    assert samples == pytest.approx(piece.samples, abs=1e-4)


def test_a_stream_of_wav_can_be_read(tts: koe.KokoroTTS) -> None:
    file = io.BytesIO()
    with tts.speaker(PcmSink(file, wav_header=True), **FAST) as speaker:
        speaker("Hello there.", 0.0)
    data = file.getvalue()
    assert data[:4] == b"RIFF"
    assert struct.unpack("<I", data[40:44]) == (2**32 - 1,)
    assert len(soundfile.read(io.BytesIO(data))[0]) == (len(data) - 44) // 2


def test_after_a_cancel_at_most_50_ms_go_to_a_pipe() -> None:
    written: list[int] = []

    class Pipe(io.RawIOBase):
        def write(self, data: bytes) -> int:
            written.append(len(data) // 2)
            return len(data)

    audio = koe.AudioData(np.ones(24_000, np.float32))
    PcmSink(Pipe()).write(audio, lambda: len(written) >= 3)
    assert written == [BLOCK_SAMPLES] * 3
    assert BLOCK_SAMPLES <= 0.05 * 24_000


def test_a_broken_pipe_is_told(tts: koe.KokoroTTS) -> None:
    class Gone:
        def write(self, data: bytes) -> None:
            raise BrokenPipeError

        def flush(self) -> None:
            return

    speaker = tts.speaker(PcmSink(Gone()), **FAST)
    speaker("Hello.", 0.0)
    with pytest.raises(BrokenPipeError):
        speaker.close()


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(koe.InvalidRequestError, match="s16le, f32le"):
        PcmSink(io.BytesIO(), "mp3")


def test_a_callable_gets_nothing_once_cancelled() -> None:
    calls = []
    CallableSink(calls.append).write(koe.AudioData(np.zeros(1, np.float32)), lambda: True)
    assert calls == []
