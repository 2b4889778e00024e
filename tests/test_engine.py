# SPDX-License-Identifier: Apache-2.0
"""KokoroTTS with the real model and voices."""

import asyncio
import itertools
import logging
import math
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import koe
from koe import _core
from koe.synthesis import Planner, StageClock, concatenate, share_time

SENTENCE = "The cat sat on the mat of the king."
PAGE = (
    "Dr. Smith arrived at 10:30, as he always did.\n\n“Where is everyone?” he asked — and nobody answered.\n"
    "In 1984, things were different; people waited…"
)


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean())) if len(samples) else 0.0


def acoustic_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("koe-acoustic")}


def assert_is_speech(audio: koe.AudioData, least_s: float, most_s: float) -> None:
    assert audio.sample_rate == 24_000
    assert audio.samples.dtype == np.float32
    assert np.isfinite(audio.samples).all()
    assert least_s < audio.duration < most_s
    assert 0.01 < level(audio.samples) < 0.3
    assert np.abs(audio.samples).max() <= 1


def assert_words_are_sound(text: str, audio: koe.AudioData) -> None:
    end = 0.0
    for word in audio.words:
        assert end <= word.start < word.end <= audio.duration
        assert text[word.char_start : word.char_end] == word.text
        end = word.end


def test_a_page_is_spoken_whole(tts: koe.KokoroTTS) -> None:
    audio = tts.generate_speech(PAGE)
    assert_is_speech(audio, 6, 16)
    assert audio.dropped == ""
    assert [word.text for word in audio.words] == [
        "Dr.", "Smith", "arrived", "at", "10:30", "as", "he", "always", "did", "Where", "is", "everyone", "he", "asked",
        "and", "nobody", "answered", "In", "1984", "things", "were", "different", "people", "waited",
    ]  # fmt: skip
    assert_words_are_sound(PAGE, audio)


@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("af", SENTENCE),
        ("bf_emma", SENTENCE),
        ("ef_dora", "El mar estaba tranquilo y el viento soplaba despacio."),
        ("ff_siwis", "La mer restait calme et le vent soufflait doucement."),
        ("hf_alpha", "समुद्र शांत था और हवा धीरे चल रही थी।"),
        ("if_sara", "Il mare sembrava calmo mentre il vento soffiava piano."),
        ("pf_dora", "O mar estava calmo enquanto o vento soprava devagar."),
    ],
)
def test_every_word_has_energy_in_its_span(tts: koe.KokoroTTS, voice: str, text: str) -> None:
    audio = tts.generate_speech(text, voice=voice)
    assert [word.text for word in audio.words] == re.findall(r"[^\s.,।]+", text)
    assert_words_are_sound(text, audio)
    loudness = level(audio.samples)
    for word in audio.words:
        span = audio.samples[round(word.start * 24_000) : round(word.end * 24_000)]
        assert level(span) > 0.1 * loudness, word


def test_a_single_word_is_spoken(tts: koe.KokoroTTS) -> None:
    audio = tts.generate_speech("Hello")
    assert_is_speech(audio, 0.3, 1.5)
    assert [word.text for word in audio.words] == ["Hello"]


def test_three_thousand_words_without_a_full_stop_become_whole_chunks(tts: koe.KokoroTTS) -> None:
    text = " ".join(f"word number {n} of the river" for n in range(500))
    tokenizer = _core.Tokenizer(tts.bundle.vocabulary)
    chunks = list(Planner(koe.EspeakG2P(), tokenizer).chunks(text, koe.Language.AMERICAN_ENGLISH, StageClock()))
    assert [word.text for chunk in chunks for word in chunk.words] == text.split()
    assert all(20 <= tokenizer.count(chunk.phonemes) <= 510 for chunk in chunks)
    for chunk in chunks:
        for word in chunk.words:
            assert chunk.phonemes[word.phoneme_start : word.phoneme_end].strip()
            assert text[word.char_start : word.char_end] == word.text


def test_a_text_of_many_chunks_streams_its_first_piece_at_once(tts: koe.KokoroTTS) -> None:
    text = "this goes on and on " * 600
    pieces = tts.chunks(text, speed=4)
    first = next(pieces)
    assert_is_speech(first, 2, 20)
    assert_words_are_sound(text, first)


def test_pieces_of_a_stream_are_the_whole(tts: koe.KokoroTTS) -> None:
    text = f"{SENTENCE} " * 15
    pieces = list(tts.chunks(text, speed=4))
    assert len(pieces) > 1
    whole = concatenate(iter(pieces))
    assert_words_are_sound(text, whole)
    assert [word.text for word in whole.words] == text.replace(".", "").split()
    # Between chunks there are 0.4 s of silence.
    gap = pieces[1].samples[: round(0.4 * 24_000)]
    assert not gap.any()


