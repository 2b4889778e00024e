// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "vocoder/buffer.hpp"
#include "vocoder/threads.hpp"

namespace koe::vocoder {

inline constexpr std::size_t kFft = 20;
inline constexpr std::size_t kHop = 5;
inline constexpr std::size_t kBins = kFft / 2 + 1;

/// torch.stft(n_fft 20, hop 5, periodic Hann, centred, reflect padding) as magnitude and phase: out has n/5 + 1 rows, of
/// which channels 0–10 become the magnitudes, 11–21 the phases in radians, the rest zero. n ≥ 11, a multiple of 5.
///
/// In a frame of equal samples, which unvoiced speech without noise consists of, bins 2–10 are exactly 0, with phase 0. A
/// Fourier transform in float32 leaves 1e-9 there, whose phase is its rounding and no property of the signal.
void stft(ThreadPool& pool, const float* samples, std::size_t n, const Frames& out);

/// The vocoder's last step, iSTFTNet's (Kaneko 2022): magnitude exp(x[0–10]), phase sin(x[11–21]), inverse DFT, window,
/// overlap-add, and division by the sum of squared windows, as torch.istft (centred) does. Writes 5 · (x.rows − 1) samples.
void istft_of_log(ThreadPool& pool, const Frames& x, float* samples);

/// The same from magnitudes x[0–10] and phases x[11–21].
void istft(ThreadPool& pool, const Frames& x, float* samples);

/// In place: channels 0–10 become exp, 11–21 sin.
void exponential_and_sine(ThreadPool& pool, const Frames& x);

}  // namespace koe::vocoder
