// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "koe/bundle.hpp"
#include "metal/plan.hpp"

namespace koe::metal {

/// A convolution's packed weights and how a dispatch cuts it up.
struct ConvLayer {
  std::string name;
  Region weights;
  Region bias;
  bool is_half = true;
  std::uint32_t taps = 1;
  std::uint32_t dilation = 1;
  std::uint32_t row_step = 1;
  std::uint32_t padding = 0;
  std::uint32_t in = 0;
  std::uint32_t out = 0;
  std::uint32_t block = 0;         ///< input channels staged at a time
  std::uint32_t in_blocks = 0;
  std::uint32_t simd_columns = 1;  ///< 32 output channels each; packed weights are padded to whole tiles
  std::uint32_t padded_out = 0;
  std::uint32_t phases = 0;        ///< of a transposed convolution: its stride, else 0
};

/// AdaIN: where its γ and β lie in the style's product, and the norm's own weight and bias.
struct NormLayer {
  std::uint32_t channels = 0;
  std::size_t style_at = 0;
  Region norm;
};

struct AdainResidualLayers {
  NormLayer norm1;
  NormLayer norm2;
  ConvLayer conv1;
  ConvLayer conv2;
  ConvLayer shortcut;
  Region pool_weight;  ///< empty where the block does not upsample
  Region pool_bias;
  bool upsamples() const noexcept { return pool_weight.bytes != 0; }
};

struct SnakePassLayers {
  NormLayer norm1;
  Region snake1;
  ConvLayer conv1;
  NormLayer norm2;
  Region snake2;
  ConvLayer conv2;
};
using SnakeResidualLayers = std::array<SnakePassLayers, 3>;

struct LevelLayers {
  std::uint32_t channels = 0;
  ConvLayer up;
  ConvLayer noise;
  SnakeResidualLayers noise_residual;
  std::array<SnakeResidualLayers, 3> residuals;
};

/// The vocoder's layers with their weights in one arena, each part on a 256-byte boundary.
class Network {
 public:
  /// With half or float32 products. Throws koe::Error if the bundle lacks a tensor or one has the wrong shape.
  Network(const Bundle& bundle, bool is_half);

  std::span<const std::byte> arena() const noexcept { return arena_; }
  /// Frees the arena, once a device has its copy.
  void drop_arena() noexcept { std::vector<std::byte>().swap(arena_); }

  // The decoder.
  std::uint32_t asr_channels = 0;
  std::uint32_t style_size = 0;
  std::uint32_t style_rows = 0;
  Region style_weight;
  Region style_bias;
  std::array<float, 3> f0_weight{};
  std::array<float, 3> n_weight{};
  float f0_bias = 0.0f;
  float n_bias = 0.0f;
  ConvLayer asr_residual;
  AdainResidualLayers encode;
  std::array<AdainResidualLayers, 4> decode;
  // The generator.
  std::array<LevelLayers, 2> levels;
  ConvLayer output;
  Region stft_table;
  Region istft_table;

 private:
  std::vector<float> values(const Bundle& bundle, const std::string& name, std::size_t count) const;
  template <class T>
  Region put(std::span<const T> values);
  Region put(const std::vector<float>& values) { return put(std::span<const float>(values)); }
  void pack(ConvLayer& layer, std::span<const float> weight, std::span<const float> bias);
  ConvLayer conv(const Bundle& bundle, const std::string& name, std::uint32_t dilation, std::uint32_t row_step,
                 std::uint32_t padding, bool is_half);
  ConvLayer same_conv(const Bundle& bundle, const std::string& name, std::uint32_t dilation, std::uint32_t channels);
  ConvLayer transposed(const Bundle& bundle, const std::string& name, std::uint32_t stride);
  NormLayer norm(const Bundle& bundle, const std::string& name, std::uint32_t channels);
  Region snake(const Bundle& bundle, const std::string& name, std::uint32_t channels);
  AdainResidualLayers adain_residual(const Bundle& bundle, const std::string& name, std::uint32_t in);
  SnakeResidualLayers snake_residual(const Bundle& bundle, const std::string& name, std::uint32_t channels);
  void put_styles();
  void put_tables();

  bool is_half_;
  std::vector<std::byte> arena_;
  std::vector<float> style_weights_;  // [row][style], until put_styles
  std::vector<float> style_biases_;
};

/// x rounded to the nearest half, ties to even, as its bits.
std::uint16_t to_half(float x) noexcept;

}  // namespace koe::metal
