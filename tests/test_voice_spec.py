# SPDX-License-Identifier: Apache-2.0
"""Voice specifications, and the names offered for an unknown one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koe import _core
from koe.voice import Voice

NAMES = [
    "af_alloy",
    "af_bella",
    "af_heart",
    "af_sarah",
    "af_sky",
    "am_adam",
    "bf_emma",
    "bf_isabella",
    "bm_george",
]


@pytest.mark.parametrize(
    ("spec", "voices"),
    [
        ("af_heart", {"af_heart": 1.0}),
        ("af", {"af_bella": 0.5, "af_sarah": 0.5}),
        ("af_bella:0.6,af_sarah:0.4", {"af_bella": 0.6, "af_sarah": 0.4}),
        ("af_bella(2)+af_sky(1)", {"af_bella": 2 / 3, "af_sky": 1 / 3}),
        ("af_bella,af_sky", {"af_bella": 0.5, "af_sky": 0.5}),
        (" af_bella : .5 ,\taf_sky ( 1.5 ) ", {"af_bella": 0.25, "af_sky": 0.75}),
        ("af + bella", {"af_bella": 0.75, "af_sarah": 0.25}),
        ("af_bella:0+af_sky:3.", {"af_bella": 0.0, "af_sky": 1.0}),
        ("Bella", {"af_bella": 1.0}),
        ("my-voice_2", {"my-voice_2": 1.0}),
        ("声", {"声": 1.0}),
    ],
)
def test_a_spec_gives_full_names_and_weights_that_sum_to_one(spec: str, voices: dict[str, float]) -> None:
    parsed = _core.parse_voice_spec(spec)
    assert [name for name, _ in parsed] == list(voices)
    assert dict(parsed) == pytest.approx(voices, abs=1e-15)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("bella", "af_bella"),
        ("sarah", "af_sarah"),
        ("adam", "am_adam"),
        ("michael", "am_michael"),
        ("emma", "bf_emma"),
        ("isabella", "bf_isabella"),
        ("george", "bm_george"),
        ("lewis", "bm_lewis"),
        ("nicole", "af_nicole"),
        ("sky", "af_sky"),
    ],
)
def test_a_short_name_stands_for_its_voice(short: str, full: str) -> None:
    assert _core.parse_voice_spec(short) == [(full, 1.0)]


@pytest.mark.parametrize("voice", Voice)
def test_the_python_layers_names_mean_the_same_by_value_and_by_member(voice: Voice) -> None:
    by_value = _core.parse_voice_spec(voice)
    if voice is Voice.DEFAULT:
        assert by_value == [(Voice.BELLA, 0.5), (Voice.SARAH, 0.5)]
    else:
        assert by_value == [(voice.value, 1.0)] == _core.parse_voice_spec(voice.name.lower())


@pytest.mark.parametrize(
    ("spec", "position"),
    [
        ("", 1),
        ("   ", 4),
        (",", 1),
        ("af_bella,", 10),
        ("af_bella,,af_sky", 10),
        ("af_bella af_sky", 10),
        ("af_bella:", 10),
        ("af_bella:x", 10),
        ("af_bella:-1", 10),
        ("af_bella:+1", 10),
        ("af_bella:nan", 10),
        ("af_bella:1e3", 11),
        ("af_bella:1.2.3", 13),
        ("af_bella:.", 11),
        ("af_bella(1", 11),
        ("af_bella(1))", 12),
        ("af_bella:50%", 12),
        ("af_bella:0", 11),
        ("af_bella:1234567890123456", 25),
        ("../af_bella", 1),
        ("声声,x:", 6),
        ("af\0bella", 3),
    ],
)
def test_a_malformed_spec_is_refused_with_the_position(spec: str, position: int) -> None:
    with pytest.raises(ValueError, match=rf"at character {position}$"):
        _core.parse_voice_spec(spec)


def test_a_long_malformed_spec_is_shown_shortened() -> None:
    with pytest.raises(ValueError, match="at character") as error:
        _core.parse_voice_spec("声" * 10_000 + "!")
    assert len(str(error.value)) < 200


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 10_000)), min_size=1, max_size=6))
def test_weights_keep_their_proportions(items: list[tuple[str, int]]) -> None:
    spec = ",".join(f"{name}:{weight / 100}" for name, weight in items)
    total = sum(weight for _, weight in items)
    if total == 0:
        with pytest.raises(ValueError, match="sum to zero"):
            _core.parse_voice_spec(spec)
        return
    expected: dict[str, float] = {}
    for name, weight in items:
        expected[name] = expected.get(name, 0.0) + weight / total
    assert dict(_core.parse_voice_spec(spec)) == pytest.approx(expected, abs=1e-12)


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(spec: str) -> None:
    try:
        voices = _core.parse_voice_spec(spec)
    except ValueError:
        return
    assert sum(weight for _, weight in voices) == pytest.approx(1.0)
    assert all(name for name, _ in voices)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("af_bela", "af_bella"),
        ("AF_BELLA", "af_bella"),
        ("belle", "af_bella"),
        ("hart", "af_heart"),
        ("gerorge", "bm_george"),
        ("am_emma", "bf_emma"),
    ],
)
def test_the_nearest_name_comes_first(name: str, nearest: str) -> None:
    assert _core.nearest_names(name, NAMES)[0] == nearest


def test_at_most_n_names_are_offered_and_none_without_likeness() -> None:
    assert len(_core.nearest_names("af_", NAMES, 2)) == 2
    assert _core.nearest_names("", NAMES) == []
    assert _core.nearest_names("zzz", NAMES) == []
    assert _core.nearest_names("bella", []) == []
