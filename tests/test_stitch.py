# SPDX-License-Identifier: Apache-2.0
"""Stitching: what the listener hears between, before and after chunks."""

import concurrent.futures
import io
import itertools
import os
import wave
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from koe import _core
from koe._core import StitchOptions

RATE = 24_000
Samples = NDArray[np.float32]


def level(db: float) -> float:
    return float(10 ** (db / 20))


def noise(seconds: float, db: float, seed: int = 0) -> Samples:
    n = round(seconds * RATE)
    return (level(db) * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def voiced(seconds: float, db: float = -15) -> Samples:
    """A vowel's stand-in: 120 Hz and harmonics, at full level from the first sample to the last."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave_ = sum(np.sin(2 * np.pi * 120 * h * t + h) / h for h in range(1, 12))
    # RMS over whole periods of 120 Hz, whatever the length: half the sum of the harmonics' squared amplitudes.
    rms = np.sqrt(sum(1 / h**2 for h in range(1, 12)) / 2)
    return (level(db) * wave_ / rms).astype(np.float32)


def chunk(before_s: float = 0.28, speech_s: float = 0.5, after_s: float = 0.3, seed: int = 0) -> Samples:
    """As the model gives them: near-silence, speech, and low noise."""
    return np.concatenate([noise(before_s, -90, seed), voiced(speech_s), noise(after_s, -80, seed + 1)])


# --- where speech is ---


def test_edge_silence_and_the_noise_tail_are_found() -> None:
    begin, end = _core.find_speech(chunk(0.28, 0.5, 0.3))
    margin, frame = round(0.04 * RATE), round(0.005 * RATE)
    assert 0.28 * RATE - margin - frame <= begin <= 0.28 * RATE - margin
    assert 0.78 * RATE + margin <= end <= 0.78 * RATE + margin + frame


@pytest.mark.parametrize("db", [-35, -45, -55, -60])
@pytest.mark.parametrize("seconds", [0.03, 0.1, 0.2])
def test_a_soft_fricative_at_either_end_is_kept(db: float, seconds: float) -> None:
    edge = noise(seconds, db)
    samples = np.concatenate([noise(0.28, -90), edge, voiced(0.4), edge, noise(0.3, -80)])
    begin, end = _core.find_speech(samples)
    assert begin <= 0.28 * RATE
    assert end >= (0.28 + 2 * seconds + 0.4) * RATE
    assert end < len(samples) - 0.2 * RATE


def test_a_fricative_that_fades_out_is_kept_down_to_where_it_is_lost_in_the_noise() -> None:
    fading = noise(0.25, 0) * np.logspace(-40 / 20, -90 / 20, round(0.25 * RATE), dtype=np.float32)
    samples = np.concatenate([voiced(0.4), fading, noise(0.3, -85)])
    _, end = _core.find_speech(samples)
    assert np.sqrt(np.mean(samples[end:] ** 2)) < level(-70)


def test_a_burst_after_a_closure_is_kept() -> None:
    samples = np.concatenate([voiced(0.3), noise(0.15, -90), noise(0.02, -45), noise(0.3, -80)])
    assert _core.find_speech(samples)[1] >= 0.47 * RATE


def test_silence_inside_is_not_touched() -> None:
    samples = np.concatenate([voiced(0.2), np.zeros(RATE, np.float32), voiced(0.2)])
    assert _core.find_speech(samples) == (0, len(samples))


@pytest.mark.parametrize(
    "samples", [[], np.zeros(1), np.zeros(RATE), noise(1, -80)], ids=["none", "one", "zeros", "noise"]
)
def test_silence_throughout_holds_no_speech(samples: Samples) -> None:
    samples = np.asarray(samples, np.float32)
    assert _core.find_speech(samples) == (0, 0)


@pytest.mark.parametrize("gain_db", [-25, -10, 0, 20])
def test_a_louder_or_softer_chunk_is_cut_at_the_same_places(gain_db: float) -> None:
    samples = np.concatenate([np.zeros(6000, np.float32), noise(0.1, -40), voiced(0.4), np.zeros(6000, np.float32)])
    assert _core.find_speech(samples * np.float32(level(gain_db))) == _core.find_speech(samples)


def test_thresholds_and_margin_can_be_set() -> None:
    samples = np.concatenate([noise(0.1, -40), voiced(0.2), noise(0.1, -40)])
    assert _core.find_speech(samples, StitchOptions(threshold_db=-20, margin_s=0)) == (2400, 7200)
    assert _core.find_speech(samples, StitchOptions(threshold_db=-20, margin_s=0.05)) == (1200, 8400)
    assert _core.find_speech(samples, StitchOptions(floor_db=-20, margin_s=0)) == (2400, 7200)
    assert _core.find_speech(samples, StitchOptions(margin_s=10)) == (0, len(samples))


# "ðə hˈɔːɹs ɪz ɐ ɹˈuf." in the vocabulary's ids, without the pads: a voiced start and a soft f at the end.
HORSE_ROOF = [81, 83, 16, 50, 156, 76, 123, 61, 16, 102, 68, 16, 83, 16, 123, 156, 63, 48, 4]


@pytest.fixture(scope="module")
def whole_model(model_path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("voice", ["af_heart", "bf_emma", "bm_george"])
def test_the_models_own_edges_are_cut_and_its_final_f_is_not(
    voice: str, whole_model: onnxruntime.InferenceSession, voices: Path
) -> None:
    style = _core.StylePack.open(voices / f"{voice}.bin").row(len(HORSE_ROOF) - 1)
    inputs = {
        "tokens": np.array([[0, *HORSE_ROOF, 0]], np.int64),
        "style": style[None],
        "speed": np.ones(1, np.float32),
    }
    samples = whole_model.run(None, inputs)[0].ravel() / np.float32(1.5)
    begin, end = _core.find_speech(samples)
    assert begin > 0.1 * RATE
    assert end < len(samples) - 0.1 * RATE
    for cut in (samples[:begin], samples[end:]):
        assert np.sqrt(np.mean(cut**2)) < level(-72)
    # What is hissed above 2 kHz in the last tenth of a second before the margin is the f, far above the noise after it.
    hiss = np.diff(samples[end - 3360 : end - 960].astype(np.float64), 2)
    after = np.diff(samples[end:].astype(np.float64), 2)
    assert np.sqrt(np.mean(hiss**2)) > 10 * np.sqrt(np.mean(after**2))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 900), st.sampled_from([-120.0, -80.0, -60.0, -30.0, -6.0])), max_size=8),
    st.floats(0, 0.1),
)
def test_what_is_cut_is_below_the_threshold(parts: list[tuple[int, float]], margin_s: float) -> None:
    samples = np.concatenate([np.zeros(0, np.float32), *(noise(n / RATE, db, n) for n, db in parts)])
    options = StitchOptions(margin_s=margin_s)
    begin, end = _core.find_speech(samples, options)
    assert 0 <= begin <= end <= len(samples)
    frame = 120
    frames = [samples[i : i + frame].astype(np.float64) for i in range(0, len(samples), frame)]
    loudest = max((np.mean(f**2) for f in frames), default=0.0)
    threshold = max(loudest * 1e-5, 1e-7)
    for i, f in enumerate(frames):
        if i * frame < begin or i * frame + len(f) > end:
            assert np.mean(f**2) < threshold * (1 + 1e-9)


# --- joins ---


@pytest.mark.parametrize("silence_s", [0.0, 0.1, 0.4, 1.25, 0.10001])
def test_the_silence_between_chunks_is_exact_to_a_sample(silence_s: float) -> None:
    samples, places = _core.stitch([chunk(seed=1), chunk(seed=2), chunk(seed=3)], StitchOptions(silence_s=silence_s))
    assert places[0].offset == 0
    for before, after in itertools.pairwise(places):
        end = before.offset + before.n_samples
        assert after.offset - end == round(silence_s * RATE)
        assert not samples[end : after.offset].any()
    assert places[-1].offset + places[-1].n_samples == len(samples)


def test_the_default_silence_is_four_tenths_of_a_second() -> None:
    _, (first, second) = _core.stitch([chunk(), chunk()])
    assert second.offset - first.n_samples == 9600


@pytest.mark.parametrize("silence_s", [0.0, 0.4])
@pytest.mark.parametrize("trim", [True, False])
def test_no_join_clicks_even_where_speech_is_cut_hard(silence_s: float, trim: bool) -> None:
    # 1 kHz that begins and ends at its crest: joined as it is, it would jump by the full amplitude.
    hard = (0.5 * np.cos(2 * np.pi * 1000 * np.arange(6001) / RATE)).astype(np.float32)
    options = StitchOptions(silence_s=silence_s, trim=trim)
    samples, places = _core.stitch([hard, hard, hard], options)
    padded = np.concatenate([[0], samples, [0]])
    # The sine's own steepest step, and no more: the fades add their slope where the sine is cut.
    steepest = 0.5 * 2 * np.sin(np.pi * 1000 / RATE)
    assert np.abs(np.diff(padded)).max() <= steepest * 1.001
    for place in places:
        for edge in (place.offset, place.offset + place.n_samples - 1):
            assert samples[edge] == 0
            near = samples[max(0, edge - 12) : edge + 13]
            assert np.abs(np.diff(near)).max() < 0.01


def test_speech_itself_is_left_as_it_is_bit_by_bit() -> None:
    chunks = [chunk(seed=1), chunk(0.2, 0.3, 0.1, seed=2)]
    samples, places = _core.stitch(chunks)
    for source, place, (start, stop) in zip(chunks, places, [(0.28, 0.78), (0.2, 0.5)], strict=True):
        first, last = round(start * RATE), round(stop * RATE)
        at = place.position(first)
        np.testing.assert_array_equal(samples[at : at + last - first], source[first:last])


def test_the_fade_is_a_raised_cosine() -> None:
    samples, _ = _core.stitch([np.ones(1000, np.float32)], StitchOptions(fade_s=0.01))
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(240) / 240)
    np.testing.assert_allclose(samples, np.concatenate([ramp, np.ones(520), ramp[::-1]]), atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 100, 383, 384, 385])
def test_a_chunk_shorter_than_its_fades_still_ends_in_silence(n: int) -> None:
    samples, (place,) = _core.stitch([np.ones(n, np.float32)])
    assert len(samples) == place.n_samples == n
    assert samples[0] == samples[-1] == 0
    np.testing.assert_array_equal(samples, samples[::-1])
    assert np.abs(samples).max() <= 1


def test_the_source_is_not_changed() -> None:
    source = chunk()
    before = source.copy()
    _core.stitch([source, source])
    np.testing.assert_array_equal(source, before)


def test_other_layouts_and_types_of_array_are_taken() -> None:
    source = chunk()
    expected, _ = _core.stitch([source])
    wide = np.stack([source, source], axis=1)
    np.testing.assert_array_equal(_core.stitch([wide[:, 0]])[0], expected)
    np.testing.assert_array_equal(_core.stitch([source.astype(np.float64)])[0], expected)
    with pytest.raises(ValueError, match="one dimension"):
        _core.stitch([wide])


# --- offsets ---


def test_a_placement_moves_a_word_to_its_place_in_the_output() -> None:
    chunks = [chunk(0.28, 0.5, 0.3, 1), chunk(0.1, 0.4, 0.2, 2)]
    samples, places = _core.stitch(chunks)
    for source, place in zip(chunks, places, strict=True):
        assert place.trimmed_start + place.n_samples + place.trimmed_end == len(source)
        for sample in range(place.trimmed_start + 200, place.trimmed_start + place.n_samples - 200, 777):
            assert samples[place.position(sample)] == source[sample]


def test_a_position_that_was_cut_gives_the_nearest_one_left() -> None:
    _, (_, place) = _core.stitch([chunk(), chunk()])
    assert place.trimmed_start > 0
    assert place.trimmed_end > 0
    assert place.position(0) == place.offset
    assert place.position(place.trimmed_start) == place.offset
    assert place.position(10**9) == place.offset + place.n_samples


# --- pieces as they come ---

CHUNKS = st.lists(
    st.tuples(
        st.sampled_from([(0.0, 0.0, 0.0), (0.05, 0.0, 0.0), (0.1, 0.1, 0.1), (0.0, 0.05, 0.0), (0.06, 0.02, 0.3)]),
        st.sampled_from([None, 0.0, 0.05, 0.3]),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(CHUNKS, st.sampled_from([0.0, 0.4]), st.booleans())
def test_pieces_are_the_whole_and_the_bookkeeping_holds(
    parts: list[tuple[tuple[float, float, float], float | None]], silence_s: float, trim: bool
) -> None:
    chunks = [chunk(*shape, seed=i) for i, (shape, _) in enumerate(parts)]
    pauses = [pause for _, pause in parts]
    options = StitchOptions(silence_s=silence_s, trim=trim)
    whole, places = _core.stitch(chunks, options, pauses)

    stitcher = _core.Stitcher(options)
    pieces: list[Samples] = []
    n_samples = 0
    pending: int | None = None
    for source, pause, place in zip(chunks, pauses, places, strict=True):
        piece, pushed = stitcher.push(source, pause)
        assert pushed == place
        pieces.append(piece)
        if pause is not None:
            pending = (pending or 0) + round(pause * RATE)
        if place.n_samples == 0:
            assert len(piece) == 0
            assert place.offset == n_samples
        else:
            expected = pending if pending is not None else round(silence_s * RATE) if n_samples else 0
            assert place.offset == n_samples + expected
            assert len(piece) == expected + place.n_samples
            assert not piece[:expected].any()
            pending = None
        n_samples += len(piece)
        assert stitcher.n_samples == n_samples
        assert place.trimmed_start + place.n_samples + place.trimmed_end == len(source)
    rest = stitcher.finish()
    assert len(rest) == (pending or 0)
    assert not rest.any()
    np.testing.assert_array_equal(np.concatenate([*pieces, rest]), whole)
    assert stitcher.n_samples == 0


def test_a_silent_chunk_adds_neither_samples_nor_a_second_pause() -> None:
    silent = noise(0.5, -85)
    plain, _ = _core.stitch([chunk(seed=1), chunk(seed=2)])
    samples, places = _core.stitch([silent, chunk(seed=1), silent, np.zeros(0, np.float32), chunk(seed=2), silent])
    np.testing.assert_array_equal(samples, plain)
    assert [place.n_samples > 0 for place in places] == [False, True, False, False, True, False]


def test_a_pause_may_lead_trail_and_stand_alone() -> None:
    none = np.zeros(0, np.float32)
    samples, places = _core.stitch([chunk(), none], pauses_before_s=[0.5, 1.0])
    assert places[0].offset == 12_000
    assert len(samples) == 12_000 + places[0].n_samples + 24_000
    assert len(_core.stitch([none], pauses_before_s=[0.25])[0]) == 6000
    assert len(_core.stitch([])[0]) == 0


def test_without_trimming_silence_is_kept() -> None:
    samples, (place,) = _core.stitch([np.zeros(500, np.float32)], StitchOptions(trim=False))
    assert len(samples) == 500
    assert (place.trimmed_start, place.trimmed_end) == (0, 0)


def test_a_finished_stitcher_is_as_new() -> None:
    stitcher = _core.Stitcher()
    first, place = stitcher.push(chunk())
    stitcher.push(chunk(), 2.0)
    stitcher.finish()
    again, same = stitcher.push(chunk())
    np.testing.assert_array_equal(first, again)
    assert place == same


# --- what is refused ---


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_and_changes_nothing(value: float) -> None:
    stitcher = _core.Stitcher()
    stitcher.push(chunk(seed=1))
    before = stitcher.n_samples
    bad = chunk(seed=2)
    bad[4321] = value
    with pytest.raises(_core.Error, match="at sample 4321 of a chunk of"):
        stitcher.push(bad, 3.0)
    assert stitcher.n_samples == before
    _, place = stitcher.push(chunk(seed=2))
    assert place.offset == before + 9600
    for call in (_core.find_speech, lambda x: _core.stitch([x], StitchOptions(trim=False)), _core.encode_wav):
        with pytest.raises(_core.Error, match="at sample 4321"):
            call(bad)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sample_rate_hz", [0, -1, 1e6]),
        ("silence_s", [-0.001, 3601]),
        ("fade_s", [-0.001, 1.5]),
        ("threshold_db", [0.1, -201]),
        ("floor_db", [0.1, -201]),
        ("margin_s", [-0.001, 11]),
    ],
)
def test_options_out_of_range_are_refused(name: str, values: list[float]) -> None:
    for value in [*values, float("nan"), float("inf"), float("-inf")]:
        with pytest.raises(ValueError, match=f"stitching: {name} is"):
            StitchOptions(**{name: value})


@pytest.mark.parametrize("pause", [-0.1, 3601, float("nan"), float("inf")])
def test_a_pause_out_of_range_is_refused(pause: float) -> None:
    with pytest.raises(ValueError, match="pause_before_s is"):
        _core.Stitcher().push(chunk(), pause)


def test_as_many_pauses_as_chunks_are_asked_for() -> None:
    with pytest.raises(ValueError, match="2 chunks with 1 pauses"):
        _core.stitch([chunk(), chunk()], pauses_before_s=[None])


# --- WAV ---


def test_pcm16_rounds_and_saturates() -> None:
    samples = np.array([0, 0.5, -0.5, 1, -1, 1.5, -3, 1e30, 0.4 / 32767, 0.6 / 32767], np.float32)
    with wave.open(io.BytesIO(_core.encode_wav(samples, 22_050))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22_050)
        values = np.frombuffer(file.readframes(100), "<i2").tolist()
    assert values == [0, 16384, -16384, 32767, -32767, 32767, -32768, 32767, 0, 1]


@pytest.mark.parametrize(("format_", "subtype"), [("pcm16", "PCM_16"), ("float32", "FLOAT")])
@pytest.mark.parametrize("n", [0, 1, 1001])
def test_another_reader_takes_the_file(tmp_path: Path, format_: str, subtype: str, n: int) -> None:
    samples = noise(n / RATE, -20)
    path = tmp_path / "声.wav"
    _core.write_wav(path, samples, RATE, format_)
    assert path.read_bytes() == _core.encode_wav(samples, RATE, format_)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate, info.channels, info.frames) == ("WAV", subtype, RATE, 1, n)
    read, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read, samples, atol=1e-4 if format_ == "pcm16" else 0)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_wav_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    occupied = tmp_path / "folder.wav"
    occupied.mkdir()
    for path in (occupied, tmp_path / "missing" / "x.wav"):
        with pytest.raises(_core.Error, match="cannot write"):
            _core.write_wav(path, noise(0.01, -20))
    assert list(tmp_path.iterdir()) == [occupied]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    samples = noise(0.01, -20)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        _core.write_wav(pipe, samples)
        assert read.result(timeout=30) == _core.encode_wav(samples)
    assert pipe.is_fifo()


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_one_and_its_file_is_written(tmp_path: Path, exists: bool) -> None:
    target, link = tmp_path / "target.wav", tmp_path / "link.wav"
    if exists:
        target.write_bytes(b"old")
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("this account may not make links")
    _core.write_wav(link, noise(0.01, -20))
    assert link.is_symlink()
    assert target.read_bytes() == _core.encode_wav(noise(0.01, -20))


def test_a_wav_of_an_unknown_format_or_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="'mp3' is neither"):
        _core.encode_wav(np.zeros(1, np.float32), RATE, "mp3")
    with pytest.raises(ValueError, match="0 Hz"):
        _core.encode_wav(np.zeros(1, np.float32), 0)
