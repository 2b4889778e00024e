# SPDX-License-Identifier: Apache-2.0
"""A Kokoro with a few channels and random weights: the vocoder's parameter names and structure, weight norm included.

The architecture is that of StyleTTS2's iSTFTNet decoder with Kokoro's settings; the acoustic model before it is only as
deep as the export's interface asks for. It is made to be exported, not to be listened to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import weight_norm

STYLE = 8
ASR, ASR_RES, BLOCK, STAGES = 16, 4, 12, (16, 8, 4)
SPECTRUM = 22


class AdaIN(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm1d(channels, affine=True)
        self.fc = nn.Linear(STYLE, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        gamma, beta = self.fc(style).unsqueeze(2).chunk(2, dim=1)
        return (1 + gamma) * self.norm(x) + beta


class Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, upsample: bool = False) -> None:
        super().__init__()
        self.upsample = upsample
        self.norm1, self.norm2 = AdaIN(n_in), AdaIN(n_out)
        self.conv1 = weight_norm(nn.Conv1d(n_in, n_out, 3, padding=1))
        self.conv2 = weight_norm(nn.Conv1d(n_out, n_out, 3, padding=1))
        self.conv1x1 = weight_norm(nn.Conv1d(n_in, n_out, 1, bias=False))
        if upsample:
            transposed = nn.ConvTranspose1d(n_in, n_in, 3, stride=2, padding=1, output_padding=1, groups=n_in)
            self.pool = weight_norm(transposed)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        residual = functional.leaky_relu(self.norm1(x, style), 0.2)
        if self.upsample:
            residual = self.pool(residual)
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        residual = self.conv1(residual)
        residual = self.conv2(functional.leaky_relu(self.norm2(residual, style), 0.2))
        return (residual + self.conv1x1(x)) * 2**-0.5


class SnakeBlock(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, padding=d * (kernel - 1) // 2, dilation=d))
            for d in (1, 3, 5)
        )
        self.convs2 = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2)) for _ in range(3)
        )
        self.adain1 = nn.ModuleList(AdaIN(channels) for _ in range(3))
        self.adain2 = nn.ModuleList(AdaIN(channels) for _ in range(3))
        self.alpha1 = nn.ParameterList(nn.Parameter(torch.ones(1, channels, 1)) for _ in range(3))
        self.alpha2 = nn.ParameterList(nn.Parameter(torch.ones(1, channels, 1)) for _ in range(3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        for i in range(3):
            y = self.adain1[i](x, style)
            y = self.convs1[i](y + (1 / self.alpha1[i]) * torch.sin(self.alpha1[i] * y) ** 2)
            y = self.adain2[i](y, style)
            x = x + self.convs2[i](y + (1 / self.alpha2[i]) * torch.sin(self.alpha2[i] * y) ** 2)
        return x


class Source(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l_linear = nn.Linear(9, 1)

    def forward(self, f0: Tensor) -> Tensor:
        harmonics = f0.unsqueeze(2) * torch.arange(1, 10, dtype=f0.dtype)
        sines = torch.sin(torch.cumsum(harmonics / 24000, dim=1) * 6.2831853)
        return torch.tanh(self.l_linear(sines * (f0 > 10).to(f0.dtype).unsqueeze(2))).transpose(1, 2)


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.m_source = Source()
        self.noise_convs = nn.ModuleList(
            [nn.Conv1d(SPECTRUM, STAGES[1], 12, stride=6, padding=3), nn.Conv1d(SPECTRUM, STAGES[2], 1)]
        )
        self.noise_res = nn.ModuleList([SnakeBlock(STAGES[1], 7), SnakeBlock(STAGES[2], 11)])
        self.ups = nn.ModuleList(
            weight_norm(nn.ConvTranspose1d(STAGES[i], STAGES[i + 1], kernel, stride, padding=(kernel - stride) // 2))
            for i, (kernel, stride) in enumerate(((20, 10), (12, 6)))
        )
        self.resblocks = nn.ModuleList(SnakeBlock(STAGES[i], kernel) for i in (1, 2) for kernel in (3, 7, 11))
        self.conv_post = weight_norm(nn.Conv1d(STAGES[2], SPECTRUM, 7, padding=3))
        self.register_buffer("basis", torch.randn(SPECTRUM, 1, 20, generator=torch.Generator().manual_seed(2)))

    def forward(self, x: Tensor, style: Tensor, f0: Tensor) -> Tensor:
        f0 = functional.interpolate(f0.unsqueeze(1), scale_factor=300.0, mode="nearest").squeeze(1)
        spectrum = functional.conv1d(self.m_source(f0), self.basis, stride=5, padding=10)
        for i in range(2):
            source = self.noise_res[i](self.noise_convs[i](spectrum), style)
            x = self.ups[i](functional.leaky_relu(x, 0.1))
            if i == 1:
                x = functional.pad(x, (1, 0), mode="reflect")
            x = x + source
            x = (
                self.resblocks[3 * i](x, style)
                + self.resblocks[3 * i + 1](x, style)
                + self.resblocks[3 * i + 2](x, style)
            ) / 3
        x = self.conv_post(functional.leaky_relu(x))
        magnitude, phase = torch.exp(x[:, :11]), torch.sin(x[:, 11:])
        spectrum = torch.cat([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=1)
        return functional.conv_transpose1d(spectrum, self.basis, stride=5, padding=10).squeeze(1)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.F0_conv = weight_norm(nn.Conv1d(1, 1, 3, stride=2, padding=1))
        self.N_conv = weight_norm(nn.Conv1d(1, 1, 3, stride=2, padding=1))
        self.asr_res = nn.Sequential(weight_norm(nn.Conv1d(ASR, ASR_RES, 1)))
        self.encode = Block(ASR + 2, BLOCK)
        n_in = BLOCK + ASR_RES + 2
        self.decode = nn.ModuleList([*(Block(n_in, BLOCK) for _ in range(3)), Block(n_in, STAGES[0], upsample=True)])
        self.generator = Generator()

    def forward(self, asr: Tensor, f0: Tensor, n: Tensor, style: Tensor) -> Tensor:
        f0_half, n_half = self.F0_conv(f0.unsqueeze(1)), self.N_conv(n.unsqueeze(1))
        x = self.encode(torch.cat([asr, f0_half, n_half], dim=1), style)
        residual = self.asr_res(asr)
        for block in self.decode:
            x = block(torch.cat([x, residual, f0_half, n_half], dim=1), style)
        return self.generator(x, style, f0)


class Kokoro(nn.Module):
    """tokens [1, L], ref_s [1, 2 · STYLE], speed [1] → samples."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(178, ASR)
        self.prosody = nn.Linear(STYLE, ASR)
        self.duration = nn.Linear(ASR, 50)
        self.curves = nn.Conv1d(ASR, 2, 3, padding=1)
        self.decoder = Decoder()

    def acoustic(self, tokens: Tensor, ref_s: Tensor, speed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.embedding(tokens) + self.prosody(ref_s[:, STYLE:]).unsqueeze(1)
        durations = torch.round(torch.sigmoid(self.duration(x)).sum(dim=2) / speed).clamp(min=1)
        ends = torch.cumsum(durations, dim=1)
        frames = torch.arange(0, ends[0, -1].to(torch.int64))
        alignment = (frames < ends.reshape(-1, 1)) & (frames >= (ends - durations).reshape(-1, 1))
        asr = x.transpose(1, 2) @ alignment.to(x.dtype)
        curves = functional.interpolate(self.curves(asr), scale_factor=2.0, mode="nearest")
        return asr, 200 * curves[:, 0].abs(), curves[:, 1], durations

    def forward(self, tokens: Tensor, ref_s: Tensor, speed: Tensor) -> Tensor:
        asr, f0, n, _ = self.acoustic(tokens, ref_s, speed)
        return self.decoder(asr, f0, n, ref_s[:, :STYLE])


def random_kokoro(seed: int = 1) -> Kokoro:
    """Every parameter random, the ones that start as 1 or 0 included, so that a mix-up of two shows."""
    torch.manual_seed(seed)
    model = Kokoro().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("weight_g", "norm.weight")) or ".alpha" in name:
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.uniform_(-0.5, 0.5)
    return model
