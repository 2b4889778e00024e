// SPDX-License-Identifier: Apache-2.0
// The elementwise parts of minimal filtering (Winograd 1980, as Toom–Cook): a tile of 8 output rows and its 2·pairs + 2 input
// rows become values at the points 0, ±a, ±b, …, ∞, as the taps do, where the convolution is a plain product for each point. A
// pair of opposite points shares the even and the odd half of its sums.

inline constexpr int kOut = 8;

// Input row i of a tile is coefficient i: at 0 and ∞ the value is Σ z[k]·x[2k] and Σ z[k]·x[2k + 1], at ±a it is
// Σ r[k]·x[2k + 2] ± a·Σ r[k]·x[2k + 1].
template <int kPairs>
void filter_in_pairs(const FilterInArgs& a) noexcept {
  constexpr int kIn = 2 * kPairs + 2;
  for (std::size_t tile = 0; tile < a.tiles; ++tile) {
    const std::size_t row = tile / a.dilation * kOut * a.dilation + tile % a.dilation;
    const float* first = a.x + row * a.x_stride;
    const std::size_t step = a.dilation * a.x_stride;
    for (std::size_t c = 0; c < a.channels; c += V::width) {
      V::f32 x[kIn];
      KOE_UNROLL
      for (int i = 0; i < kIn; ++i) x[i] = V::load(first + static_cast<std::size_t>(i) * step + c);
      float* out = a.out + tile * a.channels + c;
      const float* m = a.matrix;
      V::f32 even = V::mul(x[0], V::set1(m[0]));
      V::f32 odd = V::mul(x[1], V::set1(m[0]));
      KOE_UNROLL
      for (int k = 1; k <= kPairs; ++k) {
        const V::f32 z = V::set1(m[k]);
        even = V::fma(x[2 * k], z, even);
        odd = V::fma(x[2 * k + 1], z, odd);
      }
      V::store(out, even);
      V::store(out + (kIn - 1) * a.point_stride, odd);
      m += kPairs + 1;
      for (int pair = 0; pair < kPairs; ++pair, m += kPairs + 1) {
        even = V::mul(x[2], V::set1(m[0]));
        odd = V::mul(x[1], V::set1(m[0]));
        KOE_UNROLL
        for (int k = 1; k < kPairs; ++k) {
          const V::f32 r = V::set1(m[k]);
          even = V::fma(x[2 * k + 2], r, even);
          odd = V::fma(x[2 * k + 1], r, odd);
        }
        odd = V::mul(odd, V::set1(m[kPairs]));
        float* at = out + static_cast<std::size_t>(2 * pair + 1) * a.point_stride;
        V::store(at, V::add(even, odd));
        V::store(at + a.point_stride, V::sub(even, odd));
      }
    }
  }
}

void filter_in(const FilterInArgs& a) noexcept {
  switch (a.pairs) {
    case 4: return filter_in_pairs<4>(a);
    case 6: return filter_in_pairs<6>(a);
    case 8: return filter_in_pairs<8>(a);
    default: return;
  }
}

