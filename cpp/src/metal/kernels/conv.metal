// SPDX-License-Identifier: Apache-2.0
// A 1-D convolution as a matrix product. A threadgroup makes a tile of 32·kSimdRows rows by 32·kSimdColumns output
// channels; each of its simdgroups makes 32 × 32 of it in sixteen 8 × 8 accumulators. Input channels come kBlock at a time:
// the tile's rows and the halo that the taps reach over go through normalisation and activation once into threadgroup
// memory, and every tap then reads them there, shifted by its dilation. Weights are packed as whole 8 × 8 matrices,
// [tap][input / 8][output / 8][8][8], so that a simdgroup reads each as one run of 64 elements.
//
// The accumulators leave through threadgroup memory eight rows at a time, so that a lane holds one channel: it adds bias,
// residual and the sum so far, and keeps the channel's statistics over its 32 rows.
#include "arguments.hpp"
#include "compat.hpp"
#include "kernels/moments.hpp"

KOE_FUNCTION_CONSTANT(uint, kTaps, kConstantTaps);
KOE_FUNCTION_CONSTANT(uint, kDilation, kConstantDilation);
KOE_FUNCTION_CONSTANT(uint, kRowStep, kConstantRowStep);
KOE_FUNCTION_CONSTANT(uint, kActivation, kConstantActivation);
KOE_FUNCTION_CONSTANT(uint, kStore, kConstantStore);
KOE_FUNCTION_CONSTANT(uint, kTerms, kConstantTerms);
KOE_FUNCTION_CONSTANT(uint, kSimdRows, kConstantSimdRows);
KOE_FUNCTION_CONSTANT(uint, kSimdColumns, kConstantSimdColumns);
KOE_FUNCTION_CONSTANT(uint, kBlock, kConstantBlock);

// sin²(πr) for r within half a turn: three terms, 7e-5 off at most, below what half resolves.
inline float sin_pi_squared(float r) {
  const float z = r * r;
  const float s = r * fma(fma(2.2995473f, z, -5.1369053f), z, 3.1406400f);
  return s * s;
}

inline float activated(float x, float slope, float alpha_over_pi, float inverse_alpha) {
  if (kActivation == kActivationLeaky) return max(x, x * slope);
  if (kActivation == kActivationSnake) {
    const float turns = x * alpha_over_pi;
    return fma(sin_pi_squared(turns - rint(turns)), inverse_alpha, x);
  }
  return x;
}

// Rows `first` … of the channels from `block` on, into `staged`; rows and channels that the input lacks are zero.
template <class T>
inline void stage(constant ConvArguments& a, device_ptr<const float> x, device_ptr<const float> affine,
                  device_ptr<const float> snake, threadgroup_ptr<T> staged, uint first, uint block, uint thread_index) {
  const uint threads = kSimdWidth * kSimdRows * kSimdColumns;
  const uint stride = kBlock + kStagePad;
  const uint rows = (kSimdTile * kSimdRows - 1) * kRowStep + (kTaps - 1) * kDilation + 1;
  const uint at = thread_index % kBlock;
  const uint channel = block * kBlock + at;
  const bool is_channel = channel < a.in_channels;
  float scale = 1.0f;
  float shift = 0.0f;
  float alpha_over_pi = 0.0f;
  float inverse_alpha = 0.0f;
  if (is_channel && a.affine_stride != 0) {
    scale = affine[channel];
    shift = affine[a.affine_stride + channel];
  }
  if (is_channel && kActivation == kActivationSnake) {
    alpha_over_pi = snake[channel];
    inverse_alpha = snake[a.in_channels + channel];
  }
  for (uint r = thread_index / kBlock; r < rows; r += threads / kBlock) {
    // Before the first row the difference wraps round and is beyond the last.
    const uint row = first + r - a.padding;
    float value = 0.0f;
    if (is_channel && row < a.in_rows) {
      value = activated(fma(x[row * a.in_stride + channel], scale, shift), a.slope, alpha_over_pi, inverse_alpha);
    }
    staged[r * stride + at] = T(value);
  }
}

// Where a value of the tile goes, and what it becomes.
inline float stored(constant ConvArguments& a, float value, uint row, uint column, device_ptr<const float> residual,
                    device_ptr<const float> accumulate, device_ptr<float> out) {
  if (kStore == kStorePolyphase) {
    const uint channel = column % a.phase_channels;
    const uint to = row * a.phases + column / a.phase_channels - a.phase_offset;
    if (to >= a.mirrored && to < a.phase_rows) out[to * a.out_stride + channel] = value + residual[to * a.residual_stride + channel];
    if (a.mirrored != 0 && to == 2) out[channel] = value + residual[channel];
    return value;
  }
  if ((kTerms & kTermResidual) != 0) value += residual[(row >> a.residual_shift) * a.residual_stride + column];
  if ((kTerms & kTermAccumulate) != 0) value += accumulate[row * a.out_stride + column];
  value *= a.gain;
  if (kStore == kStoreSpectrum) value = column < kBinCount ? exp(value) : sin(value);
  out[row * a.out_stride + column] = value;
  return value;
}

