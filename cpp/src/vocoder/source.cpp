// SPDX-License-Identifier: Apache-2.0
#include "vocoder/source.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>

#include "koe/error.hpp"

namespace koe::vocoder {
namespace {

constexpr float kVoicedAboveHz = 10.0f;
constexpr std::size_t kStepsPerTask = 64;

// The nearest whole number; as an addition it vectorises on every processor. Good for |x| < 2⁵¹.
inline double nearest(double x) noexcept {
  constexpr double kMagic = 6755399441055744.0;
  return (x + kMagic) - kMagic;
}

// a · b + c rounded once: the product is exact in double.
inline float fused(float a, float b, float c) noexcept {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c));
}

// sin(2πx) for |x| ≤ ½: folded to |x| ≤ ¼, then the minimax polynomial of kernels/elementwise.inl in half turns.
inline float sin_turns(float x) noexcept {
  const float half = x > 0.25f ? 0.5f - x : x < -0.25f ? -0.5f - x : x;
  const float r = 2.0f * half;
  const float z = r * r;
  float p = 0.07722012f;
  p = p * z - 0.59804517f;
  p = p * z + 2.5500314f;
  p = p * z - 5.1677069f;
  p = p * z + 3.1415925f;
  return p * r;
}

// Philox 4×32-10 (Salmon 2011): a block of the noise from its index, whatever was asked for before.
std::array<std::uint32_t, 4> philox(std::uint64_t counter, std::uint64_t seed) noexcept {
  std::array<std::uint32_t, 4> x{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0};
  auto k0 = static_cast<std::uint32_t>(seed);
  auto k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * x[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<std::uint32_t>(b >> 32) ^ x[1] ^ k0, static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ x[3] ^ k1, static_cast<std::uint32_t>(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return x;
}

// Four independent standard normal values for samples 4·block … 4·block + 3 (Box–Muller).
std::array<float, 4> normal(std::uint64_t block, std::uint64_t seed) noexcept {
  const std::array<std::uint32_t, 4> bits = philox(block, seed);
  std::array<float, 4> out{};
  for (std::size_t i = 0; i < 4; i += 2) {
    const float u = (static_cast<float>(bits[i] >> 8) + 0.5f) * 0x1p-24f;
    const float turn = static_cast<float>(static_cast<std::int32_t>(bits[i + 1])) * 0x1p-32f;
    const float radius = std::sqrt(-2.0f * std::log(u));
    out[i] = radius * sin_turns(turn);
    const float quarter = turn + 0.25f;
    out[i + 1] = radius * sin_turns(quarter > 0.5f ? quarter - 1.0f : quarter);
  }
  return out;
}

}  // namespace

HarmonicSource::HarmonicSource(const Bundle& bundle)
    : weight_(bundle.dequantized("generator.m_source.l_linear.weight")) {
  const std::vector<float> bias = bundle.dequantized("generator.m_source.l_linear.bias");
  if (weight_.size() != kHarmonics || bias.size() != 1) {
    throw Error("bundle tensor 'generator.m_source.l_linear.weight' has " + std::to_string(weight_.size()) +
                " values, not one for each of 9 harmonics");
  }
  bias_ = bias[0];
  double squares = 0.0;
  for (const float w : weight_) squares += static_cast<double>(w) * static_cast<double>(w);
  noise_gain_ = static_cast<float>(std::sqrt(squares));
}

// A step's phase is 2π · 300 times the sum of the steps' rates (turns a sample) up to it, and lies at the step's middle: the
// original's interpolation is linear, align_corners = false.
std::vector<float> HarmonicSource::middle_phases(std::span<const float> f0) {
  std::vector<float> middle(f0.size() * kHarmonics);
  std::array<double, kHarmonics> turns{};
  for (std::size_t i = 0; i < f0.size(); ++i) {
    for (std::size_t h = 0; h < kHarmonics; ++h) {
      const float rate = f0[i] * static_cast<float>(h + 1) / static_cast<float>(kSampleRateHz);
      turns[h] += static_cast<double>(rate - std::floor(rate));
      const float sum = static_cast<float>(turns[h]);
      middle[i * kHarmonics + h] = 2.0f * sum * std::numbers::pi_v<float> * static_cast<float>(kSamplesPerF0);
    }
  }
  return middle;
}

void HarmonicSource::generate(ThreadPool& pool, std::span<const float> f0, std::optional<std::uint64_t> noise_seed,
                              float* out) const {
  const std::size_t steps = f0.size();
  const std::vector<float> middle = middle_phases(f0);

  pool.run((steps + kStepsPerTask - 1) / kStepsPerTask, [&](std::size_t task, std::size_t) {
    constexpr std::size_t kHalf = kSamplesPerF0 / 2;
    constexpr float kStepsPerSample = 1.0f / static_cast<float>(kSamplesPerF0);
    constexpr double kTurnsPerRadian = 0.5 / std::numbers::pi;
    const std::size_t last = std::min(steps, (task + 1) * kStepsPerTask);
    std::array<float, kHalf> from_weight{};
    std::array<float, kHalf> to_weight{};
    std::array<float, kHalf> merged{};
    for (std::size_t half = 2 * task * kStepsPerTask; half < 2 * last; ++half) {
      // The first half of a step runs from the middle of the step before to its own, the second half on to the next's; at
      // both ends the middle's phase is held.
      const std::size_t step = half / 2;
      const bool second = half % 2 != 0;
      const std::size_t from = second || step == 0 ? step : step - 1;
      const std::size_t to = std::min(from + 1, steps - 1);
      float* samples = out + half * kHalf;
      merged.fill(bias_);
      const bool voiced = f0[step] > kVoicedAboveHz;
      if (voiced) {
        for (std::size_t i = 0; i < kHalf; ++i) {
          const float sample = static_cast<float>(static_cast<int>(half * kHalf + i)) + 0.5f;
          const float position = std::max(0.0f, fused(sample, kStepsPerSample, -0.5f));
          to_weight[i] = position - static_cast<float>(static_cast<int>(from));
          from_weight[i] = 1.0f - to_weight[i];
        }
        for (std::size_t h = 0; h < kHarmonics; ++h) {
          const float a = middle[from * kHarmonics + h];
          const float b = middle[to * kHarmonics + h];
          const float gain = kSourceAmplitude * weight_[h];
          for (std::size_t i = 0; i < kHalf; ++i) {
            const float phase = fused(from_weight[i], a, to_weight[i] * b);
            const double turn = static_cast<double>(phase) * kTurnsPerRadian;
            merged[i] += gain * sin_turns(static_cast<float>(turn - nearest(turn)));
          }
        }
      }
      if (noise_seed) {
        const float deviation = noise_gain_ * (voiced ? kVoicedNoise : kUnvoicedNoise);
        const std::uint64_t index = half * kHalf;
        for (std::uint64_t block = index / 4; block * 4 < index + kHalf; ++block) {
          const std::array<float, 4> noise = normal(block, *noise_seed);
          for (std::uint64_t i = 0; i < 4; ++i) {
            const std::uint64_t at = block * 4 + i;
            if (at >= index && at < index + kHalf) merged[at - index] += deviation * noise[i];
          }
        }
      }
      for (std::size_t i = 0; i < kHalf; ++i) samples[i] = std::tanh(merged[i]);
    }
  });
}

}  // namespace koe::vocoder
