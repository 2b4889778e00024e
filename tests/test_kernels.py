# SPDX-License-Identifier: Apache-2.0
"""Every kernel of every table against the scalar one, what the kernels' objects export, and how a table is chosen.

`tests/kernels` is the program that compares; this builds it, once, into `build/kernel-tests`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from koe import _core

ROOT = Path(__file__).parent.parent

FLOAT32 = ("float32",)
PRECISIONS = {
    "scalar": ("float32", "bfloat16", "int8"),
    "avx2": ("float32", "bfloat16", "int8"),
    "avxvnni": ("float32", "bfloat16", "int8"),
    "avx512": FLOAT32,
    "avx512vnni": ("float32", "int8"),
    "avx512bf16": ("float32", "bfloat16", "int8"),
    "amx": ("float32", "bfloat16", "int8"),
    "neon": FLOAT32,
    "neondot": ("float32", "int8"),
    "neonbf16": ("float32", "bfloat16", "int8"),
}


TABLES = _core.available_isas()
# The program has AVX-VNNI's kernels in AVX-512's encoding as well, and AMX's on emulated tiles.
SUBSTITUTES = {"avxvnni": "avx512vnni", "amx": "avx512bf16"}
TABLES = [*TABLES, *(name for name, needed in SUBSTITUTES.items() if needed in TABLES and name not in TABLES)]


def functions(table: str) -> list[str]:
    """What a table must have."""
    # The scalar table, which the others are held against, has no minimal filtering.
    filters = [] if table == "scalar" else ["filter_in", "filter_weights", "filter_out"]
    products = [f"{precision}.{part}" for precision in PRECISIONS[table] for part in ("stage", "conv")]
    return [*products, "sums", "expand", *filters]


def pairs(tables: list[str]) -> list[tuple[str, str]]:
    return [(table, function) for table in tables for function in functions(table)]


def build(name: str, *options: str) -> Path:
    """The folder of the built program."""
    folder = ROOT / "build" / "kernel-tests" / name
    configure = ["cmake", "-S", str(ROOT / "tests" / "kernels"), "-B", str(folder), "-G", "Ninja", *options]
    for command in (configure, ["cmake", "--build", str(folder), "--parallel", "2"]):
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
    return folder


def check(command: list[str], table: str, function: str) -> None:
    done = subprocess.run(
        [*command, "--table", table, "--function", function],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def listed(command: list[str]) -> set[tuple[str, str]]:
    lines = subprocess.run([*command, "--list"], check=True, capture_output=True, text=True).stdout.splitlines()
    return {(table, function) for table, function in map(str.split, lines)}


@pytest.fixture(scope="module")
def built() -> Path:
    return build("native")


def test_the_program_tests_every_table_and_function(built: Path) -> None:
    assert listed([str(built / "kernel_tests")]) == set(pairs(TABLES))


@pytest.mark.parametrize(("table", "function"), pairs(TABLES))
def test_kernel_agrees_with_scalar(built: Path, table: str, function: str) -> None:
    check([str(built / "kernel_tests")], table, function)


def exported(kernel_object: Path, nm: str = "nm") -> list[tuple[str, str]]:
    """Name and type of each symbol that the linker could take from this object."""
    lines = subprocess.run([nm, "-P", "-g", str(kernel_object)], check=True, capture_output=True, text=True).stdout
    symbols = [(fields[0], fields[1]) for fields in map(str.split, lines.splitlines())]
    return [(name, kind) for name, kind in symbols if kind not in "Uw"]


def kernel_objects(folder: Path) -> dict[str, Path]:
    objects = {path.name.split(".")[0]: path for path in folder.rglob("koe.dir/**/*.cpp.o")}
    return {name: path for name, path in objects.items() if name not in ("dispatch", "processor")}


def check_exports(folder: Path, tables: set[str], nm: str = "nm") -> None:
    objects = kernel_objects(folder)
    assert tables <= set(objects), sorted(objects)
    for table, path in objects.items():
        mangled = f"_ZN3koe7kernels{len(table)}{table}Ev"
        if sys.platform == "darwin":
            mangled = f"_{mangled}"
        assert exported(path, nm) == [(mangled, "T")], f"{path.name} must export {table}() and nothing else"


def test_kernel_objects_export_one_function_and_nothing_weak(built: Path) -> None:
    # A weak symbol would be code for a newer processor that the linker may choose for everyone.
    check_exports(built, set(_core.available_isas()))


# Under an emulator: Arm's kernels on any machine, and processors that lack some of them.
ARM_TABLES = ["scalar", "neon", "neondot", "neonbf16"]
ARM_COMPILER = "aarch64-linux-gnu-g++"
ARM_EMULATOR = "qemu-aarch64"
EMULATED = ["--products", "400000"]


def emulator(processor: str, folder: Path) -> list[str]:
    return [ARM_EMULATOR, "-cpu", processor, str(folder / "kernel_tests"), *EMULATED]


@pytest.fixture(scope="module")
def built_for_arm() -> Path:
    missing = [program for program in (ARM_COMPILER, ARM_EMULATOR) if shutil.which(program) is None]
    if missing and not os.environ.get("KOE_TEST_ARM"):
        pytest.skip(f"{' and '.join(missing)} not installed (Debian: g++-aarch64-linux-gnu, qemu-user)")
    return build(
        "aarch64",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={ARM_COMPILER}",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    )


@pytest.mark.parametrize(("table", "function"), pairs(ARM_TABLES))
def test_arm_kernel_agrees_with_scalar(built_for_arm: Path, table: str, function: str) -> None:
    check(emulator("max", built_for_arm), table, function)


@pytest.mark.parametrize(("processor", "n_tables"), [("cortex-a72", 2), ("neoverse-n1", 3), ("max", 4)])
def test_arm_processor_gets_the_tables_that_it_can_run(built_for_arm: Path, processor: str, n_tables: int) -> None:
    assert listed(emulator(processor, built_for_arm)) == set(pairs(ARM_TABLES[:n_tables]))


def test_arm_kernel_objects_export_one_function_and_nothing_weak(built_for_arm: Path) -> None:
    check_exports(built_for_arm, set(ARM_TABLES), nm="aarch64-linux-gnu-nm")


def lacking() -> str:
    """A table that no machine has together with this one's."""
    return "neon" if "avx2" in _core.available_isas() else "avx2"


def test_isa_that_this_machine_lacks_is_refused_with_those_it_has(bundle_path: Path) -> None:
    with pytest.raises(_core.Error) as caught:
        _core.Vocoder(_core.Bundle(bundle_path), isa=lacking())
    message = str(caught.value)
    assert f"'{lacking()}'" in message
    assert message.endswith(", ".join(_core.available_isas()))


def test_isa_named_by_the_environment_is_refused_in_the_same_way(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOE_ISA", lacking())
    with pytest.raises(_core.Error, match=f"'{lacking()}'.* it has scalar"):
        _core.Vocoder(_core.Bundle(bundle_path))


@pytest.mark.parametrize("isa", _core.available_isas())
def test_environment_forces_a_table_and_the_argument_wins(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, isa: str
) -> None:
    bundle = _core.Bundle(bundle_path)
    monkeypatch.setenv("KOE_ISA", isa)
    assert _core.Vocoder(bundle, precision="float32").isa == isa
    assert _core.Vocoder(bundle, precision="float32", isa="scalar").isa == "scalar"
