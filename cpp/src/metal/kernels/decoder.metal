// SPDX-License-Identifier: Apache-2.0
// What the decoder blocks need besides convolutions: their input, and the upsampling of the last one. A thread makes one
// element of a row (of two rows in `pool`).
#include "arguments.hpp"
#include "compat.hpp"

// k 3, stride 2, padding 1.
inline float halved(device_ptr<const float> curve, uint frame, float before, float at, float after, float bias) {
  const float first = frame > 0 ? curve[2 * frame - 1] : 0.0f;
  return fma(first, before, fma(curve[2 * frame], at, fma(curve[2 * frame + 1], after, bias)));
}

kernel void decoder_input(constant DecoderInputArguments& a [[buffer(0)]], device_ptr<const float> asr [[buffer(1)]],
                          device_ptr<const float> f0 [[buffer(2)]], device_ptr<const float> n [[buffer(3)]],
                          device_ptr<float> input [[buffer(4)]], device_ptr<float> features [[buffer(5)]], KOE_POSITIONS) {
  const uint channel = group.x * kElementThreads + thread_index;
  const uint frame = group.y;
  if (channel >= a.channels + 2) return;
  if (channel < a.channels) {
    input[frame * a.in_stride + channel] = asr[channel * a.frames + frame];
    return;
  }
  const float value = channel == a.channels
                          ? halved(f0, frame, a.f0_weight[0], a.f0_weight[1], a.f0_weight[2], a.f0_bias)
                          : halved(n, frame, a.n_weight[0], a.n_weight[1], a.n_weight[2], a.n_bias);
  input[frame * a.in_stride + channel] = value;
  features[frame * a.features_stride + a.features_at + channel - a.channels] = value;
}

// An even output row is the middle tap of its input row, an odd one lies between two input rows.
kernel void pool(constant PoolArguments& a [[buffer(0)]], device_ptr<const float> x [[buffer(1)]],
                 device_ptr<const float> affine [[buffer(2)]], device_ptr<const float> weight [[buffer(3)]],
                 device_ptr<const float> bias [[buffer(4)]], device_ptr<float> out [[buffer(5)]], KOE_POSITIONS) {
  const uint channel = group.x * kElementThreads + thread_index;
  const uint row = group.y;
  if (channel >= a.channels) return;
  const float scale = affine[channel];
  const float shift = affine[a.affine_stride + channel];
  const float now_in = fma(x[row * a.in_stride + channel], scale, shift);
  const float now = max(now_in, now_in * a.slope);
  float next = 0.0f;
  if (row + 1 < a.rows) {
    const float next_in = fma(x[(row + 1) * a.in_stride + channel], scale, shift);
    next = max(next_in, next_in * a.slope);
  }
  const float b = bias[channel];
  out[2 * row * a.out_stride + channel] = fma(now, weight[a.channels + channel], b);
  out[(2 * row + 1) * a.out_stride + channel] =
      fma(next, weight[channel], fma(now, weight[2 * a.channels + channel], b));
}
