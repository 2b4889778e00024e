// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "koe/bundle.hpp"
#include "vocoder/threads.hpp"

namespace koe::vocoder {

inline constexpr double kSampleRateHz = 24000.0;
inline constexpr std::size_t kHarmonics = 9;
/// Samples in one step of the pitch curve: upsampling 10 × 6 and a hop of 5.
inline constexpr std::size_t kSamplesPerF0 = 300;
inline constexpr float kSourceAmplitude = 0.1f;
inline constexpr float kVoicedNoise = 0.003f;
inline constexpr float kUnvoicedNoise = kSourceAmplitude / 3.0f;

/// The neural source-filter model's excitation (Wang 2019; Kokoro's SourceModuleHnNSF): nine harmonics of F0, 0.1 high where
/// F0 is above 10 Hz and silent elsewhere, with Gaussian noise of deviation 0.003 or 0.1/3, merged by a linear layer and
/// tanh.
///
/// Without noise, the upper bins of the source's spectrum hold little but the rounding of the original's phases, which reach
/// 10⁵ radians in float32, and the network reads their phase all the same: a source with exact phases is 25–37 dB from the
/// original at the output. So sums are double, as torch.cumsum's are, and phases are rounded to float32 where the original
/// rounds them; the sine's argument is then reduced in double.
class HarmonicSource {
 public:
  explicit HarmonicSource(const Bundle& bundle);

  /// Writes 300 samples for each value of f0 [Hz]. Noise is a function of the seed and a sample's index alone; without a
  /// seed there is none.
  void generate(ThreadPool& pool, std::span<const float> f0, std::optional<std::uint64_t> noise_seed, float* out) const;

  /// The phase of each harmonic in the middle of each step of f0, [steps][9] radians, not wrapped.
  static std::vector<float> middle_phases(std::span<const float> f0);

  std::span<const float> weight() const noexcept { return weight_; }
  float bias() const noexcept { return bias_; }
  float noise_gain() const noexcept { return noise_gain_; }

 private:
  std::vector<float> weight_;
  float bias_;
  float noise_gain_;  // the nine harmonics' independent noises, merged, are one noise of this much deviation
};

}  // namespace koe::vocoder