@pytest.mark.parametrize(
    ("spans", "shared"),
    [
        ([], []),
        ([(0, 4), (5, 9)], [(0, 4), (5, 9)]),
        ([(0, 0), (0, 0), (0, 9), (9, 12)], [(0, 3), (3, 6), (6, 9), (9, 12)]),
        ([(0, 8), (8, 8)], [(0, 4), (4, 8)]),
        ([(0, 0)], [(0, 0)]),
        ([(0, 5), (6, 6), (6, 9)], [(0, 5), (6, 7), (7, 9)]),
    ],
)
def test_words_that_trimming_left_without_time_share_their_neighbours(
    spans: list[tuple[int, int]], shared: list[tuple[int, int]]
) -> None:
    assert share_time(spans) == shared


def test_silence_between_chunks_is_configurable() -> None:
    with koe.KokoroTTS(koe.Config(silence_s=0.1)) as other:
        _, second = itertools.islice(other.chunks(f"{SENTENCE} " * 15, speed=4), 2)
    # The fade's first sample is zero as well.
    assert np.flatnonzero(second.samples)[0] == round(0.1 * 24_000) + 1


def test_without_trimming_the_samples_fill_whole_frames() -> None:
    with koe.KokoroTTS(koe.Config(trim=False)) as tts:
        audio = tts.generate_speech("Hello")
    assert len(audio.samples) % 600 == 0


@pytest.mark.parametrize("text", ["", " \n\t", "...!?", "—", "“”()", "\u200b"])
def test_text_with_nothing_to_speak_gives_no_samples(tts: koe.KokoroTTS, text: str) -> None:
    audio = tts.generate_speech(text)
    assert audio.samples.shape == (0,)
    assert audio.samples.dtype == np.float32
    assert (audio.words, audio.dropped, audio.duration) == ([], "", 0.0)


def test_emoji_are_spoken_by_name(tts: koe.KokoroTTS) -> None:
    audio = tts.generate_speech("😀")
    assert_is_speech(audio, 0.5, 2)
    assert [word.text for word in audio.words] == ["😀"]


@pytest.mark.parametrize(("text", "dropped"), [("你好", "你好"), ("one \udc80", "\ufffd"), ("ok 你", "你")])
def test_what_cannot_be_spoken_is_dropped_and_logged_once(
    tts: koe.KokoroTTS, caplog: pytest.LogCaptureFixture, text: str, dropped: str
) -> None:
    with caplog.at_level(logging.WARNING, "koe"):
        audio = tts.generate_speech(text)
    assert audio.dropped == dropped
    assert len(caplog.records) == 1
    assert (len(audio.samples) > 0) == (text != "你好")


def test_phonemes_outside_the_vocabulary_are_dropped_and_named(tts: koe.KokoroTTS) -> None:
    audio = tts.generate_speech("[hello](/həˈl€oʊ/)")
    assert audio.dropped == "€"
    assert_is_speech(audio, 0.3, 1.5)


def test_tabs_and_newlines_are_spaces(tts: koe.KokoroTTS) -> None:
    assert np.array_equal(tts.generate_speech("one\ttwo").samples, tts.generate_speech("one two").samples)


@pytest.mark.parametrize("speed", [0, -1, math.nan, math.inf, -math.inf, 0.2, 4.1, "fast", None, True])
def test_a_bad_speed_is_refused(tts: koe.KokoroTTS, speed: float) -> None:
    with pytest.raises(koe.InvalidRequestError, match=r"speed = .*0\.25 to 4"):
        tts.generate_speech("Hello", speed=speed)


def test_speed_changes_the_length(tts: koe.KokoroTTS) -> None:
    slow, fast = (tts.generate_speech(SENTENCE, speed=speed).duration for speed in (0.8, 1.6))
    assert slow > 1.6 * fast


def test_an_unknown_voice_is_refused_with_the_nearest(tts: koe.KokoroTTS) -> None:
    with pytest.raises(koe.VoiceNotFoundError, match=r"af_bela.*af_bella"):
        tts.generate_speech("Hello", voice="af_bela")


@pytest.mark.parametrize("voice", ["", "af_bella:", "af_bella:-1", "af_bella:nan", 7, None, "\ud800"])
def test_a_malformed_voice_is_refused(tts: koe.KokoroTTS, voice: str) -> None:
    with pytest.raises((koe.InvalidRequestError, koe.VoiceNotFoundError)):
        tts.generate_speech("Hello", voice=voice)


