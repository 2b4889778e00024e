# SPDX-License-Identifier: Apache-2.0
"""Streams and speakers with the real model. No wait is without a limit."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np
import pytest

import koe
from koe.live import Sink, Speaker
from koe.live.pipeline import AHEAD_S, End, Pipeline

LIMIT_S = 30
TEXT = "The *first* clause of it all is here, and then a second one. It ends **now**."
SPOKEN = [word.strip(",.*") for word in TEXT.split(" ")]
FAST = {"speed": 4.0}


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def live_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name in ("koe-live", "koe-sink", "koe-tokens")}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    wait_for(lambda: not live_threads())


def assert_is_one_speech(pieces: list[koe.AudioData], text: str) -> None:
    time_s = 0.0
    end = 0.0
    for piece in pieces:
        assert piece.start == pytest.approx(time_s)
        time_s += piece.duration
        for word in piece.words:
            assert end <= word.start + 1e-9
            assert word.start < word.end <= time_s + 1e-9
            assert text[word.char_start : word.char_end] == word.text
            end = word.end


def words(pieces: list[koe.AudioData]) -> list[str]:
    return [word.text for piece in pieces for word in piece.words]


class Collector(Sink):
    """Takes pieces, and records what happened."""

    def __init__(self) -> None:
        self.pieces: list[koe.AudioData] = []
        self.events: list[str] = []

    def write(self, audio: koe.AudioData, is_cancelled: Callable[[], bool]) -> None:
        self.pieces.append(audio)

    def end(self) -> None:
        self.events.append("end")

    def cancel(self) -> None:
        self.events.append("cancel")

    def close(self) -> None:
        self.events.append("close")


class Gate(Collector):
    """A sink that waits in `write` until it is opened or cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.opened = threading.Event()

    def write(self, audio: koe.AudioData, is_cancelled: Callable[[], bool]) -> None:
        self.entered.set()
        end = time.monotonic() + LIMIT_S
        while not self.opened.is_set() and time.monotonic() < end:
            if is_cancelled():
                return
            time.sleep(0.005)
        super().write(audio, is_cancelled)


# --- streams ---


def test_a_string_becomes_pieces_on_one_clock(tts: koe.KokoroTTS) -> None:
    pieces = list(tts.stream(TEXT, **FAST))
    assert len(pieces) >= 2
    assert words(pieces) == SPOKEN
    assert_is_one_speech(pieces, TEXT)


@pytest.mark.parametrize("size", [1, 7])
def test_tokens_give_the_same_samples_as_the_whole_text(tts: koe.KokoroTTS, size: int) -> None:
    whole = list(tts.stream(TEXT, **FAST))
    tokens = [TEXT[i : i + size] for i in range(0, len(TEXT), size)]
    parts = list(tts.stream(iter(tokens), **FAST))
    assert len(parts) == len(whole)
    for part, expected in zip(parts, whole, strict=True):
        assert np.array_equal(part.samples, expected.samples)
        assert part.words == expected.words


async def test_async_iterables_and_async_for(tts: koe.KokoroTTS) -> None:
    async def tokens() -> AsyncIterator[str]:
        for token in TEXT.split(" "):
            await asyncio.sleep(0)
            yield token + " "

    async with asyncio.timeout(LIMIT_S):
        pieces = [piece async for piece in tts.stream(tokens(), **FAST)]
        same = [piece async for piece in tts.stream(TEXT, **FAST)]
    assert words(pieces) == words(same) == SPOKEN
    assert_is_one_speech(pieces, TEXT)


def test_the_first_piece_comes_before_the_text_is_complete(tts: koe.KokoroTTS) -> None:
    is_heard = threading.Event()

    def tokens() -> Iterator[str]:
        yield "The first clause is long enough, and "
        assert is_heard.wait(LIMIT_S)
        yield "then it ends."

    stream = tts.stream(tokens(), **FAST)
    first = next(stream)
    assert words([first])[-1] == "enough"
    is_heard.set()
    assert words(list(stream)) == ["and", "then", "it", "ends"]


def test_held_sentences_are_spoken_when_the_listener_runs_out(tts: koe.KokoroTTS) -> None:
    goes_on = threading.Event()

    def tokens() -> Iterator[str]:
        yield "A first sentence of some length is here, and more of it follows at once. " * 2
        yield "A complete sentence waits here. And"
        goes_on.wait(LIMIT_S)
        yield " more."

    got: list[str] = []
    for piece in tts.stream(tokens(), **FAST):
        got += words([piece])
        if got[-1] == "here":
            goes_on.set()
    assert goes_on.is_set()
    assert got[-2:] == ["And", "more"]


