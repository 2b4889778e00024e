# SPDX-License-Identifier: Apache-2.0
"""Where a speaker's audio goes."""

import asyncio
import contextlib
import os
import wave
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from koe.audio import SAMPLE_RATE_HZ, AudioData, container_of
from koe.errors import InvalidRequestError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# What is written at once: after a cancel no more than this follows.
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 50
PCM_FORMATS = ("s16le", "f32le")
_POLL_S = 0.05
# RIFF counts in 32 bits; the header takes some of them.
_MOST_WAV_BYTES = 2**32 - 64


class Sink(ABC):
    """Takes the audio of a speaker; `cancel` may come from another thread, all else comes from one."""

    @abstractmethod
    def write(self, audio: AudioData, is_cancelled: Callable[[], bool]) -> None:
        """Takes the next piece; may wait as long as it likes, and gets the next one afterwards.

        Args:
            audio: the piece.
            is_cancelled: asked at least every 50 ms of samples or of waiting; when True, `write` returns.
        """

    def end(self) -> None:
        """An utterance is over; returns when it has been played, where that can be known."""
        return

    def cancel(self) -> None:
        """Drops what hasn't been heard yet."""
        return

    def close(self) -> None:
        """The speaker is closed; called once."""
        return


class CallableSink(Sink):
    """Calls a function with each piece."""

    def __init__(self, function: Callable[[AudioData], object]) -> None:
        """
        Args:
            function: takes a piece, with its words; what it gives back doesn't matter.
        """
        self._function = function

    def write(self, audio: AudioData, is_cancelled: Callable[[], bool]) -> None:
        """See `Sink.write`."""
        if not is_cancelled():
            self._function(audio)


