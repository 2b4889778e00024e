# SPDX-License-Identifier: Apache-2.0
"""`KokoroTTS`: text to speech in one object."""

import logging
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

from koe import _core
from koe.audio import AudioData
from koe.config import METAL_PRECISIONS, Config
from koe.errors import InvalidModelError, InvalidRequestError, MetalUnavailableError
from koe.g2p import G2P, EspeakG2P, Phonemes
from koe.prosody import MAX_SPEED, MIN_SPEED, NEUTRAL, TAG, Directions, Prosody, Span
from koe.styles import StyleBank, parse_voice, without_surrogates
from koe.voice import Language, Voice

if TYPE_CHECKING:
    import asyncio

    from koe.live.sinks import Sink
    from koe.live.speaker import Speaker
    from koe.live.speech import LiveSpeech
    from koe.live.stream import SpeechStream, Text
    from koe.synthesis import StageClock, Synthesizer

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
            name, reason = _core.metal_device()
            if name is None:
                raise MetalUnavailableError(f"{reason}; use Config(use_metal_acceleration=False)")
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
            MetalUnavailableError: the GPU can't be used after all.
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
        *,
        prosody: Prosody = NEUTRAL,
        spans: Sequence[Span] = (),
    ) -> AudioData:
        """Speaks a text.

        Text without anything to speak (empty, only punctuation or symbols) gives audio without samples. What has no
        pronunciation is left out, named in `AudioData.dropped` and logged once.

        Args:
            text: of any length; `[word](/fəˈnimz/)` gives a word's pronunciation, and tags such as `[pause:0.5s]`,
                `[speed:0.8]slowly[/speed]`, `[pitch:2]`, `[energy:1]` and `[emphasis]this[/emphasis]` its prosody.
            voice: a name, or a mix such as "af_bella:0.6,af_sarah:0.4".
            language: by default the voice's.
            speed: 0.25 to 4; 2 is twice as fast.
            prosody: of the whole text.
            spans: stretches of the text with a prosody of their own; words that they touch take it.

        Raises:
            InvalidRequestError: a value is out of its range.
            VoiceNotFoundError: there is no such voice.
            InvalidVoiceError: the voice's file is damaged.
            ModelNotFoundError: there is no model.
            InvalidModelError: the model is damaged.
            G2PError: the language needs another G2P.
        """
        from koe.synthesis import concatenate

        return concatenate(self.chunks(text, voice, language, speed, prosody=prosody, spans=spans))

    async def generate_speech_async(
        self,
        text: str,
        voice: Voice | str = Voice.DEFAULT,
        language: Language | str | None = None,
        speed: float = 1.0,
        *,
        prosody: Prosody = NEUTRAL,
        spans: Sequence[Span] = (),
    ) -> AudioData:
        """`generate_speech` beside the event loop; when cancelled, the work ends with the chunk that it is at."""
        import asyncio

        from koe.synthesis import concatenate

        cancelled = threading.Event()
        try:
            return await asyncio.to_thread(
                lambda: concatenate(self._chunks(text, voice, language, speed, prosody, spans, cancelled))
            )
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def chunks(
        self,
        text: str,
        voice: Voice | str = Voice.DEFAULT,
        language: Language | str | None = None,
        speed: float = 1.0,
        *,
        prosody: Prosody = NEUTRAL,
        spans: Sequence[Span] = (),
        clock: "StageClock | None" = None,
    ) -> Iterator[AudioData]:
        """The audio of `generate_speech` chunk by chunk, each as soon as it is ready. `stream` begins sooner.

        Times of words count from the beginning of their chunk, their characters from the beginning of the text.
        Other arguments and errors as in `generate_speech`; values are checked at the call.

        Args:
            clock: told how long each stage takes.
        """
        return self._chunks(text, voice, language, speed, prosody, spans, threading.Event(), clock)

    def stream(
        self,
        text: "Text",
        voice: Voice | str = Voice.DEFAULT,
        language: Language | str | None = None,
        speed: float = 1.0,
        *,
        prosody: Prosody = NEUTRAL,
        spans: Sequence[Span] = (),
        markdown: bool = True,
    ) -> "SpeechStream":
        """Speaks a text while it is still being written; for `for` and `async for`.

        The first piece is the first clause, if it isn't too short; later ones are sentences and then a few at once.
        Words' times run on one clock from the stream's beginning, their characters count in the whole input. Speech is
        made ahead of its use by half a minute at most; the tokens are taken in another thread. If their source fails,
        what came before is spoken, and its error raised then. Closing the stream, or dropping it, ends the work.

        Other arguments and errors as in `generate_speech`; values are checked at the call. Tags out of range raise in a
        string; in tokens, which a model writes, they are passed over and logged.

        Args:
            text: a string; an iterable of tokens, or for `async for` an async one. A token is a string, bytes of UTF-8,
                or a chunk as the clients of OpenAI, llama-cpp-python and LangChain give them.
            markdown: read Markdown as a person would: without its marks, code blocks and addresses.
        """
        from koe.live.stream import SpeechStream

        return SpeechStream(self._live(voice, language, speed, prosody, spans, markdown, isinstance(text, str)), text)

    def speaker(
        self,
        sink: "Sink | Callable[[AudioData], object] | asyncio.Queue[AudioData | None]",
        voice: Voice | str = Voice.DEFAULT,
        language: Language | str | None = None,
        speed: float = 1.0,
        *,
        prosody: Prosody = NEUTRAL,
        markdown: bool = True,
    ) -> "Speaker":
        """A callback for a language model, which speaks the tokens that it is given; see `koe.live.Speaker`.

        Other arguments and errors as in `generate_speech`; values are checked at the call.

        Args:
            sink: takes the audio: a function of a piece, an asyncio queue, or one of `koe.live`'s sinks.
            markdown: read Markdown as a person would: without its marks, code blocks and addresses.
        """
        from koe.live.speaker import Speaker

        return Speaker(self._live(voice, language, speed, prosody, (), markdown, False), sink)

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

    def _ready(self) -> "Synthesizer":
        with self._lock:
            if self._synthesizer is None:
                self._synthesizer = self._load()
            return self._synthesizer

    def _chunks(
        self,
        text: str,
        voice: Voice | str,
        language: Language | str | None,
        speed: float,
        prosody: Prosody,
        spans: Sequence[Span],
        cancelled: threading.Event,
        clock: "StageClock | None" = None,
    ) -> Iterator[AudioData]:
        content, chosen = _text(text), language_of(language, voice)
        rate, directions = _directions(speed, prosody, spans)
        origins = None
        if TAG.search(content) is not None:
            from koe.live.pieces import read_tags

            content, origins, directions = read_tags(content, directions)
        pack = self._styles.pack(voice)
        pieces = self._ready().pieces(
            content, chosen, pack, rate, directions=directions, clock=clock, is_cancelled=cancelled.is_set
        )
        return _report_dropped(pieces if origins is None else (_relocated(piece, origins) for piece in pieces))

    def _live(
        self,
        voice: Voice | str,
        language: Language | str | None,
        speed: float,
        prosody: Prosody,
        spans: Sequence[Span],
        markdown: bool,
        strict: bool,
    ) -> "LiveSpeech":
        from koe.live.speech import LiveSpeech

        chosen = language_of(language, voice)
        rate, directions = _directions(speed, prosody, spans)
        pack = self._styles.pack(voice)
        return LiveSpeech(self._ready(), chosen, pack, rate, directions, markdown, strict, self.config.silence_s)

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

    def _load(self) -> "Synthesizer":
        from concurrent.futures import ThreadPoolExecutor

        config = self.config
        # Checking the bundle, packing weights and reading the graph need no Python, which imports meanwhile.
        with ThreadPoolExecutor(2, "koe-load") as pool:
            imported = pool.submit(import_module, "onnxruntime")
            bundle = self._load_bundle()
            vocoder = pool.submit(self._open_vocoder, bundle)
            # The G2P's imports come after those that the session waits for.
            imported.exception()
            g2p = pool.submit(self._preload_g2p)
            from koe.acoustic import OrtAcousticModel

            acoustic_model = OrtAcousticModel(bundle, config.threads, config.providers)
        from koe.synthesis import Planner, Synthesizer

        tokenizer = _core.Tokenizer(bundle.vocabulary)
        synthesizer = Synthesizer(
            Planner(g2p.result(), tokenizer),
            tokenizer,
            acoustic_model,
            vocoder.result(),
            str(bundle.metadata["koe.style_row"]),
            _core.StitchOptions(silence_s=config.silence_s, trim=config.trim),
        )
        # Both have their own copies of the weights now.
        bundle.release_pages()
        return synthesizer

    def _preload_g2p(self) -> G2P:
        g2p = self._load_g2p()
        if isinstance(g2p, EspeakG2P):
            g2p.preload()
        return g2p

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
                device="metal" if config.use_metal_acceleration else "cpu",
            )
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error
        except _core.DeviceError as error:
            if config.precision not in METAL_PRECISIONS:
                raise InvalidRequestError(str(error)) from error
            raise MetalUnavailableError(str(error)) from error
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


