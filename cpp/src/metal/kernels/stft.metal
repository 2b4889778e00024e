// SPDX-License-Identifier: Apache-2.0
// The source's short-time Fourier transform and the vocoder's inverse one: 20 points, hop 5, periodic Hann, centred.
//
// Forwards, a thread makes one frame. Where a bin holds little, the sign of its imaginary part decides between π and −π,
// so sums are pairs of floats with some 48 bits between them, as good as the CPU's double for this.
// Backwards, a threadgroup makes 64 hops from 67 frames in threadgroup memory; a thread gathers the four frames over its
// sample and divides by their squared windows.
#include "arguments.hpp"
#include "compat.hpp"

struct Pair {
  float high;
  float low;
};

// s + x · (high + low): product and sum each with the error that rounding leaves (Knuth's TwoSum).
inline void add_product(thread Pair& s, float x, float high, float low) {
  const float product = x * high;
  const float product_error = fma(x, high, -product);
  const float sum = s.high + product;
  const float part = sum - s.high;
  const float sum_error = (s.high - (sum - part)) + (product - part);
  s.high = sum;
  s.low += sum_error + fma(x, low, product_error);
}

// Tables: [20][11] of {re high, re low, im high, im low}, window included.
kernel void stft(constant StftArguments& a [[buffer(0)]], device_ptr<const float> samples [[buffer(1)]],
                 device_ptr<const float> table [[buffer(2)]], device_ptr<float> out [[buffer(3)]], KOE_POSITIONS) {
  const uint row = group.x * kStftThreads + thread_index;
  if (row >= a.rows) return;
  float frame[kFftSize];
  bool is_constant = true;
  for (uint i = 0; i < kFftSize; ++i) {
    const uint at = row * kHopSize + i;
    const uint mirrored = at < kFftSize / 2 ? kFftSize / 2 - at : at - kFftSize / 2;
    frame[i] = samples[mirrored < a.samples ? mirrored : 2 * (a.samples - 1) - mirrored];
    is_constant = is_constant && frame[i] == frame[0];
  }
  for (uint bin = 0; bin < kBinCount; ++bin) {
    float re = 0.0f;
    float im = 0.0f;
    if (is_constant) {
      // Every bin above the first is a sum that cancels.
      re = bin == 0 ? 0.5f * float(kFftSize) * frame[0] : bin == 1 ? -0.25f * float(kFftSize) * frame[0] : 0.0f;
    } else {
      Pair real;
      Pair imaginary;
      real.high = real.low = imaginary.high = imaginary.low = 0.0f;
      for (uint i = 0; i < kFftSize; ++i) {
        device_ptr<const float> w = table + 4 * (i * kBinCount + bin);
        add_product(real, frame[i], w[0], w[1]);
        add_product(imaginary, frame[i], w[2], w[3]);
      }
      re = real.high + real.low;
      im = imaginary.high + imaginary.low;
    }
    // Scaled, so that squares of a small bin don't vanish.
    const float largest = max(fabs(re), fabs(im));
    const float r = largest > 0.0f ? re / largest : 0.0f;
    const float i = largest > 0.0f ? im / largest : 0.0f;
    out[row * a.stride + bin] = largest * sqrt(fma(r, r, i * i));
    out[row * a.stride + kBinCount + bin] = im == 0.0f ? (re < 0.0f ? 3.14159274f : 0.0f) : atan2(im, re);
  }
}

// Tables: real parts [11][20], imaginary parts [11][20], squared window [20].
kernel void istft(constant IstftArguments& a [[buffer(0)]], device_ptr<const float> x [[buffer(1)]],
                  device_ptr<const float> table [[buffer(2)]], device_ptr<float> samples [[buffer(3)]],
                  threadgroup_ptr<float> shared [[threadgroup(0)]], KOE_POSITIONS) {
  const uint overlap = kFftSize / kHopSize;
  const uint threads = kIstftHops * kHopSize;
  const uint hops = a.rows - 1;
  // Hop h of the output lies in frames h − 1 … h + 2, the first of which is before the start for h = 0.
  const uint first_hop = group.x * kIstftHops;
  for (uint i = thread_index; i < (kIstftHops + overlap - 1) * kBinCount; i += threads) {
    const uint frame = first_hop + i / kBinCount - 1;
    const uint bin = i % kBinCount;
    float magnitude = 0.0f;
    float phase = 0.0f;
    if (frame < a.rows) {
      magnitude = x[frame * a.stride + bin];
      phase = x[frame * a.stride + kBinCount + bin];
    }
    shared[2 * i] = magnitude * cos(phase);
    shared[2 * i + 1] = magnitude * sin(phase);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const uint hop = first_hop + thread_index / kHopSize;
  const uint at = thread_index % kHopSize;
  if (hop >= hops) return;
  float sum = 0.0f;
  float weight = 0.0f;
  for (uint j = 0; j < overlap; ++j) {
    const uint in_group = thread_index / kHopSize + overlap - 1 - j;
    const uint frame = first_hop + in_group - 1;
    if (frame >= a.rows) continue;
    const uint n = j * kHopSize + at;
    for (uint bin = 0; bin < kBinCount; ++bin) {
      threadgroup_ptr<float> value = shared + 2 * (in_group * kBinCount + bin);
      sum = fma(value[0], table[bin * kFftSize + n], sum);
      sum = fma(value[1], table[(kBinCount + bin) * kFftSize + n], sum);
    }
    weight += table[2 * kBinCount * kFftSize + n];
  }
  samples[hop * kHopSize + at] = sum / weight;
}
