# SPDX-License-Identifier: Apache-2.0
"""Speech from text that is still being written: sinks for `KokoroTTS.speaker`, and adapters for models' clients."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from koe.live.adapters import langchain_handler, text_of
    from koe.live.pieces import Boundary, Piece, TextStream
    from koe.live.playback import SoundCard
    from koe.live.sinks import CallableSink, PcmSink, QueueSink, Sink, SoundFileSink, WavFileSink
    from koe.live.speaker import Speaker
    from koe.live.stream import SpeechStream

__all__ = [
    "Boundary",
    "CallableSink",
    "PcmSink",
    "Piece",
    "QueueSink",
    "Sink",
    "SoundCard",
    "SoundFileSink",
    "Speaker",
    "SpeechStream",
    "TextStream",
    "WavFileSink",
    "langchain_handler",
    "text_of",
]

# Imported when first asked for: every synthesis needs a part of this package, few need asyncio.
_MODULES = {
    **dict.fromkeys(("langchain_handler", "text_of"), "koe.live.adapters"),
    **dict.fromkeys(("Boundary", "Piece", "TextStream"), "koe.live.pieces"),
    "SoundCard": "koe.live.playback",
    **dict.fromkeys(("CallableSink", "PcmSink", "QueueSink", "Sink", "SoundFileSink", "WavFileSink"), "koe.live.sinks"),
    "Speaker": "koe.live.speaker",
    "SpeechStream": "koe.live.stream",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