def test_an_unknown_language_is_refused(tts: koe.KokoroTTS) -> None:
    with pytest.raises(koe.InvalidRequestError, match="klingon"):
        tts.generate_speech("Hello", language="klingon")


@pytest.mark.parametrize("text", [None, b"Hello", 5])
def test_text_that_is_no_string_is_refused(tts: koe.KokoroTTS, text: str) -> None:
    with pytest.raises(koe.InvalidRequestError, match="text is a string"):
        tts.generate_speech(text)


def test_values_are_checked_when_a_stream_is_asked_for(tts: koe.KokoroTTS) -> None:
    with pytest.raises(koe.InvalidRequestError):
        tts.chunks("Hello", speed=0)


@pytest.mark.parametrize(
    "values",
    [
        {"threads": -1},
        {"threads": 1.5},
        {"precision": "double"},
        {"noise_seed": -1},
        {"noise_seed": 2**64},
        {"silence_s": math.nan},
        {"silence_s": -0.1},
        {"silence_s": 61},
        {"providers": ()},
        {"providers": "CPUExecutionProvider"},
        {"phoneme_cache_size": -1},
        {"voice_cache_size": 0},
    ],
)
def test_a_bad_setting_is_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(koe.InvalidRequestError, match=f"Config.{next(iter(values))} = "):
        koe.Config(**values)  # type: ignore[arg-type]


def test_an_isa_that_is_not_here_is_refused_with_those_that_are() -> None:
    with pytest.raises(koe.InvalidRequestError, match=r"mmx.*scalar"):
        koe.KokoroTTS(koe.Config(isa="mmx")).initialize()


def test_an_unknown_provider_is_refused_with_those_that_are() -> None:
    with pytest.raises(koe.InvalidRequestError, match=r"MagicProvider.*CPUExecutionProvider"):
        koe.KokoroTTS(koe.Config(providers=["MagicProvider"])).initialize()


@pytest.mark.skipif(sys.platform == "darwin", reason="needs a machine without Metal")
def test_metal_without_metal_is_refused_at_construction() -> None:
    with pytest.raises(koe.MetalUnavailableError, match="Apple"):
        koe.KokoroTTS(koe.Config(use_metal_acceleration=True))


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(koe.ModelNotFoundError, match=r"nothing\.onnx"):
        koe.KokoroTTS(koe.Config(model_path=tmp_path / "nothing.onnx")).initialize()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a model at all")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and then nothing")
    for name in ("bad.onnx", "bad.gguf"):
        with pytest.raises(koe.InvalidModelError, match=name):
            koe.KokoroTTS(koe.Config(model_path=tmp_path / name)).initialize()


