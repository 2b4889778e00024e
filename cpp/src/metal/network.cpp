// SPDX-License-Identifier: Apache-2.0
#include "metal/network.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>

#include "koe/error.hpp"

namespace koe::metal {
namespace {

constexpr std::size_t kArenaAlignment = 256;
constexpr std::size_t kThreadgroupMemory = 32768;
constexpr std::array<std::uint32_t, 2> kRates{10, 6};
constexpr std::array<std::uint32_t, 3> kDilations{1, 3, 5};

constexpr std::uint32_t round_up(std::uint32_t n, std::uint32_t step) { return (n + step - 1) / step * step; }

struct Shape {
  std::uint32_t outer;
  std::uint32_t inner;
  std::uint32_t taps;
};

Shape shape_of(const Bundle& bundle, const std::string& name) {
  const Tensor& tensor = bundle.tensor(name + ".weight");
  if (tensor.shape.size() != 3 || std::ranges::any_of(tensor.shape, [](std::int64_t n) { return n <= 0 || n > 1 << 16; })) {
    throw Error("bundle tensor '" + tensor.name + "' is not a convolution's");
  }
  return {static_cast<std::uint32_t>(tensor.shape[0]), static_cast<std::uint32_t>(tensor.shape[1]),
          static_cast<std::uint32_t>(tensor.shape[2])};
}

std::vector<float> bias_of(const Bundle& bundle, const std::string& name, std::size_t channels) {
  if (bundle.find(name + ".bias") == nullptr) return std::vector<float>(channels, 0.0f);
  return bundle.dequantized(name + ".bias");
}

// How a layer is cut into tiles: as wide as its channels allow, and as many input channels at a time as fit.
void choose_tiles(ConvLayer& layer) {
  layer.simd_columns = layer.out > 64 ? 4 : layer.out > 32 ? 2 : 1;
  layer.padded_out = round_up(layer.out, kSimdTile * layer.simd_columns);
  const std::uint32_t staged_rows = (2 * kSimdTile - 1) * layer.row_step + (layer.taps - 1) * layer.dilation + 1;
  const std::size_t element = layer.is_half ? 2 : 4;
  layer.block = 32;
  while (layer.block > kMatrix && (staged_rows * (layer.block + kStagePad) * element > kThreadgroupMemory || layer.block / 2 >= layer.in)) {
    layer.block /= 2;
  }
  if (staged_rows * (layer.block + kStagePad) * element > kThreadgroupMemory) {
    throw Error("bundle tensor '" + layer.name + ".weight' reaches over too many frames for Metal");
  }
  layer.in_blocks = (layer.in + layer.block - 1) / layer.block;
}

}  // namespace

std::uint16_t to_half(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // A subnormal half is a whole number of 2⁻²⁴; adding ½ makes float32 round to that.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

template <class T>
Region Network::put(std::span<const T> values) {
  const std::size_t at = (arena_.size() + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
  arena_.resize(at + values.size_bytes());
  std::memcpy(arena_.data() + at, values.data(), values.size_bytes());
  return {Buffer::weights, at, values.size_bytes()};
}

std::vector<float> Network::values(const Bundle& bundle, const std::string& name, std::size_t count) const {
  std::vector<float> v = bundle.dequantized(name);
  if (v.size() != count) {
    throw Error("bundle tensor '" + name + "' has " + std::to_string(v.size()) + " values, not " + std::to_string(count));
  }
  return v;
}

// weight [out][in][taps] to [tap][in / 8][out / 8][8 in][8 out].
void Network::pack(ConvLayer& layer, std::span<const float> weight, std::span<const float> bias) {
  if (bias.size() != layer.out) {
    throw Error("bundle tensor '" + layer.name + ".bias' has " + std::to_string(bias.size()) + " values, not " +
                std::to_string(layer.out));
  }
  choose_tiles(layer);
  const std::size_t in_matrices = std::size_t{layer.in_blocks} * layer.block / kMatrix;
  const std::size_t out_matrices = layer.padded_out / kMatrix;
  std::vector<float> packed(layer.taps * in_matrices * out_matrices * kMatrix * kMatrix);
  for (std::size_t o = 0; o < layer.out; ++o) {
    for (std::size_t i = 0; i < layer.in; ++i) {
      for (std::size_t tap = 0; tap < layer.taps; ++tap) {
        const std::size_t matrix = (tap * in_matrices + i / kMatrix) * out_matrices + o / kMatrix;
        packed[(matrix * kMatrix + i % kMatrix) * kMatrix + o % kMatrix] = weight[(o * layer.in + i) * layer.taps + tap];
      }
    }
  }
  if (layer.is_half) {
    std::vector<std::uint16_t> halves(packed.size());
    std::ranges::transform(packed, halves.begin(), to_half);
    layer.weights = put(std::span<const std::uint16_t>(halves));
  } else {
    layer.weights = put(packed);
  }
  layer.bias = put(bias);
}

ConvLayer Network::conv(const Bundle& bundle, const std::string& name, std::uint32_t dilation, std::uint32_t row_step,
                        std::uint32_t padding, bool is_half) {
  const Shape shape = shape_of(bundle, name);
  ConvLayer layer{.name = name, .weights = {}, .bias = {}, .is_half = is_half, .taps = shape.taps, .dilation = dilation,
                  .row_step = row_step, .padding = padding, .in = shape.inner, .out = shape.outer};
  pack(layer, bundle.dequantized(name + ".weight"), bias_of(bundle, name, layer.out));
  return layer;
}

ConvLayer Network::same_conv(const Bundle& bundle, const std::string& name, std::uint32_t dilation, std::uint32_t channels) {
  const Shape shape = shape_of(bundle, name);
  if (shape.outer != channels || shape.inner != channels || shape.taps % 2 == 0) {
    throw Error("bundle tensor '" + name + ".weight' does not map " + std::to_string(channels) + " channels to as many");
  }
  return conv(bundle, name, dilation, 1, (shape.taps - 1) * dilation / 2, is_half_);
}

// As a convolution of two taps whose row q holds the stride · out values of polyphase index q: y[s·q + r − s/2] =
// x[q] · W[r] + x[q − 1] · W[r + s].
ConvLayer Network::transposed(const Bundle& bundle, const std::string& name, std::uint32_t stride) {
  const Shape shape = shape_of(bundle, name);
  if (shape.taps != 2 * stride || stride % 2 != 0 || shape.inner % kSimdTile != 0) {
    throw Error("bundle tensor '" + name + ".weight' is not that of a stride of " + std::to_string(stride));
  }
  const std::size_t in = shape.outer;
  const std::size_t out = shape.inner;
  const std::vector<float> weight = bundle.dequantized(name + ".weight");
  const std::vector<float> bias = bias_of(bundle, name, out);
  ConvLayer layer{.name = name, .weights = {}, .bias = {}, .is_half = is_half_, .taps = 2, .padding = 1, .in = shape.outer,
                  .out = shape.inner * stride, .phases = stride};
  std::vector<float> phases(std::size_t{layer.out} * in * 2);
  std::vector<float> biases;
  for (std::size_t r = 0; r < stride; ++r) {
    biases.insert(biases.end(), bias.begin(), bias.end());
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t i = 0; i < in; ++i) {
        float* taps = phases.data() + ((r * out + o) * in + i) * 2;
        const float* w = weight.data() + (i * out + o) * 2 * stride;
        taps[0] = w[r + stride];
        taps[1] = w[r];
      }
    }
  }
  pack(layer, phases, biases);
  return layer;
}

NormLayer Network::norm(const Bundle& bundle, const std::string& name, std::uint32_t channels) {
  const std::vector<float> weight = values(bundle, name + ".fc.weight", std::size_t{2} * channels * style_size);
  const std::vector<float> bias = values(bundle, name + ".fc.bias", std::size_t{2} * channels);
  NormLayer layer{.channels = channels, .style_at = style_biases_.size(), .norm = {}};
  style_weights_.insert(style_weights_.end(), weight.begin(), weight.end());
  style_biases_.insert(style_biases_.end(), bias.begin(), bias.end());
  const auto optional = [&](const std::string& tensor, float otherwise) {
    return bundle.find(tensor) != nullptr ? values(bundle, tensor, channels) : std::vector<float>(channels, otherwise);
  };
  std::vector<float> own = optional(name + ".norm.weight", 1.0f);
  const std::vector<float> own_bias = optional(name + ".norm.bias", 0.0f);
  own.insert(own.end(), own_bias.begin(), own_bias.end());
  layer.norm = put(own);
  return layer;
}

Region Network::snake(const Bundle& bundle, const std::string& name, std::uint32_t channels) {
  const std::vector<float> alpha = values(bundle, name, channels);
  std::vector<float> parameters;
  for (const float a : alpha) parameters.push_back(static_cast<float>(static_cast<double>(a) / std::numbers::pi));
  for (const float a : alpha) parameters.push_back(1.0f / a);
  return put(parameters);
}

AdainResidualLayers Network::adain_residual(const Bundle& bundle, const std::string& name, std::uint32_t in) {
  AdainResidualLayers layers;
  layers.conv1 = conv(bundle, name + ".conv1", 1, 1, 1, is_half_);
  layers.conv2 = conv(bundle, name + ".conv2", 1, 1, 1, is_half_);
  const std::uint32_t out = layers.conv1.out;
  const auto is_triple = [](const ConvLayer& c) { return c.taps == 3; };
  if (layers.conv1.in != in || layers.conv2.in != out || layers.conv2.out != out || !is_triple(layers.conv1) ||
      !is_triple(layers.conv2)) {
    throw Error("bundle tensors '" + name + ".conv*.weight' don't fit one another");
  }
  layers.norm1 = norm(bundle, name + ".norm1", in);
  layers.norm2 = norm(bundle, name + ".norm2", out);
  layers.shortcut = conv(bundle, name + ".conv1x1", 1, 1, 0, is_half_);
  if (layers.shortcut.in != in || layers.shortcut.out != out || layers.shortcut.taps != 1) {
    throw Error("bundle tensor '" + name + ".conv1x1.weight' does not fit '" + name + ".conv1.weight'");
  }
  if (bundle.find(name + ".pool.weight") != nullptr) {
    const std::vector<float> weight = values(bundle, name + ".pool.weight", std::size_t{3} * in);
    std::vector<float> by_tap(weight.size());
    for (std::size_t c = 0; c < in; ++c) {
      for (std::size_t k = 0; k < 3; ++k) by_tap[k * in + c] = weight[c * 3 + k];
    }
    layers.pool_weight = put(by_tap);
    layers.pool_bias = put(values(bundle, name + ".pool.bias", in));
  }
  return layers;
}

SnakeResidualLayers Network::snake_residual(const Bundle& bundle, const std::string& name, std::uint32_t channels) {
  SnakeResidualLayers passes;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    std::string n = std::to_string(i);
    n.insert(n.begin(), '.');
    passes[i] = {.norm1 = norm(bundle, name + ".adain1" + n, channels),
                 .snake1 = snake(bundle, name + ".alpha1" + n, channels),
                 .conv1 = same_conv(bundle, name + ".convs1" + n, kDilations[i], channels),
                 .norm2 = norm(bundle, name + ".adain2" + n, channels),
                 .snake2 = snake(bundle, name + ".alpha2" + n, channels),
                 .conv2 = same_conv(bundle, name + ".convs2" + n, 1, channels)};
  }
  return passes;
}