@pytest.mark.parametrize("empty", ["", "…", "```\ncode\n```", "***"])
def test_nothing_to_speak_gives_no_piece(tts: koe.KokoroTTS, empty: str) -> None:
    assert list(tts.stream(empty)) == []
    assert list(tts.stream([empty, "", None])) == []


def test_what_came_before_an_error_of_the_tokens_is_spoken(tts: koe.KokoroTTS) -> None:
    def tokens() -> Iterator[str]:
        yield "All of this is "
        raise ConnectionError("the line is dead")

    stream = tts.stream(tokens(), **FAST)
    assert words([next(stream)]) == ["All", "of", "this", "is"]
    with pytest.raises(ConnectionError, match="line is dead"):
        next(stream)
    assert list(stream) == []


async def test_async_tokens_that_fail_are_raised_too(tts: koe.KokoroTTS) -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "All of this "
        raise ConnectionError("the line is dead")

    got = []
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(ConnectionError):  # noqa: PT012 - the iteration is what raises
            async for piece in tts.stream(tokens(), **FAST):
                got += words([piece])
    assert got == ["All", "of", "this"]


@pytest.mark.parametrize("token", [3, object(), {"content": 3}])
def test_what_is_no_token_is_refused_after_what_came_before(tts: koe.KokoroTTS, token: object) -> None:
    stream = tts.stream(["Hello, ", token], **FAST)
    assert words([next(stream)]) == ["Hello"]
    with pytest.raises(koe.InvalidRequestError, match="token"):
        next(stream)


def test_bytes_are_joined_and_a_broken_end_is_passed_over(tts: koe.KokoroTTS) -> None:
    data = "Naïve café".encode()
    tokens = [data[i : i + 1] for i in range(len(data) - 1)]
    assert words(list(tts.stream(tokens, **FAST)))[0] == "Naïve"


def test_control_characters_and_surrogates_do_no_harm(tts: koe.KokoroTTS) -> None:
    (piece,) = tts.stream(["He\x00llo\x1b", " \ud83d", "\ude00 wor\x07ld"], **FAST)
    assert [(word.text, word.char_start) for word in piece.words] == [("Hello", 0), ("😀", 8), ("world", 11)]


def test_wrong_requests_are_refused_at_the_call(tts: koe.KokoroTTS) -> None:
    with pytest.raises(koe.InvalidRequestError, match="text"):
        tts.stream(3)
    with pytest.raises(koe.InvalidRequestError, match="speed"):
        tts.stream("a", speed=0)
    with pytest.raises(koe.VoiceNotFoundError):
        tts.speaker(print, voice="af_nobody")
    with pytest.raises(koe.InvalidRequestError, match="sink"):
        tts.speaker(3)
    with pytest.raises(koe.InvalidRequestError, match="loop"):
        tts.speaker(asyncio.Queue())


