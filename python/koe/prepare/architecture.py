# SPDX-License-Identifier: Apache-2.0
"""Kokoro's vocoder by its PyTorch parameter names (`Decoder` of istftnet.py in the PyPI package kokoro 0.9.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SPECTRUM_CHANNELS = 22  # 11 magnitudes and 11 phases of an n_fft of 20
HARMONICS = 9
RESBLOCK_KERNELS = (3, 7, 11)
N_DILATIONS = 3
UPSAMPLE_KERNELS = (20, 12)


@dataclass(frozen=True)
class Widths:
    """Channel counts, read from the model itself; Kokoro-82M's are the defaults."""

    asr: int = 512
    asr_res: int = 64
    style: int = 128
    block: int = 1024
    stages: tuple[int, int, int] = (512, 256, 128)


@dataclass(frozen=True)
class Layer:
    """One weighted layer: parameters `<name>.weight` and, unless `bias` is False, `<name>.bias`."""

    name: str
    shape: tuple[int, ...]
    kind: Literal["conv", "transposed", "linear"] = "conv"
    bias: bool = True

    @property
    def n_out(self) -> int:
        if self.kind != "transposed":
            return self.shape[0]
        # A depthwise transposed convolution is stored [in, 1, kernel].
        return self.shape[0] if self.shape[1] == 1 else self.shape[1]


@dataclass(frozen=True)
class Norm:
    """One AdaIN: its linear layer is `<name>.fc`, its affine `<name>.norm`; `before` is the layer it feeds."""

    name: str
    n_channels: int
    before: str


@dataclass(frozen=True)
class Snake:
    """One α, stored [1, channels, 1]; `before` is the convolution it feeds."""

    name: str
    n_channels: int
    before: str


def layers(widths: Widths) -> Iterator[Layer]:
    """Every weighted layer but the AdaINs' linear ones."""
    stages = widths.stages
    yield Layer("F0_conv", (1, 1, 3))
    yield Layer("N_conv", (1, 1, 3))
    yield Layer("asr_res.0", (widths.asr_res, widths.asr, 1))
    for name, n_in, n_out in _blocks(widths):
        if name == "decode.3":
            yield Layer(f"{name}.pool", (n_in, 1, 3), "transposed")
        yield Layer(f"{name}.conv1", (n_out, n_in, 3))
        yield Layer(f"{name}.conv2", (n_out, n_out, 3))
        yield Layer(f"{name}.conv1x1", (n_out, n_in, 1), bias=False)
    yield Layer("generator.m_source.l_linear", (1, HARMONICS), "linear")
    for i, kernel in enumerate(UPSAMPLE_KERNELS):
        yield Layer(f"generator.ups.{i}", (stages[i], stages[i + 1], kernel), "transposed")
        yield Layer(f"generator.noise_convs.{i}", (stages[i + 1], SPECTRUM_CHANNELS, (12, 1)[i]))
    for name, width, kernel in _resblocks(widths):
        for conv in _convolutions(name):
            yield Layer(conv, (width, width, kernel))
    yield Layer("generator.conv_post", (SPECTRUM_CHANNELS, stages[2], 7))


def norms(widths: Widths) -> Iterator[Norm]:
    """Every AdaIN."""
    for name, n_in, n_out in _blocks(widths):
        yield Norm(f"{name}.norm1", n_in, f"{name}.pool" if name == "decode.3" else f"{name}.conv1")
        yield Norm(f"{name}.norm2", n_out, f"{name}.conv2")
    for name, width, _ in _resblocks(widths):
        for conv in _convolutions(name):
            yield Norm(conv.replace(".convs", ".adain"), width, conv)


def snakes(widths: Widths) -> Iterator[Snake]:
    """Every Snake activation."""
    for name, width, _ in _resblocks(widths):
        for conv in _convolutions(name):
            yield Snake(conv.replace(".convs", ".alpha"), width, conv)


def _blocks(widths: Widths) -> Iterator[tuple[str, int, int]]:
    yield "encode", widths.asr + 2, widths.block
    n_in = widths.block + widths.asr_res + 2
    for i in range(4):
        yield f"decode.{i}", n_in, widths.block if i < 3 else widths.stages[0]


def _resblocks(widths: Widths) -> Iterator[tuple[str, int, int]]:
    for stage in (1, 2):
        width = widths.stages[stage]
        yield f"generator.noise_res.{stage - 1}", width, RESBLOCK_KERNELS[stage]
        for j, kernel in enumerate(RESBLOCK_KERNELS):
            yield f"generator.resblocks.{(stage - 1) * len(RESBLOCK_KERNELS) + j}", width, kernel


def _convolutions(resblock: str) -> Iterator[str]:
    for i in range(N_DILATIONS):
        yield f"{resblock}.convs1.{i}"
        yield f"{resblock}.convs2.{i}"
