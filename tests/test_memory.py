# SPDX-License-Identifier: Apache-2.0
"""Speaking the same page again and again takes no more memory."""

import subprocess
import sys

import pytest

# A process of its own, so that other tests' memory doesn't hide a leak. Ten speeds give the same page ten lengths,
# because what grows is what is kept for each length.
_CODE = """
import gc
import koe

def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

with koe.KokoroTTS(koe.Config(phoneme_cache_size=0)) as tts:
    def pages(n: int) -> None:
        for i in range(n):
            tts.generate_speech("How are you?", speed=2 + i % 10 / 5)

    pages(10)
    gc.collect()
    before = resident()
    pages(40)
    gc.collect()
    print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fifty_times_the_same_page_does_not_grow() -> None:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 * 2**20
