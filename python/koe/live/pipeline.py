# SPDX-License-Identifier: Apache-2.0
"""Tokens in, audio out, with a thread in between that does the work."""

import atexit
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import NamedTuple

from koe.audio import AudioData
from koe.live.speech import LiveSpeech, Utterance

# Enough for an app that hands its audio on in one go, and 3 MB.
AHEAD_S = 30.0
# A hurried model's text waits here, some hours of speech in 2 MB; whoever brings more than that waits himself.
MAX_PENDING_CHARACTERS = 500_000
# Letters a second, for the guess how long held text takes.
_LETTERS_PER_SECOND = 14.0
_LEAST_WAIT_S = 0.05
# How long the process waits at its end for a piece that is just being made.
_EXIT_WAIT_S = 10.0

_running: "weakref.WeakSet[Pipeline]" = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    # Python ends daemon threads that come back from native code by unwinding them, which C++ answers with an abort.
    pipelines = list(_running)
    for pipeline in pipelines:
        pipeline.close()
    for pipeline in pipelines:
        pipeline.join(_EXIT_WAIT_S)


class End:
    """An utterance is over."""


END = End()


@dataclass(frozen=True, slots=True)
class Failure:
    """The source of the tokens failed: what came before is spoken, then this raised."""

    error: BaseException


class Stop:
    """The worker is to end."""


class Delivery(NamedTuple):
    """What comes out: audio, the end of an utterance, or an error after which it is over."""

    generation: int
    item: AudioData | End | BaseException


