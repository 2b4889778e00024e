# SPDX-License-Identifier: Apache-2.0
"""koe: Kokoro-82M text-to-speech on the listener's own machine.

import koe
tts = koe.KokoroTTS()
tts.generate_speech("Hello.", voice=koe.Voice.BELLA).save("hello.wav")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from koe._core import __version__

if TYPE_CHECKING:
    from koe.audio import AudioData, Word
    from koe.config import Config
    from koe.engine import KokoroTTS
    from koe.errors import (
        DownloadError,
        G2PError,
        InvalidModelError,
        InvalidRequestError,
        InvalidVoiceError,
        MetalUnavailableError,
        ModelNotFoundError,
        PlaybackError,
        TTSError,
        VoiceNotFoundError,
    )
    from koe.g2p import G2P, EspeakG2P, Phonemes, WordSpan
    from koe.prosody import EMPHASIS, Prosody, Span
    from koe.voice import Language, Voice

__all__ = [
    "EMPHASIS",
    "G2P",
    "AudioData",
    "Config",
    "DownloadError",
    "EspeakG2P",
    "G2PError",
    "InvalidModelError",
    "InvalidRequestError",
    "InvalidVoiceError",
    "KokoroTTS",
    "Language",
    "MetalUnavailableError",
    "ModelNotFoundError",
    "Phonemes",
    "PlaybackError",
    "Prosody",
    "Span",
    "TTSError",
    "Voice",
    "VoiceNotFoundError",
    "Word",
    "WordSpan",
    "__version__",
]

# Where each name lives; imported when it is first asked for, so that `import koe` costs next to nothing.
_MODULES = {
    **dict.fromkeys(("AudioData", "Word"), "koe.audio"),
    "Config": "koe.config",
    "KokoroTTS": "koe.engine",
    **dict.fromkeys(("G2P", "EspeakG2P", "Phonemes", "WordSpan"), "koe.g2p"),
    **dict.fromkeys(("EMPHASIS", "Prosody", "Span"), "koe.prosody"),
    **dict.fromkeys(("Language", "Voice"), "koe.voice"),
    **dict.fromkeys((name for name in __all__ if name.endswith("Error")), "koe.errors"),
}


def __getattr__(name: str) -> Any:
    if name == "live":
        return import_module("koe.live")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