def test_a_bundle_with_one_byte_flipped_is_refused(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    content = bytearray(tts.bundle.path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(content)
    with pytest.raises(koe.InvalidModelError, match=r"damaged\.gguf"):
        koe.KokoroTTS(koe.Config(model_path=damaged)).initialize()


def test_a_voice_with_nan_is_refused(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    values = np.zeros((510, 256), np.float32)
    values[3, 4] = np.nan
    values.tofile(tmp_path / "af_broken.bin")
    with (
        koe.KokoroTTS(koe.Config(model_path=tts.bundle.path, voicepack_path=tmp_path)) as other,
        pytest.raises(koe.InvalidVoiceError, match="af_broken"),
    ):
        other.generate_speech("Hello", voice="af_broken")


def test_voices_of_different_shapes_do_not_mix(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    np.zeros((510, 256), np.float32).tofile(tmp_path / "one.bin")
    np.zeros((511, 256), np.float32).tofile(tmp_path / "two.bin")
    with (
        koe.KokoroTTS(koe.Config(model_path=tts.bundle.path, voicepack_path=tmp_path)) as other,
        pytest.raises(koe.InvalidVoiceError, match="one, two"),
    ):
        other.generate_speech("Hello", voice="one+two")


def test_short_names_and_mixes_speak_alike(tts: koe.KokoroTTS) -> None:
    default = tts.generate_speech("Hello")
    assert np.array_equal(default.samples, tts.generate_speech("Hello", "af_bella:0.5,af_sarah:0.5").samples)
    assert np.array_equal(
        tts.generate_speech("Hello", "sky").samples, tts.generate_speech("Hello", koe.Voice.SKY).samples
    )
    assert not np.array_equal(default.samples[:1000], tts.generate_speech("Hello", "af_sky").samples[:1000])


def test_the_voice_decides_the_language(tts: koe.KokoroTTS) -> None:
    assert tts.phonemize("over", voice="emma").phonemes == tts.phonemize("over", "en-gb").phonemes == "ˈQvə"
    assert tts.phonemize("over").phonemes == tts.phonemize("over", "a").phonemes == "ˈOvəɹ"


def test_all_voices_are_listed(tts: koe.KokoroTTS) -> None:
    names = tts.voices()
    assert len(names) == 54
    assert {voice.value for voice in koe.Voice} - {"af"} <= set(names)


def test_two_threads_get_the_samples_of_one_after_the_other(tts: koe.KokoroTTS) -> None:
    jobs = [("Hello there.", "af_bella"), ("Good morning.", "bm_george"), ("How are you?", "af_sky"), ("Fine.", "af")]
    expected = [tts.generate_speech(*job).samples for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        for samples, reference in zip(
            pool.map(lambda job: tts.generate_speech(*job).samples, jobs), expected, strict=True
        ):
            assert np.array_equal(samples, reference)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_samples(tts: koe.KokoroTTS, threads: int) -> None:
    with koe.KokoroTTS(koe.Config(threads=threads)) as other:
        samples = other.generate_speech("Good morning, everyone.").samples
    assert np.array_equal(samples, tts.generate_speech("Good morning, everyone.").samples)


def test_the_noise_seed_decides_the_samples(tts: koe.KokoroTTS) -> None:
    default = tts.generate_speech("Hello").samples
    with koe.KokoroTTS(koe.Config(noise_seed=1)) as seeded, koe.KokoroTTS(koe.Config(noise_seed=None)) as silent:
        others = [engine.generate_speech("Hello").samples for engine in (seeded, silent)]
    assert not any(np.array_equal(default, samples) for samples in others)
    assert not np.array_equal(*others)


async def test_async_speech_equals_the_plain_one_and_leaves_the_loop_free(tts: koe.KokoroTTS) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    audio = await tts.generate_speech_async(SENTENCE)
    ticking.cancel()
    assert np.array_equal(audio.samples, tts.generate_speech(SENTENCE).samples)
    assert ticks > 3


async def test_cancelled_async_speech_ends_early(tts: koe.KokoroTTS) -> None:
    before = acoustic_threads()
    task = asyncio.create_task(tts.generate_speech_async("this goes on and on " * 3000, speed=4))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The engine's threads are gone once the chunk they were at is done; the whole would take minutes.
    async with asyncio.timeout(60):
        while acoustic_threads() - before:
            await asyncio.sleep(0.05)


def test_a_replaced_g2p_is_used(tts: koe.KokoroTTS) -> None:
    class Spelled:
        def phonemize(self, text: str, language: koe.Language) -> koe.Phonemes:
            return koe.Phonemes("həlˈO", (koe.WordSpan(0, len(text), 0, 5),))

    with koe.KokoroTTS(koe.Config(model_path=tts.bundle.path, g2p=Spelled())) as other:
        audio = other.generate_speech("whatever")
    assert np.array_equal(audio.samples, tts.generate_speech("Hello").samples)
    assert audio.words[0].text == "whatever"


def test_an_error_in_a_replaced_g2p_reaches_the_caller(tts: koe.KokoroTTS) -> None:
    class Broken:
        def phonemize(self, text: str, language: koe.Language) -> koe.Phonemes:
            raise koe.G2PError("no phonemes today")

    with (
        koe.KokoroTTS(koe.Config(model_path=tts.bundle.path, g2p=Broken())) as other,
        pytest.raises(koe.G2PError, match="today"),
    ):
        other.generate_speech("Hello")


def test_a_closed_engine_says_so(tts: koe.KokoroTTS) -> None:
    other = koe.KokoroTTS(koe.Config(model_path=tts.bundle.path))
    other.close()
    other.close()
    with pytest.raises(koe.InvalidRequestError, match="closed"):
        other.generate_speech("Hello")


def test_an_abandoned_stream_ends_its_thread(tts: koe.KokoroTTS) -> None:
    before = acoustic_threads()
    pieces = tts.chunks("this goes on and on " * 60, speed=4)
    next(pieces)
    assert isinstance(pieces, Iterator)
    del pieces
    assert not acoustic_threads() - before


def test_import_stays_cheap() -> None:
    code = (
        "import sys, koe; loaded = {'numpy', 'onnxruntime', 'phonemizer', 'huggingface_hub', 'typer', 'rich', 'onnx',"
        " 'gguf', 'soundfile'} & set(sys.modules); sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_can_be_had() -> None:
    for name in koe.__all__:
        assert getattr(koe, name) is not None
    assert set(koe.__all__) <= set(dir(koe))
    with pytest.raises(AttributeError, match="nonsense"):
        koe.nonsense  # noqa: B018
