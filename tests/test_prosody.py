# SPDX-License-Identifier: Apache-2.0
"""Prosody between the acoustic model and the vocoder."""

import numpy as np
import pytest

import koe
from koe.acoustic import AcousticFrames
from koe.prosody import EMPHASIS, NEUTRAL, Prosody, Span, direct
from koe.synthesis import insert_silence

TEXT = "The river was long and wide."
SPEED = 2.0


@pytest.fixture(scope="module")
def plain(tts: koe.KokoroTTS) -> koe.AudioData:
    return tts.generate_speech(TEXT, speed=SPEED)


def pitches(samples: np.ndarray) -> np.ndarray:
    """The pitch in Hz of 50 ms windows, by autocorrelation; NaN where there is none."""
    found = []
    for start in range(0, len(samples) - 1200, 480):
        window = samples[start : start + 1200].astype(np.float64) * np.hanning(1200)
        spectrum = np.abs(np.fft.rfft(window, 4096)) ** 2
        correlation = np.fft.irfft(spectrum)
        lags = correlation[48:400]
        is_voiced = np.square(window).mean() > 1e-4 and lags.max() > 0.4 * correlation[0]
        found.append(24_000 / (48 + lags.argmax()) if is_voiced else np.nan)
    return np.array(found)


def frames_of(durations: list[int]) -> AcousticFrames:
    n = sum(durations)
    token = np.repeat(np.arange(len(durations)), durations)
    rng = np.random.default_rng(1)
    f0 = np.where(np.arange(2 * n) % 16 < 12, 200 + 20 * rng.standard_normal(2 * n), 0).astype(np.float32)
    asr = np.broadcast_to(token.astype(np.float32), (1, 512, n)).copy()
    return AcousticFrames(asr, f0[None], rng.standard_normal((1, 2 * n)).astype(np.float32), np.array(durations))


def test_neutral_prosody_changes_no_sample(tts: koe.KokoroTTS, plain: koe.AudioData) -> None:
    same = tts.generate_speech(TEXT, speed=SPEED, prosody=Prosody(), spans=[Span(0, 5, Prosody())])
    assert np.array_equal(same.samples, plain.samples)
    assert same.words == plain.words


def test_speed_of_a_prosody_is_the_calls_speed(tts: koe.KokoroTTS, plain: koe.AudioData) -> None:
    same = tts.generate_speech(TEXT, prosody=Prosody(speed=SPEED))
    assert np.array_equal(same.samples, plain.samples)


@pytest.mark.parametrize("semitones", [-5.0, 4.0])
def test_pitch_moves_the_voice_by_semitones(tts: koe.KokoroTTS, plain: koe.AudioData, semitones: float) -> None:
    moved = tts.generate_speech(TEXT, speed=SPEED, prosody=Prosody(pitch=semitones))
    n = min(len(moved.samples), len(plain.samples))
    ratios = pitches(moved.samples[:n]) / pitches(plain.samples[:n])
    assert np.count_nonzero(~np.isnan(ratios)) > 10
    assert 12 * np.log2(np.nanmedian(ratios)) == pytest.approx(semitones, abs=0.7)
    assert [word.text for word in moved.words] == [word.text for word in plain.words]
    assert moved.duration == pytest.approx(plain.duration, abs=0.1)


def test_a_slower_word_leaves_the_others_their_time(tts: koe.KokoroTTS, plain: koe.AudioData) -> None:
    start = TEXT.index("long")
    slow = tts.generate_speech(TEXT, speed=SPEED, spans=[Span(start, start + 4, Prosody(speed=0.4))])
    lengths = {word.text: word.end - word.start for word in plain.words}
    for word in slow.words:
        factor = 2.5 if word.text == "long" else 1.0
        assert word.end - word.start == pytest.approx(factor * lengths[word.text], abs=0.06), word


def test_tags_say_the_same_as_spans(tts: koe.KokoroTTS) -> None:
    tagged = "The river was [speed:0.5]long[/speed] and [emphasis]wide[/emphasis]."
    by_tags = tts.generate_speech(tagged, speed=SPEED)
    long, wide = TEXT.index("long"), TEXT.index("wide")
    by_spans = tts.generate_speech(
        TEXT, speed=SPEED, spans=[Span(long, long + 4, Prosody(speed=0.5)), Span(wide, wide + 4, EMPHASIS)]
    )
    assert np.array_equal(by_tags.samples, by_spans.samples)
    for word in by_tags.words:
        assert tagged[word.char_start : word.char_end] == word.text


def test_energy_makes_a_word_louder(tts: koe.KokoroTTS) -> None:
    start = TEXT.index("long")

    def loudness(energy: float) -> float:
        audio = tts.generate_speech(TEXT, speed=SPEED, spans=[Span(start, start + 4, Prosody(energy=energy))])
        (word,) = [word for word in audio.words if word.text == "long"]
        span = audio.samples[round(word.start * 24_000) : round(word.end * 24_000)]
        return float(np.sqrt(np.square(span, dtype=np.float64).mean()))

    assert loudness(3) > 1.15 * loudness(-3)