// Transposed, so that threads that lie side by side read side by side.
void Network::put_styles() {
  style_rows = static_cast<std::uint32_t>(style_biases_.size());
  std::vector<float> weight(style_weights_.size());
  for (std::size_t row = 0; row < style_rows; ++row) {
    for (std::size_t i = 0; i < style_size; ++i) weight[i * style_rows + row] = style_weights_[row * style_size + i];
  }
  style_weight = put(weight);
  style_bias = put(style_biases_);
  std::vector<float>().swap(style_weights_);
}

void Network::put_tables() {
  constexpr auto kPoints = static_cast<double>(kFftSize);
  std::vector<float> forward;
  std::vector<float> inverse(std::size_t{2} * kBinCount * kFftSize + kFftSize);
  const auto put_pair = [&](double x) {
    forward.push_back(static_cast<float>(x));
    forward.push_back(static_cast<float>(x - static_cast<double>(forward.back())));
  };
  for (std::size_t n = 0; n < kFftSize; ++n) {
    const double window = 0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * static_cast<double>(n) / kPoints);
    inverse[std::size_t{2} * kBinCount * kFftSize + n] = static_cast<float>(window * window);
    for (std::size_t k = 0; k < kBinCount; ++k) {
      const double angle = 2.0 * std::numbers::pi * static_cast<double>(n * k % kFftSize) / kPoints;
      const bool is_real = k == 0 || k + 1 == kBinCount;
      put_pair(window * std::cos(angle));
      put_pair(is_real ? 0.0 : -window * std::sin(angle));
      const double scale = window * (is_real ? 1.0 : 2.0) / kPoints;
      inverse[k * kFftSize + n] = static_cast<float>(scale * std::cos(angle));
      inverse[(kBinCount + k) * kFftSize + n] = is_real ? 0.0f : static_cast<float>(-scale * std::sin(angle));
    }
  }
  stft_table = put(forward);
  istft_table = put(inverse);
}

