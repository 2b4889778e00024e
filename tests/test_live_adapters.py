# SPDX-License-Identifier: Apache-2.0
"""Tokens as real clients give them, and the examples as programs."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import openai
import pytest
import soundfile

import koe
from koe.live import langchain_handler, text_of
from loopback import Answer, Loopback, loopback

LIMIT_S = 60
EXAMPLES = Path(__file__).parents[1] / "examples"
WORDS = ["Hel", "lo **the", "re**, Mr", ". Smi", "th."]
SPOKEN = ["Hello", "there", "Mr.", "Smith"]


def events(*bodies: dict[str, object]) -> Answer:
    data = "".join(f"data: {json.dumps(body)}\n\n" for body in bodies) + "data: [DONE]\n\n"
    return Answer(data.encode(), headers={"Content-Type": "text/event-stream"})


def chat_chunk(delta: dict[str, object], **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def completion_chunk(text: str) -> dict[str, object]:
    choice = {"index": 0, "text": text, "finish_reason": None, "logprobs": None}
    return {"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        chat = [chat_chunk({"role": "assistant", "content": None}), *(chat_chunk({"content": w}) for w in WORDS)]
        usage = {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}
        running.serve("/v1/chat/completions", events(*chat, chat_chunk({}), chat_chunk({}, choices=[], usage=usage)))
        text = [completion_chunk(word) for word in WORDS]
        running.serve("/v1/completions", events(*text))
        yield running


def heard(pieces: list[koe.AudioData]) -> list[str]:
    return [word.text for piece in pieces for word in piece.words]


MESSAGES = [{"role": "user", "content": "Greet."}]


def test_chat_chunks_of_the_openai_client(tts: koe.KokoroTTS, server: Loopback) -> None:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", timeout=LIMIT_S, max_retries=0) as client:
        answer = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        assert heard(list(tts.stream(answer, speed=4.0))) == SPOKEN


def test_completions_of_the_openai_client(tts: koe.KokoroTTS, server: Loopback) -> None:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", timeout=LIMIT_S, max_retries=0) as client:
        answer = client.completions.create(model="m", prompt="Greet.", stream=True)
        got: list[koe.AudioData] = []
        with tts.speaker(got.append, speed=4.0) as speaker:
            assert [speaker(chunk) for chunk in answer] == [False] * len(WORDS)
        assert heard(got) == SPOKEN


async def test_chunks_of_the_async_openai_client(tts: koe.KokoroTTS, server: Loopback) -> None:
    async with (
        asyncio.timeout(LIMIT_S),
        openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client,
    ):
        answer = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        assert heard([piece async for piece in tts.stream(answer, speed=4.0)]) == SPOKEN


def test_an_answer_that_breaks_off_is_spoken_and_then_raised(tts: koe.KokoroTTS, server: Loopback) -> None:
    server.answers["/v1/chat/completions"].sent = 700
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", timeout=LIMIT_S, max_retries=0) as client:
        stream = tts.stream(client.chat.completions.create(model="m", messages=MESSAGES, stream=True), speed=4.0)
        assert heard([next(stream)])[0] == "Hello"
        with pytest.raises(Exception, match=r"(?i)connection|closed|incomplete"):
            list(stream)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("word", "word"),
        (b"w\xc3", b"w\xc3"),
        (bytearray(b"w"), b"w"),
        (None, ""),
        # llama-cpp-python's chat and plain streams.
        ({"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]}, ""),
        ({"choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]}, " word"),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, ""),
        ({"choices": [{"text": " word", "index": 0, "logprobs": None, "finish_reason": None}]}, " word"),
        ({"choices": [{"text": "other", "index": 1}]}, ""),
        ({"choices": []}, ""),
        # OpenAI's responses.
        (SimpleNamespace(type="response.output_text.delta", delta="word"), "word"),
        (SimpleNamespace(type="response.created", response=None), ""),
        (SimpleNamespace(type="response.function_call_arguments.delta", delta="{}"), ""),
        # LangChain's messages.
        (SimpleNamespace(type="AIMessageChunk", content="word"), "word"),
        (SimpleNamespace(content=[{"type": "text", "text": "a"}, "b", {"type": "image"}]), "ab"),
    ],
)
def test_the_text_of_a_token(token: object, text: str | bytes) -> None:
    assert text_of(token) == text


@pytest.mark.parametrize("token", [3, 1.5, ["a"], object(), SimpleNamespace(content=3)])
def test_what_is_no_token_is_refused(token: object) -> None:
    with pytest.raises(koe.InvalidRequestError, match="token"):
        text_of(token)


def test_langchain_speaks_through_a_callback(tts: koe.KokoroTTS) -> None:
    from langchain_core.language_models import FakeListChatModel

    got: list[koe.AudioData] = []
    with tts.speaker(got.append, speed=4.0) as speaker:
        model = FakeListChatModel(responses=["Hello there, Mr. Smith."])
        for _ in model.stream("Greet.", config={"callbacks": [langchain_handler(speaker)]}):
            pass
    assert heard(got) == SPOKEN


def run_example(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_example_of_a_chat(tts: koe.KokoroTTS, server: Loopback, tmp_path: Path) -> None:
    target = tmp_path / "answer.wav"
    run_example("speak_while_a_model_writes.py", "Greet.", str(target), "--url", server.url + "/v1")
    assert soundfile.info(target).duration > 0.5
    assert server.requests == ["POST /v1/chat/completions"]


def test_the_example_that_reads_along(tts: koe.KokoroTTS) -> None:
    lines = run_example("read_along.py", "Hello, my *dear* friend.").splitlines()
    assert [line.split("  ")[-2].strip() for line in lines] == ["Hello,", "my", "dear", "friend."]


def test_the_example_that_narrates(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    sound, subtitles = tmp_path / "s.wav", tmp_path / "s.srt"
    text = "It was late. [pause:0.6s] [emphasis]Very[/emphasis] late."
    assert "5 words" in run_example("narrate_with_subtitles.py", text, str(sound), str(subtitles))
    assert "It was late." in subtitles.read_text()
    assert soundfile.info(sound).duration > 1.5