def test_tags_out_of_range_raise_in_a_string_and_are_passed_over_in_tokens(
    tts: koe.KokoroTTS, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(koe.InvalidRequestError, match="99"):
        list(tts.stream("Hello [pause:99s] there", **FAST))
    assert words(list(tts.stream(["Hello [pause:99s] there"], **FAST))) == ["Hello", "there"]
    assert "[pause:99s]" in caplog.text


def test_an_async_source_needs_async_for(tts: koe.KokoroTTS) -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(koe.InvalidRequestError, match="async for"):
        next(tts.stream(tokens()))


def test_a_stream_ends_when_it_is_closed_or_dropped(tts: koe.KokoroTTS) -> None:
    is_closed = threading.Event()

    def endless() -> Iterator[str]:
        try:
            while True:
                yield "And so it goes on and on. "
        finally:
            is_closed.set()

    stream = tts.stream(endless(), **FAST)
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert is_closed.wait(LIMIT_S)
    dropped = tts.stream(endless(), **FAST)
    next(dropped)
    del dropped


async def test_a_cancelled_task_ends_its_stream(tts: koe.KokoroTTS) -> None:
    async def endless() -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(0)
            yield "And so it goes on. "

    got = asyncio.Event()

    async def listen() -> None:
        async with tts.stream(endless(), **FAST) as stream:
            async for _ in stream:
                got.set()

    task = asyncio.create_task(listen())
    async with asyncio.timeout(LIMIT_S):
        await got.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_audio_ahead_and_text_ahead_are_bounded(tts: koe.KokoroTTS) -> None:
    n_tokens = 0

    def endless() -> Iterator[str]:
        nonlocal n_tokens
        while True:
            n_tokens += 1
            yield "It goes on and on and on. "

    with tts.stream(endless(), speed=0.25) as stream:
        pipeline = stream._pipeline
        next(stream)
        wait_for(lambda: not pipeline.has_room)
        before = n_tokens
        time.sleep(0.1)
        assert n_tokens <= before + 1
        assert n_tokens * 26 < 40_000
        assert pipeline._audio_s <= AHEAD_S


# --- speakers ---


def test_the_callback_speaks_and_says_go_on(tts: koe.KokoroTTS) -> None:
    sink = Collector()
    with tts.speaker(sink, **FAST) as speaker:
        for i, token in enumerate(TEXT.split(" ")):
            assert speaker(token + " ", i / 15) is False
        assert speaker.flush(LIMIT_S)
        assert words(sink.pieces) == SPOKEN
        wait_for(lambda: speaker.is_idle)
        # A second utterance has a clock and characters of its own.
        assert speaker("Once more.", 0.0) is False
    assert_is_one_speech(sink.pieces[-1:], "Once more.")
    assert sink.events == ["end", "end", "close"]


def test_nothing_is_nothing(tts: koe.KokoroTTS) -> None:
    with tts.speaker(Collector()) as speaker:
        assert speaker("", 0.0) is False
        assert speaker(None, 0.0) is False
        assert speaker.flush(LIMIT_S)
        with pytest.raises(koe.InvalidRequestError):
            speaker(3, 0.0)
    assert not live_threads()


def test_cancel_while_the_sink_plays(tts: koe.KokoroTTS) -> None:
    sink = Gate()
    with tts.speaker(sink, **FAST) as speaker:
        speaker(TEXT * 3, 0.0)
        assert sink.entered.wait(LIMIT_S)
        speaker.cancel()
        assert speaker(" and more", 0.0) is True
        assert speaker.is_cancelled
        wait_for(lambda: speaker.is_idle)
        assert speaker.n_pending == 0
        assert sink.pieces == []
        assert speaker.flush(LIMIT_S)
        sink.opened.set()
        assert speaker("Here again.", 0.0) is False
        assert speaker.flush(LIMIT_S)
        assert words(sink.pieces) == ["Here", "again"]


def test_cancel_while_the_voice_works(tts: koe.KokoroTTS) -> None:
    sink = Collector()
    with tts.speaker(sink, **FAST) as speaker:
        speaker("This is the very first sentence of them all. " * 5, 0.0)
        time.sleep(0.02)
        speaker.cancel()
        n = len(sink.pieces)
        wait_for(lambda: speaker.is_idle)
        assert len(sink.pieces) <= n + 1
        assert speaker.flush(LIMIT_S)


def test_cancel_before_anything_and_after_everything(tts: koe.KokoroTTS) -> None:
    sink = Collector()
    with tts.speaker(sink, **FAST) as speaker:
        speaker.cancel()
        assert speaker("One.", 0.0) is False
        assert speaker.flush(LIMIT_S)
        speaker.cancel()
        speaker.cancel()
        assert speaker("Two.", 0.0) is False
        assert speaker.flush(LIMIT_S)
    speaker.cancel()
    assert words(sink.pieces) == ["One", "Two"]


def test_cancel_while_another_thread_flushes(tts: koe.KokoroTTS) -> None:
    sink = Gate()
    with tts.speaker(sink, **FAST) as speaker:
        speaker("Hello there.", 0.0)
        result: list[bool] = []
        thread = threading.Thread(target=lambda: result.append(speaker.flush(LIMIT_S)))
        thread.start()
        assert sink.entered.wait(LIMIT_S)
        speaker.cancel()
        thread.join(LIMIT_S)
        assert result == [True]
        assert sink.pieces == []


def test_cancel_and_close_from_the_sink_itself(tts: koe.KokoroTTS) -> None:
    speakers: list[Speaker] = []
    calls = []

    def sink(audio: koe.AudioData) -> None:
        calls.append(audio)
        with pytest.raises(koe.InvalidRequestError, match="own speaker"):
            speakers[0].flush()
        speakers[0].cancel()
        speakers[0].close()

    speakers.append(tts.speaker(sink, **FAST))
    speakers[0](TEXT, 0.0)
    wait_for(lambda: not live_threads())
    assert len(calls) == 1
    assert speakers[0]("more", 0.0) is True


def test_close_speaks_what_is_left_and_may_come_twice(tts: koe.KokoroTTS) -> None:
    sink = Collector()
    speaker = tts.speaker(sink, **FAST)
    speaker("Hello there", 0.0)
    speaker.close()
    speaker.close()
    assert words(sink.pieces) == ["Hello", "there"]
    assert sink.events.count("close") == 1
    assert speaker("more", 0.0) is True
    assert speaker.flush(1) is True


def test_close_with_a_limit_drops_what_a_slow_sink_has_not_taken(tts: koe.KokoroTTS) -> None:
    sink = Gate()
    speaker = tts.speaker(sink, **FAST)
    speaker(TEXT, 0.0)
    assert speaker.flush(0) is False
    assert speaker.flush(0.05) is False
    speaker.close(0.05)
    assert sink.pieces == []


def test_an_exception_in_the_block_cancels(tts: koe.KokoroTTS) -> None:
    sink = Gate()
    with pytest.raises(KeyError), tts.speaker(sink, **FAST) as speaker:  # noqa: PT012
        speaker(TEXT, 0.0)
        raise KeyError
    assert sink.pieces == []
    assert sink.events[-1] == "close"


def test_a_sink_that_raises_stops_the_model_and_tells_at_the_flush(tts: koe.KokoroTTS) -> None:
    calls = []

    def sink(audio: koe.AudioData) -> None:
        calls.append(audio)
        if len(calls) == 1:
            raise OSError("no space left")

    speaker = tts.speaker(sink, **FAST)
    speaker(TEXT, 0.0)
    wait_for(lambda: speaker("more", 0.0))
    with pytest.raises(OSError, match="no space left"):
        speaker.flush(LIMIT_S)
    assert len(calls) == 1
    assert speaker("Works again.", 0.0) is False
    speaker.close()
    assert words(calls[1:]) == ["Works", "again"]


def test_a_slow_sink_loses_nothing(tts: koe.KokoroTTS) -> None:
    got: list[koe.AudioData] = []

    def slow(audio: koe.AudioData) -> None:
        time.sleep(0.1)
        got.append(audio)

    with tts.speaker(slow, **FAST) as speaker:
        for token in TEXT.split(" "):
            speaker(token + " ", 0.0)
    assert words(got) == SPOKEN


def test_a_voice_that_fails_is_told_and_leaves_the_speaker_usable(tts: koe.KokoroTTS) -> None:
    class Broken(koe.EspeakG2P):
        def phonemize(self, text: str, language: koe.Language) -> koe.Phonemes:
            if "bad" in text:
                raise koe.G2PError("no such sound")
            return super().phonemize(text, language)

    sink = Collector()
    with koe.KokoroTTS(koe.Config(g2p=Broken())) as other, other.speaker(sink, **FAST) as speaker:
        speaker("This is bad.", 0.0)
        with pytest.raises(koe.G2PError, match="no such sound"):
            speaker.flush(LIMIT_S)
        speaker("This is good.", 0.0)
        assert speaker.flush(LIMIT_S)
        assert words(sink.pieces) == ["This", "is", "good"]


def test_many_threads_may_bring_tokens(tts: koe.KokoroTTS) -> None:
    sink = Collector()
    with tts.speaker(sink, **FAST) as speaker:
        threads = [threading.Thread(target=lambda: [speaker("word ", 0.0) for _ in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
    assert words(sink.pieces) == ["word"] * 40


def test_too_much_text_makes_the_caller_wait_until_cancelled(tts: koe.KokoroTTS) -> None:
    speech = tts._live("af", None, 4.0, koe.Prosody(), (), True, False)
    pipeline = Pipeline(speech, ahead_s=0.1, max_pending=100)
    generation = pipeline.generation
    pipeline.feed("A sentence of text that is spoken. " * 20, generation)
    is_in = threading.Event()

    def bring() -> None:
        for _ in range(5):
            pipeline.feed("And the last of it all is here now. " * 20, generation)
        is_in.set()

    thread = threading.Thread(target=bring)
    thread.start()
    assert not is_in.wait(0.2)
    pipeline.cancel()
    assert is_in.wait(LIMIT_S)
    thread.join(LIMIT_S)
    wait_for(lambda: pipeline.is_idle)
    pipeline.feed("New.", pipeline.generation)
    pipeline.finish(pipeline.generation)
    delivery = pipeline.take(LIMIT_S)
    assert delivery is not None
    assert words([delivery.item]) == ["New"]
    end = pipeline.take(LIMIT_S)
    assert end is not None
    assert isinstance(end.item, End)
    pipeline.close()
    pipeline.join(LIMIT_S)