def _directions(speed: float, prosody: Prosody, spans: Sequence[Span]) -> tuple[float, Directions]:
    """The speed for the acoustic model, and all else for behind it."""
    if not isinstance(prosody, Prosody):
        raise InvalidRequestError(f"prosody is a Prosody, not {type(prosody).__name__}")
    for span in spans:
        if not isinstance(span, Span):
            raise InvalidRequestError(f"spans hold Spans, not {type(span).__name__}")
        _ = prosody | span.prosody
    rate = _speed(_speed(speed) * prosody.speed)
    return rate, Directions(spans=tuple(spans), base=replace(prosody, speed=1.0))


def _relocated(audio: AudioData, origins: list[int]) -> AudioData:
    """The audio with its words' characters counted in the text that the origins point into."""
    words = [replace(w, char_start=origins[w.char_start], char_end=origins[w.char_end - 1] + 1) for w in audio.words]
    return replace(audio, words=words)


def language_of(language: Language | str | None, voice: Voice | str) -> Language:
    """The language asked for, or else that of the voice; of a mix, that of its first voice.

    Raises:
        InvalidRequestError: there is no such language, or the voice's name is malformed.
    """
    if language is not None:
        return Language.parse(language)
    return Language.of_voice(parse_voice(voice)[0][0])
