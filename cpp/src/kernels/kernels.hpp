// SPDX-License-Identifier: Apache-2.0
// The vocoder's inner loops as a table of function pointers, one table an instruction set.
//
// Activations are time-major: a row is a frame, its channels lie side by side. A convolution is a sum of shifted matrix
// products: row t of the output is Σ_tap input[t·row_step + tap·dilation] · W[tap]. Its input is first staged: a block of
// rows goes through the layer's normalisation and activation into a buffer that stays in L2, in the precision of the
// product. A staged row is a sequence of granules, 4 bytes each: one float32, two bfloat16 or four 8-bit channels. Every
// product kernel thus has one shape: broadcast a granule, multiply it with a vector of output channels, accumulate.
//
// Kernels are noexcept and check nothing. Buffers are 64-byte aligned and rows are whole multiples of 16 floats.
#pragma once

#include <cstddef>
#include <cstdint>

namespace koe::kernels {

enum class Precision : std::uint8_t { float32, bfloat16, int8 };

/// What happens to a value between its normalisation and the product.
enum class Activation : std::uint8_t { none, leaky, snake };

/// One block of rows on its way into a convolution: out = activation(x · scale + shift), channel by channel.
struct StageArgs {
  const float* x;               ///< first row
  std::size_t x_stride;         ///< floats from row to row
  std::size_t rows;
  std::size_t channels;         ///< multiple of 16
  const float* scale;           ///< [channels]
  const float* shift;           ///< [channels]
  Activation activation;
  float slope;                  ///< leaky: the slope below zero
  const float* alpha_over_pi;   ///< snake: α/π, [channels]
  const float* inverse_alpha;   ///< snake: 1/α, [channels]
  void* out;                    ///< first staged row
  std::size_t out_stride;       ///< bytes from staged row to staged row
  float* row_scale;             ///< int8: [rows], written: value ≈ (q − zero)·row_scale
};

/// A panel of 8-bit weights on its way into a float32 product.
struct ExpandArgs {
  const std::int8_t* q;         ///< [lines][values], packed as the product's weights are
  std::size_t lines;
  std::size_t values;           ///< channels of the panel, a multiple of 16
  const float* scale;           ///< [values]: a weight is (q − zero) · scale
  const float* zero;            ///< [values]
  float* out;                   ///< [lines][values]
};

/// One block of output rows: out = (Σ products · scales + bias + residual + accumulate) · gain.
struct ConvArgs {
  const void* input;            ///< the staged row that tap 0 of output row 0 reads
  std::size_t input_stride;     ///< bytes from staged row to staged row
  std::size_t rows;             ///< output rows; staged rows up to the next multiple of the tile's rows are readable
  std::size_t row_step;         ///< staged rows from one output row to the next (the convolution's stride)
  std::size_t taps;
  std::size_t dilation;         ///< staged rows from tap to tap
  std::size_t granules;         ///< 4-byte groups of input channels in a row, a multiple of 16
  const void* weights;          ///< packed as `Product` says
  std::size_t channels;         ///< output channels, a multiple of 16
  std::size_t channel_stride;   ///< all the layer's output channels: from tap to tap in weight_sum, from Σ to Σ² in sums
  const float* weight_scale;    ///< int8: [channels]
  const std::int32_t* weight_sum;  ///< int8: [taps][channel_stride], Σ of the weights over inputs, times `zero`
  const float* row_scale;       ///< int8: scale of the staged rows, in step with `input`
  const float* bias;            ///< [channels]; or null, float32 only: out = Σ products + accumulate, without all else
  const float* residual;        ///< in step with `out`, or null; may be `out` itself
  const float* accumulate;      ///< in step with `out`, or null; may be `out` itself
  float gain;
  float* out;
  std::size_t out_stride;       ///< floats from row to row, for out, residual and accumulate
  float* sums;                  ///< [2][channel_stride], Σ out and Σ out² are added to it; or null
};

/// A matrix product in one precision. Weights are packed in panels of `tile_channels` output channels, the last one narrower
/// if need be: [panel][tap][granule][channel of the panel][values of a granule].
struct Product {
  std::size_t tile_rows;
  std::size_t tile_channels;    ///< a multiple of 16, or 8
  std::uint8_t zero;            ///< int8: what a staged 0 looks like
  void (*stage)(const StageArgs&) noexcept;
  void (*conv)(const ConvArgs&) noexcept;
};

/// Minimal filtering of a stride-1 convolution in float32: 8 output rows from as many products as there are input rows,
/// 2·pairs + 2 of them, instead of 8 for each tap. Tile t covers the rows (t / dilation)·8·dilation + t % dilation +
/// {0 … 7}·dilation. See vocoder/minimal_filter.hpp for the matrices; pairs is 4, 6 or 8.
struct FilterInArgs {
  const float* x;               ///< staged float32 rows; tap 0 of output row 0 reads the first
  std::size_t x_stride;         ///< floats from row to row
  std::size_t dilation;
  std::size_t tiles;
  std::size_t channels;         ///< a multiple of 16
  int pairs;
  const float* matrix;          ///< [pairs + 1] z, then for each pair [pairs] r and a
  float* out;                   ///< [points][…][channels]: point p of tile t at out + p·point_stride + t·channels
  std::size_t point_stride;     ///< floats
};

/// A panel of 8-bit weights to its values at the points, for granules of one float32.
struct FilterWeightsArgs {
  const std::int8_t* q;         ///< tap t of line g at q + t·tap_stride + g·values, packed as the product's weights are
  std::size_t tap_stride;
  std::size_t lines;            ///< input channels
  std::size_t values;           ///< channels of the panel, a multiple of 16
  const float* scale;           ///< [values]: a weight is (q − zero) · scale
  const float* zero;            ///< [values]
  int pairs;
  const float* matrix;          ///< [2] what 0 has of the first tap and ∞ of the last, then for each pair [taps] of +a
  float* out;                   ///< [points][lines][values]
};

struct FilterOutArgs {
  const float* products;        ///< point p of tile t at products + p·point_stride + t·product_stride
  std::size_t point_stride;     ///< floats
  std::size_t product_stride;   ///< floats
  std::size_t dilation;
  std::size_t tiles;
  std::size_t channels;         ///< a multiple of 16
  int pairs;
  const float* powers;          ///< [pairs][8]: 1, a, a², …, a⁷
  std::size_t rows;             ///< output rows of the block; what a tile has beyond them is left out
  const float* bias;            ///< this and what follows as in ConvArgs
  const float* residual;
  const float* accumulate;
  float gain;
  float* out;
  std::size_t out_stride;
  float* sums;
  std::size_t channel_stride;
};

struct Table {
  const char* name;
  Product float32;              ///< always there
  Product bfloat16;             ///< conv is null where this instruction set has none
  Product int8;                 ///< likewise
  /// Σ x and Σ x² of each channel over `rows`, added to sums [2][channels].
  void (*sums)(const float* x, std::size_t stride, std::size_t rows, std::size_t channels, float* sums) noexcept;
  void (*expand)(const ExpandArgs&) noexcept;
  /// All three null where the plain product is the faster, or the reference.
  void (*filter_in)(const FilterInArgs&) noexcept = nullptr;
  void (*filter_weights)(const FilterWeightsArgs&) noexcept = nullptr;
  void (*filter_out)(const FilterOutArgs&) noexcept = nullptr;
  /// What `auto` means here: the fastest product, all of which keep the bounds on quality.
  Precision fastest = Precision::float32;
};

}  // namespace koe::kernels
