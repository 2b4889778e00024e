// SPDX-License-Identifier: Apache-2.0
#include "vocoder/decoder.hpp"

#include <algorithm>
#include <numbers>

#include "koe/error.hpp"

namespace koe::vocoder {
namespace {

using kernels::Activation;
using kernels::Precision;

constexpr float kSlope = 0.2f;
constexpr float kHalfPower = 1.0f / std::numbers::sqrt2_v<float>;

// The decoder is in float32 whatever the generator takes. Its shortcuts read F0 in Hz among features of size one and are never
// normalised; and what it rounds, the generator's first level may make fifty times larger: in bfloat16, 59 dB from float32,
// it left one utterance of 120 at 37 dB for a tenth of a second. With minimal filtering it is a tenth of the work.
constexpr Precision kPrecision = Precision::float32;

std::size_t floats_of(std::size_t rows, std::size_t channels) noexcept { return rows * round_up(channels, kRowStep); }

}  // namespace

AdainResidual::AdainResidual(const Bundle& bundle, const std::string& name, Machine& machine, std::size_t in_channels)
    : norm1_(bundle, name + ".norm1", in_channels),
      norm2_(bundle, name + ".norm2", static_cast<std::size_t>(bundle.tensor(name + ".conv1.weight").shape.at(0))),
      conv1_(bundle, name + ".conv1", machine, kPrecision, {.padding = 1, .compact = true}),
      conv2_(bundle, name + ".conv2", machine, kPrecision, {.padding = 1, .compact = true}) {
  if (conv1_.in_channels() != in_channels || conv2_.in_channels() != conv1_.out_channels() ||
      conv2_.out_channels() != conv1_.out_channels()) {
    throw Error("bundle tensors '" + name + ".conv*.weight' don't fit one another");
  }
  if (bundle.find(name + ".conv1x1.weight") != nullptr) {
    shortcut_.emplace(bundle, name + ".conv1x1", machine, kPrecision, Conv::Shape{.compact = true});
  } else if (in_channels != out_channels()) {
    throw Error("bundle has no tensor '" + name + ".conv1x1.weight'");
  }
  if (bundle.find(name + ".pool.weight") != nullptr) {
    const std::vector<float> weight = bundle.dequantized(name + ".pool.weight");
    pool_bias_ = bundle.dequantized(name + ".pool.bias");
    if (weight.size() != 3 * in_channels || pool_bias_.size() != in_channels) {
      throw Error("bundle tensor '" + name + ".pool.weight' is not a depthwise convolution of 3 taps");
    }
    pool_weight_.resize(weight.size());
    for (std::size_t c = 0; c < in_channels; ++c) {
      for (std::size_t k = 0; k < 3; ++k) pool_weight_[k * in_channels + c] = weight[c * 3 + k];
    }
  }
}

// Depthwise transposed convolution, k 3, stride 2, padding 1, output padding 1: an even output row is the middle tap, an odd
// one lies between two input rows.
Frames AdainResidual::upsampled(Machine& machine, const Frames& x, const Affine& affine, Carver& scratch) {
  const Frames out = scratch.take(2 * x.rows, x.channels);
  const Frames y = Carver(scratch).take(x.rows, x.channels);
  const std::size_t channels = x.channels;
  const float* w = pool_weight_.data();
  machine.table.float32.stage({.x = x.data,
                               .x_stride = x.stride,
                               .rows = x.rows,
                               .channels = x.stride,
                               .scale = affine.scale.data(),
                               .shift = affine.shift.data(),
                               .activation = Activation::leaky,
                               .slope = kSlope,
                               .alpha_over_pi = nullptr,
                               .inverse_alpha = nullptr,
                               .out = y.data,
                               .out_stride = y.stride * sizeof(float),
                               .row_scale = nullptr});
  machine.pool.run(x.rows, [&](std::size_t r, std::size_t) {
    const float* now = y.row(r);
    float* even = out.row(2 * r);
    float* odd = out.row(2 * r + 1);
    for (std::size_t c = 0; c < channels; ++c) {
      even[c] = now[c] * w[channels + c] + pool_bias_[c];
      odd[c] = now[c] * w[2 * channels + c] + pool_bias_[c];
    }
    if (r + 1 < x.rows) {
      const float* next = y.row(r + 1);
      for (std::size_t c = 0; c < channels; ++c) odd[c] += next[c] * w[c];
    }
    std::fill(even + channels, even + out.stride, 0.0f);
    std::fill(odd + channels, odd + out.stride, 0.0f);
  });
  return out;
}

std::size_t AdainResidual::scratch_floats(std::size_t rows) const noexcept {
  const std::size_t out_rows = upsamples() ? 2 * rows : rows;
  std::size_t floats = floats_of(out_rows, out_channels());
  if (shortcut_) floats += floats_of(rows, out_channels());
  if (upsamples()) {
    floats += floats_of(out_rows, conv1_.in_channels()) +
              std::max(floats_of(rows, conv1_.in_channels()), floats_of(out_rows, out_channels()));
  }
  return floats;
}

void AdainResidual::run(Machine& machine, std::span<const float> style, const Frames& x, const Frames& out, Carver scratch) {
  const Frames hidden = scratch.take(out.rows, out_channels());
  Frames skip = x;
  if (shortcut_) {
    skip = scratch.take(x.rows, out_channels());
    shortcut_->run(machine, {.x = x}, {.out = skip});
  }

  sum_channels(machine, x, sums_);
  norm1_.fold(style, sums_, x.rows, affine_);
  if (upsamples()) {
    const Frames pooled = upsampled(machine, x, affine_, scratch);
    conv1_.run(machine, {.x = pooled}, {.out = hidden, .sums = &sums_});
    // The shortcut doubles each row.
    const Frames doubled = scratch.take(out.rows, out_channels());
    for (std::size_t r = 0; r < out.rows; ++r) std::copy_n(skip.row(r / 2), skip.stride, doubled.row(r));
    skip = doubled;
  } else {
    conv1_.run(machine, {.x = x, .affine = &affine_, .activation = Activation::leaky, .slope = kSlope},
               {.out = hidden, .sums = &sums_});
  }
  norm2_.fold(style, sums_, hidden.rows, affine_);

  // The kernels want the residual in step with the output.
  if (skip.stride != out.stride) {
    for (std::size_t r = 0; r < out.rows; ++r) std::copy_n(skip.row(r), skip.stride, out.row(r));
    skip = out;
  }
  conv2_.run(machine, {.x = hidden, .affine = &affine_, .activation = Activation::leaky, .slope = kSlope},
             {.out = out, .residual = skip.data, .gain = kHalfPower});
}

Decoder::Curve::Curve(const Bundle& bundle, const std::string& name) : weight(bundle.dequantized(name + ".weight")) {
  const std::vector<float> b = bundle.dequantized(name + ".bias");
  if (weight.size() != 3 || b.size() != 1) throw Error("bundle tensor '" + name + ".weight' is not a filter of 3 taps");
  bias = b[0];
}

// k 3, stride 2, padding 1.
void Decoder::Curve::run(std::span<const float> curve, float* out, std::size_t stride) const {
  for (std::size_t t = 0; t < curve.size() / 2; ++t) {
    const float before = t > 0 ? curve[2 * t - 1] : 0.0f;
    out[t * stride] = before * weight[0] + curve[2 * t] * weight[1] + curve[2 * t + 1] * weight[2] + bias;
  }
}

Decoder::Decoder(const Bundle& bundle, Machine& machine)
    : f0_(bundle, "F0_conv"),
      n_(bundle, "N_conv"),
      asr_residual_(bundle, "asr_res.0", machine, kPrecision, {.compact = true}),
      in_channels_(asr_residual_.in_channels()),
      encode_(bundle, "encode", machine, in_channels_ + 2) {
  std::size_t width = encode_.out_channels();
  for (std::size_t i = 0; i < 4; ++i) {
    if (width % kRowStep != 0 || asr_residual_.out_channels() % kChannelStep != 0) {
      throw Error("the decoder's layers are not whole multiples of 64 channels wide");
    }
    decode_.emplace_back(bundle, "decode." + std::to_string(i), machine, width + asr_residual_.out_channels() + 2);
    width = decode_.back().out_channels();
    if ((i < 3 && width != encode_.out_channels()) || decode_.back().upsamples() != (i == 3)) {
      throw Error("bundle tensors 'decode." + std::to_string(i) + ".*' are not those of Kokoro's decoder");
    }
  }
}

std::size_t Decoder::scratch_floats(std::size_t rows) const noexcept {
  std::size_t block = encode_.scratch_floats(rows);
  for (const AdainResidual& b : decode_) block = std::max(block, b.scratch_floats(rows));
  return block + floats_of(rows, in_channels_ + 2) +
         floats_of(rows, encode_.out_channels() + asr_residual_.out_channels() + 2);
}

void Decoder::run(Machine& machine, std::span<const float> asr, std::span<const float> f0, std::span<const float> n,
                  std::span<const float> style, const Frames& out, Carver scratch) {
  const std::size_t rows = f0.size() / 2;
  const std::size_t width = encode_.out_channels();
  const std::size_t residual = asr_residual_.out_channels();
  const Frames input = scratch.take(rows, in_channels_ + 2);
  // A block's features stand first in the row, then asr_res, F0 and N: the next block's input without a copy.
  const Frames features = scratch.take(rows, width + residual + 2);

  machine.pool.run((rows + 15) / 16, [&](std::size_t task, std::size_t) {
    for (std::size_t t = task * 16; t < std::min(rows, task * 16 + 16); ++t) {
      float* row = input.row(t);
      for (std::size_t c = 0; c < in_channels_; ++c) row[c] = asr[c * rows + t];
      std::fill(row + in_channels_ + 2, row + input.stride, 0.0f);
      std::fill(features.row(t) + width + residual + 2, features.row(t) + features.stride, 0.0f);
    }
  });
  f0_.run(f0, input.data + in_channels_, input.stride);
  n_.run(n, input.data + in_channels_ + 1, input.stride);
  for (std::size_t t = 0; t < rows; ++t) {
    std::copy_n(input.row(t) + in_channels_, 2, features.row(t) + width + residual);
  }

  Frames asr_only = input;
  asr_only.channels = in_channels_;
  asr_residual_.run(machine, {.x = asr_only}, {.out = {features.data + width, rows, residual, features.stride}});
  const Frames block_out{features.data, rows, width, features.stride};
  encode_.run(machine, style, input, block_out, scratch);
  for (AdainResidual& block : decode_) block.run(machine, style, features, block.upsamples() ? out : block_out, scratch);
}

}  // namespace koe::vocoder