template <class T>
inline void convolve(constant ConvArguments& a, device_ptr<const float> x, device_ptr<const T> weights,
                     device_ptr<const float> bias, device_ptr<const float> affine, device_ptr<const float> snake,
                     device_ptr<const float> residual, device_ptr<const float> accumulate, device_ptr<float> out,
                     device_ptr<float> partials, threadgroup_ptr<float> shared, threadgroup_ptr<T> staged, uint3 group, uint thread_index,
                     uint simd_index, uint lane) {
  const uint tile_rows = kSimdTile * kSimdRows;
  const uint simd_row = simd_index / kSimdColumns;
  const uint simd_column = simd_index % kSimdColumns;
  const uint first_row = group.x * tile_rows + simd_row * kSimdTile;
  const uint first_matrix = (group.y * kSimdColumns + simd_column) * kTileMatrices;
  const uint stride = kBlock + kStagePad;

  simdgroup_matrix<float, 8, 8> sums[kTileMatrices][kTileMatrices];
  KOE_UNROLL
  for (uint i = 0; i < kTileMatrices; ++i) {
    KOE_UNROLL
    for (uint j = 0; j < kTileMatrices; ++j) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }

  for (uint block = 0; block < a.in_blocks; ++block) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    stage<T>(a, x, affine, snake, staged, group.x * tile_rows * kRowStep, block, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint tap = 0; tap < kTaps; ++tap) {
      const uint from = simd_row * kSimdTile * kRowStep + tap * kDilation;
      for (uint k = 0; k < kBlock / kMatrix; ++k) {
        const uint in_matrix = (tap * a.in_blocks + block) * (kBlock / kMatrix) + k;
        simdgroup_matrix<T, 8, 8> w[kTileMatrices];
        KOE_UNROLL
        for (uint j = 0; j < kTileMatrices; ++j) {
          simdgroup_load(w[j], weights + (in_matrix * a.weight_matrices + first_matrix + j) * (kMatrix * kMatrix), kMatrix);
        }
        KOE_UNROLL
        for (uint i = 0; i < kTileMatrices; ++i) {
          simdgroup_matrix<T, 8, 8> rows;
          simdgroup_load(rows, staged + (from + i * kMatrix * kRowStep) * stride + k * kMatrix, stride * kRowStep);
          KOE_UNROLL
          for (uint j = 0; j < kTileMatrices; ++j) simdgroup_multiply_accumulate(sums[i][j], rows, w[j], sums[i][j]);
        }
      }
    }
  }

  // The staged rows' memory becomes each simdgroup's 8 × 32 values on their way out.
  threadgroup_barrier(mem_flags::mem_threadgroup);
  threadgroup_ptr<float> strip = shared + simd_index * (kMatrix * kSimdTile);
  const uint column = (first_matrix * kMatrix) + lane;
  const bool is_column = column < a.out_channels;
  const float b = is_column ? bias[column] : 0.0f;
  ShiftedSums statistics;
  clear(statistics);
  KOE_UNROLL
  for (uint i = 0; i < kTileMatrices; ++i) {
    KOE_UNROLL
    for (uint j = 0; j < kTileMatrices; ++j) simdgroup_store(sums[i][j], strip + j * kMatrix, kSimdTile);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint r = 0; r < kMatrix; ++r) {
      const uint row = first_row + i * kMatrix + r;
      if (!is_column || row >= a.rows) continue;
      const float value = stored(a, strip[r * kSimdTile + lane] + b, row, column, residual, accumulate, out);
      if ((kTerms & kTermStatistics) != 0) add(statistics, value);
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }
  if ((kTerms & kTermStatistics) == 0) return;

  // The simdgroups below one another hold the same channels: the topmost merges what they found, from the top down.
  threadgroup_ptr<float> found = shared + kSimdRows * kSimdColumns * (kMatrix * kSimdTile);
  const uint tile_columns = kSimdTile * kSimdColumns;
  const uint place = simd_column * kSimdTile + lane;
  Moments moments;
  find_moments(statistics, moments);
  found[(2 * simd_row) * tile_columns + place] = moments.mean;
  found[(2 * simd_row + 1) * tile_columns + place] = moments.squares;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd_row != 0 || !is_column) return;
  for (uint r = 1; r < kSimdRows; ++r) {
    const uint above = first_row + r * kSimdTile;
    Moments other;
    other.count = above < a.rows ? float(min(a.rows - above, uint(kSimdTile))) : 0.0f;
    other.mean = found[2 * r * tile_columns + place];
    other.squares = found[(2 * r + 1) * tile_columns + place];
    merge(moments, other);
  }
  device_ptr<float> partial = partials + 2 * group.x * a.partial_stride;
  partial[column] = moments.mean;
  partial[a.partial_stride + column] = moments.squares;
}

kernel void conv_half(constant ConvArguments& a [[buffer(0)]], device_ptr<const float> x [[buffer(1)]],
                      device_ptr<const half> weights [[buffer(2)]], device_ptr<const float> bias [[buffer(3)]],
                      device_ptr<const float> affine [[buffer(4)]], device_ptr<const float> snake [[buffer(5)]],
                      device_ptr<const float> residual [[buffer(6)]], device_ptr<const float> accumulate [[buffer(7)]],
                      device_ptr<float> out [[buffer(8)]], device_ptr<float> partials [[buffer(9)]],
                      threadgroup_ptr<float> shared [[threadgroup(0)]], KOE_POSITIONS) {
  convolve<half>(a, x, weights, bias, affine, snake, residual, accumulate, out, partials, shared, half_view(shared), group,
                 thread_index, simd_index, lane);
}

kernel void conv_float(constant ConvArguments& a [[buffer(0)]], device_ptr<const float> x [[buffer(1)]],
                       device_ptr<const float> weights [[buffer(2)]], device_ptr<const float> bias [[buffer(3)]],
                       device_ptr<const float> affine [[buffer(4)]], device_ptr<const float> snake [[buffer(5)]],
                       device_ptr<const float> residual [[buffer(6)]], device_ptr<const float> accumulate [[buffer(7)]],
                       device_ptr<float> out [[buffer(8)]], device_ptr<float> partials [[buffer(9)]],
                       threadgroup_ptr<float> shared [[threadgroup(0)]], KOE_POSITIONS) {
  convolve<float>(a, x, weights, bias, affine, snake, residual, accumulate, out, partials, shared, shared, group,
                  thread_index, simd_index, lane);
}
