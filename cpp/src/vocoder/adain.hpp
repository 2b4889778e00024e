// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "koe/bundle.hpp"
#include "vocoder/buffer.hpp"
#include "vocoder/threads.hpp"

namespace koe::vocoder {

/// Σ x and Σ x² of each channel over time, block by block: the blocks' sums are added up in their order, so that the result
/// does not depend on which thread did which block.
class ChannelSums {
 public:
  void reset(std::size_t n_blocks, std::size_t channels);
  float* block(std::size_t b) noexcept { return partial_.data() + b * 2 * channels_; }
  std::size_t n_blocks() const noexcept { return n_blocks_; }
  std::size_t channels() const noexcept { return channels_; }
  /// Mean and 1/√(variance + 1e-5) of each channel over n_rows rows; variance is biased, as in instance normalisation.
  void moments(std::size_t n_rows, std::vector<double>& mean, std::vector<double>& inverse_deviation) const;

 private:
  Buffer<float> partial_;
  std::size_t n_blocks_ = 0;
  std::size_t channels_ = 0;
};

/// A channel's affine map for one utterance, padded with zeros to whole vectors.
struct Affine {
  Buffer<float> scale;
  Buffer<float> shift;
};

/// Adaptive instance normalisation (Huang & Belongie 2017; StyleTTS2's AdaIN1d):
/// y = (1 + γ) · (w · (x − mean) / deviation + b) + β, where [γ, β] = W · style + c.
class AdaIn {
 public:
  /// Reads `name`.fc.weight [2C, style], .fc.bias, and .norm.weight and .norm.bias [C] where the bundle has them.
  AdaIn(const Bundle& bundle, const std::string& name, std::size_t channels);

  /// Folds the statistics of `sums` over n_rows rows and the style into one affine map a channel.
  void fold(std::span<const float> style, const ChannelSums& sums, std::size_t n_rows, Affine& out) const;

  std::size_t channels() const noexcept { return channels_; }

 private:
  std::size_t channels_;
  std::size_t style_size_;
  // [2C][style]: an 8-bit source's weights as they are, or else floats.
  std::vector<std::int8_t> integers_;
  Bundle::Quantization quantized_;
  std::vector<float> weight_;
  std::vector<float> bias_;
  std::vector<float> norm_weight_;
  std::vector<float> norm_bias_;
};

}  // namespace koe::vocoder
