# SPDX-License-Identifier: Apache-2.0
"""`KokoroTTS`: text to speech in one object."""

import logging
import math
import os
import platform
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from koe import _core
from koe.audio import AudioData
from koe.config import Config
from koe.errors import InvalidModelError, InvalidRequestError, MetalUnavailableError
from koe.g2p import G2P, EspeakG2P, Phonemes
from koe.styles import StyleBank, parse_voice, without_surrogates
from koe.synthesis import Planner, StageClock, Synthesizer, concatenate
from koe.voice import Language, Voice

MIN_SPEED = 0.25
MAX_SPEED = 4.0

_log = logging.getLogger("koe")


class KokoroTTS:
    """Kokoro-82M. May be used from many threads at once; the same input gives the same samples.

    Nothing is loaded before the first use or `initialize()`. Usable as a context manager, which closes it.
    """

    def __init__(self, config: Config | None = None) -> None:
        """
        Args:
            config: settings; by default koe's own model and voices on the CPU.

        Raises:
            MetalUnavailableError: Metal is asked for, and this machine or build has none.
        """
        self.config = config or Config()
        if self.config.use_metal_acceleration:
            raise MetalUnavailableError(_why_no_metal())
        self._lock = threading.Lock()
        self._bundle: _core.Bundle | None = None
        self._g2p: G2P | None = None
        self._synthesizer: Synthesizer | None = None
        self._is_closed = False
        self._styles = StyleBank(self.config.voicepack_path, self.config.voice_cache_size, self.config.show_progress)

    def initialize(self) -> None:
        """Loads the model now instead of at first use; fetches and prepares it where need be.

        Raises:
            ModelNotFoundError: there is no model.
            InvalidModelError: it isn't Kokoro, or is damaged.
            InvalidRequestError: the engine is closed, or `Config.isa` or `Config.providers` names what isn't here.
        """
        self._ready()

    @property
    def bundle(self) -> _core.Bundle:
        """The open model."""
        with self._lock:
            return self._load_bundle()

    @property
    def vocoder(self) -> _core.Vocoder:
        """The vocoder, which tells its kernels, precision and number of threads; loads the model."""
        return self._ready().vocoder

    def generate_speech(
        self,
        text: str,
        voice: Voice | str = Voice.DEFAULT,
        language: Language | str | None = None,
        speed: float = 1.0,
    ) -> AudioData:
        """Speaks a text.

        Text without anything to speak (empty, only punctuation or symbols) gives audio without samples. What has no
        pronunciation is left out, named in `AudioData.dropped` and logged once.

        Args:
            text: of any length; `[word](/fəˈnimz/)` gives a word's pronunciation.
            voice: a name, or a mix such as "af_bella:0.6,af_sarah:0.4".
            language: by default the voice's.
            speed: 0.25 to 4; 2 is twice as fast.

        Raises:
            InvalidRequestError: a value is out of its range.
            VoiceNotFoundError: there is no such voice.
            InvalidVoiceError: the voice's file is damaged.
            ModelNotFoundError: there is no model.
            InvalidModelError: the model is damaged.
            G2PError: the language needs another G2P.
        """
        return concatenate(self.stream(text, voice, language, speed))

    async def generate_speech_async(
        self,
        text: str,
        voice: Voice | str = Voice.DEFAULT,
        language: Language | str | None = None,
        speed: float = 1.0,
    ) -> AudioData:
        """`generate_speech` beside the event loop; when cancelled, the work ends with the chunk that it is at."""
        import asyncio

        cancelled = threading.Event()
        try:
            return await asyncio.to_thread(lambda: concatenate(self._stream(text, voice, language, speed, cancelled)))
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def stream(
        self,
        text: str,
        voice: Voice | str = Voice.DEFAULT,
        language: Language | str | None = None,
        speed: float = 1.0,
        *,
        clock: StageClock | None = None,
    ) -> Iterator[AudioData]:
        """Speaks a text piece by piece, each as soon as it is ready; put together they are `generate_speech`'s audio.

        Times of words count from the beginning of their piece, their characters from the beginning of the text.
        Other arguments and errors as in `generate_speech`; values are checked at the call.

        Args:
            clock: told how long each stage takes.
        """
        return self._stream(text, voice, language, speed, threading.Event(), clock)

    def phonemize(
        self, text: str, language: Language | str | None = None, voice: Voice | str = Voice.DEFAULT
    ) -> Phonemes:
        """The phonemes of a text, as the model gets them.

        Args:
            text: a sentence or a few.
            language: by default the voice's.
            voice: decides the language where none is given.
        """
        chosen = language_of(language, voice)
        with self._lock:
            g2p = self._load_g2p()
        return g2p.phonemize(_text(text), chosen)

    def voices(self) -> list[str]:
        """Names of all voices that can be had, sorted."""
        return self._styles.names()

    def close(self) -> None:
        """Frees the model; may be called twice. What another thread is just speaking is spoken to its end."""
        with self._lock:
            self._is_closed = True
            self._bundle = self._g2p = self._synthesizer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self) -> Synthesizer:
        with self._lock:
            if self._synthesizer is None:
                self._synthesizer = self._load()
            return self._synthesizer

    def _stream(
        self,
        text: str,
        voice: Voice | str,
        language: Language | str | None,
        speed: float,
        cancelled: threading.Event,
        clock: StageClock | None = None,
    ) -> Iterator[AudioData]:
        content, chosen, rate = _text(text), language_of(language, voice), _speed(speed)
        pack = self._styles.pack(voice)
        synthesizer = self._ready()
        pieces = synthesizer.pieces(content, chosen, pack, rate, clock=clock, is_cancelled=cancelled.is_set)
        return _report_dropped(pieces)

    def _load_bundle(self) -> _core.Bundle:
        self._check_open()
        if self._bundle is None:
            from koe.model import open_model

            self._bundle = open_model(self.config.model_path, self.config.show_progress)
        return self._bundle

    def _load_g2p(self) -> G2P:
        self._check_open()
        if self._g2p is None:
            if self.config.g2p is not None:
                self._g2p = self.config.g2p
            else:
                rules = str(self._load_bundle().metadata["koe.phoneme_rules"])
                self._g2p = EspeakG2P(rules, self.config.phoneme_cache_size)
        return self._g2p

    def _load(self) -> Synthesizer:
        from concurrent.futures import ThreadPoolExecutor

        from koe.acoustic import OrtAcousticModel

        config = self.config
        bundle = self._load_bundle()
        tokenizer = _core.Tokenizer(bundle.vocabulary)
        # Packing the weights needs no Python, so it goes on while ONNX Runtime is imported and reads its graph.
        with ThreadPoolExecutor(1, "koe-load") as pool:
            vocoder = pool.submit(self._open_vocoder, bundle)
            acoustic_model = OrtAcousticModel(bundle, config.threads, config.providers)
        synthesizer = Synthesizer(
            Planner(self._load_g2p(), tokenizer),
            tokenizer,
            acoustic_model,
            vocoder.result(),
            str(bundle.metadata["koe.style_row"]),
            _core.StitchOptions(silence_s=config.silence_s, trim=config.trim),
        )
        # Both have their own copies of the weights now.
        bundle.release_pages()
        return synthesizer

    def _open_vocoder(self, bundle: _core.Bundle) -> _core.Vocoder:
        config = self.config
        isa = config.isa or os.environ.get("KOE_ISA", "")
        if isa and isa not in _core.available_isas():
            available = ", ".join(_core.available_isas())
            raise InvalidRequestError(f"no kernels {isa!r} on this machine; it has {available}")
        try:
            return _core.Vocoder(
                bundle,
                threads=config.threads,
                isa=isa,
                precision=config.precision,
                noise_seed=config.noise_seed,
            )
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error
        except _core.Error as error:
            # A precision that was asked for may lack kernels; otherwise it's the model that is wrong.
            kind = InvalidModelError if config.precision == "auto" else InvalidRequestError
            raise kind(f"the vocoder can't be set up: {error}") from error

    def _check_open(self) -> None:
        if self._is_closed:
            raise InvalidRequestError("this KokoroTTS is closed; make a new one")


