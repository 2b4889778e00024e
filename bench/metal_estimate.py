# SPDX-License-Identifier: Apache-2.0
"""What the Metal vocoder moves and computes, dispatch by dispatch, and what that should take on some Apple GPUs.

An estimate, not a measurement: nothing here has run on a GPU. A dispatch takes as long as the slower of its operations
at `EFFICIENCY` of the peak and its bytes at `BANDWIDTH_SHARE` of the bandwidth, and `DISPATCH_S` besides.

    python bench/metal_estimate.py [--frames 400] [--all]

Sources:
- Cores and bandwidth: Apple's newsroom, M1 (10 November 2020: 8 cores, 2.6 TFLOPS), M2 Pro (17 January 2023: 19 cores,
  200 GB/s), M4 (7 May 2024: 10 cores, 120 GB/s), M4 Pro (30 October 2024: 20 cores, 273 GB/s); the M1's 68.25 GB/s are
  its 128 bits of LPDDR4X-4266.
- Operations: 128 fused multiply-adds a core and cycle; clocks, which Apple doesn't state, are those of hmc-tech.com's
  GPU pages (1.398 GHz for the M2 family, 1.470 GHz for the M4 family); the M1's follows from its 2.6 TFLOPS.
- Efficiency: Hübner et al., "Apple vs. Oranges" (arXiv:2502.05317), measured up to 2.9 float32 TFLOPS on the M4, 77 %
  of the 3.76 above, and bandwidth near the peak. koe's kernels are taken for less: 55 % and 80 %.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

EFFICIENCY = 0.55
BANDWIDTH_SHARE = 0.8
DISPATCH_S = 4e-6
TILE_ROWS = 64
FLOAT, HALF = 4, 2
FRAMES_PER_SECOND = 40


@dataclass(frozen=True)
class Gpu:
    """A GPU by its published figures."""

    name: str
    cores: int
    clock_hz: float
    bytes_per_s: float

    @property
    def flops(self) -> float:
        return self.cores * 128 * 2 * self.clock_hz


GPUS = (
    Gpu("M1", 8, 1.27e9, 68.25e9),
    Gpu("M2 Pro", 19, 1.398e9, 200e9),
    Gpu("M4", 10, 1.470e9, 120e9),
    Gpu("M4 Pro", 20, 1.470e9, 273e9),
)


@dataclass(frozen=True)
class Dispatch:
    """A kernel run once: useful operations, operations with padding and activation, bytes from and to memory."""

    group: str
    name: str
    useful: float
    operations: float
    bytes: float

    def seconds(self, gpu: Gpu) -> float:
        compute = self.operations / (gpu.flops * EFFICIENCY)
        return max(compute, self.bytes / (gpu.bytes_per_s * BANDWIDTH_SHARE)) + DISPATCH_S


class Plan:
    """The dispatches of a chunk, as planner.cpp writes them."""

    def __init__(self, frames: int) -> None:
        self.dispatches: list[Dispatch] = []
        self.frames = frames
        self._write()

    def _add(self, group: str, name: str, useful: float, operations: float, n_bytes: float) -> None:
        self.dispatches.append(Dispatch(group, name, useful, operations, n_bytes))

    def _conv(
        self,
        group: str,
        rows: int,
        inputs: int,
        outputs: int,
        taps: int,
        *,
        dilation: int = 1,
        step: int = 1,
        terms: int = 0,
        activation: int = 0,
        element: int = HALF,
    ) -> None:
        columns = 128 if outputs > 64 else 64 if outputs > 32 else 32
        block = 32 if step == 1 else 8
        row_tiles, column_tiles = -(-rows // TILE_ROWS), -(-outputs // columns)
        padded_in = -(-inputs // block) * block
        staged = (TILE_ROWS - 1) * step + (taps - 1) * dilation + 1
        useful = 2.0 * rows * inputs * outputs * taps
        products = 2.0 * row_tiles * TILE_ROWS * padded_in * column_tiles * columns * taps
        activations = float(row_tiles * column_tiles * staged * padded_in * activation)
        # Weights come from memory once and then from the caches; so do rows that neighbouring tiles share.
        weights = padded_in * column_tiles * columns * taps * element
        moved = rows * step * inputs * FLOAT * column_tiles + weights + rows * outputs * FLOAT * (1 + terms)
        name = f"conv {inputs} to {outputs}, k {taps}, d {dilation}, {rows} rows"
        self._add(group, name, useful, products + activations, float(moved))

    def _elementwise(self, group: str, name: str, count: float, operations: float, n_bytes: float) -> None:
        self._add(group, name, 0.0, count * operations, count * n_bytes)

    def _fold(self, group: str, rows: int, channels: int) -> None:
        self._elementwise(group, "fold", float(-(-rows // TILE_ROWS) * channels), 12, 8)

    def _statistics(self, group: str, rows: int, channels: int) -> None:
        self._elementwise(group, "statistics", float(rows * channels), 5, FLOAT)

    def _block(self, inputs: int, outputs: int, rows: int, *, upsamples: bool) -> None:
        group = "decoder blocks"
        out_rows = rows * (2 if upsamples else 1)
        self._conv(group, rows, inputs, outputs, 1)
        self._statistics(group, rows, inputs)
        self._fold(group, rows, inputs)
        if upsamples:
            self._elementwise(group, "pool", float(rows * inputs), 10, 3 * FLOAT)
        self._conv(group, out_rows, inputs, outputs, 3, activation=4)
        self._fold(group, out_rows, outputs)
        self._conv(group, out_rows, outputs, outputs, 3, activation=4, terms=1)

    def _residual(self, group: str, rows: int, channels: int, taps: int, last_terms: int = 1) -> None:
        for dilation in (1, 3, 5):
            self._fold(group, rows, channels)
            self._conv(group, rows, channels, channels, taps, dilation=dilation, activation=14)
            self._fold(group, rows, channels)
            terms = last_terms if dilation == 5 else 1
            self._conv(group, rows, channels, channels, taps, activation=14, terms=terms)

    def _write(self) -> None:
        frames = self.frames
        self._elementwise("source", "style_affine", 37_396.0 * 128, 2, FLOAT)
        self._elementwise("source", "source", 600.0 * frames, 9 * 30 + 60, FLOAT)
        self._elementwise("source", "stft", 120.0 * frames + 1, 20 * 11 * 30, 27 * FLOAT)
        self._elementwise("decoder blocks", "decoder_input", 514.0 * frames, 1, 2 * FLOAT)
        self._conv("decoder blocks", frames, 512, 64, 1)
        self._block(514, 1024, frames, upsamples=False)
        for _ in range(3):
            self._block(1090, 1024, frames, upsamples=False)
        self._block(1090, 512, frames, upsamples=True)
        rows = 2 * frames
        for level, (inputs, channels, rate, noise_taps) in enumerate(((512, 256, 10, 7), (256, 128, 6, 11))):
            group = f"generator level {level}"
            out_rows = rows * rate + level
            self._conv(
                group, out_rows, 22, channels, 12 if level == 0 else 1, step=6 if level == 0 else 1, element=FLOAT
            )
            self._residual(group, out_rows, channels, noise_taps)
            self._conv(group, rows + 1, inputs, rate * channels, 2, activation=2, terms=1)
            self._statistics(group, out_rows, channels)
            for i, taps in enumerate((3, 7, 11)):
                self._residual(group, out_rows, channels, taps, last_terms=1 if i == 0 else 2)
            rows = out_rows
        self._conv("output", rows, 128, 22, 7, activation=2, element=FLOAT)
        self._elementwise("output", "istft", 600.0 * frames, 4 * 11 * 4 + 30, 8 * FLOAT)


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimates the Metal vocoder's speed from published figures.")
    parser.add_argument("--frames", type=int, default=400, help="frames of 1/40 s in the chunk")
    parser.add_argument("--all", action="store_true", help="every dispatch, not only sums")
    options = parser.parse_args()
    plan = Plan(options.frames)
    audio_s = options.frames / FRAMES_PER_SECOND

    header = f"{'':44} {'GFLOP':>8} {'padded':>8} {'MB':>8}" + "".join(f"{gpu.name:>9}" for gpu in GPUS)
    print(f"{audio_s:g} s of audio, {len(plan.dispatches)} dispatches; milliseconds on each GPU\n{header}")
    sums: dict[str, list[Dispatch]] = defaultdict(list)
    for dispatch in plan.dispatches:
        sums[dispatch.group].append(dispatch)
        if options.all:
            _print_row(f"  {dispatch.name}", [dispatch])
    for group, dispatches in sums.items():
        _print_row(group, dispatches)
    _print_row("all", plan.dispatches)
    times = [audio_s / sum(d.seconds(gpu) for d in plan.dispatches) for gpu in GPUS]
    print(f"{'vocoder, times real time':71}" + "".join(f"{t:9.0f}" for t in times))


def _print_row(name: str, dispatches: list[Dispatch]) -> None:
    useful, operations, moved = (sum(getattr(d, key) for d in dispatches) for key in ("useful", "operations", "bytes"))
    milliseconds = [1e3 * sum(d.seconds(gpu) for d in dispatches) for gpu in GPUS]
    row = f"{name:44} {useful / 1e9:8.2f} {operations / 1e9:8.2f} {moved / 1e6:8.1f}"
    print(row + "".join(f"{ms:9.2f}" for ms in milliseconds))


if __name__ == "__main__":
    main()
