// SPDX-License-Identifier: Apache-2.0
#include "vocoder/adain.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "koe/error.hpp"

namespace koe::vocoder {
namespace {

// In sixteen sums, so that it vectorises without leave to reorder.
template <class T>
float dot(const T* a, const float* b, std::size_t n) noexcept {
  constexpr std::size_t kLanes = 16;
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t k = 0; k < kLanes; ++k) sums[k] += static_cast<float>(a[i + k]) * b[i + k];
  }
  for (; i < n; ++i) sums[0] += static_cast<float>(a[i]) * b[i];
  float sum = 0.0f;
  for (const float s : sums) sum += s;
  return sum;
}

}  // namespace

void ChannelSums::reset(std::size_t n_blocks, std::size_t channels) {
  n_blocks_ = n_blocks;
  channels_ = channels;
  float* p = partial_.reserve(n_blocks * 2 * channels);
  std::fill(p, p + n_blocks * 2 * channels, 0.0f);
}

void ChannelSums::moments(std::size_t n_rows, std::vector<double>& mean, std::vector<double>& inverse_deviation) const {
  mean.assign(channels_, 0.0);
  inverse_deviation.assign(channels_, 0.0);
  for (std::size_t b = 0; b < n_blocks_; ++b) {
    const float* sum = partial_.data() + b * 2 * channels_;
    const float* square = sum + channels_;
    for (std::size_t c = 0; c < channels_; ++c) {
      mean[c] += static_cast<double>(sum[c]);
      inverse_deviation[c] += static_cast<double>(square[c]);
    }
  }
  const double scale = 1.0 / static_cast<double>(n_rows);
  for (std::size_t c = 0; c < channels_; ++c) {
    mean[c] *= scale;
    const double variance = std::max(0.0, inverse_deviation[c] * scale - mean[c] * mean[c]);
    inverse_deviation[c] = 1.0 / std::sqrt(variance + 1e-5);
  }
}

AdaIn::AdaIn(const Bundle& bundle, const std::string& name, std::size_t channels)
    : channels_(channels), bias_(bundle.dequantized(name + ".fc.bias")) {
  const Tensor& fc = bundle.tensor(name + ".fc.weight");
  if (fc.shape.size() != 2 || fc.shape[0] != static_cast<std::int64_t>(2 * channels) || bias_.size() != 2 * channels) {
    throw Error("bundle tensor '" + name + ".fc.weight' does not map a style to 2 × " + std::to_string(channels) + " values");
  }
  style_size_ = static_cast<std::size_t>(fc.shape[1]);
  if (fc.type == DataType::kInt8) {
    const auto* q = reinterpret_cast<const std::int8_t*>(fc.data.data());
    integers_.assign(q, q + fc.n_elements());
    quantized_ = bundle.quantization(fc.name);
  } else {
    weight_ = bundle.dequantized(fc.name);
  }
  const auto optional = [&](const std::string& tensor, float otherwise) {
    if (bundle.find(tensor) == nullptr) return std::vector<float>(channels, otherwise);
    std::vector<float> values = bundle.dequantized(tensor);
    if (values.size() != channels) {
      throw Error("bundle tensor '" + tensor + "' has " + std::to_string(values.size()) + " values, not " +
                  std::to_string(channels));
    }
    return values;
  };
  norm_weight_ = optional(name + ".norm.weight", 1.0f);
  norm_bias_ = optional(name + ".norm.bias", 0.0f);
}

void AdaIn::fold(std::span<const float> style, const ChannelSums& sums, std::size_t n_rows, Affine& out) const {
  std::vector<float> h = bias_;
  if (integers_.empty()) {
    for (std::size_t o = 0; o < h.size(); ++o) h[o] += dot(weight_.data() + o * style_size_, style.data(), style_size_);
  } else {
    const float sum = std::accumulate(style.begin(), style.end(), 0.0f);
    for (std::size_t o = 0; o < h.size(); ++o) {
      const float product = dot(integers_.data() + o * style_size_, style.data(), style_size_);
      h[o] += (product - static_cast<float>(quantized_.zero_point[o]) * sum) * quantized_.scale[o];
    }
  }
  std::vector<double> mean;
  std::vector<double> inverse_deviation;
  sums.moments(n_rows, mean, inverse_deviation);
  const std::size_t padded = round_up(channels_, kRowStep);
  float* scale = out.scale.reserve(padded);
  float* shift = out.shift.reserve(padded);
  for (std::size_t c = 0; c < channels_; ++c) {
    const double gamma = 1.0 + static_cast<double>(h[c]);
    const double slope = gamma * static_cast<double>(norm_weight_[c]) * inverse_deviation[c];
    scale[c] = static_cast<float>(slope);
    shift[c] = static_cast<float>(gamma * static_cast<double>(norm_bias_[c]) + static_cast<double>(h[channels_ + c]) -
                                  slope * mean[c]);
  }
  std::fill(scale + channels_, scale + padded, 0.0f);
  std::fill(shift + channels_, shift + padded, 0.0f);
}

}  // namespace koe::vocoder
