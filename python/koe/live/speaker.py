# SPDX-License-Identifier: Apache-2.0
"""`tts.speaker`: a callback for a language model, which speaks what the model writes."""

import math
import threading
import time
from types import TracebackType
from typing import Self

from koe.audio import AudioData
from koe.errors import InvalidRequestError
from koe.live.adapters import text_of
from koe.live.pipeline import AHEAD_S, Delivery, End, Pipeline
from koe.live.sinks import as_sink
from koe.live.speech import LiveSpeech


class Speaker:
    """Speaks tokens as a language model writes them: `speaker(token, elapsed_s)` for each, `flush()` after the last.

    The call puts the token into a queue and returns: False to go on, True once cancelled, closed or failed, which tells
    the model to stop. From the first token to its `flush` all is one utterance, its clock and characters counted from
    0. A worker makes the audio, half a minute ahead at most, and another hands it to the sink. Thread-safe.

    As a context manager it flushes and closes at the end, or cancels if the block raises.
    """

    def __init__(self, speech: LiveSpeech, sink: object, ahead_s: float = AHEAD_S) -> None:
        """
        Args:
            speech: how it sounds.
            sink: a function of a piece, an asyncio queue, or a `Sink`.
            ahead_s: seconds of audio that are made before the sink takes them.
        """
        self._sink = as_sink(sink)
        self._pipeline = Pipeline(speech, ahead_s)
        self._changed = threading.Condition()
        self._state_lock = threading.RLock()
        self._is_refusing = False
        self._is_open = False
        self._is_closed = False
        self._error: BaseException | None = None
        self._n_begun = 0  # utterances flushed
        self._n_ended = 0  # of these, how many the sink has, or were cancelled
        self._is_writing = False
        self._thread: threading.Thread | None = None

    def __call__(self, token: object, elapsed_s: float = 0.0) -> bool:
        """Takes one token.

        It waits only if half a million characters haven't been spoken yet.

        Args:
            token: text, bytes of UTF-8, or a model's chunk, see `koe.live.text_of`; None and "" are nothing.
            elapsed_s: the model's time since its beginning; koe doesn't need it.

        Returns:
            False to go on, True to stop.

        Raises:
            InvalidRequestError: it is no token.
        """
        # In this order: a cancel refuses first and then counts up.
        generation = self._pipeline.generation
        if self._is_refusing or self._is_closed or self._error is not None:
            return True
        text = token if isinstance(token, str) else text_of(token)
        if text:
            self._is_open = True
            if self._thread is None:
                self._start()
            self._pipeline.feed(text, generation)
        return self._is_refusing or self._error is not None

    def flush(self, timeout_s: float | None = None) -> bool:
        """Ends the utterance: speaks what is left of its text, and waits until the sink has all of it.

        After a cancel this makes the speaker ready for the next utterance.

        Args:
            timeout_s: how long to wait at most; None for as long as it takes, 0 not at all.

        Returns:
            Whether the sink has it all.

        Raises:
            Exception: what the sink or the voice has failed with since the last flush.
            InvalidRequestError: called by the sink itself, which would wait for itself.
        """
        if timeout_s != 0 and threading.current_thread() is self._thread:
            raise InvalidRequestError("a sink can't wait for its own speaker; use flush(0)")
        with self._state_lock:
            was_refusing, self._is_refusing = self._is_refusing, False
            if self._is_open and not was_refusing and self._error is None and not self._is_closed:
                self._n_begun += 1
                self._pipeline.finish(self._pipeline.generation)
            self._is_open = False
            target = self._n_begun
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while self._n_ended < target and self._error is None and not self._is_closed:
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, 0.5))
            is_done = self._n_ended >= target
        self._raise()
        return is_done

    def cancel(self) -> None:
        """Falls silent: drops text and audio, and lets the model stop.

        The sink gets no more than 50 ms of samples after this. Tokens of the utterance that is open are refused until
        its `flush`; if there is none, the next token begins a new one. The speaker can be used again.
        """
        with self._state_lock:
            if self._is_open:
                self._is_refusing = True
            self._pipeline.cancel()
            with self._changed:
                self._n_ended = self._n_begun
                self._changed.notify_all()
        self._sink.cancel()

    def close(self, timeout_s: float | None = None) -> None:
        """Flushes, lets go of the sink, and ends the threads; may be called twice.

        Args:
            timeout_s: how long to wait for the speech and then for the sink; what isn't spoken by then is dropped.

        Raises:
            Exception: what the sink or the voice has failed with since the last flush.
        """
        with self._state_lock:
            if self._is_closed:
                return
        is_sink = threading.current_thread() is self._thread
        try:
            if self._is_open and not self._is_refusing and not is_sink:
                self.flush(timeout_s)
            elif not is_sink:
                self._wait_ended(timeout_s)
        finally:
            with self._state_lock:
                is_first, self._is_closed = not self._is_closed, True
            if is_first:
                if self._n_ended < self._n_begun or (self._is_open and not self._is_refusing):
                    self.cancel()
                self._pipeline.close()
                with self._changed:
                    self._changed.notify_all()
                if self._thread is not None and not is_sink:
                    self._thread.join(timeout_s)
                self._pipeline.join(timeout_s)
                self._sink.close()
        self._raise()

    @property
    def is_cancelled(self) -> bool:
        """Whether tokens are refused until `flush`."""
        return self._is_refusing

    @property
    def is_idle(self) -> bool:
        """Whether no text and no audio is on its way."""
        with self._changed:
            return not self._is_writing and self._pipeline.is_idle

    @property
    def n_pending(self) -> int:
        """Characters that wait to be spoken."""
        return self._pipeline.n_pending

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.cancel()
            self._error = None  # the block's own error is the one to see
        self.close()

    def _wait_ended(self, timeout_s: float | None) -> None:
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while self._n_ended < self._n_begun and self._error is None and time.monotonic() < end:
                self._changed.wait(0.1)

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _start(self) -> None:
        with self._state_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._hand_out, name="koe-sink", daemon=True)
                self._thread.start()

    def _hand_out(self) -> None:
        while not self._pipeline.is_closed:
            delivery = self._pipeline.take()
            if delivery is None:
                continue
            with self._changed:
                self._is_writing = True
            try:
                self._hand(delivery)
            except Exception as error:
                self._fail(error)
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()

    def _hand(self, delivery: Delivery) -> None:
        def is_cancelled() -> bool:
            return delivery.generation != self._pipeline.generation

        item = delivery.item
        if is_cancelled():
            return
        if isinstance(item, AudioData):
            self._sink.write(item, is_cancelled)
        elif isinstance(item, End):
            self._sink.end()
            with self._changed:
                if not is_cancelled():
                    self._n_ended += 1
        else:
            self._fail(item)

    def _fail(self, error: BaseException) -> None:
        with self._state_lock:
            self._error = error
            self._is_refusing = self._is_open
            self._pipeline.cancel()
            with self._changed:
                self._n_ended = self._n_begun
                self._changed.notify_all()
