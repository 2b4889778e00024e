# SPDX-License-Identifier: Apache-2.0
"""Speaking the same page again and again takes no more memory."""

import subprocess
import sys

import pytest

# A process of its own, so that other tests' memory doesn't hide a leak. The page has two lengths of text, because
# what grows is what is kept for each length.
_CODE = """
import gc
import koe

def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

with koe.KokoroTTS(koe.Config(phoneme_cache_size=8)) as tts:
    def page() -> None:
        for text in ("Yes.", "How are you?"):
            tts.generate_speech(text, speed=2.0)

    for _ in range(10):
        page()
    gc.collect()
    before = resident()
    for _ in range(40):
        page()
    gc.collect()
    print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fifty_times_the_same_page_does_not_grow() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 * 2**20