def test_pauses_are_silence_of_the_length_asked_for(tts: koe.KokoroTTS, plain: koe.AudioData) -> None:
    text = "[pause:0.25s]The river[pause:500ms] was long and wide.[pause:1s]"
    audio = tts.generate_speech(text, speed=SPEED)
    assert audio.duration == pytest.approx(plain.duration + 1.75, abs=1e-3)
    assert not audio.samples[:6000].any()
    assert not audio.samples[-24_000:].any()
    river, was = audio.words[1:3]
    between = audio.samples[round(river.end * 24_000) : round(was.start * 24_000)]
    assert np.count_nonzero(between == 0) >= 12_000
    assert was.start - river.end >= 0.499
    assert [text[word.char_start : word.char_end] for word in audio.words] == TEXT.strip(".").split()


def test_pauses_at_one_place_add_up_to_a_minute_at_most(tts: koe.KokoroTTS) -> None:
    assert tts.generate_speech("[pause:40s]" * 5).duration == 60


@pytest.mark.parametrize(
    "arguments",
    [
        {"speed": 0.2},
        {"speed": 5},
        {"pitch": 13},
        {"pitch": float("nan")},
        {"pitch_range": -1},
        {"energy": 5},
        {"energy_range": 4},
        {"energy": "loud"},
        {"pitch": True},
    ],
)
def test_values_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    (name,) = arguments
    with pytest.raises(koe.InvalidRequestError, match=f"{name} = .*from"):
        Prosody(**arguments)


def test_wrong_requests_are_refused(tts: koe.KokoroTTS) -> None:
    with pytest.raises(koe.InvalidRequestError, match="span from 3 to 3"):
        Span(3, 3, EMPHASIS)
    with pytest.raises(koe.InvalidRequestError, match="speed"):
        tts.generate_speech("a", prosody=Prosody(speed=3), speed=2)
    with pytest.raises(koe.InvalidRequestError, match="pitch"):
        tts.generate_speech("a", prosody=Prosody(pitch=10), spans=[Span(0, 1, Prosody(pitch=10))])
    with pytest.raises(koe.InvalidRequestError, match=r"\[pause:99s\].*60 s"):
        tts.generate_speech("a [pause:99s] b")
    with pytest.raises(koe.InvalidRequestError, match="prosody"):
        tts.generate_speech("a", prosody=2.0)
    with pytest.raises(koe.InvalidRequestError, match="spans"):
        tts.generate_speech("a", spans=[(0, 1)])


def test_durations_are_stretched_token_by_token() -> None:
    frames = frames_of([1, 4, 6, 3, 2])
    slow = direct(frames, [NEUTRAL, NEUTRAL, Prosody(speed=0.5), Prosody(speed=4), NEUTRAL])
    assert slow.durations.tolist() == [1, 4, 12, 1, 2]
    assert slow.asr[0, 7].tolist() == np.repeat([0, 1, 2, 3, 4], [1, 4, 12, 1, 2]).tolist()
    assert slow.f0.shape == slow.n.shape == (1, 40)
    # Before the stretched token nothing has moved.
    assert np.allclose(slow.f0[0, :9], frames.f0[0, :9], atol=1e-3)
    # No pitch is made up between voiced and unvoiced.
    assert set(np.unique(slow.f0[0] > 100)) == {False, True}
    assert not ((slow.f0 > 1) & (slow.f0 < 100)).any()


def test_ranges_scale_the_curves_about_their_middle() -> None:
    frames = frames_of([10, 10, 10])
    voiced = frames.f0[0] > 10
    flat = direct(frames, [Prosody(pitch_range=0, energy_range=0)] * 3)
    assert np.ptp(flat.f0[0][voiced]) < 1e-2
    assert np.ptp(flat.n[0]) < 1e-5
    assert (flat.f0[0][~voiced] == 0).all()
    wide = direct(frames, [Prosody(pitch_range=2, energy=1)] * 3)
    assert np.log2(wide.f0[0][voiced]).std() == pytest.approx(2 * np.log2(frames.f0[0][voiced]).std(), rel=1e-3)
    assert np.allclose(wide.n, frames.n + 1, atol=1e-5)


def test_silence_goes_in_where_it_is_quietest_and_moves_the_words_behind() -> None:
    samples = np.ones(10_000, np.float32)
    samples[5100:5300] = 0
    longer, spans = insert_silence(samples, [(0, 5000), (5000, 10_000)], 1, 2400)
    assert len(longer) == 12_400
    assert not longer[5250:7550].any()
    assert spans[0][1] <= spans[1][0] - 2400 + 1
    assert spans[1] == (spans[1][0], 12_400)
