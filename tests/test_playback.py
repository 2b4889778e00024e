# SPDX-License-Identifier: Apache-2.0
"""What stands between a speaker and a sound card; and no sound card."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import koe
from koe.live.playback import PlaybackBuffer


def taken(buffer: PlaybackBuffer, n_samples: int) -> np.ndarray:
    out = np.full(n_samples, np.nan, np.float32)
    buffer.fill(out)
    return out


def test_blocks_come_out_in_order_and_silence_after_them() -> None:
    buffer = PlaybackBuffer()
    buffer.append(np.arange(1, 6, dtype=np.float32))
    buffer.append(np.arange(6, 8, dtype=np.float32))
    assert taken(buffer, 3).tolist() == [1, 2, 3]
    assert taken(buffer, 6).tolist() == [4, 5, 6, 7, 0, 0]
    assert buffer.n_played == 7
    buffer.restart()
    assert buffer.n_played == 0


def test_a_clear_leaves_a_fade_of_some_milliseconds() -> None:
    buffer = PlaybackBuffer()
    buffer.append(np.ones(24_000, np.float32))
    buffer.clear()
    out = taken(buffer, 1200)
    assert out[0] == 1
    assert (np.diff(out) <= 0).all()
    assert not out[240:].any()
    buffer.clear()
    assert not taken(buffer, 100).any()


def test_a_writer_waits_for_the_device_and_ends_with_a_cancel() -> None:
    buffer = PlaybackBuffer()
    buffer.append(np.ones(1000, np.float32))
    results: list[bool] = []
    waiter = threading.Thread(target=lambda: results.append(buffer.wait(100, lambda: False)))
    waiter.start()
    taken(buffer, 950)
    waiter.join(30)
    assert results == [True]
    assert buffer.wait(0, lambda: True) is False


def test_without_a_sound_card_or_its_package_the_error_says_what_to_do() -> None:
    # In a process of its own, whose machine looks as if it had no audio system.
    code = (
        "import sys; sys.modules['sounddevice'] = None\n"
        "import koe\n"
        "try:\n    koe.live.SoundCard()\n"
        "except koe.PlaybackError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert 'pip install "koe[play]"' in done.stdout


def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(koe.PlaybackError):
        koe.live.SoundCard(device="no such device")
