// SPDX-License-Identifier: Apache-2.0
// Mean and squared deviation in float32 without the cancellation of Σx² − (Σx)²/n: sums are of the distance to the first
// value, and blocks are merged by their means (Chan, Golub & LeVeque 1979).
#pragma once

struct Moments {
  float count;
  float mean;
  float squares;  // Σ (x − mean)²
};

struct ShiftedSums {
  float count;
  float origin;
  float sum;
  float squares;
};

inline void clear(thread ShiftedSums& s) {
  s.count = 0.0f;
  s.origin = 0.0f;
  s.sum = 0.0f;
  s.squares = 0.0f;
}

inline void add(thread ShiftedSums& s, float x) {
  if (s.count == 0.0f) s.origin = x;
  const float d = x - s.origin;
  s.count += 1.0f;
  s.sum += d;
  s.squares = fma(d, d, s.squares);
}

inline void find_moments(const thread ShiftedSums& s, thread Moments& m) {
  const float mean = s.sum / max(s.count, 1.0f);
  m.count = s.count;
  m.mean = s.origin + mean;
  m.squares = max(0.0f, fma(-mean, s.sum, s.squares));
}

inline void merge(thread Moments& m, const thread Moments& other) {
  if (other.count == 0.0f) return;
  const float before = m.count;
  const float d = other.mean - m.mean;
  m.count = before + other.count;
  const float share = other.count / m.count;
  m.mean = before == 0.0f ? other.mean : fma(d, share, m.mean);
  m.squares = before == 0.0f ? other.squares : m.squares + other.squares + d * d * before * share;
}
