# SPDX-License-Identifier: Apache-2.0
"""The sound card, through the extra `play` (sounddevice, PortAudio)."""

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from koe.audio import SAMPLE_RATE_HZ, AudioData
from koe.errors import PlaybackError
from koe.live.sinks import BLOCK_SAMPLES, Sink

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Audio between the speaker and the device; what lies there is dropped by a cancel.
_BUFFER_SAMPLES = SAMPLE_RATE_HZ // 2
_FADE_SAMPLES = SAMPLE_RATE_HZ // 200
_POLL_S = 0.05


class PlaybackBuffer:
    """Blocks of samples between a writer and a device's callback. Thread-safe; bounded by its writer's `wait`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._blocks: deque[npt.NDArray[np.float32]] = deque()
        self._n_samples = 0
        self._n_played = 0

    @property
    def n_played(self) -> int:
        """Samples that went to the device since `restart`, without the silence where there were none."""
        return self._n_played

    def restart(self) -> None:
        """Counts from 0 again."""
        with self._changed:
            self._n_played = 0

    def append(self, block: "npt.NDArray[np.float32]") -> None:
        """Adds samples."""
        with self._changed:
            self._blocks.append(block)
            self._n_samples += len(block)

    def wait(self, most: int, is_cancelled: Callable[[], bool]) -> bool:
        """Waits until at most so many samples are left; False when cancelled before."""
        with self._changed:
            while self._n_samples > most:
                if is_cancelled():
                    return False
                self._changed.wait(_POLL_S)
        return True

    def clear(self) -> None:
        """Drops everything but a fade of some milliseconds, so that nothing clicks."""
        import numpy as np

        with self._changed:
            rest = np.concatenate([*self._blocks, np.zeros(0, np.float32)])[:_FADE_SAMPLES]
            self._blocks.clear()
            self._n_samples = len(rest)
            if len(rest):
                self._blocks.append(rest * np.linspace(1, 0, len(rest), dtype=np.float32))
            self._changed.notify_all()

    def fill(self, out: "npt.NDArray[np.float32]") -> None:
        """Takes len(out) samples, with silence where there are none."""
        with self._changed:
            position = 0
            while position < len(out) and self._blocks:
                block = self._blocks.popleft()
                n = min(len(block), len(out) - position)
                out[position : position + n] = block[:n]
                position += n
                if n < len(block):
                    self._blocks.appendleft(block[n:])
            out[position:] = 0
            self._n_samples -= position
            self._n_played += position
            self._changed.notify_all()


class SoundCard(Sink):
    """Plays on the sound card. A cancel is heard within the device's own latency, some 10 to 40 ms."""

    def __init__(self, device: int | str | None = None) -> None:
        """
        Args:
            device: number or name of an output device; by default the system's.

        Raises:
            PlaybackError: the extra `play`, PortAudio or an output device is missing.
        """
        try:
            import sounddevice
        except ImportError as error:
            raise PlaybackError('playing needs sounddevice: pip install "koe[play]"') from error
        except OSError as error:
            raise PlaybackError(
                f"sounddevice finds no PortAudio ({error}); install it, on Debian as libportaudio2"
            ) from error
        self._buffer = PlaybackBuffer()
        self._is_new = True
        try:
            self._stream = sounddevice.OutputStream(
                samplerate=SAMPLE_RATE_HZ,
                channels=1,
                dtype="float32",
                latency="low",
                device=device,
                callback=self._callback,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            name = "" if device is None else f" {device!r}"
            raise PlaybackError(f"no sound can be played on the output device{name}: {error}") from error

    def _callback(self, out: Any, _frames: int, _time: object, _status: object) -> None:
        self._buffer.fill(out[:, 0])

    @property
    def position(self) -> float:
        """What is being heard now: seconds on the utterance's clock."""
        heard = self._buffer.n_played / SAMPLE_RATE_HZ - float(self._stream.latency)
        return max(0.0, heard)

    def write(self, audio: AudioData, is_cancelled: Callable[[], bool]) -> None:
        """See `Sink.write`."""
        if audio.start == 0:
            self._buffer.restart()
        for start in range(0, len(audio.samples), BLOCK_SAMPLES):
            if not self._buffer.wait(_BUFFER_SAMPLES, is_cancelled) or is_cancelled():
                return
            self._buffer.append(audio.samples[start : start + BLOCK_SAMPLES])

    def end(self) -> None:
        """See `Sink.end`."""
        self._buffer.wait(0, lambda: not self._stream.active)

    def cancel(self) -> None:
        """See `Sink.cancel`."""
        self._buffer.clear()

    def close(self) -> None:
        """See `Sink.close`."""
        self._stream.stop()
        self._stream.close()
