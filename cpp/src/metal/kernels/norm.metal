// SPDX-License-Identifier: Apache-2.0
// Adaptive instance normalisation (Huang & Belongie 2017) as one scale and one shift a channel. Statistics come in two
// levels and always in the same order: blocks of rows, here or in a convolution's store, and the blocks in `fold`. A lane
// is a channel, so that a simdgroup reads 32 neighbours of a row at once.
#include "arguments.hpp"
#include "compat.hpp"
#include "kernels/moments.hpp"

// Merges what the simdgroups of a threadgroup found for the same 32 channels; the first gets the result.
inline void merge_over_simds(thread Moments& mine, threadgroup_ptr<float> shared, uint simds, uint simd_index, uint lane) {
  threadgroup_ptr<float> place = shared + 3 * simd_index * kSimdWidth + lane;
  place[0] = mine.count;
  place[kSimdWidth] = mine.mean;
  place[2 * kSimdWidth] = mine.squares;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd_index != 0) return;
  for (uint s = 1; s < simds; ++s) {
    threadgroup_ptr<float> other = shared + 3 * s * kSimdWidth + lane;
    Moments m;
    m.count = other[0];
    m.mean = other[kSimdWidth];
    m.squares = other[2 * kSimdWidth];
    merge(mine, m);
  }
}

kernel void statistics(constant StatisticsArguments& a [[buffer(0)]], device_ptr<const float> x [[buffer(1)]],
                       device_ptr<float> partials [[buffer(2)]], threadgroup_ptr<float> shared [[threadgroup(0)]],
                       KOE_POSITIONS) {
  const uint channel = group.y * kSimdWidth + lane;
  const uint first = group.x * kStatisticsRows;
  const uint last = min(a.rows, first + kStatisticsRows);
  ShiftedSums sums;
  clear(sums);
  if (channel < a.channels) {
    for (uint row = first + simd_index; row < last; row += kStatisticsSimds) add(sums, x[row * a.stride + channel]);
  }
  Moments moments;
  find_moments(sums, moments);
  merge_over_simds(moments, shared, kStatisticsSimds, simd_index, lane);
  if (simd_index != 0 || channel >= a.channels) return;
  device_ptr<float> partial = partials + 2 * group.x * a.partial_stride;
  partial[channel] = moments.mean;
  partial[a.partial_stride + channel] = moments.squares;
}

kernel void fold(constant FoldArguments& a [[buffer(0)]], device_ptr<const float> partials [[buffer(1)]],
                 device_ptr<const float> style [[buffer(2)]], device_ptr<const float> norm [[buffer(3)]],
                 device_ptr<float> affine [[buffer(4)]], threadgroup_ptr<float> shared [[threadgroup(0)]], KOE_POSITIONS) {
  const uint channel = group.x * kSimdWidth + lane;
  const uint share = (a.blocks + kFoldSimds - 1) / kFoldSimds;
  Moments moments;
  moments.count = 0.0f;
  moments.mean = 0.0f;
  moments.squares = 0.0f;
  if (channel < a.channels) {
    for (uint block = simd_index * share; block < min(a.blocks, (simd_index + 1) * share); ++block) {
      device_ptr<const float> partial = partials + 2 * block * a.partial_stride;
      Moments m;
      m.count = float(min(a.block_rows, a.rows - block * a.block_rows));
      m.mean = partial[channel];
      m.squares = partial[a.partial_stride + channel];
      merge(moments, m);
    }
  }
  merge_over_simds(moments, shared, kFoldSimds, simd_index, lane);
  if (simd_index != 0 || channel >= a.channels) return;
  const float gamma = 1.0f + style[channel];
  const float beta = style[a.channels + channel];
  const float scale = gamma * norm[channel] / sqrt(moments.squares / moments.count + 1e-5f);
  affine[channel] = scale;
  affine[a.affine_stride + channel] = fma(-scale, moments.mean, fma(gamma, norm[a.channels + channel], beta));
}

kernel void style_affine(constant StyleArguments& a [[buffer(0)]], device_ptr<const float> style [[buffer(1)]],
                         device_ptr<const float> weight [[buffer(2)]], device_ptr<const float> bias [[buffer(3)]],
                         device_ptr<float> out [[buffer(4)]], KOE_POSITIONS) {
  const uint row = group.x * kStyleThreads + thread_index;
  if (row >= a.rows) return;
  float sum = bias[row];
  for (uint i = 0; i < a.style_size; ++i) sum = fma(style[i], weight[i * a.rows + row], sum);
  out[row] = sum;
}
