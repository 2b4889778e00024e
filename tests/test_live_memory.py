# SPDX-License-Identifier: Apache-2.0
"""Long streams: what is kept must not grow with what was said."""

import importlib.util
import sys
import tracemalloc
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

import koe
from koe.live import TextStream


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    """The benchmark's module."""
    path = Path(__file__).parents[1] / "bench" / "soak_live.py"
    spec = importlib.util.spec_from_file_location("soak_live", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hours_of_text_leave_nothing_behind(soak: ModuleType) -> None:
    # About two hours of speech, in one utterance.
    stream = TextStream()
    tokens = soak.sentences()
    n_characters = 0
    tracemalloc.start()
    try:
        marks = []
        for _ in range(4):
            for token in islice(tokens, 1500):
                n_characters += sum(len(piece.text) for piece in stream.push(token + "[pause:1s] [speed:2]x[/speed] "))
            marks.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert n_characters > 100_000
    assert stream.n_pending < 1000
    assert marks[-1] - marks[0] < 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell only the peak")
def test_a_speaker_does_not_grow(soak: ModuleType, tts: koe.KokoroTTS) -> None:
    marks = soak.soak(tts, 20.0, speed=4.0, n_marks=5)
    assert len(marks) == 5
    assert marks[-1] - marks[1] < soak.LIMIT_BYTES