class QueueSink(Sink):
    """Puts each piece into an asyncio queue, and None after the last one of each utterance.

    A full queue makes the speaker wait. A cancel empties the queue and leaves the None.
    """

    def __init__(self, queue: "asyncio.Queue[AudioData | None]", loop: asyncio.AbstractEventLoop | None = None) -> None:
        """
        Args:
            queue: the queue.
            loop: of its consumer; by default the running one.

        Raises:
            InvalidRequestError: no loop is given, and none is running.
        """
        if loop is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError as error:
                raise InvalidRequestError("an asyncio queue needs its loop: make the speaker inside it") from error
        self._queue = queue
        self._loop = loop
        self._is_open = False
        self._waiting: asyncio.Future[None] | None = None

    def write(self, audio: AudioData, is_cancelled: Callable[[], bool]) -> None:
        """See `Sink.write`."""
        self._is_open = True
        self._put(audio, is_cancelled)

    def end(self) -> None:
        """See `Sink.end`."""
        self._is_open = False
        self._put(None, lambda: False)

    def cancel(self) -> None:
        """See `Sink.cancel`."""
        is_open, self._is_open = self._is_open, False
        if self._is_inside():
            # At once, so that what the caller takes next isn't an old piece.
            self._empty(is_open)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._empty, is_open)

    def _is_inside(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _empty(self, is_open: bool) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                self._queue.get_nowait()
                is_open = True
        if is_open:
            self._queue.put_nowait(None)

    async def _enqueue(self, item: AudioData | None, is_cancelled: Callable[[], bool]) -> None:
        if not is_cancelled():
            self._waiting = asyncio.ensure_future(self._queue.put(item))
            try:
                await asyncio.wait([self._waiting])
            finally:
                self._waiting.cancel()
                self._waiting = None

    def _put(self, item: AudioData | None, is_cancelled: Callable[[], bool]) -> None:
        coroutine = self._enqueue(item, is_cancelled)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise
        while True:
            try:
                future.result(_POLL_S)
                return
            except FutureTimeoutError:
                if is_cancelled() or self._loop.is_closed():
                    future.cancel()
                    return


class WavFileSink(Sink):
    """Writes a 16-bit WAV file, which is whole after every piece, whatever happens then."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        Args:
            path: the file; an older one is replaced.

        Raises:
            OSError: it can't be written.
        """
        self.path = Path(path)
        self.n_samples = 0
        self._file = self.path.open("wb")
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - both stay open until close
        self._wave.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        self._wave.writeframes(b"")
        self._file.flush()

    def write(self, audio: AudioData, is_cancelled: Callable[[], bool]) -> None:
        """See `Sink.write`.

        Raises:
            OSError: the file can't be written, or would have more than 4 GiB.
        """
        if is_cancelled() or not len(audio.samples):
            return
        if 2 * (self.n_samples + len(audio.samples)) > _MOST_WAV_BYTES:
            raise OSError(f"{self.path}: a WAV file holds at most 4 GiB; write raw PCM")
        self._wave.writeframes(pcm16(audio.samples))
        self._file.flush()
        self.n_samples += len(audio.samples)

    def close(self) -> None:
        """See `Sink.close`."""
        self._wave.close()
        self._file.close()


class SoundFileSink(Sink):
    """Writes a FLAC, MP3, OGG (Vorbis) or Opus file, which is whole when the speaker is closed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        Args:
            path: the file, its extension as in `AudioData.save`; an older one is replaced.

        Raises:
            InvalidRequestError: the extension names no audio format.
            OSError: it can't be written.
        """
        import soundfile

        self.path = Path(path)
        self.n_samples = 0
        container, subtype = container_of(self.path)
        try:
            self._file = soundfile.SoundFile(
                self.path, "w", samplerate=SAMPLE_RATE_HZ, channels=1, format=container, subtype=subtype
            )
        except soundfile.LibsndfileError as error:
            raise OSError(f"cannot write {self.path}: {error}") from error

    def write(self, audio: AudioData, is_cancelled: Callable[[], bool]) -> None:
        """See `Sink.write`."""
        for start in range(0, len(audio.samples), SAMPLE_RATE_HZ):
            if is_cancelled():
                return
            block = audio.samples[start : start + SAMPLE_RATE_HZ]
            self._file.write(block)
            self.n_samples += len(block)

    def close(self) -> None:
        """See `Sink.close`."""
        import numpy as np

        if not self.n_samples:
            # libsndfile writes no header before the first sample.
            self._file.write(np.zeros(1, np.float32))
        self._file.close()


class Writable(Protocol):
    """What raw audio can be written to."""

    def write(self, data: bytes, /) -> object:
        """Takes bytes."""

    def flush(self) -> object:
        """Hands them on."""


class PcmSink(Sink):
    """Writes raw mono samples of 24 kHz, without a header or with a WAV header for a stream of unknown length."""

    def __init__(self, file: "BinaryIO | Writable", format: str = "s16le", wav_header: bool = False) -> None:
        """
        Args:
            file: such as `sys.stdout.buffer`, or a player's standard input; it stays open.
            format: "s16le" or "f32le".
            wav_header: begin with a WAV header.

        Raises:
            InvalidRequestError: there is no such format.
        """
        if format not in PCM_FORMATS:
            raise InvalidRequestError(f"format = {format!r}: it is one of {', '.join(PCM_FORMATS)}")
        self._file = file
        self._format = format
        if wav_header:
            file.write(stream_header(format))
            file.flush()

    def write(self, audio: AudioData, is_cancelled: Callable[[], bool]) -> None:
        """See `Sink.write`.

        Raises:
            OSError: the other end is gone.
        """
        for start in range(0, len(audio.samples), BLOCK_SAMPLES):
            if is_cancelled():
                return
            block = audio.samples[start : start + BLOCK_SAMPLES]
            self._file.write(pcm16(block) if self._format == "s16le" else block.astype("<f4").tobytes())
            self._file.flush()


def pcm16(samples: "npt.NDArray[np.float32]") -> bytes:
    """Samples as 16-bit little-endian integers, clipped above 1."""
    import numpy as np

    return np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def stream_header(format: str) -> bytes:
    """A WAV header whose sizes say "until the end"."""
    code, size = (1, 2) if format == "s16le" else (3, 4)
    unknown = (2**32 - 1).to_bytes(4, "little")
    numbers = ((code, 2), (1, 2), (SAMPLE_RATE_HZ, 4), (SAMPLE_RATE_HZ * size, 4), (size, 2), (8 * size, 2))
    body = b"".join(value.to_bytes(width, "little") for value, width in numbers)
    return b"RIFF" + unknown + b"WAVEfmt " + len(body).to_bytes(4, "little") + body + b"data" + unknown


def as_sink(sink: object) -> Sink:
    """A sink for what a caller may give.

    Raises:
        InvalidRequestError: it is no sink, function or asyncio queue.
    """
    if isinstance(sink, Sink):
        return sink
    if isinstance(sink, asyncio.Queue):
        return QueueSink(sink)
    if callable(sink):
        return CallableSink(sink)
    raise InvalidRequestError(f"a sink is a function, an asyncio queue or a koe.live.Sink, not {type(sink).__name__}")
