# SPDX-License-Identifier: Apache-2.0
"""AudioData and its files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from koe.audio import SAMPLE_RATE_HZ, AudioData
from koe.errors import InvalidRequestError


def tone(seconds: float, amplitude: float = 0.5) -> AudioData:
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return AudioData((amplitude * np.sin(2 * np.pi * 220 * time)).astype(np.float32))


def test_duration_is_samples_over_rate() -> None:
    assert tone(1.5).duration == 1.5


@pytest.mark.parametrize(
    ("name", "container", "subtype", "snr_db"),
    [
        ("a.wav", "WAV", "PCM_16", 80),
        ("a.flac", "FLAC", "PCM_16", 80),
        ("a.mp3", "MP3", "MPEG_LAYER_III", 20),
        ("a.ogg", "OGG", "VORBIS", 20),
        ("a.OPUS", "OGG", "OPUS", 15),
    ],
)
def test_every_format_can_be_read_back(tmp_path: Path, name: str, container: str, subtype: str, snr_db: float) -> None:
    audio = tone(2.5)
    audio.save(tmp_path / name)
    info = soundfile.info(tmp_path / name)
    assert (info.format, info.subtype, info.channels) == (container, subtype, 1)
    samples, rate = soundfile.read(tmp_path / name, dtype="float32")
    assert rate == SAMPLE_RATE_HZ
    assert abs(len(samples) - len(audio.samples)) <= 2000
    # Codecs delay and pad; the middle of a tone shows what came through, at the best shift.
    middle = audio.samples[20_000:30_000]
    errors = [np.square(samples[20_000 + d : 30_000 + d] - middle).mean() for d in range(-120, 120)]
    assert 10 * np.log10(np.square(middle).mean() / (min(errors) + 1e-12)) > snr_db
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_format_argument_wins_over_the_extension(tmp_path: Path) -> None:
    tone(0.1).save(tmp_path / "speech.bin", format="flac")
    assert soundfile.info(tmp_path / "speech.bin").format == "FLAC"


@pytest.mark.parametrize("name", ["speech.xyz", "speech", "wav"])
def test_an_unknown_extension_is_refused_with_the_formats(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"wav, flac, mp3, ogg, opus"):
        tone(0.1).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="'aac'"):
        tone(0.1).save(tmp_path / "a.wav", format="aac")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        tone(0.1).save(tmp_path / "nowhere" / "a.wav")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="cannot write"):
        # No WAV has a sample rate of zero.
        AudioData(np.zeros(10, np.float32), sample_rate=0).save(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_samples_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    tone(0.1, amplitude=1.5).save(tmp_path / "a.wav")
    samples, _ = soundfile.read(tmp_path / "a.wav")
    assert samples.max() > 0.99
    assert samples.min() < -0.99
    assert np.abs(np.diff(samples)).max() < 0.2


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3"])
def test_audio_without_samples_is_a_valid_file(tmp_path: Path, name: str) -> None:
    AudioData(np.zeros(0, np.float32)).save(tmp_path / name)
    assert soundfile.info(tmp_path / name).frames <= 1