class Pipeline:
    """A queue of tokens, a worker, and a bounded queue of audio. For one consumer.

    Each utterance ends with `finish`; a new one may follow. `cancel` ends it at once: what was fed with an older
    generation is dropped.
    """

    def __init__(self, speech: LiveSpeech, ahead_s: float = AHEAD_S, max_pending: int = MAX_PENDING_CHARACTERS) -> None:
        """
        Args:
            speech: how it sounds.
            ahead_s: seconds of audio that are made before they are taken.
            max_pending: characters that wait to be spoken.
        """
        self._speech = speech
        self._ahead_s = ahead_s
        self._max_pending = max_pending
        self._tokens: SimpleQueue[tuple[int, str | bytes | End | Failure | Stop]] = SimpleQueue()
        self._n_fed = 0
        self._n_taken = 0
        self._feed_lock = threading.Lock()
        self._changed = threading.Condition()
        self._audio: deque[Delivery] = deque()
        self._audio_s = 0.0
        self.generation = 0
        self._failed_generation = -1
        self._n_open = 0  # items that the worker hasn't dealt with
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._covered_until = 0.0
        self._pace = 0.3  # seconds of work a second of speech, as measured lately
        self.on_ready: Callable[[], None] | None = None
        """Called in the worker whenever there is something to take."""

    # --- the side of the tokens ---

    def feed(self, token: str | bytes, generation: int) -> None:
        """Takes a token; waits only while `max_pending` characters are waiting. Thread-safe."""
        if not token:
            return
        if self._n_fed - self._n_taken > self._max_pending:
            with self._changed:
                while not self.has_room and not self._is_stale(generation):
                    self._changed.wait(0.5)
        with self._feed_lock:
            self._n_fed += len(token)
        self._put((generation, token))

    @property
    def has_room(self) -> bool:
        """Whether `feed` returns at once."""
        return self._n_fed - self._n_taken <= self._max_pending

    @property
    def n_pending(self) -> int:
        """Characters that were fed and not yet looked at."""
        return self._n_fed - self._n_taken

    def finish(self, generation: int, error: BaseException | None = None) -> None:
        """The utterance's text is over; with an error, because that happened to it."""
        self._put((generation, END if error is None else Failure(error)))

    def cancel(self) -> None:
        """Drops all that is on its way. The generation afterwards is a new one."""
        with self._changed:
            self.generation += 1
            self._audio.clear()
            self._audio_s = 0.0
            self._changed.notify_all()

    def close(self) -> None:
        """Cancels, and lets the worker end."""
        with self._changed:
            self._is_closed = True
        self.cancel()
        if self._thread is not None:
            self._tokens.put((0, Stop()))

    def join(self, timeout_s: float | None = None) -> None:
        """Waits for the worker after `close`."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way and the worker waits."""
        with self._changed:
            return self._n_open == 0 and not self._audio

    def _put(self, entry: tuple[int, str | bytes | End | Failure]) -> None:
        with self._feed_lock:
            self._n_open += 1
            if self._thread is None:
                if self._is_closed:
                    return
                self._thread = threading.Thread(target=self._work, name="koe-live", daemon=True)
                self._thread.start()
                _running.add(self)
        self._tokens.put(entry)

    # --- the side of the audio ---

    def take(self, timeout_s: float | None = None) -> Delivery | None:
        """The next item; None when closed, or when the time is over."""
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._audio:
                left = end - time.monotonic()
                if self._is_closed or left <= 0:
                    return None
                # In short waits, since a signal can't break a long one on every system.
                self._changed.wait(min(left, 0.5))
            delivery = self._audio.popleft()
            if isinstance(delivery.item, AudioData):
                self._audio_s -= delivery.item.duration
            self._changed.notify_all()
            return delivery

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    # --- the worker ---

    def _is_stale(self, generation: int) -> bool:
        return generation != self.generation or self._is_closed

    def _deliver(self, generation: int, item: AudioData | End | BaseException) -> None:
        with self._changed:
            # A piece longer than all that may lie ahead passes alone.
            while isinstance(item, AudioData) and self._audio and self._audio_s + item.duration > self._ahead_s:
                if self._is_stale(generation):
                    return
                self._changed.wait(0.5)
            if self._is_stale(generation):
                return
            self._audio.append(Delivery(generation, item))
            if isinstance(item, AudioData):
                self._audio_s += item.duration
                self._covered_until = max(self._covered_until, time.monotonic()) + item.duration
            self._changed.notify_all()
        if self.on_ready is not None:
            self.on_ready()

    def _work(self) -> None:
        utterance: Utterance | None = None
        current = -1
        while True:
            n_taken, n_characters, generation, item = self._next(utterance)
            if isinstance(item, Stop):
                return
            if generation != current or self._is_stale(generation):
                utterance, current = None, generation
            if not self._is_stale(generation) and generation != self._failed_generation:
                if utterance is None:
                    utterance = self._speech.utterance()
                self._process(utterance, generation, item)
            if isinstance(item, (End, Failure)):
                utterance = None
                if generation == self._failed_generation:
                    self._failed_generation = -1
            with self._changed:
                self._n_taken += n_characters
                with self._feed_lock:
                    self._n_open -= n_taken
                self._changed.notify_all()

    def _next(self, utterance: Utterance | None) -> tuple[int, int, int, str | bytes | End | Failure | Stop | None]:
        """The next tokens: how many, their characters, generation, and text; None where the listener runs out."""
        timeout = None
        if utterance is not None and utterance.text.is_holding:
            estimate_s = utterance.text.n_pending / _LETTERS_PER_SECOND * self._pace
            timeout = max(_LEAST_WAIT_S, self._covered_until - estimate_s - time.monotonic())
        try:
            generation, item = self._tokens.get(timeout=timeout)
        except Empty:
            return 0, 0, self.generation, None
        n_characters = len(item) if isinstance(item, (str, bytes)) else 0
        return 1, n_characters, generation, item

    def _process(self, utterance: Utterance, generation: int, item: str | bytes | End | Failure | Stop | None) -> None:
        def is_cancelled() -> bool:
            return self._is_stale(generation)

        try:
            if item is None:
                pieces = utterance.text.release()
            elif isinstance(item, (str, bytes)):
                pieces = utterance.text.push(item)
            else:
                pieces = utterance.text.flush()
            for piece in pieces:
                if is_cancelled():
                    return
                start, spoken_s = time.monotonic(), 0.0
                for audio in utterance.speak(piece, is_cancelled):
                    spoken_s += audio.duration
                    work_s = time.monotonic() - start
                    self._deliver(generation, audio)
                    if is_cancelled():
                        return
                if spoken_s:
                    self._pace = 0.7 * self._pace + 0.3 * work_s / spoken_s
        except Exception as error:
            self._failed_generation = generation
            self._deliver(generation, error)
            return
        if isinstance(item, Failure):
            self._deliver(generation, item.error)
        elif isinstance(item, End):
            self._deliver(generation, END)