def _report_dropped(pieces: Iterator[AudioData]) -> Iterator[AudioData]:
    is_reported = False
    for piece in pieces:
        if piece.dropped and not is_reported:
            _log.warning("left out what has no pronunciation: %r", piece.dropped[:80])
            is_reported = True
        yield piece


def _text(text: str) -> str:
    if not isinstance(text, str):
        raise InvalidRequestError(f"text is a string, not {type(text).__name__}")
    return without_surrogates(text)


def _speed(speed: float) -> float:
    is_number = isinstance(speed, (int, float)) and not isinstance(speed, bool)
    if not is_number or not math.isfinite(speed) or not MIN_SPEED <= speed <= MAX_SPEED:
        raise InvalidRequestError(f"speed = {speed!r}: it is a number from {MIN_SPEED:g} to {MAX_SPEED:g}")
    return float(speed)


def language_of(language: Language | str | None, voice: Voice | str) -> Language:
    """The language asked for, or else that of the voice; of a mix, that of its first voice.

    Raises:
        InvalidRequestError: there is no such language, or the voice's name is malformed.
    """
    if language is not None:
        return Language.parse(language)
    return Language.of_voice(parse_voice(voice)[0][0])


def _why_no_metal() -> str:
    if sys.platform == "darwin":
        return "this build of koe has no Metal; use Config(use_metal_acceleration=False)"
    return (
        f"Metal needs an Apple GPU, and this is {platform.system()} on {platform.machine()}; "
        "use Config(use_metal_acceleration=False)"
    )