Network::Network(const Bundle& bundle, bool is_half) : is_half_(is_half) {
  const Tensor& first_style = bundle.tensor("encode.norm1.fc.weight");
  if (first_style.shape.size() != 2 || first_style.shape[1] <= 0 || first_style.shape[1] > 1 << 16) {
    throw Error("bundle tensor 'encode.norm1.fc.weight' is not a matrix");
  }
  style_size = static_cast<std::uint32_t>(first_style.shape[1]);
  const auto curve = [&](const std::string& name, std::array<float, 3>& weight, float& bias) {
    std::ranges::copy(values(bundle, name + ".weight", 3), weight.begin());
    bias = values(bundle, name + ".bias", 1)[0];
  };
  curve("F0_conv", f0_weight, f0_bias);
  curve("N_conv", n_weight, n_bias);
  asr_residual = conv(bundle, "asr_res.0", 1, 1, 0, is_half_);
  asr_channels = asr_residual.in;
  encode = adain_residual(bundle, "encode", asr_channels + 2);
  const std::uint32_t width = encode.conv2.out;
  for (std::size_t i = 0; i < decode.size(); ++i) {
    decode[i] = adain_residual(bundle, "decode." + std::to_string(i), width + asr_residual.out + 2);
    if ((i < 3 && decode[i].conv2.out != width) || decode[i].upsamples() != (i == 3)) {
      throw Error("bundle tensors 'decode." + std::to_string(i) + ".*' are not those of Kokoro's decoder");
    }
  }
  std::uint32_t in = decode.back().conv2.out;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const std::string n = std::to_string(l);
    LevelLayers& level = levels[l];
    level.up = transposed(bundle, "generator.ups." + n, kRates[l]);
    level.channels = level.up.out / kRates[l];
    const std::uint32_t stride = l + 1 < levels.size() ? kRates[l + 1] : 1;
    // Few operations, and phases up to π that half would coarsen.
    level.noise = conv(bundle, "generator.noise_convs." + n, 1, stride, stride > 1 ? (stride + 1) / 2 : 0, false);
    if (level.up.in != in || level.noise.in != 2 * kBinCount || level.noise.out != level.channels) {
      throw Error("the bundle's decoder and generator don't fit together");
    }
    level.noise_residual = snake_residual(bundle, "generator.noise_res." + n, level.channels);
    for (std::size_t i = 0; i < level.residuals.size(); ++i) {
      level.residuals[i] =
          snake_residual(bundle, "generator.resblocks." + std::to_string(l * level.residuals.size() + i), level.channels);
    }
    in = level.channels;
  }
  const std::uint32_t taps = shape_of(bundle, "generator.conv_post").taps;
  output = conv(bundle, "generator.conv_post", 1, 1, (taps - 1) / 2, false);
  if (output.in != in || output.out != 2 * kBinCount) throw Error("bundle tensor 'generator.conv_post.weight' has not 22 outputs");
  put_styles();
  put_tables();
}

}  // namespace koe::metal
