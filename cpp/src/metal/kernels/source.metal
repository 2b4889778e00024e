// SPDX-License-Identifier: Apache-2.0
// The harmonic source. The phases of the pitch curve's steps are summed on the host, in double; between them a sample's
// phase is rounded where the original rounds it, for the network hears the rounding (see vocoder/source.hpp). That phase
// reaches 10⁵ radians: it is brought within half a turn with 2π in three parts, each product exact in fma.
//
// A thread makes four samples, which share one block of Philox's noise.
#include "arguments.hpp"
#include "compat.hpp"

// sin(2πx) for |x| ≤ ¾: folded to |x| ≤ ¼, then a minimax polynomial in half turns.
inline float sin_turns(float x) {
  const float folded = x > 0.25f ? 0.5f - x : x < -0.25f ? -0.5f - x : x;
  const float r = 2.0f * folded;
  const float z = r * r;
  const float p = fma(fma(fma(fma(0.07722012f, z, -0.59804517f), z, 2.5500314f), z, -5.1677069f), z, 3.1415925f);
  return p * r;
}

// The sine of a phase in radians, |phase| < 2²⁴. The number of turns is off by some hundredths there, so that what is left
// may be a little more than half a turn.
inline float sin_wrapped(float phase) {
  const float turns_per_radian = 0.15915494f;
  const float n = rint(phase * turns_per_radian);
  float r = fma(-n, 6.28318548f, phase);
  r = fma(-n, -1.74845553e-07f, r);
  r = fma(-n, -6.86049804e-15f, r);
  return sin_turns(r * turns_per_radian);
}

struct Words {
  uint x;
  uint y;
  uint z;
  uint w;
};

// Philox 4×32-10 (Salmon 2011) of a block's number.
inline void philox(uint block, uint key0, uint key1, thread Words& v) {
  v.x = block;
  v.y = v.z = v.w = 0;
  for (uint round = 0; round < 10; ++round) {
    const uint low0 = 0xD2511F53u * v.x;
    const uint high0 = mulhi(0xD2511F53u, v.x);
    const uint low1 = 0xCD9E8D57u * v.z;
    const uint high1 = mulhi(0xCD9E8D57u, v.z);
    v.x = high1 ^ v.y ^ key0;
    v.y = low1;
    v.z = high0 ^ v.w ^ key1;
    v.w = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

struct Normals {
  float first;
  float second;
};

// Box–Muller: two standard normal values from 64 bits.
inline void find_normals(uint bits0, uint bits1, thread Normals& n) {
  const float u = (float(bits0 >> 8) + 0.5f) * 5.9604644775390625e-8f;
  const float turn = float(int(bits1)) * 2.3283064365386963e-10f;
  const float radius = sqrt(-2.0f * log(u));
  const float quarter = turn + 0.25f;
  n.first = radius * sin_turns(turn);
  n.second = radius * sin_turns(quarter > 0.5f ? quarter - 1.0f : quarter);
}

kernel void source(constant SourceArguments& a [[buffer(0)]], device_ptr<const float> f0 [[buffer(1)]],
                   device_ptr<const float> middle [[buffer(2)]], device_ptr<float> out [[buffer(3)]], KOE_POSITIONS) {
  const uint block = group.x * kSourceThreads + thread_index;
  const uint samples = a.steps * kSourceSamplesPerStep;
  if (block * kSourceSamplesPerThread >= samples) return;
  float noise[kSourceSamplesPerThread] = {0.0f, 0.0f, 0.0f, 0.0f};
  if (a.has_noise != 0) {
    Words bits;
    Normals left;
    Normals right;
    philox(block, a.seed_low, a.seed_high, bits);
    find_normals(bits.x, bits.y, left);
    find_normals(bits.z, bits.w, right);
    noise[0] = left.first;
    noise[1] = left.second;
    noise[2] = right.first;
    noise[3] = right.second;
  }
  for (uint i = 0; i < kSourceSamplesPerThread; ++i) {
    const uint sample = block * kSourceSamplesPerThread + i;
    // The first half of a step runs from the middle of the step before to its own, the second half on to the next's.
    const uint step = sample / kSourceSamplesPerStep;
    const bool second_half = sample - step * kSourceSamplesPerStep >= kSourceSamplesPerStep / 2;
    const uint from = second_half || step == 0 ? step : step - 1;
    const uint to = min(from + 1, a.steps - 1);
    float sum = a.bias;
    const bool voiced = f0[step] > 10.0f;
    if (voiced) {
      const float position = max(0.0f, fma(float(sample) + 0.5f, 1.0f / float(kSourceSamplesPerStep), -0.5f));
      const float to_weight = position - float(from);
      const float from_weight = 1.0f - to_weight;
      for (uint h = 0; h < kSourceHarmonics; ++h) {
        const float after = to_weight * middle[to * kSourceHarmonics + h];
        sum = fma(a.gain[h], sin_wrapped(fma(from_weight, middle[from * kSourceHarmonics + h], after)), sum);
      }
    }
    sum = fma(voiced ? a.voiced_deviation : a.unvoiced_deviation, noise[i], sum);
    out[sample] = tanh(sum);
  }
}