// Tap i is coefficient i, too: at 0 its value is the first tap, at ∞ the last, each times a number; at ±a it is
// Σ m[2k]·w[2k] ± Σ m[2k + 1]·w[2k + 1].
template <int kPairs>
void filter_weights_pairs(const FilterWeightsArgs& a) noexcept {
  constexpr int kTaps = 2 * kPairs + 3 - kOut;
  const std::size_t point_stride = a.lines * a.values;
  for (std::size_t line = 0; line < a.lines; ++line) {
    for (std::size_t v = 0; v < a.values; v += V::width) {
      const V::f32 zero = V::load(a.zero + v);
      const V::f32 scale = V::load(a.scale + v);
      const std::int8_t* q = a.q + line * a.values + v;
      V::f32 w[kTaps];
      KOE_UNROLL
      for (int i = 0; i < kTaps; ++i) {
        w[i] = V::mul(V::sub(V::load_int8(q + static_cast<std::size_t>(i) * a.tap_stride), zero), scale);
      }
      float* out = a.out + line * a.values + v;
      V::store(out, V::mul(w[0], V::set1(a.matrix[0])));
      V::store(out + (2 * kPairs + 1) * point_stride, V::mul(w[kTaps - 1], V::set1(a.matrix[1])));
      const float* m = a.matrix + 2;
      for (int pair = 0; pair < kPairs; ++pair, m += kTaps) {
        V::f32 even = V::mul(w[0], V::set1(m[0]));
        V::f32 odd = V::mul(w[1], V::set1(m[1]));
        KOE_UNROLL
        for (int i = 2; i < kTaps; i += 2) even = V::fma(w[i], V::set1(m[i]), even);
        KOE_UNROLL
        for (int i = 3; i < kTaps; i += 2) odd = V::fma(w[i], V::set1(m[i]), odd);
        out += point_stride;
        V::store(out, V::add(even, odd));
        out += point_stride;
        V::store(out, V::sub(even, odd));
      }
    }
  }
}

void filter_weights(const FilterWeightsArgs& a) noexcept {
  switch (a.pairs) {
    case 4: return filter_weights_pairs<4>(a);
    case 6: return filter_weights_pairs<6>(a);
    case 8: return filter_weights_pairs<8>(a);
    default: return;
  }
}

// Row j of a tile is Σ over points of point^j · product; at ∞ only the last row has one.
void filter_out(const FilterOutArgs& a) noexcept {
  const V::f32 gain = V::set1(a.gain);
  for (std::size_t c = 0; c < a.channels; c += V::width) {
    const V::f32 bias = V::load(a.bias + c);
    V::f32 sum = V::set1(0.0f);
    V::f32 square = sum;
    for (std::size_t tile = 0; tile < a.tiles; ++tile) {
      const float* in = a.products + tile * a.product_stride + c;
      V::f32 y[kOut];
      y[0] = V::add(V::load(in), bias);
      KOE_UNROLL
      for (int j = 1; j + 1 < kOut; ++j) y[j] = bias;
      y[kOut - 1] = V::add(V::load(in + static_cast<std::size_t>(2 * a.pairs + 1) * a.point_stride), bias);
      const float* power = a.powers;
      for (int pair = 0; pair < a.pairs; ++pair, power += kOut) {
        in += a.point_stride;
        const V::f32 plus = V::load(in);
        in += a.point_stride;
        const V::f32 minus = V::load(in);
        const V::f32 even = V::add(plus, minus);
        const V::f32 odd = V::sub(plus, minus);
        KOE_UNROLL
        for (int j = 0; j < kOut; j += 2) {
          y[j] = V::fma(even, V::set1(power[j]), y[j]);
          y[j + 1] = V::fma(odd, V::set1(power[j + 1]), y[j + 1]);
        }
      }
      const std::size_t first = tile / a.dilation * kOut * a.dilation + tile % a.dilation;
      V::f32 tile_sum = V::set1(0.0f);
      V::f32 tile_square = tile_sum;
      KOE_UNROLL
      for (int j = 0; j < kOut; ++j) {
        const std::size_t row = first + static_cast<std::size_t>(j) * a.dilation;
        if (row >= a.rows) break;
        const std::size_t at = row * a.out_stride + c;
        V::f32 v = y[j];
        if (a.residual) v = V::add(v, V::load(a.residual + at));
        if (a.accumulate) v = V::add(v, V::load(a.accumulate + at));
        v = V::mul(v, gain);
        V::store(a.out + at, v);
        tile_sum = V::add(tile_sum, v);
        tile_square = V::fma(v, v, tile_square);
      }
      sum = V::add(sum, tile_sum);
      square = V::add(square, tile_square);
    }
    if (a.sums) {
      float* s = a.sums + c;
      V::store(s, V::add(V::load(s), sum));
      V::store(s + a.channel_stride, V::add(V::load(s + a.channel_stride), square));
    }
  }
}
