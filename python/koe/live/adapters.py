# SPDX-License-Identifier: Apache-2.0
"""Tokens out of what language models' clients give."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koe.errors import InvalidRequestError

if TYPE_CHECKING:
    from koe.live.speaker import Speaker

_TEXT_DELTA = "response.output_text.delta"


def text_of(token: object) -> str | bytes:
    """The text of a token.

    Args:
        token: a string; bytes of UTF-8, which may end within a character; None or a chunk without text, for "";
            a chunk of a chat completion or completion as the `openai` client gives it, or as a mapping, such as
            `llama-cpp-python`'s; an event of OpenAI's responses; a message or generation chunk of LangChain. Of several
            choices the first is taken.

    Raises:
        InvalidRequestError: it is none of these.
    """
    if isinstance(token, (str, bytes)):
        return token
    if isinstance(token, (bytearray, memoryview)):
        return bytes(token)
    if token is None:
        return ""
    choices = _get(token, "choices")
    if choices is not None:
        return _of_choices(choices)
    kind = _get(token, "type")
    if isinstance(kind, str) and kind.startswith("response."):
        delta = _get(token, "delta") if kind == _TEXT_DELTA else None
        return delta if isinstance(delta, str) else ""
    for name in ("content", "text"):
        value = _get(token, name)
        if value is not None:
            return _of_content(value)
    raise InvalidRequestError(f"a token is text or a chunk of a language model's answer, not {type(token).__name__}")


def _get(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _of_choices(choices: Any) -> str:
    # The last chunk of some servers has only counts.
    if not choices or _get(choices[0], "index") not in (None, 0):
        return ""
    delta = _get(choices[0], "delta")
    content = _get(choices[0], "text") if delta is None else _get(delta, "content")
    return content if isinstance(content, str) else ""


def _of_content(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part if isinstance(part, str) else _get(part, "text") for part in content]
        return "".join(part for part in parts if isinstance(part, str))
    raise InvalidRequestError(f"a token's content is text, not {type(content).__name__}")


def langchain_handler(speaker: "Speaker") -> Any:
    """A callback handler for LangChain, which speaks each new token: `config={"callbacks": [handler]}`.

    Needs the package langchain-core.
    """
    from langchain_core.callbacks import BaseCallbackHandler

    def on_llm_new_token(_: Any, token: Any, **__: Any) -> None:
        speaker(text_of(token))

    def on_llm_end(*_: Any, **__: Any) -> None:
        speaker.flush(0)

    methods = {"on_llm_new_token": on_llm_new_token, "on_llm_end": on_llm_end, "on_llm_error": on_llm_end}
    return type("SpeakerHandler", (BaseCallbackHandler,), methods)()
