# SPDX-License-Identifier: Apache-2.0
"""`tts.stream`: a text, or tokens as they come, to pieces of audio."""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias

from koe.audio import AudioData
from koe.errors import InvalidRequestError
from koe.live.adapters import text_of
from koe.live.pipeline import Delivery, End, Pipeline
from koe.live.speech import LiveSpeech

Text: TypeAlias = str | Iterable[Any] | AsyncIterable[Any]

# How far a source of tokens may run ahead of the speech, in characters.
_MAX_PENDING = 20_000
_POLL_S = 0.02


class SpeechStream:
    """Pieces of audio in order, for `for` or `async for`; iterate it once. See `KokoroTTS.stream`."""

    def __init__(self, speech: LiveSpeech, text: Text) -> None:
        """
        Args:
            speech: how it sounds.
            text: a string, an iterable of tokens, or an async one.
        """
        self._pipeline = Pipeline(speech, max_pending=_MAX_PENDING)
        self._is_over = False
        self._task: asyncio.Task[None] | None = None
        self._ready: asyncio.Event | None = None
        self._source: Iterator[Any] | AsyncIterable[Any] | None = None
        if isinstance(text, (str, bytes)):
            self._source = iter((text,))
        elif isinstance(text, AsyncIterable):
            self._source = text
        elif isinstance(text, Iterable):
            self._source = iter(text)
        else:
            raise InvalidRequestError(
                f"text is a string, an iterable of tokens, or an async one, not {type(text).__name__}"
            )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AudioData:
        if self._is_over:
            raise StopIteration
        if isinstance(self._source, AsyncIterable):
            raise InvalidRequestError("the tokens come from an async iterable; use `async for`")
        self._start_reader()
        audio = self._open(self._pipeline.take())
        if audio is None:
            raise StopIteration
        return audio

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioData:
        if self._is_over:
            raise StopAsyncIteration
        ready = self._start_async()
        while True:
            delivery = self._pipeline.take(0)
            if delivery is not None or self._pipeline.is_closed:
                break
            await ready.wait()
            ready.clear()
        audio = self._open(delivery)
        if audio is None:
            raise StopAsyncIteration
        return audio

    def close(self) -> None:
        """Ends the work; may be called twice, and from another thread."""
        self._is_over = True
        self._pipeline.close()
        if self._ready is not None and self._pipeline.on_ready is not None:
            self._pipeline.on_ready()
        if self._task is not None:
            task, self._task = self._task, None
            if not task.done() and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

    async def aclose(self) -> None:
        """`close`, for `contextlib.aclosing`."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_source"):
            self.close()

    def _open(self, delivery: Delivery | None) -> AudioData | None:
        """The audio of a delivery; None at the end."""
        item = None if delivery is None else delivery.item
        if isinstance(item, AudioData):
            return item
        self.close()
        if item is None or isinstance(item, End):
            return None
        raise item

    def _start_reader(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            threading.Thread(target=_read, args=(source, self._pipeline), name="koe-tokens", daemon=True).start()

    def _start_async(self) -> asyncio.Event:
        if self._ready is None:
            loop = asyncio.get_running_loop()
            ready = self._ready = asyncio.Event()

            def notify() -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(ready.set)

            self._pipeline.on_ready = notify
            if isinstance(self._source, AsyncIterable):
                source, self._source = self._source, None
                self._task = loop.create_task(_read_async(source, self._pipeline))
            else:
                self._start_reader()
        return self._ready


def _read(source: Iterator[Any], pipeline: Pipeline) -> None:
    """Takes the tokens, in a thread of its own: its source may wait for a model."""
    error: BaseException | None = None
    try:
        for token in source:
            pipeline.feed(text_of(token), 0)
            if pipeline.is_closed:
                break
    except BaseException as raised:
        error = raised
    pipeline.finish(0, error)
    _close_source(source)


def _close_source(source: Iterator[Any]) -> None:
    # A generator's own clean-up must not wait for the garbage collector.
    close = getattr(source, "close", None)
    if callable(close):
        close()


async def _read_async(source: AsyncIterable[Any], pipeline: Pipeline) -> None:
    error: BaseException | None = None
    iterator: AsyncIterator[Any] = aiter(source)
    try:
        async for token in iterator:
            while not pipeline.has_room and not pipeline.is_closed:
                await asyncio.sleep(_POLL_S)
            pipeline.feed(text_of(token), 0)
    except asyncio.CancelledError:
        raise
    except BaseException as raised:
        error = raised
    finally:
        close = getattr(iterator, "aclose", None)
        if callable(close):
            await close()
    pipeline.finish(0, error)
